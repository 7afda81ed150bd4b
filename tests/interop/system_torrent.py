"""Content for the software people have: torrents and Metalinks from the gateway, judged by libtorrent, aria2c and transmission-cli, and torrents and
magnets that resolve to Shoal content."""
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

from shoal import Nodes, make_file, wait_for
from suite import need, test
from system_http import ask, free_port, up_with_web, web_port

PYTHON = "/usr/bin/python3"  # Debian's, which has python3-libtorrent
FETCH = """
import libtorrent as lt, sys, time
s = lt.session({'listen_interfaces': '127.0.0.1:0', 'enable_dht': False, 'enable_lsd': False, 'enable_upnp': False, 'enable_natpmp': False,
                'ssrf_mitigation': False})
i = lt.torrent_info(sys.argv[1])
h = s.add_torrent({'ti': i, 'save_path': sys.argv[2]})
print(i.info_hashes().has_v1(), i.info_hashes().has_v2(), i.piece_length(), i.info_hashes().v2 if i.info_hashes().has_v2() else '')
for _ in range(600):
    if h.status().is_seeding: sys.exit(0)
    time.sleep(.05)
print(h.status().error, h.status().progress); sys.exit(1)
"""
MAKE = """
import libtorrent as lt, sys, os
fs = lt.file_storage(); lt.add_files(fs, sys.argv[1])
t = lt.create_torrent(fs, 1 << 20, {'v2': lt.create_torrent.v2_only, 'hybrid': 0, 'v1': lt.create_torrent.v1_only}[sys.argv[3]])
lt.set_piece_hashes(t, os.path.dirname(sys.argv[1])); open(sys.argv[2], 'wb').write(lt.bencode(t.generate()))
"""


def has_libtorrent():
    return os.path.exists(PYTHON) and subprocess.run([PYTHON, "-c", "import libtorrent"], capture_output=True).returncode == 0


def tree_at(path):
    (path / "sub" / "deeper").mkdir(parents=True)
    make_file(path / "big.bin", 5_300_001)
    make_file(path / "sub" / "mid.bin", 1 << 20, seed=2)
    make_file(path / "sub" / "deeper" / "a b + ü.txt", 1234, seed=3)
    (path / "empty").write_bytes(b"")
    make_file(path / "z.bin", 2_000_000, seed=4)
    return path


def same(a, b):
    for path in a.rglob("*"):
        if path.is_file():
            assert (b / path.relative_to(a)).read_bytes() == path.read_bytes(), path
    return True


def taken(node, link, name, query, world):
    status, body, fields = ask(web_port(node), f"/content/{link['id']}?n={name}&as={query}")
    assert status == 200, body
    path = pathlib.Path(world.path(f"{name}-{re.sub('[^a-z0-9]', '', query)}.torrent"))
    path.write_bytes(body)
    return path, fields


@test()
def libtorrent():
    """libtorrent: v2 and hybrid torrents of a file and of a tree come whole from the gateway alone"""
    need(has_libtorrent(), "python3-libtorrent is not installed")
    with Nodes() as world:
        a = world.node("a")
        up_with_web(a)
        one, tree = make_file(world.path("one.bin"), 7_654_321), tree_at(pathlib.Path(world.path("tree")))
        shares = a.run("share", str(one), str(tree), "--json").json()
        for share, name, original in ((shares[0], "one.bin", one), (shares[1], "tree", tree)):
            for query in ("torrent", "torrent&v=2"):
                path, fields = taken(a, share, name, query, world)
                assert fields["Content-Type"] == "application/x-bittorrent"
                into = pathlib.Path(world.path(f"into-{path.stem}"))
                got = subprocess.run([PYTHON, "-c", FETCH, str(path), str(into)], capture_output=True, text=True)
                assert got.returncode == 0, f"{path.name}: {got.stdout} {got.stderr}"
                v1, v2, _, infohash = got.stdout.split()
                assert v2 == "True" and (v1 == "True") == ("v=2" not in query), got.stdout
                if original.is_dir():
                    same(original, into / name)
                else:
                    assert (into / name).read_bytes() == original.read_bytes()
                magnet = ask(web_port(a), f"/content/{share['id']}?n={name}&as=" + query.replace("torrent", "magnet"))[1].decode()
                assert infohash in magnet, (infohash, magnet)


@test()
def other_clients():
    """aria2c takes hybrid torrents, transmission-cli one of version 1, aria2c and curl Metalinks with digests"""
    need(shutil.which("aria2c") and shutil.which("transmission-cli"), "aria2 or transmission-cli is not installed")
    with Nodes() as world:
        a = world.node("a")
        port = up_with_web(a)
        one, tree = make_file(world.path("one.bin"), 7_654_321), tree_at(pathlib.Path(world.path("tree")))
        shares = a.run("share", str(one), str(tree), "--json").json()
        quiet = ["--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--seed-time=0", "-q"]
        for share, name, original in ((shares[0], "one.bin", one), (shares[1], "tree", tree)):
            path, _ = taken(a, share, name, "torrent", world)
            into = pathlib.Path(world.path(f"aria-{name}"))
            got = subprocess.run(["aria2c", *quiet, f"--listen-port={free_port()}", "-d", str(into), str(path)], capture_output=True, text=True, timeout=60)
            assert got.returncode == 0, got.stdout + got.stderr
            same(tree, into / name) if original.is_dir() else None
            assert original.is_dir() or (into / name).read_bytes() == original.read_bytes()
            url = f"http://127.0.0.1:{port}/content/{share['id']}?n={name}&as=meta4"
            into = pathlib.Path(world.path(f"meta-{name}"))
            meta = pathlib.Path(world.path(f"{name}.meta4"))
            meta.write_bytes(ask(port, url.split(str(port))[1])[1])
            got = subprocess.run(["aria2c", "-q", "-d", str(into), "-M", str(meta)], capture_output=True, text=True, timeout=60)
            assert got.returncode == 0, got.stdout + got.stderr
            same(tree, into / name) if original.is_dir() else None
            assert original.is_dir() or (into / name).read_bytes() == original.read_bytes()
        # RFC 6249: once the digest is known, GET and HEAD tell it with the links.
        fields = ask(port, f"/content/{shares[0]['id']}?n=one.bin", "HEAD")[2]
        assert fields["Digest"] == "SHA-256=" + base64.b64encode(hashlib.sha256(one.read_bytes()).digest()).decode()
        assert "rel=describedby" in fields["Link"] and "metalink4+xml" in fields["Link"]
        path, _ = taken(a, shares[0], "one.bin", "torrent&v=1", world)  # transmission 3.00 cannot read hybrids: an empty key ends its parser
        config, into = pathlib.Path(world.path("tc")), pathlib.Path(world.path("tr"))
        config.mkdir(), into.mkdir()
        (config / "settings.json").write_text(json.dumps({"dht-enabled": False, "lpd-enabled": False, "utp-enabled": False, "pex-enabled": False,
                                                           "port-forwarding-enabled": False, "bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1"}))
        process = subprocess.Popen(["transmission-cli", "-M", "-D", "-g", str(config), "-w", str(into), "-p", str(free_port()), str(path)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: (into / "one.bin").exists() and (into / "one.bin").read_bytes() == one.read_bytes(), "transmission", 60, every=0.2)
        finally:
            process.kill()
            process.wait()


@test(slow=True)
def resolved():
    """torrents of others, of a file and of a tree, and magnets, resolve to Shoal content and are fetched; version 1 is refused in words"""
    need(has_libtorrent(), "python3-libtorrent is not installed")
    with Nodes() as world:
        a, b = world.node("a"), world.node("b")
        a.up("--http", "127.0.0.1:0")
        one, tree = make_file(world.path("one.bin"), 3_654_321), tree_at(pathlib.Path(world.path("tree")))
        shares = a.run("share", str(one), str(tree), "--json").json()
        b.join(a.invite()).up("--http", "127.0.0.1:0")
        wait_for(lambda: b.contacts() or None, "the nodes to know each other")
        for share, path, kind in ((shares[0], one, "v2"), (shares[1], tree, "hybrid")):
            torrent = world.path(f"{kind}.torrent")
            made = subprocess.run([PYTHON, "-c", MAKE, str(path), str(torrent), kind], capture_output=True, text=True)
            assert made.returncode == 0, made.stderr
            into = pathlib.Path(world.path(f"got-{kind}"))
            into.mkdir()
            got = b.run("get", str(torrent), "-o", str(into), "--json")
            assert got.code == 0, got
            if path.is_dir():
                same(path, into / path.name)
            else:
                assert (into / path.name).read_bytes() == path.read_bytes()
            told = b.run("ls", "--json").json()
            assert any(s["id"] == share["id"] for s in told), "the tree of the torrent is another one"
        torrent = world.path("v1.torrent")
        subprocess.run([PYTHON, "-c", MAKE, str(one), str(torrent), "v1"], check=True)
        got = b.run("get", str(torrent), check=False)
        assert got.code != 0 and "version 1" in got.err, got
        magnet = ask(web_port(a), f"/content/{shares[0]['id']}?n=one.bin&as=magnet")[1].decode().strip()
        bare = magnet.split("&")[0]
        assert a.run("get", bare, "-o", world.path("m1")).code == 0, "a knows the torrent it made"
        assert b.run("get", magnet, "-o", world.path("m2")).code == 0
        assert pathlib.Path(world.path("m2")).read_bytes() == one.read_bytes()
        got = b.run("get", bare, check=False)
        assert got.code != 0 and ".torrent" in got.err, got
