"""What disks and other programs do to files while they are shared or fetched."""
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import shoal
from shoal import Node, Nodes, make_file, make_tree, same_tree, wait_for, without_sources
from suite import need, test


def same_file(a, b):
    return subprocess.run(["cmp", "-s", str(a), str(b)]).returncode == 0


def mentions(text, *words):
    for word in words:
        assert word in text, f"nothing about `{word}` in: {text}"


@test()
def special_files():
    """symlinks, sockets, pipes and devices in a shared tree are named and left out; nothing outside is followed"""
    with Nodes() as world:
        one, two = world.network(2)
        tree = make_tree(world.path("tree"), 6, 2000, folders=2)
        make_file(world.path("outside/secret"), 100)
        (tree / "to-file").symlink_to(world.path("outside/secret"))
        (tree / "to-dir").symlink_to(world.path("outside"))
        (tree / "loop").symlink_to(".")
        (tree / "dangling").symlink_to("nowhere")
        os.mkfifo(tree / "pipe")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(tree / "sock"))
            result = one.run("share", "--json", tree, check=False, timeout=30)
        text = result.out + result.err
        mentions(text, "pipe", "sock", "to-file")
        link = result.json()[0]["link"]
        two.get(link, world.path("got"))
        for name in ("to-file", "to-dir", "loop", "dangling", "pipe", "sock"):
            assert not os.path.lexists(world.path("got") / name), name
            (tree / name).unlink()
        assert same_tree(tree, world.path("got")) is None
        os.mkfifo(world.path("lone-pipe"))
        assert one.run("share", world.path("lone-pipe"), check=False, timeout=30).code != 0


@test()
def unreadable_file():
    """a file the node may not read is named; the rest of the tree is shared"""
    need(os.getuid() != 0 or shutil.which("setpriv"), "needs setpriv when run as root")
    with Nodes() as world:
        tree = make_tree(world.path("tree"), 6, 2000, folders=2)
        hidden = tree / "d00/hidden"
        make_file(hidden, 500)
        binary = shoal.BINARY
        wrapper = []
        if os.getuid() == 0:
            binary = str(world.path("shoal"))
            shutil.copy(shoal.BINARY, binary)
            wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            subprocess.run(["chown", "-R", "65534:65534", str(world.base)], check=True)
        node = world.node("n", wrapper=wrapper)
        if wrapper:
            subprocess.run(["chown", "-R", "65534:65534", str(node.home)], check=True)
        hidden.chmod(0)
        old, shoal.BINARY = shoal.BINARY, binary
        try:
            node.up()
            result = node.run("share", "--json", tree, check=False)
        finally:
            shoal.BINARY = old
        mentions(result.out + result.err, "hidden", "may not be read")
        assert result.json()[0]["link"].startswith("shoal:"), result


@test()
def change_while_shared():
    """a shared file that changed is not sent on; it is hashed anew and its new link works"""
    with Nodes() as world:
        one, two = world.network(2)
        source = make_file(world.path("s"), 2 << 20)
        link = one.link(source)
        data = bytearray(source.read_bytes())
        data[1234567] ^= 1
        source.write_bytes(data)
        two.get_in_vain(link, world.path("g"))
        new = one.link(source)
        assert new.split("?")[0] != link.split("?")[0]
        two.get(new, world.path("g2"))
        assert same_file(source, world.path("g2"))


@test(long=True)
def change_during_a_fetch():
    """a file that changes in the middle of a fetch never arrives wrong"""
    with Nodes() as world:
        one, two = world.network(2, config="[transfer]\nupload = 10MB/s\n")
        source = make_file(world.path("s"), 30 << 20)
        link = one.link(source)
        command = two.popen("get", link, "-o", world.path("g"))
        part = world.path("g.part")
        wait_for(lambda: part.exists() and part.stat().st_blocks * 512 > 3 << 20, "the fetch to begin")
        with open(source, "r+b") as f:
            f.seek(25 << 20)
            f.write(b"changed!" * 1000)
        try:
            text, _ = command.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            command.kill()
            command.communicate()
        assert not world.path("g").exists(), "it has the old link's name but cannot have its bytes"
        assert one.status()["node"]


@test(long=True)
def vanishing_files():
    """a file that vanishes from a shared tree, and a tree that vanishes whole: the node serves on"""
    with Nodes() as world:
        one, two = world.network(2)
        tree = make_tree(world.path("tree"), 6, 200000, folders=2)
        link = one.link(tree)
        other = make_file(world.path("other"), 50000)
        other_link = one.link(other)
        next(tree.glob("d00/*")).unlink()
        command = two.popen("get", link, "-o", world.path("g"))
        try:
            command.communicate(timeout=8)
        except subprocess.TimeoutExpired:
            command.kill()
            command.communicate()
        assert not world.path("g").exists()
        shutil.rmtree(tree)
        two.get(other_link, world.path("g2"))
        assert same_file(other, world.path("g2"))
        assert one.status()["node"]
        listed = one.run("ls").out
        assert "tree" in listed, listed


@test()
def there_already():
    """a file that lies there already is found by get without a byte, shared on, and served to others when the first owner is gone"""
    with Nodes() as world:
        one, two, three = world.network(3)
        file = make_file(world.path("file"), 3_000_000)
        link = one.link(file)
        shutil.copy(file, world.path("f"))
        two.get(link, world.path("f"))
        assert int(shoal.deep(two.status(), "bytes_down") or 0) < 1_000_000, "it was fetched again"
        one.stop()
        three.get(without_sources(link), world.path("g"))
        assert same_file(file, world.path("g"))


@test()
def vanishing_while_hashed():
    """files that come and go while their tree is hashed never break the node or the link"""
    with Nodes() as world:
        one, two = world.network(2)
        tree = make_tree(world.path("tree"), 400, 20000, folders=20)
        ended = threading.Event()

        def churn():
            index = 0
            while not ended.is_set():
                path = tree / f"d{index % 20:02}" / f"f{index % 400:05}"
                try:
                    path.rename(path.with_suffix(".away")) if path.exists() else path.with_suffix(".away").rename(path)
                except OSError:
                    pass
                index += 7
        thread = threading.Thread(target=churn)
        thread.start()
        try:
            result = one.run("share", "--json", tree, check=False, timeout=60)
        finally:
            ended.set()
            thread.join()
        assert one.status()["node"]
        link = one.link(tree)
        two.get(link, world.path("g"))
        assert same_tree(tree, world.path("g")) is None, result


@test()
def full_disk():
    """a disk that fills: a clear error, both nodes serve on, and the fetch completes when space returns"""
    need(os.getuid() == 0, "mounting a small tmpfs needs root")
    with Nodes() as world:
        one, two = world.network(2)
        small = world.path("small")
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(small)], capture_output=True).returncode:
            need(False, "mount says no here")
        try:
            ballast = make_file(small / "ballast", 6 << 20)
            source = make_file(world.path("s"), 10 << 20)
            link = one.link(source)
            command = two.popen("get", link, "-o", small / "g")
            job_says(two, "full", "space")
            assert not (small / "g").exists()
            two.get(one.link(make_file(world.path("s2"), 100000)), world.path("g2"))  # elsewhere there is room
            ballast.unlink()
            try:
                command.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                command.kill()
                command.communicate()
            if not (small / "g").exists():
                two.get(link, small / "g", timeout=60)
            assert same_file(source, small / "g")
        finally:
            two.stop()
            subprocess.run(["umount", "-l", str(small)])


@test()
def full_home():
    """a home on a disk that fills: clear errors, the node answers, and goes on when space returns"""
    need(os.getuid() == 0, "mounting a small tmpfs needs root")
    with Nodes() as world:
        one = world.node("one").up()
        home = world.path("two")
        home.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(home)], capture_output=True).returncode:
            need(False, "mount says no here")
        try:
            two = world.node("two").join(one.invite()).up()
            wait_for(lambda: two.contacts() >= 1, "the two to meet")
            ballast = home / "ballast"
            with open(ballast, "wb") as f:
                try:
                    while True:
                        f.write(b"x" * 65536)
                        f.flush()
                except OSError:
                    pass
            tree = make_tree(world.path("tree"), 3000, 10, folders=3)
            result = two.run("share", tree, check=False, timeout=60)
            assert result.code != 0 and ("full" in (result.out + result.err).lower() or "space" in (result.out + result.err).lower()), result
            assert two.status()["node"]
            ballast.unlink()
            assert two.link(tree).startswith("shoal:")
            assert two.stop() == 0
        finally:
            for node in world.nodes:
                node.stop()
            subprocess.run(["umount", "-l", str(home)])


def job_says(node, *words):
    """Waits until the status, the jobs or the log of the node mention one of the words."""
    def said():
        text = node.log()
        for path in ("/api/jobs", "/api/status"):
            try:
                text += str(node.api(path))
            except (OSError, AssertionError, ValueError):
                pass
        return any(word in text.lower() for word in words)
    wait_for(said, f"{node.name} to say one of {words}", 30)
