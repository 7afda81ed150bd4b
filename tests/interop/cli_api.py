#!/usr/bin/env python3
"""The control socket of a real node, from outside: mode, pipelines, Expect, wrong methods and bodies, requests no parser should take, a home with a long
path, and `down`. Usage: cli_api.py (SHOAL_BINARY names the binary)."""
import json
import os
import pathlib
import socket
import stat
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from shoal import Nodes  # noqa: E402


def talk(path, data, shut=True):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(path))
        s.sendall(data)
        if shut:
            s.shutdown(socket.SHUT_WR)
        got = b""
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece


def request(method, target, body=None, extra=""):
    text = json.dumps(body).encode() if body is not None else b""
    length = f"Content-Length: {len(text)}\r\nContent-Type: application/json\r\n" if body is not None else ""
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{length}{extra}\r\n".encode() + text


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def check_statuses(sock):
    close = "Connection: close\r\n"
    cases = [
        (200, request("GET", "/api/status", extra=close)),
        (200, request("HEAD", "/api/status", extra=close)),
        (204, request("OPTIONS", "/api/shares", extra=close)),
        (404, request("GET", "/api/nothing", extra=close)),
        (404, request("GET", "/api/jobs/77", extra=close)),
        (404, request("GET", "/api/jobs/x", extra=close)),
        (404, request("GET", "/", extra=close)),
        (405, request("DELETE", "/api/status", extra=close)),
        (501, request("FROB", "/api/status", extra=close)),
        (501, request("TRACE", "/api/status", extra=close)),
        (400, request("POST", "/api/get", {"link": "shoal:abc", "output": "/tmp/x"}, extra=close)),
        (400, request("POST", "/api/get", {}, extra=close)),
        (400, request("POST", "/api/shares", {"paths": []}, extra=close)),
        (400, request("POST", "/api/shares", {"paths": ["relative"]}, extra=close)),
        (400, request("POST", "/api/shares", {"paths": [1]}, extra=close)),
        (400, request("POST", "/api/join", {"invite": "shoal-invite:aaaa"}, extra=close)),
        (400, request("POST", "/api/gc", ["no object"], extra=close)),
        (400, request("GET", "/api/shares?from=-1", extra=close)),
        (400, request("GET", "/api/shares?limit=501", extra=close)),
        (404, request("DELETE", "/api/shares", {"what": "/nowhere"}, extra=close)),
        (415, b"POST /api/gc HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"),
        (413, b"POST /api/gc HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"),
        (400, b"GET /api/status HTTP/1.1\r\n\r\n"),
        (400, b"GET /api/status HTTP/1.1\nHost: a\n\n"),
        (400, b"POST /api/gc HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (417, b"POST /api/gc HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 2\r\n\r\n{}"),
        (414, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        (431, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
        (505, b"GET / HTTP/2.0\r\n\r\n"),
    ]
    for want, data in cases:
        answer = talk(sock, data, shut=False)
        assert status_of(answer) == want, f"{want} expected: {data[:120]!r}\n{answer[:300]!r}"
        head, _, body = answer.partition(b"\r\n\r\n")
        if want >= 400:
            error = json.loads(body)["error"]
            assert error["code"].startswith("ERR_") and error["message"], body
        if data.startswith(b"HEAD"):
            assert body == b"" and b"Content-Length: " in head


def check_pipeline(sock):
    one = request("GET", "/api/status")
    answer = talk(sock, one * 20 + request("GET", "/api/peers", extra="Connection: close\r\n"), shut=False)
    assert answer.count(b"HTTP/1.1 200 OK") == 21, answer[:300]
    chunked = b"POST /api/gc HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\n{\"d\r\nd\r\nry_run\":true}\r\n0\r\n\r\n"
    assert status_of(talk(sock, chunked, shut=False)) == 200


def check_expect(sock):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(str(sock))
        s.sendall(b"POST /api/gc HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 16\r\nConnection: close\r\n\r\n")
        assert s.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        s.sendall(b'{"dry_run":true}')
        assert s.recv(1000).startswith(b"HTTP/1.1 200 OK")


def check_shares(node):
    folder = node.home.parent / "files"
    folder.mkdir()
    for i in range(30):
        (folder / f"f{i}").write_text(str(i) * 100)
    out = node.share(*sorted(folder.iterdir()))
    assert len(out) == 30 and all(s["size"] == len(str(i)) * 100 for s in out for i in [int(pathlib.Path(s["path"]).name[1:])]), out[:2]
    seen, at = [], 0
    while at is not None:
        page = node.api(f"/api/shares?limit=7&from={at}")
        assert len(page["shares"]) <= 7
        seen += [s["path"] for s in page["shares"]]
        at = page["next"]
    assert len(seen) == len(set(seen)) == 30
    assert len(node.run("ls", "--json").json()) == 30
    node.run("unshare", folder / "f3", out[4]["link"])
    assert len(node.run("ls").out.splitlines()) == 28
    assert node.run("unshare", folder / "f3", check=False).code == 4
    assert node.run("share", folder / "none", check=False).code == 4


def main():
    with Nodes() as nodes:
        node = nodes.node("plain").up()
        sock = node.home / "api.sock"
        assert stat.S_IMODE(os.stat(sock).st_mode) == 0o600
        check_statuses(sock)
        check_pipeline(sock)
        check_expect(sock)
        check_shares(node)
        assert node.run("up", check=False).code == 6, "a second node on one home"
        node.run("down")
        assert not sock.exists()
        assert node.process.wait(5) == 0
        assert node.run("status", check=False).code == 3

        far = nodes.node("x" * 120)
        far.spawn()
        from shoal import wait_for
        wait_for(lambda: far.run("status", check=False).code == 0, "the node with a long home")
        assert not pathlib.Path((far.home / "api.path").read_text().strip()).is_relative_to(far.home)
        far.run("down")
        assert not (far.home / "api.path").exists()
    print("cli_api: all fine")


if __name__ == "__main__":
    main()
