#!/usr/bin/env python3
"""Do real processes and simulated nodes do the same? 60 nodes at k = 4 on loopback and 60 in simnet join by one invite, then
look for keys that nobody has; hops, messages and bytes a look-up are compared.

    tests/interop/parity.py [--nodes 60] [--k 4] [--rounds 20] [--pace 8] [--seeds 12]

Prints `ok - ...` or `not ok - ...` a figure. What the nodes send besides (joining is over, refreshing is not) counts on both sides, over
the same time and the same number of look-ups. A machine that is so busy that answers come later than the time-outs distorts the real
side; the medians of a node's round trips and the look-ups that failed are printed for that.
"""
import argparse
import concurrent.futures
import json
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import shoal  # noqa: E402

BAR = 0.05
SIMNET = str(pathlib.Path(shoal.BINARY).parent / "simnet")


def post(node, path, body):
    connection = shoal.UnixHTTP(node.socket_path(), 60)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        assert response.status in (200, 202), f"{path}: {response.status} {text[:300]!r}"
        return json.loads(text)
    finally:
        connection.close()


def delete(node, path):
    connection = shoal.UnixHTTP(node.socket_path(), 60)
    try:
        connection.request("DELETE", path)
        connection.getresponse().read()
    finally:
        connection.close()


def dht(node):
    return node.status()["dht"]


def unknown_links(nodes, count):
    """Links of contents that nobody in the network has: made in a home of its own."""
    maker = nodes.node("maker", config="[network]\nprivate = on\n")
    folder = nodes.path("files")
    folder.mkdir()
    for index in range(count):
        (folder / f"{index}").write_bytes(b"%d of nobody" % index * 40)
    maker.up()
    links = [shoal.without_sources(entry["link"]) for entry in maker.share(*sorted(folder.iterdir()))]
    maker.stop()
    return links


def counters(pool, nodes):
    return list(pool.map(dht, nodes))


def look_up(node, link, output):
    """One get of what nobody has, until its look-up is over."""
    before = dht(node)["lookups_done"]
    job = post(node, "/api/get", {"link": link, "output": str(output)})["job"]
    end = time.monotonic() + 5
    while dht(node)["lookups_done"] == before and time.monotonic() < end:
        time.sleep(0.05)
    delete(node, f"/api/jobs/{job}")


def real(options):
    with shoal.Nodes() as nodes, concurrent.futures.ThreadPoolExecutor(16) as pool:
        links = unknown_links(nodes, options.nodes * options.rounds)
        all_nodes = [nodes.node(f"n{index}", config=f"[dht]\nk = {options.k}\n") for index in range(options.nodes)]
        all_nodes[0].up("--private")
        invite = all_nodes[0].invite()
        for node in all_nodes[1:]:
            node.join(invite).spawn()
        for node in all_nodes:
            node.wait_ready(120)
        shoal.wait_for(lambda: all(d["joined"] for d in counters(pool, all_nodes)), "all to have joined", 120, 1)
        time.sleep(options.settle)
        started = time.monotonic()
        before = counters(pool, all_nodes)
        for turn in range(options.rounds):
            at = started + turn * options.pace
            time.sleep(max(0, at - time.monotonic()))
            work = zip(all_nodes, links[turn * options.nodes:])
            list(pool.map(lambda pair: look_up(pair[0], pair[1], nodes.path(f"out-{pair[0].name}-{turn}")), work))
        time.sleep(max(0, started + options.rounds * options.pace - time.monotonic()))
        after = counters(pool, all_nodes)
        took = time.monotonic() - started
    lookups = sum(a["lookups_done"] - b["lookups_done"] for a, b in zip(after, before))
    hops = sum(a["lookups_done"] * a["lookup_hops_mean_x100"] - b["lookups_done"] * b["lookup_hops_mean_x100"] for a, b in zip(after, before))
    print(f"real: {lookups} look-ups in {took:.0f} s, {sum(a['lookups_failed'] - b['lookups_failed'] for a, b in zip(after, before))} failed; "
          f"contacts {statistics.median(a['contacts'] for a in after)}, round trip {statistics.median(a['lookup_rtt_mean_us'] for a in after) / 1000:.1f} ms, "
          f"median of the nodes' mean hops {statistics.median(a['lookup_hops_mean_x100'] for a in after) / 100:.2f}", flush=True)
    return took, {"hops": hops / 100 / lookups,
                  "messages": sum(a["datagrams_out"] - b["datagrams_out"] for a, b in zip(after, before)) / lookups,
                  "bytes": sum(a["bytes_out"] - b["bytes_out"] for a, b in zip(after, before)) / lookups}


def simulated(options, took):
    """The same in virtual time: one-way 200 us, whole nodes, as many look-ups in as long."""
    settings = {"scenario.streams": "yes", "scenario.crypto": "cheap", "scenario.check_every": "0",
                "scenario.join_spread": "10s", "scenario.warm": f"{options.settle + 15}s", "scenario.measure": f"{took:.0f}s",
                "net.latency": "constant", "net.latency_min": "0.2ms", "net.floor": "0.1ms",
                "node.dht.k": str(options.k), "node.dht.private_limits": "yes", "load.miss.every": f"{took / options.rounds:.2f}s",
                "load.lookup.every": "never", "load.announce.every": "never", "load.fetch.every": "never", "load.get.every": "never",
                "load.profiles": "0%"}
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    out = subprocess.run([SIMNET, "sweep", "hello", "--quiet", "--json", "--jobs", "1", "--seeds", f"1..{options.seeds}",
                          "--nodes", str(options.nodes), *words], capture_output=True, text=True, timeout=600)
    decoder, at, runs = json.JSONDecoder(), 0, []
    while at < len(out.stdout.rstrip()):
        run, at = decoder.raw_decode(out.stdout, at)
        at += len(out.stdout[at:]) - len(out.stdout[at:].lstrip())
        runs.append(run["metrics"])
    assert runs, out.stderr
    mean = lambda name: statistics.mean(run[name]["value"] for run in runs)
    print(f"simnet: {len(runs)} seeds, contacts {mean('node.contacts'):.0f}, look-ups of this load that were answered "
          f"{mean('miss.success') / 1e4:.1f} %, median of the nodes' mean hops {mean('lookup.hops') / 100:.2f}", flush=True)
    return {"hops": mean("per_lookup.hops") / 100, "messages": mean("per_lookup.messages") / 100, "bytes": mean("per_lookup.bytes")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("nodes", 60), ("k", 4), ("rounds", 20), ("pace", 8), ("settle", 20), ("seeds", 12)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    took, ours = real(options)
    theirs = simulated(options, took)
    bad = 0
    for name in ours:
        ratio = theirs[name] / ours[name]
        good = abs(ratio - 1) <= BAR
        bad += not good
        print(f"{'ok' if good else 'not ok'} - parity: {name} a look-up: {ours[name]:.2f} real, {theirs[name]:.2f} simulated, ratio {ratio:.3f}")
    deep = ours["hops"] >= 1.5 and theirs["hops"] >= 1.5
    print(f"{'ok' if deep else 'not ok'} - parity: look-ups take more than one hop")
    return 1 if bad or not deep else 0


if __name__ == "__main__":
    sys.exit(main())
