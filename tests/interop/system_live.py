"""Events as they happen over TCP and over the control socket, sessions as the owner sees them, and /metrics judged by a strict reader."""
import http.client
import json
import re
import shutil
import socket
import subprocess
import threading
import time

from shoal import Nodes, UnixHTTP, make_file, wait_for
from suite import test
from system_accounts import ask, port_of


class Events:
    """A listener: events as they come, by a thread of its own."""

    def __init__(self, connection):
        self.connection, self.heard = connection, []
        connection.request("GET", "/api/events", headers={"User-Agent": "listener"})
        self.answer = connection.getresponse()
        assert self.answer.status == 200 and self.answer.getheader("Content-Type") == "text/event-stream", self.answer.status
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        kind = None
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    kind = line[7:]
                elif line.startswith("data: "):
                    self.heard.append((kind, json.loads(line[6:]), time.monotonic()))
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass

    def wait(self, kind, fits=lambda data: True, since=0, timeout=10):
        def there():
            return next((data for k, data, at in list(self.heard) if k == kind and at >= since and fits(data)), None)
        return wait_for(there, f"an event {kind}; heard: {[k for k, _, _ in self.heard]}", timeout, every=0.02)


@test()
def events():
    """/api/events: the state as it is, then jobs, shares and sessions as they change, over TCP and the control socket; a message; bye"""
    with Nodes() as world:
        a = world.node("a")
        a.up("--http", "127.0.0.1:0")
        port = port_of(a)
        listeners = [Events(http.client.HTTPConnection("127.0.0.1", port, timeout=60)), Events(UnixHTTP(a.socket_path(), 60))]
        for e in listeners:
            assert e.wait("status")["node"] and "contacts" in e.wait("peers")
            e.wait("share"), e.wait("gateway")
        begun = time.monotonic()
        a.share(make_file(world.path("x.bin"), 3_000_000))
        for e in listeners:
            job = e.wait("job", lambda j: j["state"] == "done", begun)
            assert job["kind"] == "share" and job["bytes_done"] == 3_000_000
            e.wait("share", since=begun)
            e.wait("status", lambda s: s["shares"] == 1, begun)
        time.sleep(1.2)
        begun = time.monotonic()
        other = socket.create_connection(("127.0.0.1", port))
        listeners[1].wait("gateway", lambda g: g["open"] == 2, begun)
        other.close()
        listeners[1].wait("gateway", lambda g: g["open"] == 1, begun)
        time.sleep(1.5)
        quiet = time.monotonic()
        time.sleep(2)
        noise = [k for k, _, at in listeners[0].heard if at > quiet]
        assert noise == [], f"nothing happened, and yet: {noise}"

        (session,) = [s for s in a.api("/api/gateway/sessions")["sessions"] if s["client"] == "listener"]
        assert session["command"] == "GET /api/events" and session["privilege"] == "owner" and session["where"] == "this computer"
        token = {"X-Shoal-Token": (a.home / "api.token").read_text().strip()}
        post = lambda what, body: ask(port, f"/api/gateway/sessions/{what}", "POST", token, body)
        assert post("message", {"id": session["id"], "text": "dinner is ready"})[0] == 200
        assert listeners[0].wait("message")["text"] == "dinner is ready"
        assert not any(k == "message" for k, _, _ in listeners[1].heard)
        assert post("abort", {"id": session["id"]})[0] == 400, "no transfer is under way"
        assert post("message", {"id": session["id"]})[0] == 400 and post("message", {"id": 9999, "text": "x"})[0] == 404
        assert post("disconnect", {"id": session["id"], "ban_s": 60})[0] == 403, "this computer is never kept out"
        assert post("disconnect", {"id": session["id"]})[0] == 200
        listeners[0].thread.join(10)
        assert not listeners[0].thread.is_alive()
        a.stop()
        listeners[1].thread.join(10)
        assert listeners[1].heard[-1][0] == "bye", listeners[1].heard[-1]


@test()
def transfers():
    """sessions: a download shows its path, rates and bytes while it goes, can be aborted, and is counted when it is whole"""
    with Nodes() as world:
        a = world.node("a")
        a.up("--http", "127.0.0.1:0")
        port = port_of(a)
        a.share(make_file(world.path("film.bin"), 30_000_000))
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(b"GET /shared/film.bin HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: player\x1b[2J\r\n\r\n".replace(b"\x1b", b"~"))
        s.recv(65536)
        find = lambda: next((x for x in a.api("/api/gateway/sessions")["sessions"] if x["client"].startswith("player")), None)
        line = wait_for(lambda: (lambda x: x if x and x["transferring"] and x["bytes_out"] else None)(find()), "the transfer to show", 10)
        assert line["path"] == "/shared/film.bin" and line["command"] == "GET /shared/film.bin" and not line["up"] and line["mean_out"] > 0
        token = {"X-Shoal-Token": (a.home / "api.token").read_text().strip()}
        assert ask(port, "/api/gateway/sessions/abort", "POST", token, {"id": line["id"]})[0] == 200
        s.settimeout(10)
        try:
            while s.recv(1 << 20):
                pass
        except ConnectionError:
            pass
        assert find() is None
        assert ask(port, "/shared/film.bin")[0] == 200
        totals = a.api("/api/gateway/sessions")["totals"]
        assert totals["files_out"] == 1 and totals["bytes_out"] > 30_000_000, totals
        log = [(x["event"], x["path"]) for x in a.api("/api/gateway/log")["log"]]
        assert ("broke off", "/shared/film.bin") in log and ("sent", "/shared/film.bin") in log, log


NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABELS = r'\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*")*\}'
SAMPLE = re.compile(rf"({NAME})({LABELS})? ([0-9.eE+-]+|NaN|[+-]Inf)$")


def strict(text):
    """The format 0.0.4 of Prometheus: every family has one HELP and one TYPE before its samples, together, each series once; counters end in _total."""
    assert text.endswith("\n") and "\r" not in text and "\t" not in text
    families, series, now = {}, set(), None
    for line in text[:-1].split("\n"):
        comment = re.match(rf"# (HELP|TYPE) ({NAME}) (.+)$", line)
        if comment:
            kind, name, rest = comment.groups()
            if kind == "HELP":
                assert name not in families, f"{name} comes twice"
                families[name], now = None, name
            else:
                assert name == now and families[name] is None and rest in ("counter", "gauge"), line
                families[name] = rest
            continue
        sample = SAMPLE.match(line)
        assert sample, f"no sample: {line!r}"
        assert sample[1] == now and families[now], f"outside its family: {line!r}"
        assert (sample[1], sample[2]) not in series, f"twice: {line!r}"
        series.add((sample[1], sample[2]))
        assert families[now] == "gauge" or (now.endswith("_total") and float(sample[3]) >= 0), line
    return families, series


@test()
def metrics():
    """/metrics: the text format of Prometheus, as a strict reader takes it (and promtool, where it is installed); counters only grow"""
    with Nodes() as world:
        a = world.node("a")
        a.up("--http", "127.0.0.1:0")
        port = port_of(a)
        status, text, fields = ask(port, "/metrics")
        assert status == 200 and fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        families, series = strict(text)
        assert len(families) > 30 and ("shoal_gateway_sessions_total", '{protocol="HTTP"}') in series
        if shutil.which("promtool"):
            judged = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
            assert judged.returncode == 0 and not judged.stdout + judged.stderr, judged
        a.share(make_file(world.path("x.bin"), 100_000))
        assert ask(port, "/shared/x.bin")[0] == 200
        later = ask(port, "/metrics")[1]
        values = [dict(line.rsplit(" ", 1) for line in t.splitlines() if not line.startswith("#")) for t in (text, later)]
        for name, value in values[0].items():
            if families[name.split("{")[0]] == "counter":
                assert float(values[1][name]) >= float(value), name
        assert float(values[1]["shoal_shares"]) == 1 and float(values[1]['shoal_gateway_files_sent_total{protocol="HTTP"}']) == 1
        assert ask(port, "/metrics", "POST", body={})[0] in (403, 405)
        assert str(a.home) not in later and a.status()["node"] not in later


@test()
def settings():
    """/api/settings: what is set holds at once, stands in shoal.ini, and holds after the next start; what is wrong is refused whole"""
    with Nodes() as world:
        a = world.node("a", config="; mine\n[transfer]\nupload = 1MB/s\n")
        a.up("--http", "127.0.0.1:0")
        port = port_of(a)
        owner = {"X-Shoal-Token": (a.home / "api.token").read_text().strip()}
        post = lambda body, headers=owner: ask(port, "/api/settings", "POST", headers, body)
        first = ask(port, "/api/settings")[1]
        assert first["upload_rate"] == 1_000_000 and first["timeout_s"] == 30 and first["connections"] == 20000, first
        for wrong in ({"upload_rate": -1}, {"upload_rate": "x"}, {"uplod_rate": 1}, {"timeout_s": 0}, {"connections": 1}, {"upload_rate": 5, "quota": 1.5}):
            assert post(wrong)[0] == 400, wrong
        assert post({"upload_rate": 5}, {})[0] == 403
        assert ask(port, "/api/settings")[1] == first
        status, now, _ = post({"upload_rate": 2_000_000, "quota": 123_456_789, "timeout_s": 5, "connections_per_address": 9})
        assert status == 200 and (now["upload_rate"], now["quota"], now["timeout_s"], now["connections_per_address"]) == (2_000_000, 123_456_789, 5, 9), now
        assert a.status()["rates"]["up_cap"] == 2_000_000
        text = (a.home / "shoal.ini").read_text()
        assert "; mine\n[transfer]\nupload = 2MB/s\n" in text and "quota = 123456789B" in text and "timeout = 5s" in text, text
        a.stop()
        a.up("--http", "127.0.0.1:0")
        assert ask(port_of(a), "/api/settings")[1] == now
