#!/usr/bin/python3
"""Benches of whole nodes, each beside a peer that is measured in the same run, the two interleaved; medians of at least five runs.

  tests/bench/run.py all                  everything; one table at the end
  tests/bench/run.py transfer tree        only these: transfer seed4 tree share fifty tenk day idle
  --runs N (default 5)   --json FILE      --size MIB of the file (default 1024)   --idle SECONDS counted for idle traffic (default 120)

Needs build/release/bin/shoal, build/release/bench/loop_bench (cmake --preset release && cmake --build --preset release), and the packages of the
group `bench` in cmake/packages.sh. Run it on a quiet machine: a loaded one slows both sides and blurs the ratio.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
import shoal  # noqa: E402
from shoal import Nodes, deep, die_with_parent, make_file, make_tree, same_tree, wait_for, without_sources  # noqa: E402

WORK = ROOT / "build/bench"          # on disk
MEMORY = pathlib.Path("/dev/shm")    # tmpfs
LOOP = ROOT / "build/release/bench/loop_bench"
TORRENT = [sys.executable, str(ROOT / "tests/bench/torrent_peer.py")]
MB = 1e6

rows, details = [], {}


def say(text):
    print(text, flush=True)


def row(work, ours, theirs, bar, ok, note=""):
    rows.append({"work": work, "ours": ours, "beside": theirs, "bar": bar, "verdict": "met" if ok else "MISSED", "note": note})
    say(f"   {work}: ours {ours}, beside {theirs}, bar {bar}: {'met' if ok else 'MISSED'} {note}")


def median(values):
    return statistics.median(values)


def settle(*folders):
    """Earlier runs' dirty pages are not this run's cost."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink(missing_ok=True)
    os.sync()


class PeakRss(threading.Thread):
    """Highest resident size of nodes, sampled from /proc (the kernel's own high-water mark covers the gaps)."""

    def __init__(self, *nodes):
        super().__init__(daemon=True)
        self.nodes, self.peak, self.ended = nodes, 0, threading.Event()
        for node in nodes:
            try:
                pathlib.Path(f"/proc/{node.process.pid}/clear_refs").write_text("5")  # resets VmHWM
            except OSError:
                pass

    def run(self):
        while not self.ended.wait(0.05):
            self.peak = max([self.peak] + [node.proc_kib("VmRSS:") for node in self.nodes])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        self.peak = max([self.peak] + [node.proc_kib("VmHWM:") for node in self.nodes])


# ---- the peers beside us ----
class TorrentPeer:
    def __init__(self, *arguments):
        self.process = subprocess.Popen(TORRENT + [str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        self.port = self.process.stdout.readline().strip()

    def go(self, ports=()):
        self.process.stdin.write(" ".join(ports) + "\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        self.process.wait()
        return json.loads(rest) if rest.strip() else None


def torrent_run(source, torrent, folder, leeches):
    """Seconds until the last leech has it all, and the peak RSS [KiB] of any of them."""
    outputs = [folder / f"t{i}" for i in range(leeches)]
    settle(*outputs)
    for output in outputs:
        output.mkdir(parents=True)
    seed = TorrentPeer("seed", source, torrent)
    peers = [TorrentPeer("leech", output, torrent, seed.port) for output in outputs]
    for index, peer in enumerate(peers):
        peer.go([other.port for other in peers[:index]])
    results = [peer.result() for peer in peers]
    for peer in peers:
        peer.end()
    seed_result = seed.end()
    for output in outputs:
        assert filecmp(source, output / source.name), "libtorrent made a different file"
    settle(*outputs)
    return max(r["seconds"] for r in results), max([r["rss_kib"] for r in results] + [seed_result["rss_kib"]])


def filecmp(a, b):
    return subprocess.run(["cmp", "-s", str(a), str(b)]).returncode == 0


def loop_run(source, folder, size):
    target = folder / "loop.bin"
    settle(target)
    out = subprocess.run([str(LOOP), "--size", f"{size >> 20}MiB", "--src", str(source), "--dst", str(target)], capture_output=True, text=True,
                         check=True, preexec_fn=die_with_parent).stdout
    settle(target)
    return float(re.search(r"([0-9.]+) MB/s", out).group(1))


class RsyncDaemon:
    def __init__(self, folder, source):
        self.port = free_port()
        config = folder / "rsyncd.conf"
        config.write_text(f"port = {self.port}\naddress = 127.0.0.1\nuse chroot = no\npid file = {folder}/rsyncd.pid\n[m]\npath = {source}\nread only = yes\n"
                          f"uid = {os.getuid()}\ngid = {os.getgid()}\n")
        (folder / "rsyncd.pid").unlink(missing_ok=True)
        self.process = subprocess.Popen(["rsync", "--daemon", "--no-detach", f"--config={config}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
        wait_for(lambda: subprocess.run(["rsync", f"rsync://127.0.0.1:{self.port}/"], capture_output=True).returncode == 0, "the rsync daemon")

    def run(self, target):
        settle(target)
        started = time.monotonic()
        subprocess.run(["rsync", "-a", f"rsync://127.0.0.1:{self.port}/m/", str(target) + "/"], check=True)
        subprocess.run(["sync", "-f", str(target)], check=True)
        return time.monotonic() - started

    def end(self):
        self.process.terminate()
        self.process.wait()


def free_port():
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def openssl_sha256(blocks=16384):
    """[bytes/s] of one thread."""
    out = subprocess.run(["openssl", "speed", "-mr", "-evp", "sha256", "-bytes", str(blocks), "-seconds", "1"], capture_output=True, text=True, check=True).stdout
    return float(next(line for line in out.splitlines() if line.startswith("+F")).split(":")[-1])


def cached(path):
    with open(path, "rb") as f:
        while f.read(1 << 22):
            pass


# ---- ours ----
def get_run(nodes, link, outputs, source, keep=False):
    """All nodes fetch at once; seconds until the last command ended (done means verified and synced), peak RSS [KiB] of these and the seed.
    keep: leaves the outputs where they are."""
    settle(*outputs)
    with PeakRss(*nodes) as rss:
        started = time.monotonic()
        commands = [node.popen("get", link, "-o", output) for node, output in zip(nodes[1:], outputs)]
        for command in commands:
            text, _ = command.communicate()
            assert command.returncode == 0, text
        seconds = time.monotonic() - started
    for output in outputs:
        assert (filecmp(source, output) if source.is_file() else same_tree(source, output) is None), f"{output} differs"
    settle(*([] if keep else outputs))
    return seconds, rss.peak


def forget(node, *paths):
    """So that the next run fetches anew."""
    for path in paths:
        node.run("unshare", path, check=False)


def bench_transfer(args):
    size = args.size << 20
    source = data_file(WORK, size)
    torrent = WORK / "file.torrent"
    subprocess.run(TORRENT + ["make", str(source), str(torrent)], check=True)
    loops, ours, theirs, rss, torrent_rss = [], [], [], [], []
    with Nodes(WORK) as world:
        seed, leech = world.network(2)
        link = seed.link(source)
        output = world.path("got.bin")
        for index in range(args.runs):
            cached(source)
            loops.append(loop_run(source, WORK, size))
            seconds, peak = get_run([seed, leech], link, [output], source)
            forget(leech, output)
            ours.append(size / MB / seconds)
            rss.append(peak)
            seconds, peak = torrent_run(source, torrent, WORK, 1)
            theirs.append(size / MB / seconds)
            torrent_rss.append(peak)
            say(f"   run {index + 1}: loop {loops[-1]:.0f}, ours {ours[-1]:.0f}, libtorrent {theirs[-1]:.0f} MB/s")
        idle = [node.proc_kib("VmRSS:") for node in (seed, leech)]
    details["transfer"] = {"loop": loops, "ours": ours, "libtorrent": theirs, "rss_kib": rss, "libtorrent_rss_kib": torrent_rss, "rss_after_kib": idle}
    ratio = median(ours) / median(loops)
    row("1 GiB to disk, synced: of the bare loop", f"{median(ours):.0f} MB/s", f"{median(loops):.0f} MB/s (loop)", "0.85", ratio >= 0.85, f"ratio {ratio:.2f}")
    ratio2 = median(ours) / median(theirs)
    row("the same, against libtorrent 2.0.8 in clear", f"{median(ours):.0f} MB/s", f"{median(theirs):.0f} MB/s", "2 x or 0.85 of the loop",
        ratio2 >= 2 or ratio >= 0.85, f"ratio {ratio2:.2f}")
    row("resident while it runs, a node (peak of all runs)", f"{max(rss) / 1024:.0f} MiB", f"{max(torrent_rss) / 1024:.0f} MiB", "64 MiB",
        max(rss) <= 64 * 1024)


def bench_seed4(args):
    folder = MEMORY / f"shoal-bench-{os.getpid()}"
    folder.mkdir()
    try:
        size = min(args.size, 1024) << 20
        source = data_file(folder, size)
        torrent = folder / "file.torrent"
        subprocess.run(TORRENT + ["make", str(source), str(torrent)], check=True)
        ours, theirs, rss = [], [], []
        with Nodes(folder) as world:
            nodes = world.network(5)
            link = nodes[0].link(source)
            for index in range(args.runs):
                outputs = [world.path(f"got{i}.bin") for i in range(4)]
                seconds, peak = get_run(nodes, link, outputs, source)
                for node, output in zip(nodes[1:], outputs):
                    forget(node, output)
                rss.append(peak)
                ours.append(4 * size / MB / seconds)
                theirs.append(4 * size / MB / torrent_run(source, torrent, folder, 4)[0])
                say(f"   run {index + 1}: ours {ours[-1]:.0f}, libtorrent {theirs[-1]:.0f} MB/s in all")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    details["seed4"] = {"ours": ours, "libtorrent": theirs, "rss_kib": rss, "size": size}
    ratio = median(ours) / median(theirs)
    row(f"one seed to four leeches, tmpfs, {size >> 20} MiB", f"{median(ours):.0f} MB/s in all", f"{median(theirs):.0f} MB/s (libtorrent)", "2 x", ratio >= 2,
        f"ratio {ratio:.2f}")


def bench_tree(args):
    source = WORK / "data/tree10k"
    if not source.is_dir():
        partial = WORK / "data/tree10k.new"
        shutil.rmtree(partial, ignore_errors=True)
        make_tree(partial, 10000, 4096, folders=100)
        partial.rename(source)
    ours, theirs, rss = [], [], []
    with Nodes(WORK) as world:
        seed, leech = world.network(2)
        link = seed.link(source)
        daemon = RsyncDaemon(world.base, source)
        for index in range(args.runs):
            # Nothing is deleted between the runs: for a minute after 10,000 deletions ext4 looks at each freed inode before it makes a new one
            # (recently_deleted), which would bill whoever comes next for the clearing up of this bench.
            output = world.path(f"got{index}")
            seconds, peak = get_run([seed, leech], link, [output], source, keep=True)
            forget(leech, output)
            ours.append(seconds)
            rss.append(peak)
            theirs.append(daemon.run(world.path(f"rsynced{index}")))
            say(f"   run {index + 1}: ours {ours[-1]:.2f}, rsync {theirs[-1]:.2f} s")
        daemon.end()
    details["tree"] = {"ours_s": ours, "rsync_s": theirs, "rss_kib": rss}
    ratio = median(theirs) / median(ours)
    row("a tree of 10,000 files of 4 KiB", f"{median(ours):.2f} s", f"{median(theirs):.2f} s (rsync and sync -f)", "no slower", ratio >= 1, f"ratio {ratio:.2f}")


def bench_share(args):
    size = args.size << 20
    source = data_file(WORK, size)
    ours, theirs, ratios = [], [], []
    with Nodes(WORK) as world:
        node = world.node("n0").up()
        for index in range(args.runs):
            cached(source)
            cpu = node.cpu_s()
            started = time.monotonic()
            node.share(source)
            seconds = time.monotonic() - started
            cpu = node.cpu_s() - cpu
            node.run("unshare", source)
            cores = min(os.cpu_count(), max(1, -(-cpu // seconds)))  # rounded up: a core half used counts as used
            ours.append(size / MB / seconds)
            theirs.append(openssl_sha256() / MB * cores)
            ratios.append(ours[-1] / theirs[-1])
            say(f"   run {index + 1}: ours {ours[-1]:.0f} MB/s on {cores:.0f} cores, openssl {theirs[-1]:.0f} MB/s times these")
    details["share"] = {"ours": ours, "openssl_times_cores": theirs}
    row("sharing (hashing) 1 GiB from cache", f"{median(ours):.0f} MB/s", f"{median(theirs):.0f} MB/s (openssl x cores)", "0.75", median(ratios) >= 0.75,
        f"ratio {median(ratios):.2f}")


def traffic(nodes):
    """UDP bytes, both ways, each node."""
    result = []
    for node in nodes:
        status = node.status()
        result.append(sum(int(deep(status, name) or 0) for name in ("bytes_in", "bytes_out")))
    return result


def idle_row(name, nodes, seconds, bar_mb):
    before, started = traffic(nodes), time.monotonic()
    end = started + seconds
    while time.monotonic() < end:
        time.sleep(min(1, end - time.monotonic() + 0.001))
    spent = time.monotonic() - started
    after = traffic(nodes)
    daily = [(b - a) * 86400 / spent / MB for a, b in zip(before, after)]
    details[name] = {"mb_a_day": daily, "seconds": spent}
    row(f"idle traffic, {name}, extrapolated from {spent:.0f} s", f"median {median(daily):.1f}, worst {max(daily):.1f} MB a node a day", "-",
        f"{bar_mb} MB" if bar_mb else "(printed)", not bar_mb or max(daily) <= bar_mb)


def bench_fifty(args):
    times, good, tried = [], 0, 0
    count, wanted = 50, 16
    for index in range(args.runs):
        with Nodes(WORK) as world:
            nodes = [world.node(f"n{i}") for i in range(count)]
            nodes[0].up()
            invite = nodes[0].invite()
            for node in nodes[1:]:
                node.join(invite)
            started = time.monotonic()
            for node in nodes[1:]:
                node.spawn()
            waiting = list(nodes)
            while waiting:
                waiting = [node for node in waiting if not enough(node, wanted)]
                assert time.monotonic() - started < 60, f"{len(waiting)} nodes still have fewer than {wanted} contacts: {[contacts_or_0(n) for n in waiting][:10]}"
                if waiting:
                    time.sleep(0.02)
            times.append(time.monotonic() - started)
            say(f"   run {index + 1}: all {count} have {wanted} contacts after {times[-1]:.2f} s")
            if index == 0:
                good, tried = lookups(world, nodes)
                say(f"   {good} of {tried} lookups succeed")
            if index == args.runs - 1:
                for node in nodes:
                    node.run("unshare", node.home.parent / f"small-{node.name}", check=False)
                rss = [node.proc_kib("VmRSS:") for node in nodes]
                row("resident memory of an idle node (worst of 50)", f"{max(rss) / 1024:.1f} MiB", "-", "16 MiB", max(rss) <= 16 * 1024)
                idle_row("50 nodes, no shares", nodes, args.idle, 20)
    details["fifty"] = {"seconds": times, "lookups": [good, tried]}
    row("50 real nodes: all have 16 contacts", f"{median(times):.2f} s", "-", "under 3 s", median(times) < 3)
    row("lookups that succeed", f"{good} of {tried}", "-", "100 %", tried > 0 and good == tried)


def contacts_or_0(node):
    try:
        return node.contacts()
    except (OSError, ValueError, AssertionError):
        return 0


def enough(node, wanted):
    return contacts_or_0(node) >= wanted


def lookups(world, nodes):
    """Every node shares a file; another one, given a link without sources, fetches it: the DHT alone can tell where from."""
    links = []
    for index, node in enumerate(nodes):
        links.append(without_sources(node.link(make_file(world.path(f"small-{node.name}"), 1000, 77 + index))))
    good = 0
    for index, node in enumerate(nodes):
        other = (index * 7 + 23) % len(nodes)
        if other == index:
            other = (index + 1) % len(nodes)
        result = node.get(links[other], world.path(f"got-{index}"), check=False, timeout=120)
        if result.code == 0 and filecmp(world.path(f"small-n{other}"), world.path(f"got-{index}")):
            good += 1
        else:
            say(f"   {node.name} did not get n{other}'s file: {result!r}")
        node.run("unshare", world.path(f"got-{index}"), check=False)
    return good, len(nodes)


def bench_tenk(args):
    count, beside = 10000, 24
    with Nodes(WORK) as world:
        files = make_tree(world.path("many"), count, 64, folders=10)
        paths = sorted(str(path) for path in files.glob("*/*"))
        nodes = world.network(beside)
        node = world.node("many-shares").join(nodes[0].invite()).up()
        started = time.monotonic()
        for first in range(0, count, 500):
            node.share(*paths[first:first + 500])
        say(f"   {count} shares made in {time.monotonic() - started:.1f} s")
        starts = []
        for _ in range(args.runs):
            node.stop()
            started = time.monotonic()
            node.up()
            starts.append(time.monotonic() - started)
        shares = deep(node.status(), "shares")
        say(f"   start to first answer: {', '.join(f'{s:.2f}' for s in starts)} s; status says shares: {shares}")

        def stored():
            return int(deep(node.status(), "announced_stored") or 0) >= count
        began = time.monotonic()
        first = node.status()
        try:
            wait_for(stored, "all announcements to be stored", 300, every=0.25)
            status = node.status()
            sent = int(deep(status, "datagrams_out") or 0)
            row(f"announcing {count} shares in region walks", f"{sent} datagrams sent, {sent / count:.2f} a share", "one lookup each: 30 and more", "under 5 a share",
                sent < 5 * count, f"after {time.monotonic() - began:.0f} s; lookups {deep(status, 'lookups_done')}")
        except AssertionError:
            row(f"announcing {count} shares in region walks", f"{deep(node.status(), 'announced_stored')} of {count} stored in 300 s", "-", "under 5 datagrams a share", False,
                f"datagrams {deep(first, 'datagrams_out')} to {deep(node.status(), 'datagrams_out')}")
        row(f"a node with {count} shares answers", f"{median(starts):.2f} s", "-", "1 s", median(starts) < 1)
        row(f"resident with {count} shares", f"{node.proc_kib('VmRSS:') / 1024:.1f} MiB", "-", "(printed)", True)
        idle_row(f"the node with {count} shares", [node], args.idle, 0)
    details["tenk"] = {"starts_s": starts}


def bench_day(args):
    """Buckets are refreshed once an hour, so a few minutes count nothing. Here the nodes' clocks (libfaketime, monotonic too) run FAST times as fast,
    and what is counted are whole hours of theirs after the first. A late answer of a busy machine looks FAST times as late to them: what this adds
    counts against us."""
    fast, hours = 30, 4
    library = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    assert library, "needs the package faketime"
    with Nodes(WORK) as world:
        nodes = world.network(50, env={"LD_PRELOAD": str(library), "FAKETIME": f"+0 x{fast}"})
        time.sleep(3600 / fast)
        up, before = [node.status()["uptime_s"] for node in nodes], traffic(nodes)
        time.sleep(hours * 3600 / fast)
        up, after = [node.status()["uptime_s"] - u for node, u in zip(nodes, up)], traffic(nodes)
    daily = [(b - a) * 86400 / s / MB for a, b, s in zip(before, after, up)]
    details["day"] = {"mb_a_day": daily, "node_seconds": up}
    row(f"idle traffic, 50 nodes, no shares, {min(up) / 3600:.1f} hours of their clocks", f"median {median(daily):.2f}, worst {max(daily):.2f} MB a node a day", "-", "20 MB",
        min(daily) > 0 and max(daily) <= 20)


def bench_idle(args):
    with Nodes(WORK) as world:
        nodes = world.network(2)
        rss = [node.proc_kib("VmRSS:") for node in nodes]
        row("resident memory, idle", f"{max(rss) / 1024:.1f} MiB", "-", "16 MiB", max(rss) <= 16 * 1024)


def data_file(folder, size):
    path = folder / "data" / f"{size >> 20}m.bin"
    if not path.exists() or path.stat().st_size != size:
        make_file(path, size, 20260101)
    return path


def table():
    heads = ["work", "ours", "beside", "bar", "verdict", "note"]
    widths = [max(len(str(r[h])) for r in rows + [dict(zip(heads, heads))]) for h in heads]
    for r in [dict(zip(heads, heads))] + rows:
        say("  ".join(str(r[h]).ljust(w) for h, w in zip(heads, widths)).rstrip())


def main():
    benches = {name[6:]: function for name, function in globals().items() if name.startswith("bench_")}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", nargs="+", choices=list(benches) + ["all"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024, help="MiB")
    parser.add_argument("--idle", type=float, default=120)
    parser.add_argument("--json")
    args = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    names = list(benches) if "all" in args.work else args.work
    load = os.getloadavg()[0]
    say(f"{os.cpu_count()} cores, load {load:.1f} at the start; {args.runs} runs each, interleaved")
    broken = []
    for name in names:
        say(f"\n== {name}")
        try:
            benches[name](args)
        except (AssertionError, OSError, subprocess.SubprocessError, ValueError) as error:
            broken.append(name)
            say(f"   could not be measured: {error}")
    say("")
    table()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"rows": rows, "details": details, "broken": broken}, indent=1) + "\n")
    return 1 if broken or any(r["verdict"] != "met" for r in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
