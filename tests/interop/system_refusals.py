"""Input that must be refused with a sentence that says what to do: ids, links, invites, ports, homes, networks."""
import random
import socket
import subprocess

from shoal import Nodes, deep, make_file, wait_for, without_sources
from suite import Options, test

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


def refused(result, *words):
    assert result.code not in (0, -6, -11, 134, 139), result
    text = (result.err + result.out).lower()
    assert text.strip(), "refused without a word"
    for word in words:
        assert word in text, f"nothing about `{word}` in: {text}"


def damaged(text, start, end, generator, count):
    """`count` copies of text, each with one character in [start, end) replaced by another of the alphabet."""
    for _ in range(count):
        at = generator.randrange(start, end)
        other = generator.choice([c for c in ALPHABET if c != text[at].lower()])
        yield text[:at] + other + text[at + 1:]


@test()
def wrong_characters():
    """a link, an id or an invite with one wrong character is refused"""
    generator = random.Random(Options.seed)
    with Nodes() as world:
        one, two = world.network(2)
        shared = one.share(make_file(world.path("f"), 1000))[0]
        link, invite = shared["link"], one.invite()
        for bad in damaged(link, 6, 6 + 63, generator, 25):
            refused(two.run("get", bad, "-o", world.path("x"), check=False, timeout=20))
        for bad in damaged(shared["id"], 0, 63, generator, 5):
            refused(two.run("ls", bad, check=False, timeout=20))
        third = world.node("third")
        for bad in damaged(invite, invite.index(":") + 1, len(invite), generator, 25):
            refused(third.run("join", bad, check=False, timeout=20))
        for bad in ("", "shoal:", "shoal:abc", link[:-20] if "?" not in link else link.split("?")[0][:-1], "http://example.org/", "../../etc/passwd", "\u0430" * 63):
            refused(two.run("get", bad, "-o", world.path("x"), check=False, timeout=20))
        assert not world.path("x").exists()


@test()
def port_in_use():
    """a named port that is taken is an error that names it; a default one falls back"""
    with Nodes() as world, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        node = world.node("n")
        result = node.run("up", "--listen", f"127.0.0.1:{port}", check=False, timeout=20)
        refused(result, str(port))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        refused(node.run("up", "--listen", f"127.0.0.1:{udp.getsockname()[1]}", check=False, timeout=20), str(udp.getsockname()[1]))
        udp.close()


@test()
def second_node_on_one_home():
    """a second node on one home is refused and the first goes on"""
    with Nodes() as world:
        node = world.node("n").up()
        result = node.run("up", "--listen", "127.0.0.1:0", check=False, timeout=20)
        refused(result)
        assert node.status()["node"]
        # A home whose node died without a word is not taken for a running one.
        node.kill()
        node.up()


@test()
def invite_to_another_network():
    """an invite to another network is refused and --home is named"""
    with Nodes() as world:
        one, two = world.network(2)
        other = world.node("other", config="private = on\n").up()
        one.share(make_file(world.path("f"), 10))
        refused(one.run("join", other.invite(), check=False), "--home")
        # Joining one's own network again is no error.
        two.run("join", one.invite())


@test()
def nodes_of_two_networks():
    """nodes of two networks do not talk, even when told each other's address"""
    with Nodes() as world:
        one, two = world.network(2)
        other = world.node("other", config="private = on\n").up()
        link = one.link(make_file(world.path("f"), 1000))
        port = one.port()
        sourced = link + ("&" if "?" in link else "?") + f"s={one.status()['node']}@127.0.0.1:{port}"
        other.get_in_vain(sourced, world.path("g"))
        assert other.contacts() == 0
        two.get(sourced, world.path("g2"))


@test()
def lies_about_the_size():
    """a link whose size is a lie brings nothing under the final name"""
    with Nodes() as world:
        one, two = world.network(2)
        shared = one.share(make_file(world.path("f"), 100000))[0]
        lie = shared["link"].replace(shared["id"], with_size(shared["id"], 100001))
        two.get_in_vain(lie, world.path("g"))
        two.get(shared["link"], world.path("g2"))


def with_size(text, size):
    """The content id with another size and a right checksum."""
    bits = "".join(f"{ALPHABET.index(c):05b}" for c in text)
    raw = bytearray(int(bits[i:i + 8], 2) for i in range(0, 39 * 8, 8))
    kind = raw[32] >> 4
    raw[32:38] = ((kind << 44) | size).to_bytes(6, "big")
    crc = 0
    for byte in raw[:38]:
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 7) & 0xff if crc & 0x80 else crc << 1
    raw[38] = crc
    bits = "".join(f"{b:08b}" for b in raw) + "000"
    return "".join(ALPHABET[int(bits[i:i + 5], 2)] for i in range(0, 315, 5))


@test()
def configuration():
    """a wrong key in shoal.ini is refused with file, line and the nearest key"""
    with Nodes() as world:
        node = world.node("n")
        (node.home / "shoal.ini").write_text("[transfer]\nuplaod = 2MB/s\n")
        refused(node.run("up", check=False, timeout=20), "shoal.ini", "2", "upload")
        (node.home / "shoal.ini").write_text("[transfer]\nupload = 2\n")
        refused(node.run("up", check=False, timeout=20), "shoal.ini")


@test()
def outputs():
    """get never overwrites what is there, and says where it cannot write"""
    with Nodes() as world:
        one, two = world.network(2)
        link = one.link(make_file(world.path("f"), 1000))
        there = world.path("there")
        there.write_text("mine")
        refused(two.run("get", link, "-o", there, check=False))
        assert there.read_text() == "mine"
        refused(two.run("get", link, "-o", world.path("no/such/dir/x"), check=False, timeout=60))
        refused(one.run("share", world.path("nothing-here"), check=False))
        folder = world.path("folder")
        folder.mkdir()
        two.get(link, folder)
        assert subprocess.run(["cmp", str(world.path("f")), str(folder / "f")]).returncode == 0


@test(long=True)
def get_gives_up():
    """get --timeout: silence ends it with exit status 8, who was asked and the part kept; a wrong time is refused"""
    with Nodes() as world:
        seed = world.node("seed", config="[transfer]\nupload = 8MB/s\n").up()
        port = seed.port()
        leech = world.node("leech").join(seed.invite()).up()
        source = make_file(world.path("source"), 40 << 20)
        link, target = seed.link(source), world.path("got")
        for wrong in ("10", "1h30m", "soon", "-1s"):
            refused(leech.run("get", link, "-o", target, "--timeout", wrong, check=False), "time", "10m")
        # Served at 8 MB/s, then the seed dies in the middle: what follows is silence.
        command = leech.popen("get", link, "-o", target, "--timeout", "4s")
        wait_for(lambda: any(job["bytes_done"] > 8 << 20 for job in leech.api("/api/jobs")["jobs"]), "eight of forty MiB")
        seed.kill()
        text, _ = command.communicate(timeout=60)
        assert command.returncode == 8, (command.returncode, text)
        assert "nothing arrived for 4 s" in text and f"127.0.0.1:{port}" in text and "is kept" in text, text
        assert not target.exists() and world.path("got.part").exists(), sorted(p.name for p in world.base.iterdir())
        # The same command goes on from there.
        seed.up(listen=f"127.0.0.1:{port}")
        leech.get(link, target, "--timeout", "60s")
        assert target.read_bytes() == source.read_bytes()
        assert int(deep(seed.status(), "bytes_up")) < 36 << 20, "it began anew"
        # A link nobody has, with no address in it, and of a folder.
        tree = world.path("tree")
        make_file(tree / "one", 1000)
        link = without_sources(world.node("alone").up().link(tree))
        vain = leech.get(link, world.path("vain"), "--timeout", "2s", check=False)
        assert vain.code == 8 and "knows nobody who has it" in vain.err, vain
