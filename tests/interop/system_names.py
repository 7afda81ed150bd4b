"""Names, sites and search between real nodes: a site published on one is opened by name on another, over HTTP; its changes are seen at once; a copy serves
while the publisher sleeps; what is listed is found by words."""
import http.client
import socket
import time

from shoal import Nodes, make_file, wait_for
from suite import test


def fetch(node, host, path="/", headers=None):
    """GET at the node's HTTP gateway under this Host: status, headers, body."""
    address = node.status()["http"]
    port = int(address.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": f"{host}:{port}" if host else address, **(headers or {})})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode(errors="replace")
    finally:
        connection.close()


def ask(port, name):
    """The A records of a name by one datagram; None: there is no such name."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(b"\x12\x34\0\0\0\1\0\0\0\0\0\0" + question, ("127.0.0.1", port))
        answer = s.recv(4096)
    if answer[3] & 15 == 3:
        return None
    assert answer[3] & 15 == 0, answer
    count, at, found = int.from_bytes(answer[6:8], "big"), 12 + len(question), []
    for _ in range(count):
        at += 2 if answer[at] >= 192 else answer.index(0, at) - at + 1
        size = int.from_bytes(answer[at + 8:at + 10], "big")
        if answer[at + 1] == 1:
            found.append(answer[at + 10:at + 10 + size])
        at += 10 + size
    return found


def node_id(node):
    return node.status()["node"]


def site(world, name, text):
    make_dir = world.path(name)
    make_dir.mkdir(exist_ok=True)
    (make_dir / "index.html").write_text(f"<!doctype html><title>{text}</title><h1>{text}</h1><a href=docs/a.txt>a</a>")
    (make_dir / "docs").mkdir(exist_ok=True)
    (make_dir / "docs" / "a.txt").write_text("text " + text)
    return make_dir


def three(world):
    a, b, c = (world.node(name) for name in "abc")
    a.up("--private", "--http", "127.0.0.1:0")
    invite = a.invite()
    for node in (b, c):
        node.join(invite).spawn("--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")
    for node in (b, c):
        node.wait_ready()
    for node in (a, b, c):
        wait_for(lambda: node.contacts() >= 2, f"{node.name} to know both others")
    return a, b, c


@test(alone=True)
def publish_and_open_by_name():
    """a site is published, opened by name over HTTP on another node, its update is seen within 2 s, and a copy serves it while its owner sleeps"""
    with Nodes() as world:
        a, b, c = three(world)
        folder = site(world, "site", "first")
        a.run("name", "me", "Alice")
        a.run("site", "publish", folder)
        key = node_id(a)
        # claimants are shown, nothing resolves until one is pinned
        assert b.run("get", "alice/index.html", "-o", world.path("x"), check=False).code == 4
        shown = wait_for(lambda: [c for c in b.run("name", "show", "alice", "--json", check=False).json()["claimants"]], "a claimant")
        assert shown[0]["node"] == key and shown[0]["nickname"] == "Alice", shown
        assert fetch(b, "alice.shoal.localhost")[0] == 404
        b.run("name", "add", "alice", key)
        status, head, _ = fetch(b, "alice.shoal.localhost", "/docs/a.txt?x=1")
        assert status == 307 and f"http://{key}.shoal.localhost:" in head["Location"] and head["Location"].endswith("/docs/a.txt?x=1"), head
        assert fetch(b, "ALICE.shoal.alt")[1]["Location"].startswith(f"http://{key}.shoal.alt:")
        wait_for(lambda: "first" in fetch(b, f"{key}.shoal.localhost")[2], "the site at its own origin")
        status, head, body = fetch(b, f"{key}.shoal.localhost")
        assert status == 200 and "sandbox" not in head.get("Content-Security-Policy", ""), head
        assert fetch(b, f"{key}.shoal.alt", "/docs/a.txt")[2] == "text first"
        status, head, body = fetch(b, None, "/name/alice/docs/a.txt")
        assert status == 200 and body == "text first" and "sandbox" in head["Content-Security-Policy"], (status, head)
        status, head, _ = fetch(b, None, "/name/alice/docs/", {"Sec-Fetch-Dest": "document"})
        assert status == 307 and f"{key}.shoal.localhost" in head["Location"] and head["Location"].endswith("/docs/"), head
        assert fetch(b, None, "/name/nobody/")[0] == 404
        assert fetch(b, f"{key[:-1] + ('a' if key[-1] != 'a' else 'b')}.shoal.localhost")[0] == 400
        assert fetch(b, "evil.example")[0] == 421
        status, head, _ = fetch(b, "shoal.alt")
        assert status == 307 and head["Location"] == f"http://{b.status()['http']}/", head
        # by DNS: what the name stands for, and the node's own addresses from its profile; a node never seen is waited for
        for node in (b, c):
            port = int(node.status()["dns"].rsplit(":", 1)[1])
            name = "alice" if node is b else key
            assert ask(port, f"{name}.shoal.alt") == [bytes([127, 0, 0, 1])], node.name
            assert ask(port, f"node.{name}.shoal.alt") == [bytes([127, 0, 0, 1])], node.name
        assert ask(int(b.status()["dns"].rsplit(":", 1)[1]), "nobody.shoal.alt") is None
        # names where links are taken
        assert "docs/" in b.run("ls", "alice").out
        b.run("get", "name:/alice/docs/a.txt", "-o", world.path("got"))
        assert world.path("got").read_text() == "text first"
        listing = b.run("name", "list", "--json").json()
        assert [n["petname"] for n in listing] == ["alice"] and listing[0]["nickname"] == "Alice", listing
        # an update, seen by who has looked lately
        site(world, "site", "second")
        a.run("site", "publish", folder)
        published = time.monotonic()
        wait_for(lambda: "second" in fetch(b, f"{key}.shoal.localhost")[2], "the update", every=0.02)
        took = time.monotonic() - published
        assert took < 2, f"the update was seen after {took:.2f} s"
        print(f"# update seen {took * 1000:.0f} ms after `site publish` ended")
        # c keeps a copy; a sleeps; b has never seen this version's file
        c.run("name", "add", "alice", key)
        c.run("site", "keep", "alice")
        wait_for(lambda: any((c.home / "sites" / key).glob("*/index.html")), "the copy")
        wait_for(lambda: c.api("/api/shares")["shares"], "the copy to be shared on")
        a.stop()
        make_file(world.path("other"), 1000)
        wait_for(lambda: fetch(b, None, "/name/alice/docs/a.txt")[2] == "text second", "the site of a sleeping node")
        # and after b started again, from what it kept; of the nodes it was told of one is left
        b.run("join", c.invite())
        b.stop()
        b.up("--http", "127.0.0.1:0")
        wait_for(lambda: "second" in fetch(b, f"{key}.shoal.localhost")[2], "the site after a restart")
        b.run("name", "remove", "alice")
        assert fetch(b, "alice.shoal.localhost")[0] == 404
        assert "second" in fetch(b, f"{key}.shoal.localhost")[2]  # its id works for ever


@test()
def names_refused():
    """names: bad names, taken names, look-alikes and wrong ids are refused or warned of in one line"""
    with Nodes() as world:
        a, b, _ = three(world)
        key, other = node_id(a), node_id(b)
        for name, word in (("a b", "not a name"), ("self", "kept"), ("_x", "inside"), ("x" * 41, "40"), ("x/y", "not a name")):
            said = b.run("name", "add", name, key, check=False)
            assert said.code == 5 and word in said.err and len(said.err.strip().splitlines()) == 1, (name, said)
        said = b.run("name", "add", "alice", key[:-1], check=False)
        assert said.code != 0 and "node" in said.err, said
        b.run("name", "add", "alice", key)
        said = a.run("name", "add", "me", key, check=False)
        assert said.code != 0 and "this node itself" in said.err, said
        third = node_id(world.nodes[2])
        said = b.run("name", "add", "Alice", third, check=False)
        assert said.code == 6 and "another node already" in said.err, said
        said = b.run("name", "add", "a1ice", third)
        assert "looks like" in said.err, said
        assert b.run("name", "show", "nobody", check=False).code == 4
        assert b.run("site", "publish", world.path("not-there"), check=False).code == 4
        assert other  # b itself keeps its own id


@test()
def search_finds():
    """search: what others list is found by its words, the same file of two nodes is one result with two holders, what is not listed is not found"""
    with Nodes() as world:
        a, b, c = three(world)
        same = make_file(world.path("Summer Holiday 2031.mp4"), 5000, 7)
        folder = world.path("papers")
        make_file(folder / "Zebra stripes été.pdf", 3000, 8)
        hidden = make_file(world.path("secret zebra plan.txt"), 3000, 9)
        a.run("share", same, folder)
        b.run("share", same)
        a.run("share", "--no-list", hidden)

        def found(words, count):
            results = c.run("search", "--json", *words.split(), check=False).json()["results"]
            return results if len(results) == count and all(r["holders"] for r in results) else None

        def both():
            results = c.run("search", "--json", "holiday", "SUMMER", check=False)
            if results.code != 0:
                return None
            r = results.json()["results"]
            return r if len(r) == 1 and r[0]["holders"] == 2 else None
        result = wait_for(both, "the holiday at two holders")[0]
        assert result["name"] == same.name and sorted(result["nodes"]) == sorted([node_id(a), node_id(b)]), result
        zebra = wait_for(lambda: found("zebra ete", 1), "the file in a folder")[0]
        assert zebra["name"] == "Zebra stripes été.pdf" and not zebra["local"], zebra
        assert c.run("search", "secret", "plan", check=False).code == 4
        c.get(zebra["link"], world.path("got.pdf"))
        assert world.path("got.pdf").read_bytes() == (folder / "Zebra stripes été.pdf").read_bytes()
        assert c.run("search", ".", check=False).code == 5
        assert a.run("search", "--here", "--json", "secret").json()["results"][0]["local"] is True
