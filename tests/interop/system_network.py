"""Private networks with running nodes: a new secret for all members, joining while the node runs, the printed QR code, and the database read by others."""
import fcntl
import os
import pty
import re
import shutil
import sqlite3
import struct
import subprocess
import termios

from shoal import BINARY, Nodes, die_with_parent, make_file, wait_for, without_sources
from suite import need, test


@test(long=True)
def rotate_three():
    """network rotate: three running members go on together, an outsider with the old invite stays out, the new invite lets in"""
    with Nodes() as world:
        a, b, c = (world.node(name) for name in "abc")
        a.up("--private")
        old = a.invite()
        b.join(old).up()
        c.join(old).up()
        for node in (a, b, c):
            wait_for(lambda: node.contacts() >= 2, f"{node.name} to know both others")
        job = a.run("network", "rotate", "--json", timeout=60).json()
        assert job["state"] == "done" and job["told"] == 2, job
        for node in (a, b, c):  # each starts again by itself, some twenty seconds later
            wait_for(lambda: "new secret" in node.log(), f"{node.name} to take the new secret")
        for node in (a, b, c):
            node.wait_ready()
        new = a.invite()
        assert new != old and b.invite().split(":")[0] == "shoal-invite"
        for node in (a, b, c):
            wait_for(lambda: node.contacts() >= 2, f"{node.name} to know both others again")
        source = make_file(world.path("source"), 300000)
        link = without_sources(c.link(source))
        b.get(link, world.path("got"), "--timeout", "60s")
        assert world.path("got").read_bytes() == source.read_bytes()
        outsider = world.node("outsider").join(old).up()
        said = outsider.get(c.link(source), world.path("stolen"), "--timeout", "5s", check=False)
        assert said.code == 8 and not world.path("stolen").exists(), said
        assert outsider.contacts() == 0 and all(node.contacts() == 2 for node in (a, b, c))
        late = world.node("late").join(new).up()
        late.get(link, world.path("late-got"), "--timeout", "60s")


@test()
def join_a_running_node():
    """join with a running node: it starts again in the new network by itself, and fetches there"""
    with Nodes() as world:
        host = world.node("host").up("--private")
        source = make_file(world.path("source"), 100000)
        link = host.link(source)
        guest = world.node("guest").up()
        process = guest.process
        said = guest.run("join", "-", input=host.invite() + "\n")
        assert "joined the private network" in said.out, said
        assert process.poll() is None, "the process is the same"
        guest.get(link, world.path("got"), "--timeout", "60s")
        assert world.path("got").read_bytes() == source.read_bytes()
        # It shares now: a home that is in use stays where it is.
        other = world.node("other").up("--private")
        refused = guest.run("join", other.invite(), check=False)
        assert refused.code == 1 and "--home" in refused.err, refused


@test()
def unshared_and_found_no_more():
    """unshare: within seconds a third node finds nobody, and who fetched it stops serving at once when it unshares too"""
    with Nodes() as world:
        nodes = world.network(4)
        source = make_file(world.path("source"), 3000000)
        links = {1: nodes[1].link(source)}
        nodes[2].get(links[1], world.path("got"), "--timeout", "60s")
        links[2] = nodes[2].link(world.path("got"))
        bare = without_sources(links[1])

        def providers():
            said = nodes[3].run("find", "--json", bare, check=False)
            assert said.code in (0, 4), said
            return said.json()["providers"]

        wait_for(lambda: providers() >= 1, "it to be found")
        nodes[1].run("unshare", source)
        nodes[2].run("unshare", world.path("got"))
        wait_for(lambda: providers() == 0, "both to be forgotten", timeout=8)
        said = nodes[3].get(links[2], world.path("late"), "--timeout", "2s", check=False)  # its hint helps no longer either
        assert said.code == 8 and not world.path("late").exists(), said


def on_a_terminal(node, *arguments, columns=140):
    """What a command prints on a terminal that wide."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    env = dict(node.env, TERM="xterm-256color", LC_ALL="C.UTF-8")
    env.pop("NO_COLOR", None)
    process = subprocess.Popen([BINARY, *arguments], env=env, stdin=slave, stdout=slave, stderr=slave, preexec_fn=die_with_parent)
    os.close(slave)
    text = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
    os.close(master)
    assert process.wait(20) == 0, text
    return text.decode()


def qr_image(text, path, scale=4):
    """The half blocks as a grey picture; how wide it was in characters."""
    rows = []
    for line in text.splitlines():
        cells = re.findall("\033\\[(30|97);(40|107)m\u2580", line)
        if cells:
            rows += [[0 if upper == "30" else 255 for upper, _ in cells], [0 if lower == "40" else 255 for _, lower in cells]]
    assert rows and len({len(row) for row in rows}) == 1, text
    width = len(rows[0])
    with open(path, "wb") as f:
        f.write(b"P5 %d %d 255\n" % (width * scale, len(rows) * scale))
        for row in rows:
            f.write(b"".join(bytes([value]) * scale for value in row) * scale)
    return width


@test()
def qr_codes_scan():
    """the QR code of an invite, read by zbar, is the invite; where it does not fit, none is drawn"""
    need(shutil.which("zbarimg"), "zbar-tools is not installed")
    with Nodes() as world:
        node = world.node("n").up("--private")
        invite = node.invite()
        text = on_a_terminal(node, "invite")
        width = qr_image(text, world.path("qr.pgm"))
        read = subprocess.run(["zbarimg", "--quiet", "--raw", str(world.path("qr.pgm"))], capture_output=True, text=True, timeout=30).stdout.strip()
        assert read.lower() == invite.lower(), (read, invite)
        newcomer = world.node("m").join(read)  # capitals and all
        assert newcomer.run("invite", check=False).code in (0, 3)
        assert "\u2580" not in on_a_terminal(node, "invite", columns=width - 1)
        assert "\u2580" in on_a_terminal(node, "invite", columns=width)


@test()
def database_read_by_others():
    """another process opens the database of a running node again and again while it writes; both see it whole, and so does the next start"""
    with Nodes() as world:
        node = world.node("n").up()
        folder = world.path("many")
        for index in range(40):
            make_file(folder / f"f{index}", 2000, index)
        sharing = None
        for index in range(40):
            if sharing is None or sharing.poll() is not None:
                assert sharing is None or sharing.returncode == 0, sharing.returncode
                sharing = node.popen("share", folder / f"f{index}", stdout=subprocess.DEVNULL)
            with sqlite3.connect(node.home / "shoal.db", timeout=10) as other:  # closing drops its locks, and must not drop the node's
                assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            other.close()
        assert sharing.wait(30) == 0
        node.share(*sorted(folder.iterdir()))
        node.kill()
        with sqlite3.connect(node.home / "shoal.db") as other:
            assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        other.close()
        node.up()
        assert len(node.run("ls", "--json").json()) == 40
        assert "malformed" not in node.log() and "disk image" not in node.log()


@test()
def control_socket():
    """the control socket from outside: statuses, pipelines, Expect, pages, a second node, a long home"""
    import cli_api
    cli_api.main()
