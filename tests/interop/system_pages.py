"""The pages in a real Chromium, by chromedriver: every page and the flows people walk. Skips when they are not installed."""
import base64
import contextlib
import json
import math
import os
import pathlib
import shutil
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import wave

from shoal import Nodes, make_file, wait_for
from suite import need, test

NASTY = "<img src=x onerror=alert(1)>.txt"
PHONE, DESK = (360, 740), (1280, 800)


class Browser:
    """A session of WebDriver (W3C) with a clean profile."""

    def __init__(self, folder, size=DESK, user=None):
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        need(shutil.which("chromium"), "chromium is not installed (apt-get install chromium)")
        somebody = {} if user is None else {"user": user, "group": user, "extra_groups": [], "env": {**os.environ, "HOME": str(folder)}}
        self.process = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **somebody)
        self.session = None
        port = 0
        for line in self.process.stdout:
            if "started successfully on port" in line:
                port = int(line.rstrip().rstrip(".").split()[-1])
                break
        self.base = f"http://127.0.0.1:{port}/session"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required", f"--user-data-dir={folder}"]
        answer = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": flags,
                                   "mobileEmulation": {"deviceMetrics": {"width": size[0], "height": size[1], "pixelRatio": 1, "touch": False}}},
            "goog:loggingPrefs": {"browser": "ALL"}}}})
        self.session = answer["sessionId"]

    def call(self, method, path, body=None):
        url = self.base + (f"/{self.session}" if self.session else "") + path
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"chromedriver: {json.load(error)['value']['message'][:600]}") from None

    def open(self, url):
        self.call("POST", "/url", {"url": url})

    def js(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def text(self):
        return self.js("return document.querySelector('main').innerText")

    def see(self, words, timeout=20):
        """Waits until the page shows the words."""
        def there():
            shown = self.text()
            return shown if words in shown else None
        try:
            return wait_for(there, f"the page to show {words!r}", timeout, every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows: {self.text()[:800]!r}") from None

    def fill(self, selector, value):
        self.js("const e = document.querySelector(arguments[0]); e.focus(); e.value = arguments[1]; e.dispatchEvent(new Event('input', {bubbles: true}))", selector, value)

    def click(self, words, within="main"):
        """The button or link with exactly these words."""
        found = self.js("const e = [...document.querySelectorAll(`${arguments[1]} button, ${arguments[1]} a, ${arguments[1]} label`)]"
                        ".find(e => e.innerText.trim() === arguments[0]); if (e) e.click(); return !!e", words, within)
        assert found, f"no button {words!r} on the page: {self.text()[:600]!r}"

    def clean(self):
        """The console has no errors: no script failed, the policy refused nothing. (A 404 of the API is how a page learns what a node lacks.)"""
        wrong = [entry["message"] for entry in self.call("POST", "/se/log", {"type": "browser"})
                 if entry["level"] == "SEVERE" and not ("/api/" in entry["message"] and "status of 404" in entry["message"])]
        assert not wrong, wrong

    def close(self):
        with contextlib.suppress(Exception):
            self.call("DELETE", "")
        self.process.terminate()
        self.process.wait()


@contextlib.contextmanager
def browser(world, name, size=DESK):
    opened = Browser(world.path(name), size)
    try:
        yield opened
    finally:
        opened.close()


def pages_of(node):
    address = node.status()["http"]
    assert address, "the gateway is off"
    return f"http://{address}/"


def two_nodes(world):
    """One that shares, and one that has the pages."""
    one, two = world.node("one"), world.node("two")
    one.up()
    two.join(one.invite()).up("--http", "127.0.0.1:0")
    wait_for(lambda: two.contacts() or None, "the nodes to know each other")
    return one, two, pages_of(two)


def make_tone(path, seconds):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        second = b"".join(struct.pack("<h", int(8000 * math.sin(i * 2 * math.pi * 440 / 16000))) for i in range(16000))
        out.writeframes(second * seconds)
    return path


@test(long=True)
def every_page_shows():
    """each one shows at the size of a telephone and of a desk, fits its width, and the console stays clean"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        one, two, base = two_nodes(world)
        two.share(make_file(world.path("song.bin"), 100000))
        one_folder = world.path("folder")
        one_folder.mkdir()
        (one_folder / NASTY).write_text("x")
        make_file(one_folder / ("a long name " * 15), 5000)
        wanted = {"#/": "song.bin", "#/peers": "1 node known", "#/sessions": "Sessions", "#/invite": "Join a network", "#/settings": "This node",
                  "#/welcome": "Welcome to Shoal", "#/search/song": "song.bin", "#/content/nonsense": "That link is not right", "#/nowhere": "There is no such page"}
        for size in (PHONE, DESK):
            with browser(world, f"profile{size[0]}", size) as b:
                for page, words in wanted.items():
                    b.open(base + page)
                    b.see(words)
                    over = b.js("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    assert over <= 0, f"{page} is {over} pixels wider than {size[0]}"
                for asked, words, page in (("song", "song.bin", "#/search/song"), ("shoal:nonsense", "That link is not right", "#/content/"), ("", "song.bin", "#/")):
                    b.open(base + "?q=" + asked)  # the form of an error page
                    b.see(words)
                    assert b.js("return location.search") == "" and b.js("return location.hash").startswith(page), b.js("return location.href")
                folder = two.share(one_folder)[0]["id"]
                for page, words in (("shared/", "What this node shares"), ("shared/none", "Look for it among"), (f"content/{folder}/", "A shared folder"), (f"content/{folder}/none", "Look for it among")):
                    b.open(base + page)  # written by the node, without script; the last two on an origin of their own
                    assert words in b.js("return document.body.innerText"), page
                    assert b.js("return document.documentElement.scrollWidth <= document.documentElement.clientWidth"), f"{page} is wider than {size[0]}"
                    ways = b.js("return [...document.querySelectorAll('main a, form')].map(e => e.href || e.action)")
                    assert all(way.startswith(base) for way in ways), f"{page}: not the way back to the node: {ways}"
                    b.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}})
                    colours = b.js("const s = getComputedStyle(document.documentElement); return [s.backgroundColor, s.color].map(c => +c.match(/[0-9]+/)[0])")
                    assert colours[0] < 60 and colours[1] > 180, f"{page} is not dark in the dark: {colours}"
                    b.call("POST", "/goog/cdp/execute", {"cmd": "Emulation.setEmulatedMedia", "params": {"features": []}})
                wrong = [e["message"] for e in b.call("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE" and "none - " not in e["message"]]
                assert not wrong, wrong
                b.open(base + "#/invite")
                wait_for(lambda: b.js("const i = document.querySelector('img.qr'); return i && i.naturalWidth > 0") or None, "the QR code", 10)
                assert b.js("return document.querySelector('textarea.code').value") == two.invite(), "the invite"
                b.clean()


@test()
def a_tree_by_pages():
    """a stranger pastes a link, picks a file of a tree, fetches it; a nasty name stays text"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        one, two, base = two_nodes(world)
        tree = world.path("Holiday")
        (tree / "sub").mkdir(parents=True)
        (tree / NASTY).write_text("x")
        make_file(tree / "sub" / "large.bin", 3000000)
        make_file(tree / "other.bin", 2000000, 2)
        link = one.link(tree)
        with browser(world, "profile", PHONE) as b:
            b.open(base)
            b.see("Welcome to Shoal")  # the first time, with nothing shared
            b.fill("#find-words", link)
            b.js("document.querySelector('#find').requestSubmit()")
            b.see(NASTY)
            assert not b.js("return document.querySelector('main img[src=\"x\"]')"), "a name became an element"
            b.click("sub/")
            b.see("large.bin")
            b.js("document.querySelector('.entries input').click()")
            b.click("Fetch 1 picked entry")
            b.see("Done: ", 30)
            got = two.home / "downloads" / "Holiday"
            assert (got / "sub" / "large.bin").read_bytes() == (tree / "sub" / "large.bin").read_bytes()
            assert not (got / "other.bin").exists(), "what was not picked came too"
            b.clean()


@test(slow=True)
def sharing_by_pages():
    """share a file, see it live, find it by search, stop sharing it"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        one, two, base = two_nodes(world)
        path = make_file(world.path("wanted.bin"), 200000)
        with browser(world, "profile") as b:
            b.open(base + "#/")
            b.see("Nothing yet")
            b.fill("#path", "relative/path")
            b.js("document.querySelector('#path').form.requestSubmit()")
            wait_for(lambda: "Give the whole path" in b.js("return document.querySelector('#notices').innerText") or None, "a word about the path", 10)
            b.fill("#path", str(path))
            b.js("document.querySelector('#path').form.requestSubmit()")
            b.see("wanted.bin")
            two.share(make_file(world.path("second.bin"), 1000, 3))  # by the command line: the page follows without reload
            b.see("second.bin")
            b.open(base + "#/search/WANT")
            b.see("1 name of what this node shares")
            b.open(base + "#/")
            b.see("wanted.bin")
            b.js("[...document.querySelectorAll('.shares li')].find(e => e.innerText.includes('wanted.bin')).querySelector('button.plain[aria-label]').click()")
            wait_for(lambda: b.js("return !!document.querySelector('dialog[open]')") or None, "the question", 5)
            b.click("Stop sharing", "dialog")
            wait_for(lambda: "wanted.bin" not in b.js("return document.querySelector('.shares').innerText") or None, "the share to go", 15)
            assert path.exists(), "the file itself is gone"


@test(slow=True)
def sound_while_it_arrives():
    """sound of another node plays while it arrives from a slow peer, and a seek plays on from there"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        one, two = world.node("one", config="[transfer]\nupload = 800kB/s\n"), world.node("two")
        one.up()
        two.join(one.invite()).up("--http", "127.0.0.1:0")
        wait_for(lambda: two.contacts() or None, "the nodes to know each other")
        link = one.link(make_tone(world.path("tone.wav"), 600))  # 19 MB: 24 s at that rate
        with browser(world, "profile") as b:
            b.open(pages_of(two) + "#/content/" + urllib.parse.quote(link, safe=""))
            wait_for(lambda: b.js("const a = document.querySelector('audio'); return a && a.readyState >= 1") or None, "the beginning of the sound", 20)
            assert abs(b.js("return document.querySelector('audio').duration") - 600) < 1
            for start in (0, 400):
                asked = time.monotonic()
                b.js("const a = document.querySelector('audio'); a.muted = true; a.currentTime = arguments[0]; a.play()", start)
                wait_for(lambda: b.js("return document.querySelector('audio').currentTime") > start + 0.3 or None, f"the sound to play from {start} s", 15)
                assert time.monotonic() - asked < 12, "the seek waited for all that lies before it"
            shown = b.see("chunks here")
            assert "(100 %)" not in shown, "it was all here before it played: the test shows nothing"


@test(slow=True)
def ten_thousand_shares():
    """with 10,000 shares the first paint comes within 1 s, and one change makes no task over 50 ms"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        two = world.node("two").up("--http", "127.0.0.1:0")
        folder = world.path("many")
        folder.mkdir()
        paths = [folder / f"f{i:05}.txt" for i in range(10000)]
        for i, path in enumerate(paths):
            path.write_text(str(i))
        two.share(*paths)
        with browser(world, "profile") as b:
            b.open(pages_of(two) + "icon.svg")  # the browser's own start is not what is measured
            b.open(pages_of(two) + "#/")
            b.see("f00000.txt")
            paint = b.js("return performance.getEntriesByType('paint').find(e => e.name === 'first-contentful-paint').startTime")
            assert paint < 1000, f"first paint after {paint:.0f} ms"
            time.sleep(1)
            b.js("window.long = []; new PerformanceObserver(l => l.getEntries().forEach(e => long.push(e.duration))).observe({type: 'longtask'})")
            two.run("unshare", str(paths[3]))
            wait_for(lambda: "f00003.txt" not in b.js("return document.querySelector('.shares').innerText") or None, "the change to show", 20)
            long = b.js("return long")
            assert not long, f"tasks over 50 ms: {long}"
            print(f"# first paint {paint:.0f} ms, no task over 50 ms when one of 10,000 changed", flush=True)


@test()
def uploading():
    """pages: files are uploaded by button and by drop with progress, what is there is asked about, links are given"""
    with Nodes() as world:
        node = world.node("one")
        node.up("--http", "127.0.0.1:0")
        one, two = make_file(world.path("one.bin"), 3_000_000), make_file(world.path("two.bin"), 70_000, seed=2)
        assert node.run("share", str(two)).code == 0  # else the first-run page comes first
        with browser(world, "profile", PHONE) as page:
            page.open(pages_of(node))
            page.see("Upload")
            element = page.call("POST", "/element", {"using": "css selector", "value": "#files"})
            page.call("POST", f"/element/{next(iter(element.values()))}/value", {"text": str(one)})
            page.see("one.bin 3.0\u00a0MB, shared")
            kept = node.home / "files/owner/one.bin"
            assert kept.read_bytes() == one.read_bytes()
            page.js("""const t = new DataTransfer();
                t.items.add(new File(['dropped'], 'note.txt'));
                t.items.add(new File(['other'], 'one.bin'));
                document.querySelector('.drop').dispatchEvent(new DragEvent('drop', {dataTransfer: t, bubbles: true, cancelable: true}))""")
            page.see("note.txt")
            wait_for(lambda: page.js("return !!document.querySelector('dialog.ask')"), "the question whether to replace")
            assert kept.read_bytes() == one.read_bytes()
            page.click("Replace", "dialog")
            wait_for(lambda: kept.read_bytes() == b"other", "the file to be replaced")
            assert (node.home / "files/owner/note.txt").read_bytes() == b"dropped"
            wrong = [e["message"] for e in page.call("POST", "/se/log", {"type": "browser"}) if e["level"] == "SEVERE" and not any(f"status of {n}" in e["message"] for n in (404, 412))]
            assert not wrong, wrong
            if os.environ.get("SHOAL_SHOTS"):
                picture = page.call("GET", "/screenshot")
                (pathlib.Path(os.environ["SHOAL_SHOTS"]) / "upload.png").write_bytes(base64.b64decode(picture))


@test(slow=True)
def signing_in_by_pages():
    """another user's browser sees what is shared, signs in by password as a user, and by the link of `shoal open` as the owner, once"""
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        need(os.geteuid() == 0, "only root can be somebody else for a moment")
        a = world.node("a")
        a.run("account", "add", "ann", input="the password\n")
        a.up("--http", "127.0.0.1:0")
        link = a.link(make_file(world.path("shared.bin"), 30000))
        os.chmod(world.base, 0o711)
        profile = world.path("profile")
        profile.mkdir()
        os.chown(profile, 65534, 65534)
        opened = Browser(profile, PHONE, user=65534)
        try:
            opened.open(pages_of(a))
            shown = opened.see("If this node is yours")
            assert "Shared" not in shown
            sign = lambda password: (opened.fill("#name", "Ann"), opened.fill("#password", password), opened.js("document.querySelector('form.card').requestSubmit()"))
            sign("a wrong one")
            opened.see("is wrong")
            sign("the password")
            shown = opened.see("Your folder")
            assert not opened.js("return [...document.querySelectorAll('#tabs a')].some(e => e.hash === '#/invite' && !e.hidden)")
            opened.fill("#find-words", link)
            opened.js("document.querySelector('#find').requestSubmit()")
            opened.see("Download")
            opened.open(pages_of(a) + "#/")
            opened.see("Your folder")
            opened.click("Sign out")
            opened.see("If this node is yours")
            enter = a.run("open").out.strip()
            opened.open("about:blank")
            opened.open(enter)
            opened.see("shared.bin")
            assert opened.js("return location.hash") == "#/", "the secret stays in the address"
            opened.open(pages_of(a) + "#/invite")
            opened.see("Join a network")
            wait_for(lambda: opened.js("const i = document.querySelector('img.qr'); return i && i.naturalWidth > 0") or None, "the QR code", 10)
            opened.js("localStorage.clear()")
            opened.open("about:blank")
            opened.open(enter)
            opened.see("was used already")
        finally:
            opened.close()


def make_video(path, seconds):
    """Noise, which takes many bytes for few pixels, as VP8 in WebM with cues at the front, so that a player can seek before it has all."""
    made = subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", f"nullsrc=size=160x90:rate=5:duration={seconds},geq=lum=255*random(1):cb=128:cr=128", "-c:v", "libvpx", "-deadline", "realtime",
                           "-cpu-used", "8", "-b:v", "1000k", "-g", "10", "-cues_to_front", "1", str(path)], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return path


@test(slow=True)
def video_while_it_arrives():
    """a real video (WebM by ffmpeg) of another node plays while it arrives from a slow peer, with pictures, and a seek plays on from there"""
    need(shutil.which("ffmpeg"), "ffmpeg is not installed (apt-get install ffmpeg)")
    with Nodes() as world:
        need(shutil.which("chromedriver"), "chromedriver is not installed (apt-get install chromium-driver)")
        video = make_video(world.path("film.webm"), 90)
        size = os.path.getsize(video)
        one, two = world.node("one", config=f"[transfer]\nupload = {max(size // 60_000, 10)}kB/s\n"), world.node("two")  # 60 s for all of it
        one.up()
        two.join(one.invite()).up("--http", "127.0.0.1:0")
        wait_for(lambda: two.contacts() or None, "the nodes to know each other")
        link = one.link(video)
        with browser(world, "profile") as b:
            b.open(pages_of(two) + "#/content/" + urllib.parse.quote(link, safe=""))
            wait_for(lambda: b.js("const v = document.querySelector('video'); return v && v.readyState >= 2") or None, "the first picture", 30)
            assert abs(b.js("return document.querySelector('video').duration") - 90) < 1.5
            for start in (0, 70):
                asked = time.monotonic()
                b.js("const v = document.querySelector('video'); v.muted = true; v.currentTime = arguments[0]; v.play()", start)
                wait_for(lambda: b.js("return document.querySelector('video').currentTime") > start + 0.5 or None, f"the video to play from {start} s", 30)
                waited = time.monotonic() - asked
                assert waited < 20, f"the seek waited {waited:.0f} s for all that lies before it"
            assert b.js("const v = document.querySelector('video'); return v.videoWidth") == 160
            assert b.js("return document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames") > 3, "no pictures"
            if os.environ.get("SHOAL_SHOTS"):
                (pathlib.Path(os.environ["SHOAL_SHOTS"]) / "video.png").write_bytes(base64.b64decode(b.call("GET", "/screenshot")))
            shown = b.see("chunks here")
            assert "(100 %)" not in shown, "it was all here before it played: the test shows nothing"
