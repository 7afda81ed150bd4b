"""How many round trips a reader waits for, counted by a relay that makes them long."""
import os
import pathlib
import re
import socket
import time

from relay import Relay
from shoal import Nodes, make_file, wait_for
from suite import test
from system_http import up_with_web

RTT = 1.0  # [s]: long beside what a busy machine adds


def first_byte(port, path, first=0):
    """Seconds from the request's last byte to the body's first."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.settimeout(60)
        began = time.monotonic()
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: bytes={first}-\r\n\r\n".encode())
        got = b""
        while b"\r\n\r\n" not in got or not got.split(b"\r\n\r\n", 1)[1]:
            part = s.recv(4096)
            assert part, got
            got += part
        assert got.startswith(b"HTTP/1.1 206"), got[:200]
        return time.monotonic() - began, got.split(b"\r\n\r\n", 1)[1][0]


@test(slow=True)
def round_trips():
    """first byte of remote content: 3 round trips without a connection (TCP's own among them), 1 with one; a seek: 2 and a chunk"""
    with Nodes() as world:
        a, b = world.node("a"), world.node("b")
        a.up()
        host, port = next(x for x in a.status()["listen"] if x.startswith("127.")).rsplit(":", 1)
        relay = Relay((host, int(port)), RTT / 2)
        try:
            size = 1 << 30
            big, others = pathlib.Path(world.path("big.webm")), [make_file(world.path(f"{i}.bin"), 3_000_000, seed=i) for i in range(3)]
            with open(big, "wb") as f:  # sparse but for marks: reading it costs little
                f.truncate(size)
                f.seek(size // 2)
                f.write(b"M")
                f.seek(0)
                f.write(b"B")
            shares = a.run("share", str(big), *map(str, others), "--json", timeout=600).json()
            paths = {}
            for share, path in zip(shares, (big, *others)):
                paths[path] = f"/content/{share['id']}?s={a.status()['node']}@127.0.0.1:{relay.port}"
            web = up_with_web(b)
            report = []
            for i, path in enumerate((*others, big)):
                seconds, byte = first_byte(web, paths[path])
                with open(path, "rb") as f:
                    assert byte == f.read(1)[0]
                if i == 0:
                    report.append(("without a connection", seconds / RTT + 1, 3))  # TCP's handshake is with the relay
                else:
                    report.append(("with one, new content", seconds / RTT, 1))
            seconds, byte = first_byte(web, paths[big], size // 2)
            assert byte == ord("M")
            report.append(("a seek to the middle", seconds / RTT, 2))
            print("# " + "; ".join(f"{name}: {count:.2f} round trips (bar {bar})" for name, count, bar in report), flush=True)
            assert relay.connections == 1, relay.connections
            for name, count, bar in report:
                assert count <= bar + 0.5, f"{name}: {count:.2f} round trips, bar {bar}"
        finally:
            relay.close()
