"""Uploading through the HTTP gateway: what is stored is shared under its id, what is broken off leaves nothing, and each refusal is the one
that RFC 9110 means, told before the body where the client waits for it."""
import hashlib
import json
import os
import shutil
import socket
import subprocess
import time

from shoal import Nodes, make_file, wait_for
from suite import need, test
from system_http import answers, ask, talk, up_with_web, web_port


def token(node):
    return (node.home / "api.token").read_text()


def put(node, path, data, method="PUT", **headers):
    fields = {"X-Shoal-Token": token(node), **{k.replace("_", "-"): v for k, v in headers.items()}}
    status, body, got = ask(web_port(node), path, method, fields, data)
    return status, got, body


def root_of(data):
    """BEP 52's pieces root"""
    layer = [hashlib.sha256(data[i:i + 16384]).digest() for i in range(0, max(len(data), 1), 16384)]
    layer += [bytes(32)] * ((1 << (len(layer) - 1).bit_length()) - len(layer))
    while len(layer) > 1:
        layer = [hashlib.sha256(layer[i] + layer[i + 1]).digest() for i in range(0, len(layer), 2)]
    return layer[0]


def incoming(node):
    folder = node.home / "incoming"
    return sorted(os.listdir(folder)) if folder.exists() else []


def stored(node, name):
    path = node.home / "files/owner" / name
    return path.read_bytes() if path.exists() else None


@test()
def put_and_delete():
    """PUT, GET, DELETE: 201, 204, 409, 411, 412, 415, 400 and 404 where each belongs; the id is the one a share has."""
    with Nodes() as nodes:
        a = nodes.node("a")
        up_with_web(a)
        port = web_port(a)
        data = os.urandom(3_000_001)
        status, fields, body = put(a, "/home/owner/pictures/a%20b.bin", data)
        assert status == 201, (status, body)
        told = json.loads(body)
        assert fields["Location"] == "/home/owner/pictures/a%20b.bin"
        assert told["path"] == "/home/owner/pictures/a b.bin" and told["size"] == len(data)
        assert told["root"] == root_of(data).hex(), "not the root a share has"
        etag = fields["ETag"]
        assert etag.strip('"') == told["id"]
        status, body, fields = ask(port, "/home/owner/pictures/a%20b.bin")
        assert (status, body, fields["ETag"]) == (200, data, etag)
        status, body, _ = ask(port, "/content/" + told["id"])
        assert (status, body) == (200, data), "not shared under its id"
        assert any(s["path"].endswith("files/owner/pictures/a b.bin") for s in a.run("ls", "--json").json()), "not among the shares"
        status, body, _ = ask(port, "/home/owner/pictures/")
        assert status == 200 and b"a b.bin" in body
        cases = [  # method, path, headers, body, status
            ("PUT", "/home/owner/pictures/a%20b.bin", {"If-None-Match": "*"}, b"x", 412),
            ("PUT", "/home/owner/pictures/a%20b.bin", {"If-Match": '"other"'}, b"x", 412),
            ("PUT", "/home/owner/none", {"If-Match": "*"}, b"x", 412),
            ("PUT", "/home/owner/pictures/a%20b.bin", {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, b"x", 412),
            ("PUT", "/home/owner/pictures", {}, b"x", 409),
            ("PUT", "/home/owner/pictures/", {}, b"x", 409),
            ("PUT", "/home/owner/pictures/a%20b.bin/below", {}, b"x", 409),
            ("PUT", "/home/owner/part", {"Content-Range": "bytes 0-0/2"}, b"x", 400),
            ("PUT", "/home/owner/gz", {"Content-Encoding": "gzip"}, b"x", 415),
            ("PUT", "/home/owner/a%0Ab", {}, b"x", 400),
            ("PUT", "/home/owner/../x", {}, b"x", 400),
            ("PUT", "/home/..%2fx", {}, b"x", 400),
            ("PUT", "/home/owner", {}, b"x", 403),
            ("PUT", "/home", {}, b"x", 403),
            ("PUT", "/shared/x", {}, b"x", 405),
            ("PUT", "/content/" + told["id"], {}, b"x", 405),
            ("DELETE", "/home/owner/none", {}, None, 404),
            ("DELETE", "/home/owner/pictures", {}, None, 409),
            ("DELETE", "/home/owner/pictures/a%20b.bin", {"If-Match": '"other"'}, None, 412),
            ("DELETE", "/shared/x", {}, None, 405),
        ]
        for method, path, headers, body, expected in cases:
            status, _, text = put(a, path, body, method, **headers)
            assert status == expected, f"{method} {path} {headers}: {status} instead of {expected}: {text[:200]}"
        raw, _ = talk(port, f"PUT /home/owner/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token(a)}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc".encode()
                      + b"defgh\r\n", 2)
        assert answers(raw)[0][0] == 400, raw[:100]
        raw, _ = talk(port, f"PUT /home/owner/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token(a)}\r\n\r\n".encode())
        assert answers(raw)[0][0] == 411, raw[:100]
        status, _, _ = ask(port, "/home/owner/x", "PUT", {}, b"no token")
        assert status == 403
        status, _, _ = ask(port, "/home/owner/x", "PUT", {"X-Shoal-Token": token(a), "Origin": "http://evil.example"}, b"x")
        assert status == 403
        status, fields, body = put(a, "/home/owner/pictures/a%20b.bin", b"new", If_Match=etag)
        assert status == 204 and body == b"" and fields["ETag"] != etag
        assert stored(a, "pictures/a b.bin") == b"new"
        status, _, _ = put(a, "/home/owner/chunked", iter([b"a" * 70000, b"b" * 70000]))
        assert status == 201 and stored(a, "chunked") == b"a" * 70000 + b"b" * 70000
        assert put(a, "/home/owner/empty", b"", Content_Length="0")[0] == 201 and stored(a, "empty") == b""
        assert put(a, "/home/owner/pictures/a%20b.bin", None, "DELETE")[0] == 204
        assert put(a, "/home/owner/pictures/", None, "DELETE")[0] == 204
        assert ask(port, "/home/owner/pictures/")[0] == 404
        assert incoming(a) == []


@test()
def expect_continue():
    """100 comes when there is room; a refusal comes instead of it, before any byte of the body"""
    with Nodes() as nodes:
        a = nodes.node("a", config="[store]\nquota = 20MB\n")
        up_with_web(a)
        port = web_port(a)
        cases = [("/home/owner/fits", 5, b"100"), ("/home/owner/huge", 50_000_000, b"507"), ("/shared/x", 5, b"405"),
                 ("/home/owner/vast", 1 << 45, b"413")]
        for path, size, expected in cases:
            with socket.create_connection(("127.0.0.1", port)) as s:
                s.settimeout(10)
                s.sendall(f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token(a)}\r\nExpect: 100-continue\r\n"
                          f"Content-Length: {size}\r\n\r\n".encode())
                first = s.recv(65536)
                assert first.split(b" ")[1] == expected, (path, first[:80])
                if expected == b"100":
                    s.sendall(b"12345")
                    assert s.recv(65536).split(b" ")[1] == b"201"
        # A client that does not wait still gets its answer, however much it sends.
        with socket.create_connection(("127.0.0.1", port)) as s:
            s.sendall(f"PUT /home/owner/huge HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token(a)}\r\n"
                      f"Content-Length: 50000000\r\n\r\n".encode())
            try:
                for _ in range(50):
                    s.sendall(bytes(1_000_000))
            except OSError:
                pass
            assert s.recv(65536).split(b" ")[1] == b"507"
        assert incoming(a) == [] and stored(a, "huge") is None


def form(parts, boundary="----geckoformboundary42"):
    body = b""
    for name, filename, data in parts:
        body += f"--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"".encode()
        body += (f"; filename=\"{filename}\"\r\nContent-Type: application/octet-stream".encode() if filename is not None else b"")
        body += b"\r\n\r\n" + data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


@test()
def forms():
    """multipart forms: several files, data full of near-boundaries, 201 or 303, refusals"""
    with Nodes() as nodes:
        a = nodes.node("a")
        up_with_web(a)
        tricky = b"\r\n------geckoformboundary4\r\n--\r\n\r\r\n" * 20000 + b"\r"
        body, kind = form([("note", None, b"text"), ("f", "one.bin", tricky), ("f", "C:\\\\dir\\\\two.txt", b""), ("g", "", b"")])
        status, _, text = put(a, "/api/upload", body, "POST", Content_Type=kind)
        assert status == 201, text
        files = json.loads(text)["files"]
        assert [f["path"] for f in files] == ["/home/owner/one.bin", "/home/owner/two.txt"]
        assert files[0]["root"] == root_of(tricky).hex() and stored(a, "one.bin") == tricky and stored(a, "two.txt") == b""
        assert put(a, "/api/upload", body, "POST", Content_Type=kind)[0] == 409, "a form replaces nothing unless told"
        assert put(a, "/api/upload?replace=1", body, "POST", Content_Type=kind)[0] == 201
        status, fields, _ = put(a, "/home/owner/sub%20dir/", form([("f", "x", b"1")])[0], "POST", Content_Type=kind, Accept="text/html")
        assert status == 303 and fields["Location"] == "/home/owner/sub%20dir/" and stored(a, "sub dir/x") == b"1"
        cut = form([("f", "cut", b"1" * 1000)])[0]
        for body, kind2, expected in [(cut[:-10], kind, 400), (cut, "application/x-www-form-urlencoded", 415), (cut, "multipart/form-data", 415),
                                      (cut.replace(b"form-data;", b"attachment;"), kind, 400), (form([("a", None, b"1")])[0], kind, 400),
                                      (form([("a", None, b"1" * 5000)])[0], kind, 413), (b"", kind, 400)]:
            status, _, text = put(a, "/api/upload", body, "POST", Content_Type=kind2, Content_Length=str(len(body)))
            assert status == expected, (status, expected, text[:100])
        status, _, _ = put(a, "/api/upload?to=/shared/x", cut, "POST", Content_Type=kind)
        assert status == 403
        assert incoming(a) == [], incoming(a)


@test()
def broken_off():
    """a client that leaves, a node that is killed: nothing is left, and what was there before stays"""
    with Nodes() as nodes:
        a = nodes.node("a")
        up_with_web(a)
        assert put(a, "/home/owner/f", b"old")[0] == 201
        head = f"PUT /home/owner/f HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token(a)}\r\nContent-Length: 5000000\r\n\r\n".encode()
        s = socket.create_connection(("127.0.0.1", web_port(a)))
        s.sendall(head + bytes(2_000_000))
        wait_for(lambda: incoming(a), "the upload to begin")
        s.close()
        wait_for(lambda: not incoming(a), "the upload to be thrown away")
        assert stored(a, "f") == b"old"
        s = socket.create_connection(("127.0.0.1", web_port(a)))
        s.sendall(head + bytes(2_000_000))
        wait_for(lambda: incoming(a), "the upload to begin")
        a.kill()
        s.close()
        assert incoming(a), "the kill came too late"
        up_with_web(a)
        wait_for(lambda: not incoming(a), "the sweep")
        assert stored(a, "f") == b"old" and ask(web_port(a), "/home/owner/f")[1] == b"old"


@test(slow=True)
def dripping():
    """a body that stops or drips is timed out with 408, and nothing of it is left"""
    with Nodes() as nodes:
        a = nodes.node("a")
        up_with_web(a)
        head = f"PUT /home/owner/f HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Shoal-Token: {token(a)}\r\nContent-Length: 5000000\r\n\r\n".encode()
        for drip in (0, 1):
            with socket.create_connection(("127.0.0.1", web_port(a))) as s:
                s.settimeout(1)
                s.sendall(head + bytes(20000))
                began, got = time.monotonic(), b""
                while not got:
                    assert time.monotonic() - began < 40, "still waiting"
                    if drip:
                        s.sendall(b"x")
                    try:
                        got = s.recv(1000)
                    except socket.timeout:
                        pass
                assert b" 408 " in got, got
                assert time.monotonic() - began > 5
            wait_for(lambda: not incoming(a), "the upload to be thrown away")
        assert stored(a, "f") is None


@test()
def curl():
    """curl -T and -F, large, over TCP and the Unix socket: the bytes compare"""
    need(shutil.which("curl"), "no curl")
    with Nodes() as nodes:
        a = nodes.node("a")
        up_with_web(a)
        path = make_file(a.home.parent / "big", 12_000_000)
        url = f"http://127.0.0.1:{web_port(a)}"
        run = lambda *args: subprocess.run(["curl", "-sS", "-f", "-H", f"X-Shoal-Token: {token(a)}", *args], capture_output=True, text=True)
        got = run("-T", str(path), url + "/home/owner/big")
        assert got.returncode == 0, got.stderr
        assert json.loads(got.stdout)["size"] == 12_000_000
        assert stored(a, "big") == path.read_bytes()
        got = run("-F", f"file=@{path}", url + "/api/upload?to=/home/owner/forms")
        assert got.returncode == 0, got.stderr
        assert stored(a, "forms/big") == path.read_bytes()
        local = ["curl", "-sS", "--unix-socket", str(a.socket_path())]
        got = subprocess.run([*local, "-f", "-F", f"file=@{path}", "http://localhost/api/upload?to=/home/owner/socket"], capture_output=True, text=True)
        assert got.returncode == 0 and json.loads(got.stdout)["files"][0]["size"] == 12_000_000, (got.stdout, got.stderr)
        assert stored(a, "socket/big") == path.read_bytes()
        got = subprocess.run([*local, "-i", "http://localhost/api/upload"], capture_output=True, text=True).stdout
        assert " 405 " in got and "Allow: POST, OPTIONS" in got, got
        got = subprocess.run([*local, "-i", "-d", "x=1", "http://localhost/api/upload"], capture_output=True, text=True).stdout
        assert " 415 " in got, got
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(a.socket_path()))
            body, kind = form([("f", "cut", b"1" * 3_000_000)])
            s.sendall(f"POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:2_000_000])
            wait_for(lambda: incoming(a), "the upload to begin")
        wait_for(lambda: not incoming(a), "the upload to be thrown away")
        assert stored(a, "cut") is None
