"""The HTTP gateway: framing by raw sockets (every MUST of RFC 9110 and 9112 on requests that a server can break), content, ranges, origins."""
import http.client
import json
import pathlib
import re
import socket

from shoal import Nodes, make_file, wait_for
from suite import test


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def talk(port, raw, wait=0.4, pieces=False):
    """Sends raw bytes; returns what came until the peer closed or was silent for `wait` seconds, and whether it closed."""
    out = b""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(wait)
        try:
            for i in range(0, len(raw), 1) if pieces else (0,):
                s.sendall(raw[i:i + 1] if pieces else raw)
            while True:
                part = s.recv(65536)
                if not part:
                    return out, True
                out += part
        except socket.timeout:
            return out, False
        except (ConnectionResetError, BrokenPipeError):
            return out, True


def answers(data, heads=()):
    """Status and body of each answer, read as strictly as it should have been written."""
    found = []
    while data:
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator, f"no end of a head in {data[:200]!r}"
        lines = head.split(b"\r\n")
        match = re.fullmatch(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [ -~]*", lines[0])
        assert match, lines[0]
        fields = {}
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            assert colon and re.fullmatch(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", name), line
            assert name.lower() not in fields, f"{name!r} twice"
            fields[name.lower()] = value.strip()
        status = int(match[1])
        size = 0 if status < 200 or status in (204, 304) or len(found) in heads else int(fields.get(b"content-length", b"0"))
        if status >= 200:
            assert b"date" in fields, "no Date"
        assert len(rest) >= size, "cut short"
        found.append((status, rest[:size], fields))
        data = rest[size:]
    return found


H = b"Host: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /echo HTTP/1.1\r\nHost: smuggled\r\n\r\n"

# What must be refused: with this status (any of them), and the connection closed, so that what follows is never taken for a request.
REFUSED = [
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", (400,)),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", (400,)),
    ("two different Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", (400,)),
    ("Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", (400,)),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", (400,)),
    ("Host with user info", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", (400,)),
    ("Host with two ports", b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", (400,)),
    ("Host with letters for a port", b"GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", (400,)),
    ("Host with a comma", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", (400,)),
    ("length and chunked", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400,)),
    ("chunked and length", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", (400,)),
    ("two different lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", (400,)),
    ("a list of different lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd", (400,)),
    ("length with a sign", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", (400,)),
    ("negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc", (400,)),
    ("length in hexadecimal", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", (400,)),
    ("length with a space inside", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nabc", (400,)),
    ("length with a fraction", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc", (400,)),
    ("length beyond 64 bits", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc", (400, 413)),
    ("length that is huge", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999\r\n\r\nabc", (413,)),
    ("empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", (400,)),
    ("space before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", (400,)),
    ("space before the colon of a length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", (400,)),
    ("tab before the colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\t: y\r\n\r\n", (400,)),
    ("space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", (400,)),
    ("folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", (400,)),
    ("folded line by tab", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", (400,)),
    ("field without a colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", (400,)),
    ("field without a name", b"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", (400,)),
    ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", (400,)),
    ("NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0Y: b\r\n\r\n", (400,)),
    ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", (400,)),
    ("bare CR in the start line", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", (400,)),
    ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", (400,)),
    ("bare LF after the start line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", (400,)),
    ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", (400,)),
    ("control character in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x01b\r\n\r\n", (400,)),
    ("DEL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x7fb\r\n\r\n", (400,)),
    ("non-ASCII in a name", b"GET / HTTP/1.1\r\nHost: a\r\n\xc3\xbc: y\r\n\r\n", (400,)),
    ("parenthesis in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX(y): z\r\n\r\n", (400,)),
    ("chunked not last", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", (400, 501)),
    ("chunked twice", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("chunked in two fields", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("unknown coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: cow\r\n\r\n", (400, 501)),
    ("identity coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", (400, 501)),
    ("gzip then chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("misspelt chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("quoted chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", (400, 501)),
    ("vertical tab before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("coding in HTTP/1.0", b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("empty elements and no coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , ,\r\n\r\n0\r\n\r\n", (400,)),
    ("empty element, chunked, and length", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", (400,)),
    ("no chunk size", CHUNKED + b"\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size with letters", CHUNKED + b"3g\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size with 0x", CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size with a sign", CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", (400,)),
    ("negative chunk size", CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size with a space in front", CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size with an underscore", CHUNKED + b"1_0\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size beyond 64 bits", CHUNKED + b"10000000000000003\r\nabc\r\n0\r\n\r\n", (400, 413)),
    ("chunk longer than its size", CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", (400,)),
    ("chunk shorter than its size", CHUNKED + b"5\r\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk size ended by bare LF", CHUNKED + b"3\nabc\r\n0\r\n\r\n", (400,)),
    ("chunk ended by bare LF", CHUNKED + b"3\r\nabc\n0\r\n\r\n", (400,)),
    ("chunk ended by bare CR", CHUNKED + b"3\r\nabc\r0\r\n\r\n", (400,)),
    ("bare CR in an extension", CHUNKED + b"3;a\rb\r\nabc\r\n0\r\n\r\n", (400,)),
    ("bare LF in an extension", CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", (400,)),
    ("NUL in an extension", CHUNKED + b"3;a\0b\r\nabc\r\n0\r\n\r\n", (400,)),
    ("endless extension", CHUNKED + b"3;" + b"a" * 20000 + b"\r\nabc\r\n0\r\n\r\n", (400, 413, 431)),
    ("trailer without a colon", CHUNKED + b"0\r\nX\r\n\r\n", (400,)),
    ("trailer with a space before the colon", CHUNKED + b"0\r\nX : y\r\n\r\n", (400,)),
    ("trailer folded", CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n", (400,)),
    ("trailer with bare LF", CHUNKED + b"0\r\nX: y\n\r\n", (400,)),
    ("endless trailers", CHUNKED + b"0\r\n" + b"X: y\r\n" * 30000 + b"\r\n", (400, 413, 431)),
    ("target without a slash", b"GET x HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with a fragment", b"GET /#x HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with a space", b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with a control character", b"GET /\x01 HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with NUL", b"GET /\0 HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with raw UTF-8", b"GET /\xc3\xbc HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with a bad escape", b"GET /%zz HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("target with half an escape", b"GET /%4 HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("no target", b"GET HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("two spaces before the target", b"GET  / HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("two spaces after the target", b"GET /  HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("tab after the method", b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("space after the version", b"GET / HTTP/1.1 \r\n" + H + b"\r\n", (400,)),
    ("space before the method", b" GET / HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("no version", b"GET /\r\n\r\n", (400, 505)),
    ("lower-case version", b"GET / http/1.1\r\n" + H + b"\r\n", (400, 505)),
    ("version with two digits", b"GET / HTTP/1.10\r\n" + H + b"\r\n", (400, 505)),
    ("version with a letter", b"GET / HTTP/1.x\r\n" + H + b"\r\n", (400, 505)),
    ("version with a comma", b"GET / HTTP/1,1\r\n" + H + b"\r\n", (400, 505)),
    ("another protocol", b"GET / ICY/1.1\r\n" + H + b"\r\n", (400, 505)),
    ("version 2.0", b"GET / HTTP/2.0\r\n" + H + b"\r\n", (505,)),
    ("version 0.9", b"GET / HTTP/0.9\r\n" + H + b"\r\n", (400, 505)),
    ("version 3.0", b"GET / HTTP/3.0\r\n" + H + b"\r\n", (505,)),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n", (400,)),
    ("method with a parenthesis", b"G(T / HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("method with a colon", b"GET: / HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("asterisk for GET", b"GET * HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("authority for GET", b"GET a:80 HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("absolute with user info", b"GET http://u@a/ HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("absolute without a host", b"GET http:///x HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("endless start line", b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n" + H + b"\r\n", (400, 414, 431)),
    ("endless field", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000 + b"\r\n\r\n", (400, 431)),
    ("endless fields", b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 20000 + b"\r\n", (400, 431)),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", (400,)),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", (400,)),
    ("Host with a port beyond 16 bits", b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", (400,)),
    ("absolute form without Host", b"GET http://b/ HTTP/1.1\r\n\r\n", (400,)),
    ("path for CONNECT", b"CONNECT /x HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("CONNECT without a port", b"CONNECT a HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("chunked with a parameter", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", (400, 501)),
    ("space after a chunk size", CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", (400,)),
    ("extension without a name", CHUNKED + b"3;\r\nabc\r\n0\r\n\r\n", (400,)),
    ("extension with an open quote", CHUNKED + b"3;a=\"x\r\nabc\r\n0\r\n\r\n", (400,)),
    ("bare LF in front", b"\nGET / HTTP/1.1\r\n" + H + b"\r\n", (400,)),
    ("unknown expectation", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\nContent-Length: 3\r\n\r\nabc", (417,)),
]

# What must be understood: status and body of each answer.
ACCEPTED = [
    ("plain", b"GET / HTTP/1.1\r\n" + H + b"\r\n", [(200, None)]),
    ("an empty line in front", b"\r\nGET / HTTP/1.1\r\n" + H + b"\r\n", [(200, None)]),
    ("names in any case", b"POST / HTTP/1.1\r\nhOST: a\r\ncONTENT-lENGTH: 3\r\n\r\nabc", [(200, b"abc")]),
    ("no space after the colon", b"POST / HTTP/1.1\r\nHost:a\r\nContent-Length:3\r\n\r\nabc", [(200, b"abc")]),
    ("white space around a value", b"POST / HTTP/1.1\r\nHost: \t a \t\r\nContent-Length:  \t3 \t\r\n\r\nabc", [(200, b"abc")]),
    ("empty value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n", [(200, None)]),
    ("obs-text in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xe9\r\n\r\n", [(200, None)]),
    ("length with zeros in front", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc", [(200, b"abc")]),
    ("pipelined", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /echo HTTP/1.1\r\nHost: b\r\n\r\n" + CHUNKED + b"2\r\nxy\r\n0\r\n\r\n",
     [(200, b"abc"), (200, b"Host: b\r\n"), (200, b"xy")]),
    ("chunks", CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", [(200, b"abc0123456789")]),
    ("chunk sizes in both cases, zeros in front", CHUNKED + b"00a\r\n0123456789\r\n0B\r\n0123456789x\r\n000\r\n\r\n", [(200, b"01234567890123456789x")]),
    ("extensions", CHUNKED + b"3;a=b;c=\"d;e\"\r\nabc\r\n0;x\r\n\r\n", [(200, b"abc")]),
    ("trailers", CHUNKED + b"3\r\nabc\r\n0\r\nX: y\r\nZ: w\r\n\r\n" + NEXT, [(200, b"abc"), (200, b"Host: smuggled\r\n")]),
    ("trailers cannot frame", CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 50\r\nHost: x\r\n\r\n" + NEXT, [(200, b"abc"), (200, b"Host: smuggled\r\n")]),
    ("Chunked in another case", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChUnKeD\r\n\r\n3\r\nabc\r\n0\r\n\r\n", [(200, b"abc")]),
    ("empty elements beside chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked ,,\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + NEXT, [(200, b"abc"), (200, b"Host: smuggled\r\n")]),
    ("absolute form wins over Host", b"GET http://b/echo HTTP/1.1\r\nHost: a\r\n\r\n", [(200, b"Host: a\r\n")]),
    ("absolute form without a path", b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", [(200, None)]),
    ("asterisk for OPTIONS", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", [((200, 204), None)]),
    ("unknown method", b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", [((405, 501), None)]),
    ("method in another case", b"get / HTTP/1.1\r\nHost: a\r\n\r\n", [((405, 501), None)]),
    ("later minor version", b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", [(200, None)]),
    ("body of DELETE", b"DELETE / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", [(200, b"abc")]),
    ("body of GET", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + NEXT, [(200, b"abc"), (200, b"Host: smuggled\r\n")]),
    ("Host with a port", b"GET / HTTP/1.1\r\nHost: a:80\r\n\r\n", [(200, None)]),
    ("Host of IPv6", b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", [(200, None)]),
    ("upgrade that is not followed", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", [(200, None)]),
    ("continue", b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", [(100, None)]),
    ("white space around an extension", CHUNKED + b"3 \t; a = b ; c\r\nabc\r\n0\r\n\r\n" + NEXT, [(200, b"abc"), (200, b"Host: smuggled\r\n")]),
    ("an escaped quote in an extension", CHUNKED + b"3;a=\"x\\\"\\\\y\"\r\nabc\r\n0\r\n\r\n" + NEXT, [(200, b"abc"), (200, b"Host: smuggled\r\n")]),
    ("TE in any case", b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\nConnection: TE\r\n\r\n", [(200, None)]),
    ("TRACE is not echoed", b"TRACE / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\n\r\n", [((405, 501), None)]),
    ("scheme in capitals", b"GET HTTP://b/echo HTTP/1.1\r\nHost: a\r\n\r\n", [(200, b"Host: a\r\n")]),
    ("a range of what is posted", b"POST / HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nContent-Length: 3\r\n\r\nabc", [(200, b"abc")]),
    ("a range in an unknown unit", b"GET / HTTP/1.1\r\nHost: a\r\nRange: cows=0-0\r\n\r\n", [(200, None)]),
    ("no continue for HTTP/1.0", b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", [(200, b"abc")]),
    ("cookies", b"GET /cookie HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=\"2\"\r\n\r\n", [(200, b"a=1\nb=\"2\"\n")]),
    ("field lines", b"GET /echo HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\n", [(200, b"Host: a\r\nX: y\r\n")]),
]


def check_answers(name, got, expected):
    assert len(got) == len(expected), f"{name}: {len(got)} answers, not {len(expected)}: {[a[:2] for a in got]}"
    for (status, body, _), (wanted, wanted_body) in zip(got, expected):
        assert status == wanted or (isinstance(wanted, tuple) and status in wanted), f"{name}: {status}, not {wanted}"
        assert wanted_body is None or body == wanted_body, f"{name}: {body!r}"


@test(long=True)
def framing():
    """HTTP: what must be refused is refused and closes, what must be understood is understood"""
    port = free_port()
    with Nodes() as nodes:
        nodes.node("a", config=f"[http]\necho = 127.0.0.1:{port}\n").up()
        for name, raw, statuses in REFUSED:
            for pieces in (False, True) if len(raw) < 200 else (False,):
                out, closed = talk(port, raw + (b"" if pieces else NEXT), wait=3, pieces=pieces)
                got = answers(out)
                assert len(got) == 1 and got[0][0] in statuses, f"{name}: {[a[:2] for a in got]}, not one of {statuses}"
                assert closed, f"{name}: the connection stays open"
        for name, raw, expected in ACCEPTED:
            for pieces in (False, True):
                out, closed = talk(port, raw, wait=0.15, pieces=pieces)
                assert not closed, f"{name}: closed"
                check_answers(name, answers(out), expected)


@test()
def persistence():
    """HTTP: connections persist and close as their version and options say"""
    port = free_port()
    with Nodes() as nodes:
        nodes.node("a", config=f"[http]\necho = 127.0.0.1:{port}\n").up()
        for raw, closes in ((b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", True), (b"GET / HTTP/1.0\r\n\r\n", True),
                            (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False), (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, ClOsE\r\n\r\n", True),
                            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", False)):
            out, closed = talk(port, raw, wait=0.3)
            got = answers(out)
            assert got[0][0] == 200 and closed == closes, raw
            assert (got[0][2].get(b"connection", b"").lower() == b"close") == closes, raw
        out, closed = talk(port, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", wait=0.3)
        assert [a[0] for a in answers(out, heads=(0, 1))] == [200, 200]
        out, closed = talk(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + NEXT, wait=1)
        assert len(answers(out)) == 1 and closed, "a request behind Connection: close was answered"


def ask(port, path, method="GET", headers=None, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, data, answer.headers


def web_port(node):
    return int(node.status()["http"].rsplit(":", 1)[1])


def up_with_web(node):
    node.up("--http", "127.0.0.1:0")
    return web_port(node)


@test()
def content():
    """HTTP: files, ranges, conditions and directories of what is shared"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = up_with_web(a)
        tree = pathlib.Path(nodes.base) / "tree"
        (tree / "sub dir").mkdir(parents=True)
        make_file(tree / "big.bin", 3_000_001)
        data = (tree / "big.bin").read_bytes()
        (tree / "sub dir" / "index.html").write_text("<h1>index</h1>")
        (tree / "empty").write_bytes(b"")
        root = a.run("share", str(tree), "--json").json()[0]["id"]
        for base in ("/shared/tree", f"/content/{root}"):
            status, got, fields = ask(port, base + "/big.bin")
            assert status == 200 and got == data and fields["Content-Security-Policy"].startswith("sandbox")
            assert fields["X-Content-Type-Options"] == "nosniff"
            etag, modified = fields["ETag"], fields["Last-Modified"]
            assert ask(port, base + "/empty")[:2] == (200, b"")
            assert ask(port, base + "/sub%20dir/")[1] == b"<h1>index</h1>"
            status, _, fields = ask(port, base + "/sub%20dir")
            assert status == 301 and fields["Location"].endswith("/sub%20dir/")
            assert b"big.bin" in ask(port, base + "/")[1]
            status, got, fields = ask(port, base + "/big.bin", "HEAD")
            assert status == 200 and got == b"" and fields["Content-Length"] == str(len(data))
            for text, first, end in (("0-0", 0, 1), ("5-9", 5, 10), ("2999999-", 2999999, None), ("-7", -7, None), ("2999000-99999999", 2999000, None),
                                     ("0-999999,500000-1999999", 0, 2000000)):
                status, got, fields = ask(port, base + "/big.bin", headers={"Range": "bytes=" + text})
                assert status == 206 and got == data[first:end], text
                assert re.fullmatch(r"bytes \d+-\d+/3000001", fields["Content-Range"])
            status, got, fields = ask(port, base + "/big.bin", headers={"Range": "bytes=0-9,1000-1009,-5"})
            assert status == 206 and fields["Content-Type"].startswith("multipart/byteranges")
            for part in (data[:10], data[1000:1010], data[-5:]):
                assert b"\r\n\r\n" + part + b"\r\n--" in got
            assert ask(port, base + "/big.bin", headers={"Range": "bytes=3000001-"})[0] == 416
            for text in ("bytes=x", "bytes=5-2", "lines=1-2", "bytes=", "bytes=" + ",".join(f"{i * 1000}-{i * 1000 + 5}" for i in range(400))):
                assert ask(port, base + "/big.bin", headers={"Range": text})[0] == 200, text
            for headers, wanted in (({"If-None-Match": etag}, 304), ({"If-None-Match": f'"x", W/{etag}'}, 304), ({"If-None-Match": '"x"'}, 200),
                                    ({"If-Match": etag}, 200), ({"If-Match": '"x"'}, 412), ({"If-Match": "W/" + etag}, 412), ({"If-Match": "*"}, 200),
                                    ({"If-Modified-Since": modified}, 304), ({"If-Modified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}, 200),
                                    ({"If-Modified-Since": "Sunday, 06-Nov-94 08:49:37 GMT"}, 200), ({"If-Modified-Since": "rubbish"}, 200),
                                    ({"If-Unmodified-Since": "Sun Nov  6 08:49:37 1994"}, 412), ({"If-None-Match": '"x"', "If-Modified-Since": modified}, 200),
                                    ({"Range": "bytes=0-4", "If-Range": etag}, 206), ({"Range": "bytes=0-4", "If-Range": '"x"'}, 200),
                                    ({"Range": "bytes=0-4", "If-Range": modified}, 206)):
                assert ask(port, base + "/big.bin", headers=headers)[0] == wanted, headers
        assert ask(port, "/shared/tree/nothing")[0] == 404
        assert ask(port, "/content/" + root[:-1] + ("a" if root[-1] != "a" else "b"))[0] == 400
        for path in ("/shared/../tree", "/shared/%2e%2e/x", "/shared/tree/..%2f..", "/shared//tree", "/shared/tree/%00", "/shared/tree/./big.bin"):
            assert ask(port, path)[0] in (400, 404), path
        page = ask(port, "/nothing", headers={"Accept": "text/html"})
        assert page[0] == 404 and b'href="/"' in page[1] and b"<form" in page[1]
        with open(tree / "big.bin", "ab") as f:
            f.write(b"changed")
        assert ask(port, f"/content/{root}/big.bin?timeout=1")[0] in (404, 504), "a file that changed was served"


@test()
def twins():
    """HTTP: shares of one name can all be reached: the first by the name, the others with signs of their ids; lists are in order of names"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = up_with_web(a)
        ids = []
        for folder in ("one", "two"):
            path = pathlib.Path(nodes.base) / folder
            path.mkdir()
            (path / "photo.jpg").write_text(folder)
            (path / ("z" if folder == "one" else "b")).mkdir()
            ids.append(a.run("share", str(path / "photo.jpg"), "--json").json()[0]["id"])
            a.run("share", str(path / ("z" if folder == "one" else "b")))
        second = f"/shared/photo~{ids[1][:8]}.jpg"
        assert ask(port, "/shared/photo.jpg")[:2] == (200, b"one")
        assert ask(port, second)[:2] == (200, b"two")
        assert ask(port, f"/shared/photo~{ids[0][:8]}.jpg")[:2] == (200, b"one"), "signs name the first too, whatever becomes of the others"
        assert ask(port, "/shared/photo~aaaaaaaa.jpg")[0] == 404
        names = re.findall(r'href="(?:\./|/shared/)?([^"/?#]+)/?"', ask(port, "/shared/")[1].decode())
        names = [name for name in names if name in ("z", "b") or name.startswith("photo")]
        assert names == ["b", "photo.jpg", second.rsplit("/", 1)[1], "z"], names
        a.run("unshare", str(pathlib.Path(nodes.base) / "one" / "photo.jpg"))
        wait_for(lambda: ask(port, "/shared/photo.jpg")[:2] == (200, b"two"), "the second to have the name", 10)
        assert ask(port, second)[:2] == (200, b"two"), "a link with signs holds"


@test()
def other_nodes():
    """HTTP: content of another node: whole, ranges, a folder and its small files"""
    with Nodes() as nodes:
        a, b = nodes.node("a"), nodes.node("b")
        a.up()
        port = up_with_web(b)
        tree = pathlib.Path(nodes.base) / "tree"
        tree.mkdir()
        make_file(tree / "big.bin", 20_000_003)
        data = (tree / "big.bin").read_bytes()
        (tree / "small.txt").write_text("small")
        shares = a.run("share", str(tree), str(tree / "big.bin"), "--json").json()
        folder, big = (re.sub(r"^shoal:([a-z0-9]+)\?", r"/content/\1%s?", s["link"]) for s in shares)
        status, got, fields = ask(port, big.replace("%s", ""), headers={"Range": "bytes=15000000-15000009"})
        assert status == 206 and got == data[15000000:15000010]
        assert ask(port, big.replace("%s", ""))[1] == data
        assert b"small.txt" in ask(port, folder.replace("%s", "/"))[1]
        assert ask(port, folder.replace("%s", "/small.txt"))[1] == b"small"


@test()
def origins():
    """HTTP: Host against rebinding, navigation to an origin of its own, what changes needs Origin and token"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = up_with_web(a)
        file = pathlib.Path(nodes.base) / "page.html"
        file.write_text("<h1>page</h1>")
        id = a.run("share", str(file), "--json").json()[0]["id"]
        own, token = f"http://127.0.0.1:{port}", (a.home / "api.token").read_text().strip()
        for host, wanted in ((f"127.0.0.1:{port}", 200), (f"evil.example:{port}", 421), ("127.0.0.1.nip.io", 421), (f"x.shoal.localhost.evil:{port}", 421),
                             (f"localhost:{port}", 200), ("[::1]", 200)):
            assert ask(port, "/", headers={"Host": host})[0] == wanted, host
        status, _, fields = ask(port, f"/content/{id}", headers={"Sec-Fetch-Dest": "document"})
        assert status == 307 and fields["Location"] == f"http://{id}.shoal.localhost:{port}/", fields["Location"]
        status, got, fields = ask(port, "/", headers={"Host": f"{id}.shoal.localhost:{port}", "Sec-Fetch-Dest": "document"})
        assert status == 200 and got == b"<h1>page</h1>" and "Content-Security-Policy" not in fields
        assert ask(port, "/api/status", headers={"Host": f"{id}.shoal.localhost:{port}"})[0] in (400, 404)
        assert ask(port, f"/content/{id}")[2]["Content-Security-Policy"] == "sandbox"
        assert ask(port, "/api/status")[0] == 200
        assert ask(port, "/api/status", headers={"Origin": "http://evil.example"})[0] == 403
        assert ask(port, "/api/status", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
        for path, extra, wanted in (("/shared/page.html", {}, 200), ("/shared/page.html", {"Sec-Fetch-Site": "same-origin"}, 200), ("/shared/page.html", {"Sec-Fetch-Site": "cross-site"}, 403),
                                    ("/shared/none", {"Sec-Fetch-Site": "cross-site"}, 403), ("/shared/", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "iframe"}, 403),
                                    ("/shared/page.html", {"Origin": "http://evil.example"}, 403), ("/name/x/", {"Sec-Fetch-Site": "same-site"}, 403),
                                    ("/shared/page.html", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200), (f"/content/{id}", {"Sec-Fetch-Site": "cross-site"}, 200)):
            status, _, fields = ask(port, path, headers=extra)
            assert status == wanted, f"{path} {extra}: {status}, not {wanted}"
            assert (fields.get("Cross-Origin-Resource-Policy") == "same-origin") == (wanted == 200 and path.startswith("/shared")), (path, fields)
        gc = json.dumps({"dry_run": True})
        json_type = {"Content-Type": "application/json"}
        for extra, wanted in (({}, 403), ({"X-Shoal-Token": token}, 200), ({"X-Shoal-Token": "x" * 43}, 403), ({"X-Shoal-Token": token, "Origin": own}, 200),
                              ({"X-Shoal-Token": token, "Origin": "http://evil.example"}, 403), ({"X-Shoal-Token": token, "Origin": "null"}, 403),
                              ({"Origin": own}, 403), ({"X-Shoal-Token": token, "Origin": f"http://{id}.shoal.localhost:{port}"}, 403)):
            assert ask(port, "/api/gc", "POST", {**json_type, **extra}, gc)[0] == wanted, extra


@test()
def nobody():
    """HTTP: content nobody has is a 504 that says so"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = up_with_web(a)
        b = nodes.node("b")
        b.up()
        file = pathlib.Path(nodes.base) / "gone.txt"
        make_file(file, 100_000)
        id = b.run("share", str(file), "--json").json()[0]["id"]
        b.stop()
        status, body, _ = ask(port, f"/content/{id}?timeout=1")
        assert status == 504 and b"could be reached" in body, (status, body)
