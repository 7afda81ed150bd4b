#!/usr/bin/python3
"""DNS answers from memory, beside Debian's dnsmasq and Knot (one UDP worker), in one run: dnsperf asks each in turn, medians. Every server has the same
5,000 addresses; shoal answers for names of nodes as well. Each server and dnsperf have a core of their own (taskset). Needs dnsperf, dnsmasq, knotd
(apt-get install dnsperf dnsmasq-base knot) and build/release/bin/shoal.

  tests/bench/dns_bench.py [--rounds N] [--seconds N]
"""
import argparse
import base64
import hashlib
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from shoal import Nodes, die_with_parent, wait_for  # noqa: E402

HOSTS = 5000


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def node_id(seed):
    """Text of a node id, as node/base/id.c makes it: key, two bytes of BLAKE2b, version."""
    key = hashlib.sha256(b"%d" % seed).digest()
    check = hashlib.blake2b(b"shoal node" + key + b"\x01", digest_size=32).digest()[:2]
    return base64.b32encode(key + check + b"\x01").decode().lower().rstrip("=")


def dnsperf(port, queries, seconds):
    out = subprocess.run(["taskset", "-c", "1", "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", queries, "-l", str(seconds), "-T", "1",
                          "-c", "4", "-q", "200"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    lost = re.search(r"Queries lost:\s+(\d+)", out)
    answered = re.search(r"Response codes:\s+NOERROR \d+ \(100\.00%\)", out)
    if not answered:
        raise SystemExit(f"dnsperf on port {port}: not every answer was NOERROR\n{out}")
    return float(re.search(r"Queries per second:\s+([0-9.]+)", out)[1]), int(lost[1])


def start(command):
    return subprocess.Popen(["taskset", "-c", "0"] + command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            preexec_fn=die_with_parent)


def answers(port):
    return subprocess.run(["dig", "+short", "+time=1", "+tries=1", "@127.0.0.1", "-p", str(port), "host1.example.test", "A"], capture_output=True,
                          text=True).stdout.startswith("10.")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=3)
    a = p.parse_args()
    work = pathlib.Path(tempfile.mkdtemp(prefix="dns-bench-"))
    os.chmod(work, 0o755)
    random.seed(1)
    hosts = [(f"host{i}.example.test", f"10.1.{i // 256}.{i % 256}") for i in range(HOSTS)]
    (work / "zone").write_text("$ORIGIN example.test.\n$TTL 300\n@ SOA ns h 1 3600 600 86400 60\n@ NS ns\nns A 10.0.0.1\n" +
                               "".join(f"{n}. A {ip}\n" for n, ip in hosts))
    (work / "hosts").write_text("".join(f"{ip} {n}\n" for n, ip in hosts))
    (work / "queries").write_text("".join(f"{n} A\n" for n, _ in random.choices(hosts, k=20000)))
    port_d, port_k = free_port(), free_port()
    (work / "knot.conf").write_text(f"""server:
    rundir: "{work}"
    listen: 127.0.0.1@{port_k}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{work}/db"
zone:
  - domain: example.test
    file: "{work}/zone"
""")
    with Nodes() as nodes:
        node = nodes.node("a", )
        node.up("--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ftp", "off", "--set", f"dns.zone-file=example.test={work}/zone")
        status = node.status()
        subprocess.run(["taskset", "-apc", "0", str(status["pid"])], stdout=subprocess.DEVNULL, check=True)
        port_s = int(status["dns"].rsplit(":", 1)[1])
        names = [f"{node_id(i)}.shoal.alt A\n" for i in range(2000)]
        (work / "names").write_text("".join(random.choices(names, k=20000)))
        servers = [start(["dnsmasq", "-k", "-C", "/dev/null", "-u", "root", "--no-resolv", "--no-hosts", "-a", "127.0.0.1", "-p", str(port_d), "--bind-interfaces",
                          "--addn-hosts=" + str(work / "hosts"), "--pid-file", "--dns-forward-max=10000"]),
                   start(["knotd", "-c", str(work / "knot.conf")])]
        try:
            for port in (port_s, port_d, port_k):
                wait_for(lambda: answers(port), f"an answer on port {port}")
            results = {"shoal": [], "dnsmasq": [], "knot": [], "names": []}
            lost = dict.fromkeys(results, 0)
            for _ in range(a.rounds):
                for name, port, file in (("shoal", port_s, "queries"), ("dnsmasq", port_d, "queries"), ("knot", port_k, "queries"),
                                         ("names", port_s, "names")):
                    rate, gone = dnsperf(port, str(work / file), a.seconds)
                    results[name].append(rate)
                    lost[name] += gone
        finally:
            for server in servers:
                server.terminate()
                server.wait()
            shutil.rmtree(work, ignore_errors=True)
    median = {name: statistics.median(rates) for name, rates in results.items()}
    print(f"load average {os.getloadavg()[0]:.1f}; medians of {a.rounds} turns of {a.seconds} s, answers a second (lost)")
    print(f"  shoal, 5,000 addresses of a zone file   {median['shoal']:9,.0f} ({lost['shoal']})")
    print(f"  dnsmasq, the same from a hosts file     {median['dnsmasq']:9,.0f} ({lost['dnsmasq']})")
    print(f"  Knot, the same zone, one worker         {median['knot']:9,.0f} ({lost['knot']})")
    print(f"  shoal, names of 2,000 nodes             {median['names']:9,.0f} ({lost['names']})")
    print(f"  zone file: {median['shoal'] / median['dnsmasq']:.2f} x dnsmasq (bar 1.0), {median['shoal'] / median['knot']:.2f} x Knot; "
          f"names: {median['names'] / median['dnsmasq']:.2f} x dnsmasq, {median['names'] / median['knot']:.2f} x Knot")
    return 0 if min(median["shoal"], median["names"]) >= median["dnsmasq"] else 1


if __name__ == "__main__":
    sys.exit(main())
