"""The DNS gateway: names and a zone file by raw packets, dig, kdig and dnspython, through unbound, BIND and dnsmasq as forwarders; what hostile askers try."""
import base64
import hashlib
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request

import dns_conformance as conformance
from dns_conformance import A, NXDOMAIN, NOERROR, REFUSED, SOA, TXT, framed, opt, query
from shoal import Nodes, die_with_parent, wait_for
from suite import need, test

SRV, AAAA, PTR, NS = 33, 28, 12, 2


def up(nodes, name="a", *flags, zone=None):
    node = nodes.node(name)
    if zone:
        (node.home / "test.zone").write_text(zone)
        flags += ("--set", "dns.zone-file=test.zone")
    node.up("--dns", "127.0.0.1:0", "--http", "127.0.0.1:0", *flags)
    return node, int(node.status()["dns"].rsplit(":", 1)[1])


def records(answer):
    return [(kind, data) for _, kind, _, data in answer.answer]


def dig(port, *words, tool="dig", server="127.0.0.1"):
    """The lines of the answer section, words joined by one space."""
    extra = ["+nocookie", "+tries=2"] if tool == "dig" else ["+retry=1"]
    out = subprocess.run([tool, f"@{server}", "-p", str(port), "+time=3", *extra, *words], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL).stdout
    answer = re.search(r";; ANSWER SECTION:\n(.*?)\n(\n|;;)", out, re.S)
    status = re.search(r"status: (\w+)", out)
    return status[1] if status else "NO ANSWER", [re.sub(r"\s+", " ", line) for line in answer[1].splitlines()] if answer else []


def dig_all(port, questions, *flags):
    """Each question's status and its sorted answers without times to live, by one dig."""
    words = [word for question in questions for word in question]
    out = subprocess.run(["dig", "@127.0.0.1", "-p", str(port), "+time=3", "+tries=2", "+nocookie", *flags, *words], capture_output=True, text=True,
                         stdin=subprocess.DEVNULL).stdout
    found = []
    for part in out.split("->>HEADER<<-")[1:]:
        answer = re.search(r";; ANSWER SECTION:\n(.*?)\n(\n|;;)", part, re.S)
        lines = [re.sub(r"\s+\d+\s+IN\s+", " IN ", line).lower() for line in answer[1].splitlines()] if answer else []
        found.append((re.search(r"status: (\w+)", part)[1], sorted(re.sub(r"\s+", " ", line) for line in lines)))
    assert len(found) == len(questions), out
    return list(zip(questions, found))


@test()
def names():
    """DNS: what this node's own names answer, and what everything else does"""
    with Nodes() as nodes:
        node, port = up(nodes)
        me, server = node.status()["node"], conformance.Server("127.0.0.1", port, "shoal.alt")
        http = int(node.status()["http"].rsplit(":", 1)[1])
        share = pathlib.Path(nodes.base) / "file"
        share.write_text("content")
        content = node.run("share", str(share), "--json").json()[0]["id"]
        for name in (me, me.upper(), "self", content):
            answer = server.udp(query(name + ".shoal.alt", A, extra=opt()))
            assert records(answer) == [(A, b"\x7f\0\0\1")] and answer.flags & conformance.AA, name
        assert records(server.tcp(query(me + ".shoal.alt", A))) == [(A, b"\x7f\0\0\1")]
        assert b"node=" + me.encode() in server.udp(query(me + ".shoal.alt", TXT)).answer[0][3]
        srv = server.udp(query(f"_http._tcp.{me}.shoal.alt", SRV)).answer[0][3]
        assert struct.unpack(">HHH", srv[:6]) == (0, 0, http)
        assert records(server.udp(query(f"node.{me}.shoal.alt", A))) == [(A, b"\x7f\0\0\1")]
        wrong = me[:-5] + ("a" if me[-5] != "a" else "b") + me[-4:]
        for name in (wrong, "nobody", "www." + me, content[:-1] + ("a" if content[-1] != "a" else "b")):
            answer = server.udp(query(name + ".shoal.alt", A))
            assert answer.rcode == NXDOMAIN and answer.has(answer.authority, SOA), name
        for name in ("example.com", "alt", "shoal.alt.example", "localhost"):
            assert server.udp(query(name, A)).rcode == REFUSED, name
        assert f"127.0.0.1:{port}" in node.run("status").out
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/metrics") as metrics:
            counted = dict(re.findall(r'shoal_dns_total\{event="(\w+)"\} (\d+)', metrics.read().decode()))
        assert int(counted["queries"]) >= 16 and int(counted["nxdomain"]) == 4 and int(counted["refused"]) == 4, counted


def node_id(seed):
    """Text of the id of a node that does not exist, as node/base/id.c makes it: key, two bytes of BLAKE2b, version."""
    key = hashlib.sha256(b"%d" % seed).digest()
    return base64.b32encode(key + hashlib.blake2b(b"shoal node" + key + b"\x01", digest_size=32).digest()[:2] + b"\x01").decode().lower()


@test()
def other_nodes():
    """DNS: a pinned node by its name, its own addresses out of the DHT, back by its address; floods of nodes that do not exist"""
    with Nodes() as nodes:
        a = nodes.node("a")
        a.up("--http", "127.0.0.1:0")
        b = nodes.node("b")
        b.join(a.invite())
        b.up("--http", "127.0.0.1:0", "--dns", "127.0.0.1:0")
        wait_for(lambda: b.status()["peers"] >= 1, "b to know a")
        port, them = int(b.status()["dns"].rsplit(":", 1)[1]), a.status()["node"]
        server = conformance.Server("127.0.0.1", port, "shoal.alt")

        def ask(name, kind):
            data = server.raw(query(name + ".shoal.alt", kind, extra=opt()), wait=4, tries=1)
            assert data, f"{name}: no answer in 4 s"
            return conformance.Answer(data)

        assert ask("alice", A).rcode == NXDOMAIN
        assert records(ask(them, A)) == [(A, b"\x7f\0\0\1")]
        wait_for(lambda: records(ask("node." + them, A)) == [(A, b"\x7f\0\0\1")], "a's own addresses", timeout=20)
        b.run("name", "add", "alice", them)
        assert records(ask("alice", A)) == records(ask("ALICE", A)) == [(A, b"\x7f\0\0\1")]
        assert b"node=" + them.encode() in ask("alice", TXT).answer[0][3]
        assert records(ask("node.alice", A)) == [(A, b"\x7f\0\0\1")]
        # Nobody: SERVFAIL before a resolver gives up. Meanwhile what is in memory is answered at once.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", port))
            for i in range(250):  # what a socket holds until it is read
                s.send(query(f"node.{node_id(i)}.shoal.alt", A, ident=i))
            began = time.monotonic()
            assert ask("alice", A).rcode == NOERROR
            assert time.monotonic() - began < 1, "an answer from memory waited for others"
            s.settimeout(4)
            answered = {}
            while len(answered) < 250 and time.monotonic() - began < 8:
                try:
                    answer = conformance.Answer(s.recv(2000))
                    answered[answer.id] = answer.rcode
                except socket.timeout:
                    break
            assert set(answered.values()) == {conformance.SERVFAIL} and len(answered) == 250, (len(answered), set(answered.values()))
        # Over TCP others are not held up by one that waits (RFC 7766, 7).
        with server.connect() as c:
            c.sendall(framed(query(f"node.{node_id(9999)}.shoal.alt", A, ident=1)) + framed(query("alice.shoal.alt", A, ident=2)))
            order = [conformance.Answer(server.read(c)) for _ in range(2)]
        assert [answer.id for answer in order] == [2, 1] and [answer.rcode for answer in order] == [NOERROR, conformance.SERVFAIL]
        b.run("name", "remove", "alice")
        assert ask("alice", A).rcode == NXDOMAIN
        assert b.alive() and a.alive()


@test()
def suite_of_checks():
    """DNS: 37 checks of RFC 1035, 2308, 6891, 7766 on a zone file"""
    with Nodes() as nodes:
        _, port = up(nodes, zone=conformance.zone_text("conf.test"))
        passed, count, failed = conformance.run("127.0.0.1", port, "conf.test", show=False)
        assert not failed, "\n".join(failed)
        assert passed == count == 37


BAD_ZONES = [
    ("x.test. 60 A 192.0.2.1\n", "no SOA record"),
    ("x.test. 60 SOA a b 1 2 3 4 5\nx.test. 60 A 1.2.3\n", 'test.zone:2: "1.2.3" is not an IPv4 address'),
    ("$TTL 1h\n@ SOA a b 1 2 3 4\n", "test.zone:2: the record ends where a time should stand"),
    ("$INCLUDE more\n", "test.zone:1: \"$INCLUDE\" is not done here"),
]


@test()
def bad_settings():
    """DNS: a zone file that is wrong stops the start with file, line and what is wrong; so does a port in use"""
    with Nodes() as nodes:
        for i, (text, why) in enumerate(BAD_ZONES):
            node = nodes.node(f"z{i}")
            (node.home / "test.zone").write_text(text)
            result = node.run("up", "--listen", "127.0.0.1:0", "--http", "off", "--ftp", "off", "--dns", "127.0.0.1:0", "--set", "dns.zone-file=test.zone", check=False)
            assert result.code != 0 and why in result.err, f"{text!r}: {result!r}"
        node = nodes.node("b")
        for setting, why in (("dns.zone-file=nowhere", "cannot read"), ("dns.zone=a..b", "is not a domain name"), ("dns.rate-limit=x", "is not a whole number"),
                             ("dns.listen=localhost", "is not an address with a port")):
            result = node.run("up", "--listen", "127.0.0.1:0", "--http", "off", "--ftp", "off", "--set", setting, *([] if "listen" in setting else ["--dns", "127.0.0.1:0"]),
                              check=False)
            assert result.code != 0 and why in result.err, f"{setting}: {result!r}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            result = node.run("up", "--listen", "127.0.0.1:0", "--http", "off", "--ftp", "off", "--dns", f"127.0.0.1:{port}", check=False)
            assert result.code != 0 and "another program uses this port" in result.err, repr(result)


@test()
def zone_changes():
    """DNS: a zone file that changes is read again; one with a mistake is told in the log, and what was there stays"""
    with Nodes() as nodes:
        node, port = up(nodes, zone=conformance.zone_text("conf.test"))
        server, path = conformance.Server("127.0.0.1", port, "conf.test"), node.home / "test.zone"

        def rewrite(text):  # as editors do it
            (node.home / "new").write_text(text)
            (node.home / "new").rename(path)

        rewrite(conformance.zone_text("conf.test") + "fresh A 192.0.2.99\n")
        wait_for(lambda: server.udp(query("fresh.conf.test", A)).rcode == NOERROR, "the new name", timeout=20)
        rewrite("$ORIGIN conf.test.\nbroken A\n")
        wait_for(lambda: "what was read before is still served" in node.log() and "test.zone:2:" in node.log(), "the mistake in the log", timeout=20)
        assert server.udp(query("fresh.conf.test", A)).rcode == NOERROR
        rewrite(conformance.zone_text("conf.test"))
        wait_for(lambda: server.udp(query("fresh.conf.test", A)).rcode == NXDOMAIN, "the name to go", timeout=20)
        assert node.stop() == 0


@test(alone=True)
def hostile():
    """DNS: 10,000 queries on one connection, slow senders, readers who do not read, floods of rubbish and of unknown names"""
    with Nodes() as nodes:
        node, port = up(nodes, zone=conformance.zone_text("conf.test"))
        server = conformance.Server("127.0.0.1", port, "conf.test")
        pid = node.status()["pid"]

        # Somebody sends half a query and waits; somebody asks for large answers and never reads them.
        slow = server.connect()
        slow.sendall(b"\0\x40\x12")
        deaf = server.connect()
        deaf.setblocking(False)
        flood, sent = framed(query("big.conf.test", TXT)) * 1000, 0
        began = time.monotonic()
        try:
            while sent < 3_000_000:
                sent += deaf.send(flood)
        except BlockingIOError:
            pass
        # Nobody else notices: 10,000 queries on one connection, read while they are sent.
        with server.connect() as c:
            c.settimeout(20)
            pending, got = b"".join(framed(query("mail.conf.test", A, ident=i % 65536)) for i in range(10_000)), 0
            buffer = b""
            while got < 10_000:
                if pending:
                    n = c.send(pending[:30_000])
                    pending = pending[n:]
                buffer += c.recv(1 << 20)
                while len(buffer) >= 2 and len(buffer) >= 2 + struct.unpack(">H", buffer[:2])[0]:
                    size = struct.unpack(">H", buffer[:2])[0]
                    if got % 1000 == 0:
                        assert conformance.Answer(buffer[2:2 + size]).rcode == NOERROR
                    buffer, got = buffer[2 + size:], got + 1
        # 200 connections that say nothing, and one more that does.
        idle = [server.connect() for _ in range(600)]
        assert server.tcp(query("conf.test", SOA)).rcode == NOERROR
        # Rubbish, and names nobody has: each is answered or dropped, and the node goes on.
        random.seed(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", port))
            for i in range(5000):
                s.send(random.randbytes(random.randrange(80)) if i % 2 else query(f"node.{random.getrandbits(200):x}.shoal.alt", A))
        assert server.udp(query("conf.test", SOA)).rcode == NOERROR
        assert int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) < (600_000 if "dev" in os.environ.get("SHOAL_BINARY", "") else 150_000)
        slow.settimeout(12)
        assert slow.recv(10) == b"" and time.monotonic() - began < 15, "half a query was waited for too long"
        for one in idle + [slow, deaf]:
            one.close()
        assert node.alive()


@test()
def several_addresses():
    """DNS: bound to every address it answers from the one that was asked, and gives the gateway's address as it can be reached"""
    with Nodes() as nodes:
        node = nodes.node("a")
        node.up("--dns", "0.0.0.0:0", "--http", "127.0.0.1:0")
        port = int(node.status()["dns"].rsplit(":", 1)[1])
        for address in ("127.0.0.1", "127.0.0.7"):
            answer = conformance.Server(address, port, "shoal.alt").udp(query("node.shoal.alt", A))
            assert records(answer) == [(A, socket.inet_aton(address))], records(answer)
        mine = [line.split()[3].split("/")[0] for line in subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True).stdout.splitlines()
                if " lo " not in line] if shutil.which("ip") else []
        for address in mine[:1]:  # from there: the gateway is on loopback, which is not the asker's
            answer = conformance.Server(address, port, "shoal.alt").udp(query("self.shoal.alt", A))
            assert answer.rcode == NOERROR and not answer.answer, records(answer)
        if socket.has_ipv6 and pathlib.Path("/proc/net/if_inet6").exists():
            six = nodes.node("b")
            six.up("--dns", "[::]:0", "--http", "[::1]:0")
            port = int(six.status()["dns"].rsplit(":", 1)[1])
            assert records(conformance.Server("::1", port, "shoal.alt").udp(query("self.shoal.alt", AAAA))) == [(AAAA, b"\0" * 15 + b"\1")]
            assert records(conformance.Server("127.0.0.1", port, "shoal.alt").udp(query("node.shoal.alt", A))) == [(A, b"\x7f\0\0\1")]


@test()
def clients():
    """DNS: dig and kdig, over UDP and TCP, with and without EDNS and cookies"""
    with Nodes() as nodes:
        tools = [tool for tool in ("dig", "kdig") if shutil.which(tool)]
        need(tools, "neither dig nor kdig is installed")
        node, port = up(nodes, zone=conformance.zone_text("conf.test"))
        me = node.status()["node"]
        for tool in tools:
            for flags in ((), ("+tcp",), ("+noedns",), ("+edns=0", "+bufsize=512"), ("+dnssec",), ("+cookie",)):
                assert dig(port, f"{me}.shoal.alt", "A", *flags, tool=tool) == ("NOERROR", [f"{me}.shoal.alt. 60 IN A 127.0.0.1"]), (tool, flags)
            assert dig(port, "big.conf.test", "TXT", tool=tool)[1][29], tool  # by TCP, of itself
            assert dig(port, "nothing.conf.test", "A", tool=tool)[0] == "NXDOMAIN"
            assert dig(port, "example.com", "A", tool=tool)[0] == "REFUSED"
            assert dig(port, "conf.test", "AXFR", tool=tool)[1] == []


@test()
def zone_by_another():
    """DNS: every record of a zone file with 40 types, as dnspython reads it"""
    try:
        import dns.message
        import dns.query
        import dns.rdatatype
        import dns.zone
    except ImportError:
        need(False, "python3-dnspython is not installed")
    text = (pathlib.Path(__file__).parent / "dns_types.zone").read_text()
    with Nodes() as nodes:
        _, port = up(nodes, zone=text)
        zone, count = dns.zone.from_text(text, relativize=False), 0
        for name, node in zone.nodes.items():
            for rdataset in node.rdatasets:
                answer = dns.query.udp_with_fallback(dns.message.make_query(name, rdataset.rdtype), "127.0.0.1", port=port, timeout=5)[0]
                got = {r.to_wire() for rrset in answer.answer for r in rrset if rrset.rdtype == rdataset.rdtype}
                assert got == {r.to_wire() for r in rdataset}, f"{name} {dns.rdatatype.to_text(rdataset.rdtype)}: {got}"
                count += 1
        assert count > 45, count


UNBOUND = """server:
    interface: 127.0.0.1@{port}
    chroot: ""
    username: ""
    pidfile: "{d}/unbound.pid"
    directory: "{d}"
    do-daemonize: no
    use-syslog: no
    do-not-query-localhost: no
    domain-insecure: "shoal.alt"
    domain-insecure: "conf.test"
    local-zone: "alt." nodefault
    local-zone: "test." nodefault
    cache-max-ttl: 1
stub-zone:
    name: "shoal.alt"
    stub-addr: 127.0.0.1@{upstream}
stub-zone:
    name: "conf.test"
    stub-addr: 127.0.0.1@{upstream}
remote-control:
    control-enable: no
"""
NAMED = """options {{ directory "{d}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; pid-file "{d}/named.pid"; session-keyfile "{d}/session.key";
    managed-keys-directory "{d}"; recursion yes; dnssec-validation no; empty-zones-enable no; allow-query {{ any; }}; lock-file none; }};
controls {{ }};
zone "shoal.alt" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {upstream}; }}; }};
zone "conf.test" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {upstream}; }}; }};
"""


def forwarders(directory, upstream):
    """name, port, process of each forwarder that is installed; each is configured with the lines of the manual."""
    found = []
    for name, program in (("unbound", "unbound"), ("dnsmasq", "dnsmasq"), ("bind", "named")):
        path = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        if not path:
            continue
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config = pathlib.Path(directory) / (name + ".conf")
        if name == "dnsmasq":
            config.write_text("".join(f"server=/{zone}/127.0.0.1#{upstream}\n" for zone in ("shoal.alt", "conf.test")) + "no-resolv\nno-hosts\n")
            command = [path, "-k", "-C", str(config), "-p", str(port), "-a", "127.0.0.1", "--bind-interfaces", "--pid-file", "-u", "root"]
        else:
            config.write_text((UNBOUND if name == "unbound" else NAMED).format(d=directory, port=port, upstream=upstream))
            command = [path, "-d", "-c", str(config)] if name == "unbound" else [path, "-g", "-c", str(config)]
        found.append((name, port, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)))
    return found


@test()
def through_forwarders():
    """DNS: unbound, dnsmasq and BIND forward the zones here with the lines of docs/dns.md, and give the same answers"""
    need(shutil.which("dig"), "dig is not installed")
    with Nodes() as nodes, tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        node, port = up(nodes, zone=conformance.zone_text("conf.test"))
        me = node.status()["node"]
        found = forwarders(directory, port)
        need(found, "none of unbound, dnsmasq, named is installed")
        questions = [(f"{me}.shoal.alt", "A"), (f"{me}.shoal.alt", "AAAA"), (f"{me}.shoal.alt", "TXT"), (f"{me}.shoal.alt", "MX"),
                     (f"_http._tcp.{me}.shoal.alt", "SRV"), (f"node.{me}.shoal.alt", "A"), ("nobody.shoal.alt", "A"), ("shoal.alt", "SOA"),
                     ("mail.conf.test", "A"), ("www.conf.test", "A"), ("a.b.wild.conf.test", "A"), ("nothing.conf.test", "A"), ("conf.test", "MX"),
                     ("big.conf.test", "TXT"), ("mail.conf.test", "TYPE1000")]
        direct = dig_all(port, questions)
        try:
            for name, forwarder, _ in found:
                wait_for(lambda: dig(forwarder, "mail.conf.test", "A")[0] == "NOERROR", f"{name} to forward")
                for flags in ((), ("+tcp",)):
                    for here, there in zip(direct, dig_all(forwarder, questions, *flags)):
                        assert here == there, f"{name} {flags}: {there} is not {here}"
        finally:
            for _, _, process in found:
                process.terminate()
                process.wait()
