#!/usr/bin/python3
"""The FTP gateway beside Debian's vsftpd, in one run, turn by turn, medians: curl fetching a large local file to disk, and many anonymous sessions at
once that each list a folder and fetch 100 KB. vsftpd at its best: without a namespace for each session, and told that 1,024 files are enough.
Needs root (vsftpd), vsftpd, curl and build/release/bin/shoal.

  tests/bench/ftp_bench.py [--rounds N] [--big MiB] [--sessions N] [--at-once N]
"""
import argparse
import os
import pathlib
import re
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from shoal import Nodes, die_with_parent, wait_for  # noqa: E402

VSFTPD = """listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
anon_root={root}
no_anon_password=NO
max_clients=0
max_per_ip=0
secure_chroot_dir={empty}
nopriv_user=nobody
xferlog_enable=NO
isolate=NO
isolate_network=NO
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cpu(pids):
    """User and system time of these processes and the children they have waited for [s]."""
    total = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(x) for x in fields[11:15])
    return total / os.sysconf("SC_CLK_TCK")


class Session:
    """One anonymous client: a list of lines, each sent when the reply before it is complete; data connections by EPSV, read to their end."""
    def __init__(self, port, file, selector):
        self.port, self.selector, self.data, self.got, self.buffer = port, selector, None, 0, b""
        self.steps = iter([b"USER ftp", b"PASS x", b"EPSV", b"LIST", b"TYPE I", b"EPSV", b"RETR " + file, b"QUIT"])
        self.now, self.data_port, self.ended, self.final = None, None, False, False
        self.control = socket.create_connection(("127.0.0.1", port))
        self.control.setblocking(False)
        selector.register(self.control, selectors.EVENT_READ, self.on_control)

    def go(self):
        self.now = next(self.steps)
        self.final = False
        if self.now in (b"LIST",) or self.now.startswith(b"RETR"):
            self.got = 0
            self.data = socket.create_connection(("127.0.0.1", self.data_port))
            self.data.setblocking(False)
            self.selector.register(self.data, selectors.EVENT_READ, self.on_data)
        self.control.sendall(self.now + b"\r\n")

    def on_data(self):
        piece = self.data.recv(262144)
        self.got += len(piece)
        if not piece:
            self.selector.unregister(self.data)
            self.data.close()
            self.data = None
            if self.final:
                self.go()

    def on_control(self):
        piece = self.control.recv(65536)
        if not piece:
            assert self.now == b"QUIT", f"the server left after {self.now}: {self.buffer!r}"
            self.selector.unregister(self.control)
            self.control.close()
            self.ended = True
            return
        self.buffer += piece
        while b"\n" in self.buffer:
            line, self.buffer = self.buffer.split(b"\n", 1)
            if not re.match(rb"[1-5][0-9][0-9] ", line) or line[:1] == b"1":
                continue
            assert line[:1] in b"23", line
            if line[:3] == b"229":
                self.data_port = int(line.split(b"|")[3])
            if self.now != b"QUIT":
                self.final = True
                if self.data is None:
                    self.go()


def sessions(port, file, count, at_once):
    selector, running, begun = selectors.EpollSelector(), [], 0
    started = time.monotonic()
    while begun < count or running:
        while begun < count and len(running) < at_once:
            running.append(Session(port, file, selector))
            begun += 1
        for key, _ in selector.select(30):
            key.data()
        running = [s for s in running if not s.ended]
    return count / (time.monotonic() - started)


def fetch(url, out):
    if out:
        out.unlink(missing_ok=True)
    speed = float(subprocess.run(["curl", "-sf", "-o", str(out or "/dev/null"), "-w", "%{speed_download}", url], capture_output=True, text=True, check=True).stdout)
    return speed


def beside(name, measure, ours, theirs, rounds, bar, unit):
    a, b = [], []
    measure(ours), measure(theirs)  # both are warm
    for i in range(rounds):
        for which, into in ((ours, a), (theirs, b)) if i % 2 == 0 else ((theirs, b), (ours, a)):
            into.append(measure(which))
    mine, other = statistics.median(a), statistics.median(b)
    print(f"{name:44} shoal {mine:14,.1f}  vsftpd {other:14,.1f} {unit} = {mine / other:.2f}  (bar {bar})  load {os.getloadavg()[0]:.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--big", type=int, default=1024)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=500)
    args = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with Nodes() as nodes:
        base = pathlib.Path(nodes.base)
        base.chmod(0o755)
        shared = base / "root/shared/www"  # the same paths on both servers
        shared.mkdir(parents=True)
        (base / "empty").mkdir()
        (shared / "100k").write_bytes(os.urandom(100_000))
        for i in range(20):
            (shared / f"file{i}").write_bytes(os.urandom(1000))
        with open(shared / "big", "wb") as f:
            for _ in range(args.big):
                f.write(os.urandom(1 << 20))
        a = nodes.node("a")
        a.up("--ftp", "127.0.0.1:0")
        a.run("share", str(shared), timeout=600)
        ours, theirs = int(a.status()["ftp"].split(":")[1]), free_port()
        conf = base / "vsftpd.conf"
        conf.write_text(VSFTPD.format(port=theirs, root=base / "root", empty=base / "empty"))
        conf.chmod(0o600)

        def begin():
            die_with_parent()
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))  # it closes every number up to the limit in each child
        vsftpd = subprocess.Popen(["/usr/sbin/vsftpd", str(conf)], preexec_fn=begin)
        try:
            def up():
                try:
                    socket.create_connection(("127.0.0.1", theirs)).close()
                    return True
                except OSError:
                    return False
            wait_for(up, "vsftpd to listen")
            out = base / "out"
            beside(f"RETR {args.big} MiB, curl to disk", lambda port: fetch(f"ftp://127.0.0.1:{port}/shared/www/big", out) / 1e6, ours, theirs, args.rounds, 1.0, "MB/s")
            out.unlink(missing_ok=True)
            beside(f"RETR {args.big} MiB, curl to /dev/null", lambda port: fetch(f"ftp://127.0.0.1:{port}/shared/www/big", None) / 1e6, ours, theirs, args.rounds, "none", "MB/s")
            for file in (b"/shared/www/100k",):
                mine, other = cpu([a.process.pid]), cpu([vsftpd.pid])
                beside(f"{args.sessions} sessions, {args.at_once} at once, LIST and 100 KB",
                       lambda port: sessions(port, file, args.sessions, args.at_once), ours, theirs, args.rounds, 1.0, "sessions/s")
                mine, other = cpu([a.process.pid]) - mine, cpu([vsftpd.pid]) - other
                print(f"{'processor time for these':44} shoal {mine:14,.2f}  vsftpd {other:14,.2f} s", flush=True)
        finally:
            vsftpd.terminate()
            vsftpd.wait()


main()
