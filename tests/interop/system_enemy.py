"""The HTTP gateway as an enemy sees it: hostile pages in a real Chromium, and requests that people do not make."""
import contextlib
import http.server
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time

from shoal import Nodes, make_file, wait_for
from suite import need, test
from system_http import answers, ask, talk, up_with_web, web_port
from system_pages import browser

# What a hostile page tries. `base` is the gateway; the result is a list of what it got that it should not have.
ATTACK = """
const base = BASE, id = ID, other = OTHER, got = [];
const tried = async (name, work) => { try { if (await work()) got.push(name); } catch (e) { /* refused */ } };
const shows = (tag, url) => new Promise(done => {
  const e = document.createElement(tag);
  e.onload = () => done(true);
  e.onerror = () => done(false);
  setTimeout(() => done(false), 3000);
  e[tag === 'link' ? 'href' : tag === 'object' ? 'data' : 'src'] = url;
  if (tag === 'link') e.rel = 'stylesheet';
  document.body.append(e);
});
(async () => {
  for (const path of ['api/status', 'api/session', 'api/peers', 'api/shares', 'metrics', 'shared/', 'shared/secret.js', 'home/', 'content/' + id, '?q=x', 'app.js'])
    await tried('read ' + path, async () => (await (await fetch(base + path, {credentials: 'include'})).text()).length > 0);
  await tried('read another origin', async () => (await (await fetch(other)).text()).length > 0);
  for (const path of ['shared/picture.png', 'shared/secret.js', 'api/invite.svg', 'name/x/picture.png'])
    await tried('img ' + path, () => shows('img', base + path));
  for (const path of ['shared/secret.js', 'api/session', 'api/status']) await tried('script ' + path, () => shows('script', base + path));
  if (!(await shows('img', base + 'content/' + PICTURE))) got.push('a content by its id is not shown: this test shows nothing');
  await tried('script ran', async () => window.secret !== undefined);
  await tried('stylesheet', () => shows('link', base + 'shared/secret.css'));
  for (const [path, method, body] of [['api/down', 'POST', '{}'], ['api/shares', 'POST', '{"paths":["/etc/hostname"]}'], ['api/nickname', 'POST', '{"nickname":"evil"}'], ['api/upload', 'POST', 'x'], ['home/owner/evil', 'PUT', 'x'],
      ['api/settings', 'POST', '{"upload_rate":1}'], ['api/accounts', 'POST', '{"name":"evil","password":"evilevilevil","privilege":"owner"}']]) {
    for (const type of ['text/plain', 'application/json', 'application/x-www-form-urlencoded'])
      await tried(`${method} ${path}`, async () => (await fetch(base + path, {method, body, mode: method === 'PUT' || type === 'application/json' ? 'cors' : 'no-cors', headers: {'Content-Type': type}, credentials: 'include'})).ok);
  }
  const data = new FormData();
  data.append('f', new File(['evil'], 'evil.txt'));
  await tried('form upload', async () => (await fetch(base + 'api/upload', {method: 'POST', body: data, mode: 'no-cors'})).ok);
  const form = Object.assign(document.createElement('form'), {method: 'post', action: base + 'api/down', enctype: 'text/plain', target: 'frame'});
  const field = Object.assign(document.createElement('input'), {name: '{"a":"', value: '"}'});
  const frame = Object.assign(document.createElement('iframe'), {name: 'frame'});
  form.append(field);
  document.body.append(frame, form);
  form.submit();
  for (const path of ['', 'shared/', 'home/', 'shared/none', 'api/status', 'settings']) {
    const inner = document.createElement('iframe');
    inner.src = base + path;
    document.body.append(inner);
  }
  await tried('socket', () => new Promise(done => { const s = new WebSocket(base.replace('http', 'ws') + 'api/events'); s.onopen = () => done(true); s.onerror = () => done(false); }));
  await tried('events', () => new Promise(done => { const s = new EventSource(base + 'api/events'); s.onopen = () => done(true); s.onerror = () => done(false); }));
  await tried('worker of the gateway', () => navigator.serviceWorker.register(base + 'shared/secret.js'));
  await tried('worker over all', () => navigator.serviceWorker.register('/worker.js', {scope: base}));
  if (location.hostname.endsWith('.localhost')) await tried('cookie for all', async () => { document.cookie = 'shoal_evil=1; domain=localhost; path=/'; document.cookie = 'shoal_evil=1; domain=127.0.0.1; path=/'; return document.cookie.includes('shoal_evil'); });
  await new Promise(done => setTimeout(done, 500));
  document.title = 'done ' + JSON.stringify(got);
})();
"""


class Evil(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, *_):
        pass


@test()
def hostile_pages():
    """a page of another port, and a hostile site on its own origin, read, frame and change nothing of the node; names are no script"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        node = world.node("a")
        node.up("--http", "127.0.0.1:0")
        base = f"http://{node.status()['http']}/"
        for name, data in (("secret.js", b"window.secret = 1"), ("secret.css", b"body { color: red }"), ("picture.png", bytes.fromhex(
                "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"))):
            world.path(name).write_bytes(data)
            shared = node.share(world.path(name))[0]["id"]  # at last the picture's
        site, victim = world.path("site"), world.path("victim")
        for folder in (site, victim):
            folder.mkdir()
        (victim / "index.html").write_text("the other's secret")
        victim_id = node.share(victim)[0]["id"]
        script = "".join(("<body><script>", ATTACK.replace("BASE", repr(base)).replace("OTHER", repr(f"http://{victim_id}.shoal.localhost:{web_port(node)}/")).replace("PICTURE", repr(shared)).replace("ID", repr(victim_id), 1), "</script>"))
        (site / "index.html").write_text(script)
        (site / "worker.js").write_text("")
        (site / "javascript:alert(1)").write_text("x")
        (site / "\"onmouseover=alert(1) x=\"").write_text("x")
        site_id = node.share(site)[0]["id"]
        Evil.page = script.encode()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Evil)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        before = node.api("/api/settings"), node.run("account", "list").out
        try:
            with browser(world, "profile") as b:
                for where in (f"http://127.0.0.1:{server.server_port}/", f"http://localhost:{server.server_port}/", f"{base}content/{site_id}/"):
                    b.open(where)
                    got = wait_for(lambda: (lambda t: t if t.startswith("done") else None)(b.js("return document.title")), f"the attack from {where}", 60)
                    assert got == "done []", f"from {where}: {got}"
                    framed = b.js("return [...document.querySelectorAll('iframe')].map(f => { try { return f.contentDocument ? f.contentDocument.body.innerText : null } catch { return null } }).filter(Boolean)")
                    assert not framed, framed
                assert b.js("return location.host") == f"{site_id}.shoal.localhost:{web_port(node)}", "the site did not move to its own origin"
        finally:
            server.shutdown()
        assert node.alive() and (node.api("/api/settings"), node.run("account", "list").out) == before
        assert not (node.home / "files/owner/evil").exists() and not (node.home / "files/owner/evil.txt").exists()
        assert not any("hostname" in s["path"] for s in node.run("ls", "--json").json())
        for path in ("", "settings", "shared/", "shared/none", f"content/{site_id}/none"):
            status, _, fields = ask(web_port(node), "/" + path, headers={"Accept": "text/html"})
            policy = fields.get("Content-Security-Policy", "")
            assert "frame-ancestors 'none'" in policy or fields.get("X-Frame-Options") == "DENY", f"/{path} may be framed: {policy!r}"
            assert fields["X-Content-Type-Options"] == "nosniff", f"/{path} may be sniffed"


# Ways out of a tree, as they have worked elsewhere. None may be 200.
WAYS_OUT = [f"/{start}/{way}" for start in ("shared/tree", "shared", "home/owner", "content/ID", "name/x", "seed/ID/tree") for way in (
    "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "%2e%2e%2f%2e%2e%2fetc/passwd", ".%2e/etc/passwd", "..%5c..%5cetc%5cpasswd",
    "..%c0%af..%c0%afetc/passwd", "%c0%ae%c0%ae/etc/passwd", "%e0%80%ae%e0%80%ae/etc/passwd", "%252e%252e/etc/passwd", "..;/etc/passwd", "....//....//etc/passwd", "a.txt%00.png", "%00", "a.txt%2f..%2f..%2f..",
    "/etc/passwd", "./a.txt", "link", "link/passwd", "%2fetc%2fpasswd", "%uff0e%uff0e/", "..%00/etc/passwd", "a.txt/", "a.txt/..", "fifo", "%ed%a0%80", "%f4%90%80%80", "a.txt%0d%0aX:y")]


@test()
def hostile_requests():
    """ways out of a tree, floods of fields, ranges, tags and requests: refused or answered cheaply, and others are served meanwhile"""
    with Nodes() as world:
        node = world.node("a")
        up_with_web(node)
        port = web_port(node)
        tree = world.path("tree")
        tree.mkdir()
        (tree / "a.txt").write_text("inside")
        make_file(tree / "big.bin", 5_000_000)
        share = node.share(tree)[0]
        os.symlink("/etc", tree / "link")
        os.mkfifo(tree / "fifo")
        token = (node.home / "api.token").read_text()
        for way in WAYS_OUT:
            raw, _ = talk(port, f"GET {way.replace('ID', share['id'])} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token}\r\nConnection: close\r\n\r\n".encode())
            found = answers(raw)
            assert len(found) == 1 and found[0][0] in (400, 404, 301, 403), f"{way}: {raw[:300]!r}"
            assert b"root:" not in raw and b"X:y" not in raw, f"{way}: {raw[:300]!r}"
        big = b"GET /shared/tree/big.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        began = time.monotonic()
        for name, fields, wanted in (
                ("1,000 overlapping ranges", b"Range: bytes=" + b",".join(b"0-%d" % (n + 5) for n in range(1000)) + b"\r\n", (200, 206)),
                ("500 tiny ranges", b"Range: bytes=" + b",".join(b"%d-%d" % (n * 200, n * 200) for n in range(500)) + b"\r\n", (200,)),
                ("16 far ranges", b"Range: bytes=" + b",".join(b"%d-%d" % (n * 1000, n * 1000) for n in range(16)) + b"\r\n", (206,)),
                ("ranges of nothing but commas", b"Range: bytes=" + b"," * 7000 + b"\r\n", (200,)),
                ("2,000 tags", b"If-None-Match: " + b",".join(b'"%d"' % n for n in range(1000)) + b"\r\n", (200,)),
                ("open quotes", b"If-None-Match: " + b'"' * 7001 + b"\r\n", (200,)),
                ("commas in Connection", b"Connection: " + b"," * 7000 + b"\r\n", (200,)),
                ("200 cookies", b"Cookie: " + b"; ".join(b"shoal_%08x=x" % n for n in range(300)) + b"\r\n", (200,)),
                ("fields without end", b"X: y\r\n" * 5000, (431,)),
                ("a tag like ours, weak", b'If-Match: W/"' + share["id"].encode() + b'"\r\n', (412,))):
            raw, _ = talk(port, big + fields + b"\r\n", 10)
            status = int(raw.split(b" ", 2)[1])
            assert status in wanted, f"{name}: {status}"
            assert len(raw) < 5_200_000, f"{name}: {len(raw)} bytes of answer"
        assert time.monotonic() - began < 5, f"{time.monotonic() - began:.1f} s for ten requests"
        pipelined = b"GET /shared/tree/a.txt HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 2000
        raw, _ = talk(port, pipelined + b"GET / HTTP/1.0\r\n\r\n", 10)
        assert raw.count(b"\r\n\r\ninside") == 2000
        rss = lambda: int((pathlib.Path("/proc") / str(node.process.pid) / "statm").read_text().split()[1]) * 4096
        descriptors = lambda: len(os.listdir(f"/proc/{node.process.pid}/fd"))
        began, open_ = rss(), descriptors()
        with contextlib.ExitStack() as stack:  # heads that never end, large ones, beside which another is served
            half = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(500)]
            for s in half:
                s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 7000)
            asked = time.monotonic()
            assert ask(port, "/shared/tree/a.txt")[1] == b"inside" and time.monotonic() - asked < 1
            assert rss() - began < 500 * 40_000, f"{(rss() - began) / 500:.0f} bytes for each half a head"
        wait_for(lambda: descriptors() <= open_ + 2 or None, "their descriptors to be closed", 10)


@test(slow=True)
def slow_clients():
    """slowhttptest: 4,000 slow heads, 4,000 slow bodies, 1,000 slow readers, and hostile ranges; others are served within a second meanwhile"""
    need(shutil.which("slowhttptest"), "slowhttptest is not installed (apt-get install slowhttptest)")
    with Nodes() as world:
        node = world.node("a")
        up_with_web(node)
        base = f"http://127.0.0.1:{web_port(node)}"
        make_file(world.path("film"), 20_000_000)
        node.share(world.path("film"))
        for name, flags, path in (("heads", "-H -i 10", "/"), ("bodies", "-B -i 10 -s 8192", "/api/signin"), ("readers", "-X -w 512 -y 1024 -n 5 -z 32 -k 3", "/shared/film"), ("ranges", "-R", "/shared/film")):
            with subprocess.Popen(["slowhttptest", *flags.split(), "-c", "1000" if name == "readers" else "4000", "-r", "1000", "-l", "14", "-p", "3", "-u", base + path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as judge:
                waits = []
                while judge.poll() is None and len(waits) < 60:
                    asked = time.monotonic()
                    assert ask(web_port(node), "/shared/film", headers={"Range": "bytes=0-99999"})[0] == 206
                    waits.append(time.monotonic() - asked)
                    time.sleep(0.25)
                shown = judge.communicate(timeout=60)[0]
            assert "NO" not in re.findall(r"service available:\W*(?:\x1b\[[0-9;]*m)*(YES|NO)", shown), shown[-600:]
            assert max(waits) < 1, f"{name}: another waited {max(waits):.2f} s"
            memory = int((pathlib.Path("/proc") / str(node.process.pid) / "statm").read_text().split()[1]) * 4096
            print(f"# {name}: {len(waits)} others were served meanwhile, median {sorted(waits)[len(waits) // 2] * 1000:.1f} ms, worst {max(waits) * 1000:.0f} ms; resident {memory / 1e6:.0f} MB", flush=True)
