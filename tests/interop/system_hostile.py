"""Strangers and broken machines: garbage at full rate, a thousand connections, handshakes that trickle, a clock that is wrong by a year."""
import pathlib
import random
import socket
import subprocess
import threading
import time

from shoal import Nodes, deep, make_file, wait_for, without_sources
from suite import SANITIZED, Options, need, test


def same_file(a, b):
    return subprocess.run(["cmp", "-s", str(a), str(b)]).returncode == 0


class Garbage:
    """Threads that send random bytes to a port over TCP and UDP as fast as they can, until the block ends."""

    def __init__(self, port, udp=True, tcp=True):
        self.port, self.ended, self.sent = port, threading.Event(), 0
        kinds = ([self.udp] if udp else []) + ([self.tcp] if tcp else [])
        self.threads = [threading.Thread(target=kind, args=(Options.seed + index,), daemon=True) for index, kind in enumerate(kinds)]

    def udp(self, seed):
        generator = random.Random(seed)
        block = generator.randbytes(1 << 20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            while not self.ended.is_set():
                at, size = generator.randrange(len(block) - 1500), generator.choice((0, 1, 80, 81, 200, 1200, 1201, 1400))
                try:
                    s.sendto(block[at:at + size], ("127.0.0.1", self.port))
                    s.sendto(b"\x01" + block[at:at + size], ("127.0.0.1", self.port))  # the right version
                    self.sent += 2
                except OSError:
                    pass

    def tcp(self, seed):
        generator = random.Random(seed)
        block = generator.randbytes(1 << 20)
        while not self.ended.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                    s.settimeout(1)
                    at, size = generator.randrange(1 << 19), generator.choice((1, 2, 96, 98, 5000, 100000))
                    if generator.random() < 0.5:
                        s.sendall((96 + generator.randrange(100)).to_bytes(2, "big"))
                    s.sendall(block[at:at + size])
                    self.sent += 1
            except OSError:
                pass

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(5)


@test(alone=True)
def garbage():
    """garbage on TCP and UDP of both nodes at full rate while a fetch goes on"""
    with Nodes() as world:
        one, two = world.network(2, config="[transfer]\nupload = 20MB/s\n")
        source = make_file(world.path("s"), 40 << 20)
        link = one.link(source)
        with Garbage(one.port()) as first, Garbage(two.port()) as second:
            two.get(link, world.path("g"), timeout=120)
            for node in (one, two):
                started = time.monotonic()
                node.status()
                assert time.monotonic() - started < 2
        assert first.sent > 100 and second.sent > 100, (first.sent, second.sent)
        assert same_file(source, world.path("g"))
        for node in (one, two) if not SANITIZED else ():
            assert node.proc_kib("VmRSS:") < 96 * 1024, node.proc_kib("VmRSS:")


@test(alone=True)
def thousand_connections():
    """a peer that opens a thousand connections and says nothing: others are served, and memory stays bounded"""
    with Nodes() as world:
        one, two = world.network(2)
        link = one.link(make_file(world.path("s"), 5 << 20))
        port, held = one.port(), []
        before = one.proc_kib("VmRSS:")
        try:
            for _ in range(1000):
                s = socket.socket()
                s.setblocking(False)
                held.append(s)
                try:
                    s.connect(("127.0.0.1", port))
                except OSError:
                    pass
            two.get(link, world.path("g"), timeout=60)
            assert same_file(world.path("s"), world.path("g"))
            assert SANITIZED or one.proc_kib("VmRSS:") - before < 32 * 1024
            assert one.status()["node"]
        finally:
            for s in held:
                s.close()


@test(long=True)
def trickled_handshake():
    """a handshake that trickles byte by byte is cut off in bounded time"""
    with Nodes() as world:
        node = world.node("n").up()
        with socket.create_connection(("127.0.0.1", node.port()), timeout=5) as s:
            s.setblocking(True)
            s.settimeout(0.25)
            started, closed = time.monotonic(), False
            s.sendall(b"\x04\x00")
            while time.monotonic() - started < 45 and not closed:
                try:
                    s.sendall(b"x")
                    closed = s.recv(1) == b""
                except socket.timeout:
                    pass
                except OSError:
                    closed = True
            assert closed, "45 s and still open"
        assert node.status()["node"]


@test()
def too_large_first_message():
    """a stream that begins with the largest size, or with another protocol, is closed without a word"""
    with Nodes() as world:
        node = world.node("n").up()
        for first in (b"\xff\xff" + b"y" * 65535, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"z" * 20000, b"\x00\x00", b"\x00\x01a", b"SSH-2.0-x\r\n" + b"q" * 30000):
            with socket.create_connection(("127.0.0.1", node.port()), timeout=5) as s:
                s.settimeout(45)
                try:
                    s.sendall(first)
                    assert s.recv(100) == b"", "answered a stranger"
                except ConnectionError:
                    pass
        assert node.status()["node"]


@test()
def wrong_clock():
    """a clock wrong by a year, either way: the node says so, finds, serves and fetches all the same"""
    # Not by the program `faketime`: it forks, and a signal to it does not reach the node.
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    need(library and not SANITIZED, "needs the package faketime, and a build without sanitizers")
    with Nodes() as world:
        nodes = world.network(4)
        for shift in ("+365d", "-365d"):
            wrong = world.node(f"wrong{shift}", env={"LD_PRELOAD": str(library), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"})
            wrong.join(nodes[0].invite()).up()
            wait_for(lambda: wrong.contacts() >= 2, "contacts")
            here = make_file(world.path(f"here{shift}"), 100000, 5)
            there = make_file(world.path(f"there{shift}"), 100000, 6)
            link = without_sources(wrong.link(here))
            nodes[2].get(link, world.path(f"got-here{shift}"))
            wrong.get(without_sources(nodes[3].link(there)), world.path(f"got-there{shift}"))
            assert same_file(here, world.path(f"got-here{shift}")) and same_file(there, world.path(f"got-there{shift}"))
            wait_for(lambda: "clock" in (wrong.log() + wrong.run("status").out).lower(), "a word about the clock", 30)
