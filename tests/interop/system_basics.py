"""The main job by real processes: join, share, find, get, list, stop; what the commands promise to scripts."""
import json
import os
import re
import signal
import subprocess
import time

from shoal import Nodes, deep, make_file, make_tree, same_tree, wait_for, without_sources
from suite import test


def same_file(a, b):
    return subprocess.run(["cmp", "-s", str(a), str(b)]).returncode == 0


@test()
def files_of_all_sizes():
    """files of every interesting size arrive whole"""
    with Nodes() as world:
        one, two = world.network(2)
        for size in (0, 1, 16383, 16384, 16385, 262144, 1048576, 1048577, 5000001):
            source = make_file(world.path(f"s{size}"), size, size + 1)
            shared = one.share(source)[0]
            assert shared["size"] == size and shared["link"].startswith("shoal:") and re.fullmatch("[0-9a-f]{64}", shared["root"]), shared
            assert os.path.samefile(shared["path"], source), shared
            two.get(shared["link"], world.path(f"g{size}"))
            assert same_file(source, world.path(f"g{size}")), size


@test()
def roots_are_bep52():
    """roots are those of BEP 52 (vectors of FIELD.md)"""
    vectors = {1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
               16384: "4348e3b98e8a327b34ced39c1da9e67cdb4cd5e48e4d7960607a3ae403d35f0c",
               16385: "9d7887c65d577a0237fb3c0998b87b3a62762d03796889a2caea01db914ccbb8",
               49152: "c23d35ec942288a7d9b58d1d0446a76104660b7c72e5cf39f38bddb028ff8ca0",
               65537: "27e4ccf8e3d554bfce504235da1292c2c8beb24ba5b3e1cd62f41bd692517fbe",
               163840: "92ffcec5095fcb78750791a50e88be81c7ccf2a217902ab15da5a9dfe863e112"}
    with Nodes() as world:
        node = world.node("n").up()
        for size, root in vectors.items():
            path = world.path(f"v{size}")
            path.write_bytes(bytes(i % 251 for i in range(size)))
            assert node.share(path)[0]["root"] == root, size


@test()
def tree_through_the_dht():
    """a tree, found through the DHT alone, with names, modes and empty folders kept"""
    with Nodes() as world:
        nodes = world.network(5)
        tree = make_tree(world.path("tree"), 60, 3000)
        make_file(tree / "big.bin", 3 << 20)
        make_file(tree / "ünïcode name\u2003x", 10)
        (tree / "deep/er/and").mkdir(parents=True)
        make_file(tree / "deep/er/and/empty", 0)
        make_file(tree / "run.sh", 30).chmod(0o755)
        link = without_sources(nodes[1].link(tree))
        nodes[4].get(link, world.path("got"))
        difference = same_tree(tree, world.path("got"))
        assert difference is None, difference
        assert os.access(world.path("got") / "run.sh", os.X_OK) and not os.access(world.path("got") / "big.bin", os.X_OK)


@test()
def from_three_peers():
    """a newcomer fetches from three holders at once"""
    with Nodes() as world:
        nodes = world.network(5, config="[transfer]\nupload = 8MB/s\n")
        source = make_file(world.path("source"), 24 << 20)
        link = without_sources(nodes[0].link(source))
        started = time.monotonic()
        nodes[1].get(link, world.path(f"got-{nodes[1].name}"))
        alone = time.monotonic() - started
        nodes[2].get(link, world.path(f"got-{nodes[2].name}"))
        started = time.monotonic()
        nodes[4].get(link, world.path("got"))
        spent = time.monotonic() - started
        peers = nodes[4].run("peers", "--json").json()
        giving = sum(1 for text in re.findall(r'"bytes_down": *(\d+)', json.dumps(peers)) if int(text) > 0)
        assert same_file(source, world.path("got"))
        assert giving >= 3, peers
        assert spent < max(alone, 24 / 8), f"{spent:.1f} s: no faster than one holder's {alone:.1f} s"


@test()
def deterministic_links():
    """two owners of one tree get one link"""
    with Nodes() as world:
        nodes = [world.node("a").up(), world.node("b").up()]
        trees = [make_tree(world.path(f"{node.name}-tree/tree"), 30, 500) for node in nodes]
        os.utime(next(trees[0].glob("*/*")), (1, 1))
        ids = [node.share(tree)[0]["id"] for node, tree in zip(nodes, trees)]
        assert ids[0] == ids[1] and len(ids[0]) == 63, ids


@test()
def status_contract():
    """status --json has what scripts rely on"""
    with Nodes() as world:
        one, two = world.network(2)
        status = two.run("status", "--json").json()
        for key in ("node", "listen", "peers", "uptime_s", "reachable", "http", "ftp", "dns"):
            assert key in status, f"{key} is missing from {status}"
        assert re.fullmatch("[a-z2-7]{56}", status["node"]), status["node"]
        text = two.run("status").out
        assert status["node"] in text and "reach" in text.lower(), text


@test()
def listing():
    """ls lists shares, and a link's tree before any data; one path of it can be fetched"""
    with Nodes() as world:
        one, two = world.network(2)
        tree = make_tree(world.path("tree"), 12, 1000, folders=3)
        link = one.link(tree)
        assert "tree" in one.run("ls").out
        listed = two.run("ls", link).out
        assert "d00" in listed and "d02" in listed, listed
        assert deep(two.status(), "bytes_down") is None or int(deep(two.status(), "bytes_down")) < 12000


@test()
def find():
    """find asks a third node, and says so when nobody has it"""
    with Nodes() as world:
        nodes = world.network(5)
        link = nodes[0].link(make_file(world.path("f"), 1000))
        found = nodes[0].run("find", link)
        assert re.search(r"\b1\b", found.out), found
        nobody = nodes[1].run("find", never_shared(world), check=False)
        assert nobody.code != 0, nobody


def never_shared(world):
    """The link of a file that was shared where nobody hears of it. (A record of what was shared and is no more lives on for a while.)"""
    alone = world.node("alone", config="private = on\n").up()
    return without_sources(alone.link(make_file(world.path("never"), 778, 98)))


@test()
def get_without_a_node():
    """get works without a running node"""
    with Nodes() as world:
        one, two = world.network(2)
        source = make_file(world.path("s"), 3 << 20)
        link = one.link(source)
        third = world.node("third").join(one.invite())
        third.get(link, world.path("g"))
        assert same_file(source, world.path("g"))
        assert third.process is None


@test()
def interrupted_get():
    """Ctrl-C of get, then the same command again: resumes and completes"""
    with Nodes() as world:
        one, two = world.network(2, config="[transfer]\nupload = 10MB/s\n")
        source = make_file(world.path("s"), 30 << 20)
        link = one.link(source)
        for node in (two, world.node("without").join(one.invite())):
            output = world.path(f"got-{node.name}")
            command = node.popen("get", link, "-o", output)
            part = output.parent / (output.name + ".part")
            wait_for(lambda: part.exists() and part.stat().st_blocks * 512 > 4 << 20, f"{part} to grow")
            command.send_signal(signal.SIGINT)
            text, _ = command.communicate(timeout=20)
            assert command.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT), (command.returncode, text)
            assert not output.exists(), "the final name is there before the file is whole"
            node.get(link, output)
            assert same_file(source, output)
            assert not part.exists()


@test()
def sigterm_and_sigint():
    """SIGTERM and SIGINT end a node cleanly, status 0, also in the middle of a fetch; down does too"""
    with Nodes() as world:
        one, two = world.network(2, config="[transfer]\nupload = 5MB/s\n")
        link = one.link(make_file(world.path("s"), 20 << 20))
        command = two.popen("get", link, "-o", world.path("g"))
        wait_for(lambda: (world.path("g.part")).exists(), "the fetch to begin")
        assert two.stop() == 0, two.log()[-1000:]
        command.send_signal(signal.SIGINT)  # otherwise the command goes on with a node of its own
        command.communicate(timeout=20)
        assert not world.path("g").exists()
        two.up()
        two.process.send_signal(signal.SIGINT)
        two.process.wait(15)
        assert two.process.returncode == 0
        two.process = None
        one.run("down")
        one.process.wait(15)
        assert one.process.returncode == 0
        one.process = None
        assert one.run("status", check=False).code != 0


@test()
def restart_keeps():
    """shares, identity and contacts survive a restart; the network comes back without an invite"""
    with Nodes() as world:
        nodes = world.network(4)
        source = make_file(world.path("s"), 100000)
        link = without_sources(nodes[1].link(source))
        name = nodes[1].status()["node"]
        port = nodes[1].port()
        assert nodes[1].stop() == 0
        nodes[1].up(listen=f"127.0.0.1:{port}")
        assert nodes[1].status()["node"] == name
        wait_for(lambda: nodes[1].contacts() >= 2, "contacts from the cache")
        nodes[3].get(link, world.path("g"))
        assert same_file(source, world.path("g"))


@test()
def pins_and_gc():
    """pin, unpin and gc --dry-run"""
    with Nodes() as world:
        node = world.node("n").up()
        shared = node.share(make_tree(world.path("tree"), 5, 100))[0]
        node.run("pin", shared["link"])
        node.run("unshare", world.path("tree"))
        node.run("gc", "--dry-run")
        node.run("unpin", shared["link"])
        node.run("gc")


@test()
def help_everywhere():
    """--help of every command works without a home and ends with status 0"""
    with Nodes() as world:
        node = world.node("n")
        text = node.run("--help").out
        for command in "up invite join share unshare get ls status peers find pin unpin gc network down".split():
            assert re.search(rf"\b{command}\b", text), f"{command} is not in --help"
            assert node.run(*(["network", "rotate"] if command == "network" else [command]), "--help").out.strip()
        bad = node.run("frobnicate", check=False)
        assert bad.code != 0 and "frobnicate" in bad.err, bad
