#!/usr/bin/python3
"""How an authoritative DNS server keeps to RFC 1035, 2308, 6891, 7766, 7873 and 8906 (the checks of ISC's EDNS compliance tester among them): 37 checks
by raw packets, standard library only. It knows nothing of shoal: Knot, NSD and BIND are judged by the same lines.

  dns_conformance.py ADDRESS PORT ZONE        ZONE must hold the records of zone_text() below
  dns_conformance.py --zone ZONE              prints them
"""
import random
import socket
import struct
import sys
import time

A, NS, SOA, MX, TXT, OPT, ANY, TYPE1000 = 1, 2, 6, 15, 16, 41, 255, 1000
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH = 0, 1, 2, 3, 4, 5, 9
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
CHECKS = []


def zone_text(zone):
    return (f"$ORIGIN {zone}.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\n@ MX 10 mail\nns A 192.0.2.1\nmail A 192.0.2.2\n"
            "www CNAME mail\n*.wild A 192.0.2.3\n" + "".join(f"big TXT \"{i:0100d}\"\n" for i in range(30)) + "".join(f"mid TXT \"{i:0100d}\"\n" for i in range(6)))


def check(text):
    def mark(function):
        CHECKS.append((text, function))
        return function
    return mark


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def opt(version=0, size=1232, flags=0, options=b"", owner=b"\0"):
    return owner + struct.pack(">HHBBHH", OPT, size, 0, version, flags, len(options)) + options


def option(code, data=b""):
    return struct.pack(">HH", code, len(data)) + data


def query(name, qtype, flags=0, qclass=1, extra=b"", extras=None, questions=1, opcode=0, ident=None):
    ident = random.randrange(65536) if ident is None else ident
    return struct.pack(">HHHHHH", ident, flags | opcode << 11, questions, 0, 0, (1 if extra else 0) if extras is None else extras) + (
        wire(name) + struct.pack(">HH", qtype, qclass)) * questions + extra


class Answer:
    """Strict: a message that cannot be read whole is an assertion error."""
    def __init__(self, data):
        self.data = data
        self.id, self.flags, *counts = struct.unpack(">HHHHHH", data[:12])
        assert self.flags & QR, "QR is not set"
        self.rcode, self.opcode = self.flags & 15, self.flags >> 11 & 15
        at, self.questions, self.sections, self.opt = 12, [], [], None
        for _ in range(counts[0]):
            name, at = self.name(at)
            self.questions.append((name, *struct.unpack(">HH", data[at:at + 4])))
            at += 4
        for count in counts[1:]:
            section = []
            for _ in range(count):
                name, at = self.name(at)
                kind, klass, ttl, size = struct.unpack(">HHIH", data[at:at + 10])
                at += 10
                assert at + size <= len(data), "a record runs over the end"
                if kind == OPT:
                    assert self.opt is None and name == b"\0", "a second OPT, or OPT of a name"
                    self.opt = (klass, ttl >> 24, ttl >> 16 & 255, ttl & 0xffff, self.options(data[at:at + size]))
                else:
                    section.append((name.lower(), kind, ttl, data[at:at + size]))
                at += size
            self.sections.append(section)
        assert at == len(data), "bytes behind the last record"
        self.answer, self.authority, self.additional = self.sections
        if self.opt:
            self.rcode |= self.opt[1] << 4

    def options(self, data):
        found, at = [], 0
        while at < len(data):
            code, size = struct.unpack(">HH", data[at:at + 4])
            found.append((code, data[at + 4:at + 4 + size]))
            at += 4 + size
        assert at == len(data), "options run over the end"
        return found

    def name(self, at):
        out, end, limit = b"", None, at
        while True:
            n = self.data[at]
            if n >= 0xc0:
                to = (n & 0x3f) << 8 | self.data[at + 1]
                assert to < limit, "a pointer forwards"
                end = end or at + 2
                limit = at = to
                continue
            out += self.data[at:at + 1 + n]
            at += 1 + n
            if n == 0:
                return out, end or at

    def has(self, section, kind):
        return any(record[1] == kind for record in section)


class Server:
    def __init__(self, address, port, zone):
        self.address, self.port, self.zone = address, port, zone
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def raw(self, message, wait=1.0, tries=2):
        """One datagram; the answer, or None."""
        for _ in range(tries):
            with socket.socket(self.family, socket.SOCK_DGRAM) as s:
                s.settimeout(wait)
                s.connect((self.address, self.port))
                s.send(message)
                try:
                    return s.recv(65535)
                except (socket.timeout, ConnectionRefusedError):
                    pass
        return None

    def udp(self, message):
        data = self.raw(message)
        assert data is not None, "no answer"
        answer = Answer(data)
        assert answer.id == struct.unpack(">H", message[:2])[0], "another id"
        return answer

    def connect(self):
        s = socket.socket(self.family, socket.SOCK_STREAM)
        s.settimeout(5)
        s.connect((self.address, self.port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    @staticmethod
    def read(s):
        data = b""
        while len(data) < 2 or len(data) < 2 + struct.unpack(">H", data[:2])[0]:
            part = s.recv(1 if len(data) < 2 else 2 + struct.unpack(">H", data[:2])[0] - len(data))
            if not part:
                return None
            data += part
        return data[2:]

    def tcp(self, message):
        with self.connect() as s:
            s.sendall(framed(message))
            data = self.read(s)
        assert data, "no answer"
        return Answer(data)


def framed(message):
    return struct.pack(">H", len(message)) + message


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def is_soa(s, a):
    expect(a.rcode == NOERROR and a.flags & AA and a.has(a.answer, SOA), f"rcode {a.rcode}, flags {a.flags:04x}, answer {len(a.answer)}")


# ---- RFC 1035, 2308, 8906 ----

@check("SOA without EDNS: authoritative, no OPT")
def plain(s):
    a = s.udp(query(s.zone, SOA))
    is_soa(s, a)
    expect(a.opt is None, "OPT to one who sent none")


@check("a type nobody knows: NOERROR, SOA in the authority section")
def unknown_type(s):
    a = s.udp(query(s.zone, TYPE1000))
    expect(a.rcode == NOERROR and not a.answer and a.has(a.authority, SOA), f"rcode {a.rcode}")


@check("a name that does not exist: NXDOMAIN with SOA, its time to live the smaller of two")
def nxdomain(s):
    a = s.udp(query("nothing." + s.zone, A))
    expect(a.rcode == NXDOMAIN and a.flags & AA and a.has(a.authority, SOA), f"rcode {a.rcode}")
    expect(a.authority[0][2] == 60, f"time to live {a.authority[0][2]}")


@check("no such type at a name: NOERROR with SOA")
def nodata(s):
    a = s.udp(query("mail." + s.zone, TXT))
    expect(a.rcode == NOERROR and not a.answer and a.has(a.authority, SOA), f"rcode {a.rcode}")


@check("a wildcard answers under the name that was asked")
def wildcard(s):
    a = s.udp(query("a.b.wild." + s.zone, A))
    expect(a.rcode == NOERROR and a.answer[0][0] == wire("a.b.wild." + s.zone), f"rcode {a.rcode}")


@check("a CNAME and what it leads to in one answer")
def cname(s):
    a = s.udp(query("www." + s.zone, A))
    expect([r[1] for r in a.answer] == [5, A], f"{a.answer}")


@check("RD is copied, RA is clear, AD and CD are clear, Z is clear")
def flags(s):
    a = s.udp(query(s.zone, SOA, flags=RD | AD | CD | Z))
    is_soa(s, a)
    expect(a.flags & RD and not a.flags & (RA | AD | CD | Z), f"flags {a.flags:04x}")


@check("the question comes back with its case (0x20)")
def case(s):
    name = "".join(c.upper() if i % 2 else c for i, c in enumerate("mail." + s.zone))
    a = s.udp(query(name, A))
    expect(a.questions[0][0] == wire(name) and a.answer, "the case has changed")


@check("ANY is answered with little")
def any_(s):
    a = s.udp(query("big." + s.zone, ANY, extra=opt(size=1232)))
    expect(a.rcode == NOERROR and (a.flags & TC or len(a.data) <= 1232), f"{len(a.data)} bytes")


@check("another zone: REFUSED")
def refused(s):
    a = s.udp(query("www.example.com", A, flags=RD))
    expect(a.rcode == REFUSED and not a.answer, f"rcode {a.rcode}")


@check("class HS: refused, and no data")
def class_hs(s):
    a = s.udp(query(s.zone, SOA, qclass=4))
    expect(a.rcode in (REFUSED, NOTAUTH, NOTIMP) and not a.answer, f"rcode {a.rcode}")


@check("two questions: FORMERR (RFC 9619)")
def two_questions(s):
    a = s.udp(query(s.zone, SOA, questions=2))
    expect(a.rcode == FORMERR and not a.answer, f"rcode {a.rcode}")


@check("opcode 15: NOTIMP, opcode kept, header alone")
def opcode(s):
    a = s.udp(struct.pack(">HHHHHH", 7, 15 << 11, 0, 0, 0, 0))
    expect(a.rcode == NOTIMP and a.opcode == 15, f"rcode {a.rcode}, opcode {a.opcode}")


@check("opcode 15 with every flag: NOTIMP, flags clear")
def opcode_flags(s):
    a = s.udp(struct.pack(">HHHHHH", 7, 15 << 11 | TC | RD | RA | Z | AD | CD, 0, 0, 0, 0))
    expect(a.rcode == NOTIMP and not a.flags & (AA | TC | RA | Z | AD | CD), f"rcode {a.rcode}, flags {a.flags:04x}")


@check("an answer is never answered")
def no_loop(s):
    expect(s.raw(query(s.zone, SOA, flags=QR), wait=0.3, tries=1) is None, "it was")


@check("half a header is never answered")
def short(s):
    expect(s.raw(b"\0\1\0\0\0\1", wait=0.3, tries=1) is None, "it was")


# ---- EDNS: RFC 6891, ISC's compliance tests ----

@check("EDNS 0: OPT of version 0")
def edns0(s):
    a = s.udp(query(s.zone, SOA, extra=opt()))
    is_soa(s, a)
    expect(a.opt and a.opt[2] == 0, "no OPT")


@check("EDNS 0 and a type nobody knows")
def edns_unknown_type(s):
    a = s.udp(query(s.zone, TYPE1000, extra=opt()))
    expect(a.rcode == NOERROR and not a.answer and a.opt, f"rcode {a.rcode}")


@check("EDNS 1: BADVERS, OPT of version 0, no data")
def edns1(s):
    a = s.udp(query(s.zone, SOA, extra=opt(version=1)))
    expect(a.rcode == 16 and a.opt[2] == 0 and not a.answer, f"rcode {a.rcode}")


@check("EDNS 1 with an option: BADVERS, no option back")
def edns1_option(s):
    a = s.udp(query(s.zone, SOA, extra=opt(version=1, options=option(100))))
    expect(a.rcode == 16 and not any(o[0] == 100 for o in a.opt[4]), f"rcode {a.rcode}")


@check("an option nobody knows is not answered, and does no harm")
def edns_option(s):
    a = s.udp(query(s.zone, SOA, extra=opt(options=option(100))))
    is_soa(s, a)
    expect(not any(o[0] == 100 for o in a.opt[4]), "it came back")


@check("options NSID, ECS, EXPIRE and COOKIE together")
def edns_options(s):
    a = s.udp(query(s.zone, SOA, extra=opt(options=option(3) + option(8, b"\0\1\0\0") + option(9) + option(10, b"12345678"))))
    is_soa(s, a)
    expect(not any(o[0] == 8 and len(o[1]) > 4 for o in a.opt[4]), "a client subnet of its own")


@check("flags of EDNS that nobody has defined come back clear")
def edns_flags(s):
    a = s.udp(query(s.zone, SOA, extra=opt(flags=0x0080)))
    is_soa(s, a)
    expect(a.opt[3] & 0x7fff == 0, f"{a.opt[3]:04x}")


@check("DO comes back")
def edns_do(s):
    a = s.udp(query(s.zone, SOA, extra=opt(flags=0x8000)))
    expect(a.opt[3] & 0x8000 and a.rcode == NOERROR, f"{a.opt}")


@check("EDNS of 512 bytes: no answer is larger")
def edns_512(s):
    a = s.udp(query("mid." + s.zone, TXT, extra=opt(size=512)))
    expect(len(a.data) <= 512 and a.flags & TC, f"{len(a.data)} bytes, flags {a.flags:04x}")


@check("EDNS of less than 512 bytes is taken for 512")
def edns_small(s):
    a = s.udp(query(s.zone, SOA, extra=opt(size=10)))
    is_soa(s, a)


@check("EDNS of 1,232 bytes: an answer of 700 comes whole")
def edns_1232(s):
    a = s.udp(query("mid." + s.zone, TXT, extra=opt(size=1232)))
    expect(len(a.answer) == 6 and not a.flags & TC, f"{len(a.answer)} records")


@check("EDNS of 65,535 bytes: no datagram that breaks into pieces")
def edns_large(s):
    a = s.udp(query("big." + s.zone, TXT, extra=opt(size=65535)))
    expect(len(a.data) <= 4096, f"{len(a.data)} bytes")


@check("two OPTs: FORMERR")
def two_opts(s):
    a = s.udp(query(s.zone, SOA, extra=opt() + opt(), extras=2))
    expect(a.rcode == FORMERR, f"rcode {a.rcode}")


# ---- Transport: RFC 7766 ----

@check("without EDNS: 512 bytes at most, TC")
def plain_512(s):
    a = s.udp(query("mid." + s.zone, TXT))
    expect(len(a.data) <= 512 and a.flags & TC, f"{len(a.data)} bytes")


@check("TCP: the whole of a large answer")
def tcp_large(s):
    a = s.tcp(query("big." + s.zone, TXT))
    expect(len(a.answer) == 30 and not a.flags & TC, f"{len(a.answer)} records")


@check("TCP: 50 queries at once, every one answered")
def tcp_pipeline(s):
    with s.connect() as c:
        c.sendall(b"".join(framed(query("mail." + s.zone, A, ident=i)) for i in range(50)))
        got = {Answer(s.read(c)).id for _ in range(50)}
    expect(got == set(range(50)), f"{len(got)} of 50")


@check("TCP: byte by byte")
def tcp_trickle(s):
    message = framed(query(s.zone, SOA))
    with s.connect() as c:
        for i in range(len(message)):
            c.sendall(message[i:i + 1])
            time.sleep(0.002)
        is_soa(s, Answer(s.read(c)))


@check("TCP: a second query after a pause on the same connection")
def tcp_again(s):
    with s.connect() as c:
        for _ in range(2):
            c.sendall(framed(query(s.zone, SOA)))
            is_soa(s, Answer(s.read(c)))
            time.sleep(0.5)


@check("TCP: the asker closes its half after asking, and is answered")
def tcp_half(s):
    with s.connect() as c:
        c.sendall(framed(query(s.zone, SOA)) + framed(query("big." + s.zone, TXT)))
        c.shutdown(socket.SHUT_WR)
        is_soa(s, Answer(s.read(c)))
        expect(len(Answer(s.read(c)).answer) == 30, "the second is not whole")


@check("TCP: EDNS too")
def tcp_edns(s):
    a = s.tcp(query(s.zone, SOA, extra=opt(size=512)))
    is_soa(s, a)
    expect(a.opt, "no OPT")


@check("TCP: a length of zero, and rubbish, do not stop the server")
def tcp_rubbish(s):
    with s.connect() as c:
        c.sendall(b"\0\0" + b"\xff" * 100)
    with s.connect() as c:
        c.sendall(b"\0\5hello")
    is_soa(s, s.tcp(query(s.zone, SOA)))


def run(address, port, zone, show=True):
    """How many passed, and how many there are; lines for those that did not."""
    server, failed = Server(address, port, zone), []
    for text, function in CHECKS:
        try:
            function(server)
        except (AssertionError, OSError, struct.error, IndexError, TypeError) as error:
            failed.append(f"{text}: {type(error).__name__} {error}")
    if show:
        for line in failed:
            print("not ok - " + line)
        print(f"{len(CHECKS) - len(failed)} of {len(CHECKS)}")
    return len(CHECKS) - len(failed), len(CHECKS), failed


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--zone":
        print(zone_text(sys.argv[2]), end="")
    elif len(sys.argv) == 4:
        sys.exit(run(sys.argv[1], int(sys.argv[2]), sys.argv[3])[2] != [])
    else:
        sys.exit(__doc__)
