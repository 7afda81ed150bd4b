#!/usr/bin/python3
"""The HTTP gateway beside nginx (one worker, sendfile), in one run: wrk and curl on files of 1 KB, 100 KB and 1 GiB, turn by turn, medians; memory of
idle connections; content of another node through the gateway beside plain `shoal get`. Needs nginx, wrk, curl and build/release/bin/shoal.

  tests/bench/http_bench.py [--rounds N] [--big MiB] [--idle N]
"""
import argparse
import os
import pathlib
import re
import resource
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from shoal import Nodes  # noqa: E402

NGINX = """worker_processes 1; daemon off; pid {d}/nginx.pid; error_log {d}/error.log; events {{ worker_connections 20000; }}
http {{ sendfile on; tcp_nopush on; access_log off; keepalive_requests 1000000000; server {{ listen 127.0.0.1:{port}; root {d}/www; }} }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wrk(url):
    out = subprocess.run(["wrk", "-t1", "-c32", "-d3s", url], capture_output=True, text=True).stdout
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", out)[1])


def curl(url):
    return float(subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{speed_download}", url], capture_output=True, text=True).stdout)


def curls(url, times=100):
    """One process and connection for each: of a small file, a single one tells nothing."""
    return statistics.median(curl(url) for _ in range(times))


PIDS = []  # ours, nginx's worker: for the processor's time, which a busy machine does not distort as it does the clock's


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def beside(name, measure, ours, theirs, rounds, bar, unit):
    rates, costs = ([], []), ([], [])
    for round_ in range(rounds):
        turn = list(enumerate((ours, theirs)))
        for i, url in turn if round_ % 2 else turn[::-1]:
            before, began = cpu(PIDS[i]), time.monotonic()
            rates[i].append(measure(url))
            done = rates[i][-1] * (time.monotonic() - began if unit == "req/s" else 1)
            costs[i].append((cpu(PIDS[i]) - before) / max(done, 1))
    (mine, other), (cost, their) = map(statistics.median, rates), map(statistics.median, costs)
    by_cpu = f"; by processor time {their / cost:.2f}" if unit == "req/s" and cost else ""
    print(f"{name:24} shoal {mine:14,.0f}  nginx {other:14,.0f} {unit:6} = {mine / other:.2f}  (bar {bar}){by_cpu}; load {os.getloadavg()[0]:.0f}", flush=True)


def rss(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def idle(pid, port, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(count, hard - 200)
    before, open_ = rss(pid), []
    for i in range(count):
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(b"GET /shared/www/1k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        open_.append(s)
        if i % 100 == 99:
            for one in open_[-100:]:
                one.recv(65536)
    time.sleep(0.5)
    each = (rss(pid) - before) / count
    began = time.monotonic()
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"GET /shared/www/1k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    s.recv(65536)
    print(f"idle connections         {count:,} kept: {each / 1024:.1f} KiB each (bar 10); one more was answered in {(time.monotonic() - began) * 1000:.1f} ms", flush=True)
    for one in open_:
        one.close()


def remote(nodes, a, big, rounds):
    link = a.run("share", str(big), "--json").json()[0]["link"]
    path = re.sub(r"^shoal:([a-z0-9]+)\?", r"/content/\1?", link)
    through, plain = [], []
    for i in range(rounds):
        b = nodes.node(f"b{i}")
        b.up("--http", "127.0.0.1:0")
        began = time.monotonic()
        curl("http://" + b.status()["http"] + path)
        through.append(big.stat().st_size / (time.monotonic() - began))
        b.stop()
        subprocess.run(["rm", "-rf", str(b.home)])
        c = nodes.node(f"c{i}")
        c.up()
        out = pathlib.Path(nodes.base) / f"out{i}"
        began = time.monotonic()
        c.run("get", link, "-o", str(out), timeout=600)
        plain.append(big.stat().st_size / (time.monotonic() - began))
        c.stop()
        subprocess.run(["rm", "-rf", str(c.home), str(out)])
    mine, other = statistics.median(through), statistics.median(plain)
    print(f"content of another node  curl {mine / 1e6:,.0f} MB/s, shoal get {other / 1e6:,.0f} MB/s = {mine / other:.2f}  (bar 0.7)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--big", type=int, default=1024)
    parser.add_argument("--idle", type=int, default=10000)
    args = parser.parse_args()
    with Nodes() as nodes:
        base = pathlib.Path(nodes.base)
        base.chmod(0o755)
        www = base / "www"
        www.mkdir()
        for name, size in (("1k", 1024), ("100k", 100_000)):
            (www / name).write_bytes(os.urandom(size))
        with open(www / "big", "wb") as f:
            for _ in range(args.big):
                f.write(os.urandom(1 << 20))
        port = free_port()
        (base / "nginx.conf").write_text(NGINX.format(d=base, port=port))
        a = nodes.node("a")
        a.up("--http", "127.0.0.1:0")
        a.run("share", str(www), timeout=600)
        ours, theirs = f"http://{a.status()['http']}/shared/www", f"http://127.0.0.1:{port}"
        nginx = subprocess.Popen(["nginx", "-c", str(base / "nginx.conf")], stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            worker = subprocess.run(["pgrep", "-P", str(nginx.pid)], capture_output=True, text=True).stdout.split()[0]
            PIDS[:] = [a.process.pid, int(worker)]
            beside("1 KB, 32 kept, wrk", wrk, ours + "/1k", theirs + "/1k", args.rounds, 0.8, "req/s")
            beside("100 KB, wrk", wrk, ours + "/100k", theirs + "/100k", args.rounds, 1.0, "req/s")
            beside(f"{args.big} MiB, wrk", wrk, ours + "/big", theirs + "/big", args.rounds, 1.0, "req/s") if args.big < 64 else None
            beside("100 KB, curl", curls, ours + "/100k", theirs + "/100k", args.rounds * 3, 1.0, "B/s")
            beside(f"{args.big} MiB, curl", curl, ours + "/big", theirs + "/big", args.rounds, 1.0, "B/s")
        finally:
            nginx.terminate()
            nginx.wait()
        idle(a.process.pid, int(ours.split(":")[2].split("/")[0]), args.idle)
        remote(nodes, a, www / "big", args.rounds)


main()
