#!/usr/bin/python3
"""Random questions about one zone full of corners (wildcards, empty names, delegations, CNAME and DNAME chains) to shoal, Knot and NSD: rcode, AA, answer
and authority sections must be what one of the two says. Needs knotd, nsd, python3-dnspython and build/release/bin/shoal.

  tests/interop/dns_beside.py [--count N] [--seed S]
"""
import argparse
import pathlib
import random
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
import dns.flags  # noqa: E402
import dns.message  # noqa: E402
import dns.query  # noqa: E402
import dns.rcode  # noqa: E402
import dns.rdatatype  # noqa: E402
from shoal import Nodes, die_with_parent, wait_for  # noqa: E402

ZONE = """$ORIGIN conf.test.
$TTL 300
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
@ NS ns.other.example.
@ MX 10 mail
@ MX 20 mail.sub
ns A 192.0.2.1
mail A 192.0.2.2
mail AAAA 2001:db8::2
www CNAME mail
c2 CNAME www
dead CNAME nothing
out CNAME www.example.com.
l1 CNAME l2
l2 CNAME l1
tosub CNAME x.sub
towild CNAME x.wild
todn CNAME x.dn
*.wild A 192.0.2.3
*.wild MX 10 mail
a.wild TXT "here"
x.y.wild TXT "deeper"
*.cw CNAME mail
*.cd CNAME nothing
a.b.c.ent A 192.0.2.9
*.b.ent TXT "below"
sub NS ns.sub
sub NS ns.far.example.
sub NS mail
ns.sub A 192.0.2.54
mail.sub A 192.0.2.55
sub2 NS ns.sub2
sub2 DS 1 8 2 0000000000000000000000000000000000000000000000000000000000000000
ns.sub2 A 192.0.2.56
deep.sub2 A 192.0.2.57
dn DNAME e
x.e A 192.0.2.88
y.e CNAME mail
dn TXT "at"
dn2 DNAME www.example.com.
* TXT "top wildcard"
_s._tcp SRV 1 2 80 mail
"""
LABELS = "@ ns mail www c2 dead out l1 l2 tosub towild todn wild a x y z * cw cd ent b c sub sub2 dn e dn2 deep _s _tcp nothing".split()
TYPES = "A AAAA MX NS TXT CNAME SOA SRV DS DNAME TYPE1000".split()
KNOT = """server:
    rundir: "{d}"
    listen: 127.0.0.1@{port}
database:
    storage: "{d}/db"
zone:
  - domain: conf.test
    file: "{d}/zone"
"""
NSD = """server:
  port: {port}
  ip-address: 127.0.0.1
  username: ""
  chroot: ""
  zonesdir: "{d}"
  database: ""
  pidfile: "{d}/nsd.pid"
  xfrdfile: "{d}/xfrd.state"
  zonelistfile: "{d}/zone.list"
remote-control:
  control-enable: no
zone:
  name: conf.test
  zonefile: zone
"""


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(port, message):
    answer = dns.query.udp(message, "127.0.0.1", port=port, timeout=3)
    sections = [sorted(f"{s.name} {dns.rdatatype.to_text(s.rdtype)} {r}".lower() for s in section for r in s) for section in (answer.answer, answer.authority)]
    rcode, aa = dns.rcode.to_text(answer.rcode()), bool(answer.flags & dns.flags.AA)
    if sections[0] and aa and rcode == "NOERROR" and all(line.startswith("conf.test. ns") for line in sections[1]):
        sections[1] = []  # the zone's name servers beside an answer: some give them, some do not
    return rcode, aa, sections[0], sections[1]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=1500)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    random.seed(a.seed)
    ports, different = {"knot": free_port(), "nsd": free_port()}, 0
    with Nodes() as nodes, tempfile.TemporaryDirectory() as d:
        node = nodes.node("a")
        for place in (pathlib.Path(d), node.home):
            (place / "zone").write_text(ZONE)
        pathlib.Path(d, "knot.conf").write_text(KNOT.format(d=d, port=ports["knot"]))
        pathlib.Path(d, "nsd.conf").write_text(NSD.format(d=d, port=ports["nsd"]))
        others = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
                  for command in (["knotd", "-c", f"{d}/knot.conf"], ["nsd", "-d", "-c", f"{d}/nsd.conf"])]
        node.up("--dns", "127.0.0.1:0", "--set", "dns.zone-file=zone")
        ports["shoal"] = int(node.status()["dns"].rsplit(":", 1)[1])

        def up(port):
            try:
                return ask(port, dns.message.make_query("conf.test", "SOA"))[0] == "NOERROR"
            except (OSError, dns.exception.Timeout):
                return False
        try:
            for name, port in ports.items():
                wait_for(lambda: up(port), name)
            for _ in range(a.count):
                labels = [label for label in random.choices(LABELS, k=random.choice((1, 1, 2, 2, 3, 4))) if label != "@"]
                message = dns.message.make_query(".".join(labels + ["conf.test."]), random.choice(TYPES), use_edns=random.choice((-1, 0)), flags=0)
                said = {name: ask(port, message) for name, port in ports.items()}
                if said["shoal"] not in (said["knot"], said["nsd"]):
                    different += 1
                    print(f"not ok - {message.question[0]}", *(f"#   {name:6} {answer}" for name, answer in said.items()), sep="\n")
        finally:
            for other in others:
                other.terminate()
                other.wait()
    print(f"{a.count} questions, {different} answered otherwise than by Knot and NSD")
    return different != 0


if __name__ == "__main__":
    sys.exit(main())
