"""The FTP gateway: the clients of python's library, curl and lftp on it, and by raw sockets what no honest client does."""
import ftplib
import io
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import zlib

from shoal import Nodes, UnixHTTP, make_file, wait_for
from suite import need, test

SECRET = "through the looking glass"


def ftp_port(node):
    return int(node.status()["ftp"].rsplit(":", 1)[1])


def up_with_ftp(node, *flags):
    node.up("--ftp", "127.0.0.1:0", *flags)
    return ftp_port(node)


def with_account(node, *flags):
    node.run("account", "add", "alice", input=SECRET + "\n")
    return up_with_ftp(node, *flags)


def client(port, user="anonymous", password="x"):
    f = ftplib.FTP()
    f.connect("127.0.0.1", port, timeout=30)
    f.login(user, password)
    return f


def alice(port):
    return client(port, "alice", SECRET)


def got(f, path, **options):
    out = io.BytesIO()
    f.retrbinary("RETR " + path, out.write, **options)
    return out.getvalue()


def refused(code, command, *arguments):
    """The reply must have this code."""
    try:
        answer = command(*arguments)
    except ftplib.all_errors as error:
        answer = str(error)
    assert str(answer).startswith(str(code)), f"{arguments}: {answer!r}, not {code}"


def too_much(f, code, path, size):
    """The server closes the data connection, perhaps while we write, and then says why."""
    f.voidcmd("TYPE I")
    try:
        with f.transfercmd("STOR " + path) as d:
            d.sendall(bytes(size))
    except ftplib.error_perm as error:
        raise AssertionError(f"refused before a byte came: {error}")
    except OSError:
        pass
    refused(code, f.voidresp)


class Raw:
    """A control connection by hand."""
    def __init__(self, port, *lines):
        self.s = socket.create_connection(("127.0.0.1", port))
        self.s.settimeout(20)
        self.file = self.s.makefile("rb")
        assert self.reply()[0] == 220
        for line in lines:
            self.ask(line)

    def send(self, line):
        self.s.sendall(line.encode() + b"\r\n" if isinstance(line, str) else line)

    def reply(self):
        text = ""
        while True:
            line = self.file.readline().decode()
            assert line, f"the connection ended after {text!r}"
            text += line
            if line[:3].isdigit() and line[3] == " ":
                return int(line[:3]), text

    def ask(self, line):
        self.send(line)
        return self.reply()

    def passive(self):
        code, text = self.ask("EPSV")
        assert code == 229, text
        return int(text.split("|")[3])

    def close(self):
        self.file.close()
        self.s.close()


def visitor(port):
    return Raw(port, "USER ftp", "PASS x", "TYPE I")


def account(port):
    return Raw(port, "USER alice", "PASS " + SECRET, "TYPE I")


def nothing_left(node):
    def empty():
        folder = node.home / "incoming"
        return not folder.exists() or not os.listdir(folder)
    wait_for(empty, "home/incoming to be empty")


@test()
def reading():
    """visitors read what is shared: lists, facts, whole and in part, as bytes and as text, active and passive; nothing outside"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = up_with_ftp(a)
        tree = a.home.parent / "tree"
        big = make_file(tree / "sub dir" / "big.bin", 3_000_001)
        (tree / "text.txt").write_bytes(b"one\ntwo\n")
        for i in range(1100):
            (tree / "many").mkdir(exist_ok=True)
            (tree / "many" / f"{i:04}").write_bytes(b"")
        a.share(tree)
        data = big.read_bytes()
        for passive in (True, False):
            f = client(port)
            f.set_pasv(passive)
            assert f.pwd() == "/" and f.nlst() == ["content", "home", "name", "shared"]
            f.cwd("shared/tree/sub dir")
            refused(550, f.sendcmd, "SIZE big.bin")  # as text its size is not known
            f.voidcmd("TYPE I")
            assert f.pwd() == "/shared/tree/sub dir" and f.size("big.bin") == len(data)
            assert got(f, "big.bin") == data and got(f, "big.bin", rest=2_999_000) == data[2_999_000:] and got(f, "big.bin", rest=len(data)) == b""
            facts = dict(f.mlsd())["big.bin"]
            assert facts["size"] == str(len(data)) and facts["type"] == "file" and len(facts["unique"]) == 63
            assert got(f, f"/content/{facts['unique']}") == data
            assert f.sendcmd("XCRC big.bin") == f"250 {zlib.crc32(data):08X}"
            assert f.sendcmd('XCRC "big.bin" 10 1000') == f"250 {zlib.crc32(data[10:1000]):08X}"
            f.sendcmd("CDUP")
            assert f.nlst("*.txt") == ["text.txt"] and len(f.nlst("many")) == 1100
            f.voidcmd("TYPE A")
            with f.transfercmd("RETR text.txt") as d:
                assert d.makefile("rb").read() == b"one\r\ntwo\r\n"
            f.voidresp()
            with f.transfercmd("RETR text.txt", rest=6) as d:  # a place in the text as it is sent
                assert d.makefile("rb").read() == b"wo\r\n"
            f.voidresp()
            refused(550, got, f, "/etc/passwd")
            refused(550, got, f, "../../../../etc/passwd")
            refused(550, got, f, "/shared/tree/../../../etc/passwd")
            refused(550, got, f, "/shared")
            refused(550, f.cwd, "/shared/tree/text.txt")
            refused(532, f.mkd, "/home/alice")
            refused(532, f.storbinary, "STOR /home/alice/x", io.BytesIO(b"x"))
            refused(532, f.delete, "/shared/tree/text.txt")
            f.quit()
        assert a.alive()


@test()
def from_another_node():
    """what another node has streams through RETR, its folders through LIST; a changed file breaks off with 551, a missing one is 450"""
    with Nodes() as nodes:
        a, b = nodes.node("a"), nodes.node("b")
        a.up()
        tree = a.home.parent / "tree"
        data = make_file(tree / "deep" / "file.bin", 5_000_000).read_bytes()
        link = a.link(tree)
        b.run("join", a.invite())
        port = up_with_ftp(b)
        wait_for(lambda: b.status()["peers"] > 0, "b to know a")
        root = "/content/" + link[6:].split("?")[0]
        f = client(port)
        assert f.nlst(root) == ["deep"] and f.nlst(root + "/deep") == ["file.bin"]
        f.voidcmd("TYPE I")
        assert f.size(root + "/deep/file.bin") == len(data)
        assert got(f, root + "/deep/file.bin", rest=4_000_000) == data[4_000_000:]
        assert got(f, root + "/deep/file.bin") == data
        refused(550, f.cwd, "/content/" + link[6:60])
        local = b.home.parent / "changes.bin"
        make_file(local, 60_000_000)
        b.share(local)
        c = visitor(port)
        with socket.create_connection(("127.0.0.1", c.passive())) as d:
            assert c.ask("RETR /shared/changes.bin")[0] in (125, 150)
            assert len(d.recv(1000)) > 0
            with open(local, "r+b") as out:
                out.write(b"other")
            while d.recv(1 << 20):
                pass
        code, text = c.reply()
        assert code == 551, text
        c.close()


@test()
def writing():
    """an account stores, resumes, appends, renames and removes in its home; what it stored is shared; others' places are closed to it"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = with_account(a)
        refused(530, client, port, "alice", "not the password")
        refused(530, client, port, "bob", SECRET)
        f = alice(port)
        data = os.urandom(2_000_003)
        assert f.pwd() == "/home/alice"
        f.storbinary("STOR x.bin", io.BytesIO(data))
        assert f.size("x.bin") == len(data) and got(f, "x.bin") == data
        assert any(s["path"].endswith("files/alice/x.bin") for s in a.run("ls", "--json").json()), "not among the shares"
        facts = dict(f.mlsd())["x.bin"]
        assert got(client(port), "/content/" + facts["unique"]) == data, "not to be had under its id"
        f.storbinary("STOR x.bin", io.BytesIO(data[1000:] + b"more"), rest=1000)
        assert got(f, "x.bin") == data + b"more"
        refused(554, f.storbinary, "STOR x.bin", io.BytesIO(b""), 8192, None, 99_000_000)
        f.storbinary("APPE log", io.BytesIO(b"one"))
        f.storbinary("APPE log", io.BytesIO(b"two"))
        assert got(f, "log") == b"onetwo"
        f.storlines("STOR lines", io.BytesIO(b"a\nb\n"))
        assert got(f, "lines") == b"a\nb\n"
        f.voidcmd("TYPE I")
        before = set(f.nlst())
        f.storbinary("STOU", io.BytesIO(b"unique"))
        new = set(f.nlst()) - before
        assert len(new) == 1 and got(f, new.pop()) == b"unique"
        assert f.mkd("d") == "/home/alice/d"
        refused(550, f.mkd, "d")
        f.rename("log", "d/log 2")
        assert f.nlst("d") == ["log 2"]
        refused(550, f.rmd, "d")
        refused(550, f.delete, "d")
        refused(550, f.rename, "nothing", "x")
        f.delete("d/log 2")
        f.rmd("d")
        refused(550, f.cwd, "d")
        f.storbinary('STOR é€ ".bin', io.BytesIO(b"utf8"))
        assert 'é€ ".bin' in f.nlst()
        refused(553, f.storbinary, "STOR /shared/x", io.BytesIO(b"x"))
        refused(553, f.storbinary, "STOR /home/bob/x", io.BytesIO(b"x"))
        refused(550, f.cwd, "/home/bob")
        refused(550, f.mkd, "/home/bob")
        refused(553, f.storbinary, "STOR nowhere/x", io.BytesIO(b"x"))
        assert not (a.home / "files/bob").exists()
        f.voidcmd("ALLO 10")
        refused(552, f.storbinary, "STOR y", io.BytesIO(b"more than ten bytes"))
        assert "y" not in f.nlst()
        token = a.run("account", "token", "alice").out.strip().splitlines()[-1]
        c = Raw(port, "USER ftp", "PASS x")
        assert c.ask("ACCT wrong")[0] == 530 and c.ask("ACCT " + token)[0] == 230 and c.ask("PWD")[1] == '257 "/home/alice" is where you are\r\n'
        c.close()
        nothing_left(a)
        a.stop()
        a.up("--ftp", "127.0.0.1:0", "--set", "ftp.anonymous=off")
        c = Raw(ftp_port(a))
        assert c.ask("USER anonymous")[0] == 332 and c.ask("ACCT " + token)[0] == 230
        c.close()


@test()
def no_room():
    """over the quota is 552 and a full disk 452, before the first byte where ALLO tells and in the middle; nothing is left behind"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = with_account(a, "--set", "store.quota=20MB")
        f = alice(port)
        f.voidcmd("ALLO 50000000")
        refused(552, f.storbinary, "STOR x", io.BytesIO(bytes(1000)))
        too_much(f, 552, "x", 60_000_000)
        assert f.nlst() == []
        nothing_left(a)
        f.storbinary("STOR x", io.BytesIO(b"still serving"))
        f.quit()
        need(os.geteuid() == 0, "only root can mount a small disk")
        disk = nodes.base / "disk"
        disk.mkdir()
        need(subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True).returncode == 0, "cannot mount here")
        try:
            (disk / "disk").mkdir()  # its log
            b = nodes.node("disk/b")
            port = with_account(b)
            f = alice(port)
            f.storbinary("STOR kept", io.BytesIO(b"kept"))
            f.voidcmd("ALLO 50000000")
            refused(452, f.storbinary, "STOR x", io.BytesIO(bytes(1000)))
            too_much(f, 452, "x", 60_000_000)
            too_much(f, 452, "kept", 60_000_000)
            assert f.nlst() == ["kept"] and got(f, "kept") == b"kept"
            nothing_left(b)
            f.quit()
            b.stop()
        finally:
            subprocess.run(["umount", "-l", str(disk)])


@test()
def broken_off():
    """ABOR mid-way is 426 and 226, a client that vanishes leaves nothing, a file appears whole or not at all"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = with_account(a)
        big = make_file(a.home.parent / "big.bin", 40_000_000)
        a.share(big)
        c = visitor(port)
        with socket.create_connection(("127.0.0.1", c.passive())) as d:
            assert c.ask("RETR /shared/big.bin")[0] in (125, 150)
            d.recv(1000)
            assert c.ask("STAT")[1].count("RETR /shared/big.bin") == 1
            c.s.sendall(b"\xff\xf4")
            c.s.send(b"\xff\xf2", socket.MSG_OOB)  # Telnet's Synch, as tnftp sends it
            assert c.ask("ABOR")[0] == 426 and c.reply()[0] == 226
        c.s.sendall(b"NOOP\r\nPWD\r\n")
        assert c.reply()[0] == 200 and c.reply()[0] == 257
        c.close()
        c = account(port)
        with socket.create_connection(("127.0.0.1", c.passive())) as d:
            assert c.ask("STOR half")[0] in (125, 150)
            d.sendall(bytes(3_000_000))
            c.send("ABOR")
            assert c.reply()[0] == 426 and c.reply()[0] == 226
        for how in ("both", "reset"):
            with socket.create_connection(("127.0.0.1", c.passive())) as d:
                assert c.ask("STOR half")[0] in (125, 150)
                d.sendall(bytes(3_000_000))
                if how == "both":
                    c.close()  # as when the client is killed: the control connection ends, then the data connection
                else:
                    d.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            if how == "both":
                c = account(port)
            else:
                assert c.reply()[0] == 426
        nothing_left(a)
        assert alice(port).nlst() == []
        for _ in range(30):  # and again where nobody says goodbye
            v = visitor(port)
            d = socket.create_connection(("127.0.0.1", v.passive()))
            v.send("RETR /shared/big.bin")
            d.close()
            v.close()
        assert got(client(port), "/shared/big.bin", rest=39_999_000) == big.read_bytes()[39_999_000:]
        c.close()


@test()
def data_connections():
    """no data to third parties, none from other addresses, ports that run out are 425, lines of a megabyte end the session"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = up_with_ftp(a, "--set", "ftp.ports=42000-42001")
        (a.home.parent / "x").write_bytes(b"x" * 1000)
        a.share(a.home.parent / "x")
        c = visitor(port)
        for line in ("PORT 10,0,0,1,200,1", "PORT 127,0,0,2,200,1", "PORT 127,0,0,1,0,80", "EPRT |1|192.0.2.1|50000|", "EPRT |2|::1|50000|"):
            assert c.ask(line)[0] == 504, line
        assert c.ask("RETR /shared/x")[0] == 425
        first = c.passive()
        assert first in (42000, 42001)
        with socket.socket() as thief:
            thief.bind(("127.0.0.2", 0))
            thief.settimeout(10)
            thief.connect(("127.0.0.1", first))
            c.send("RETR /shared/x")
            assert c.reply()[0] == 150
            assert thief.recv(10) == b"", "the data went to another address"
            with socket.create_connection(("127.0.0.1", first)) as d:
                d.settimeout(20)
                assert len(d.makefile("rb").read()) == 1000
            assert c.reply()[0] == 226
        others = [visitor(port), visitor(port)]
        for other in others:
            other.passive()
        assert c.ask("EPSV")[0] == 425 and c.ask("PASV")[0] == 425
        others[0].close()
        wait_for(lambda: c.ask("EPSV")[0] == 229, "a port to be free again")
        assert c.ask("EPSV ALL")[0] == 200 and c.ask("PASV")[0] == 503 and c.ask("PORT 127,0,0,1,200,1")[0] == 503
        c.send("NOOP " + "x" * 100_000)
        assert c.reply()[0] == 500 and c.ask("NOOP")[0] == 200
        c.send(b"NOOP a\0b\r\nNOOP\nNO\xff\xf1OP\r\nNOOP \xc3(\r\n")
        assert [c.reply()[0] for _ in range(4)] == [500, 500, 200, 501]
        c.close()
        m = visitor(port)
        try:
            for _ in range(40):
                m.s.sendall(b"x" * 50_000)
        except OSError:
            pass
        assert a.alive()
        p = visitor(port)  # pipelined, more than anybody buffers, read slowly
        sender = threading.Thread(target=lambda: p.s.sendall(b"NOOP\r\n" * 100_000 + b"QUIT\r\n"), daemon=True)
        sender.start()
        time.sleep(0.2)
        assert sum(1 for line in p.file if line.startswith(b"200")) == 100_000
        sender.join()
        p.close()


@test()
def by_clients():
    """curl resumes both ways, lftp mirrors both ways"""
    need(shutil.which("lftp") and shutil.which("curl"), "curl or lftp is not installed")
    with Nodes() as nodes:
        a = nodes.node("a")
        port = with_account(a)
        work = nodes.base / "work"
        data = make_file(work / "up" / "sub" / "f.bin", 3_000_000).read_bytes()
        (work / "up" / "é.txt").write_text("text")

        def lftp(commands):
            done = subprocess.run(["lftp", "-e", f"set cmd:fail-exit yes; {commands}; bye", "-u", f"alice,{SECRET}", f"ftp://127.0.0.1:{port}"], cwd=work, capture_output=True, text=True,
                                  timeout=60, env={**os.environ, "HOME": str(work), "LC_ALL": "C.UTF-8"})
            assert done.returncode == 0, done
        lftp("mirror -R up m; mirror m back")
        assert (work / "back/sub/f.bin").read_bytes() == data and (work / "back/é.txt").read_text() == "text"
        (work / "back/sub/f.bin").write_bytes(data[:1_000_000])
        (work / "part").write_bytes(data[:500_000])
        lftp("get -c m/sub/f.bin -o back/sub/f.bin; put part -o resumed")
        (work / "resumed").write_bytes(data)
        lftp("put -c resumed")
        assert (work / "back/sub/f.bin").read_bytes() == data and got(alice(port), "resumed") == data
        url = f"ftp://127.0.0.1:{port}"
        (work / "half").write_bytes(data[:1_234_567])
        subprocess.run(["curl", "-sSf", "-u", f"alice:{SECRET}", "-C", "-", "-o", work / "half", f"{url}/resumed"], check=True, timeout=60)
        assert (work / "half").read_bytes() == data
        subprocess.run(["curl", "-sSf", "-u", f"alice:{SECRET}", "-T", work / "part", f"{url}/again"], check=True, timeout=60)
        subprocess.run(["curl", "-sSf", "-u", f"alice:{SECRET}", "-C", "500000", "-T", work / "resumed", f"{url}/again"], check=True, timeout=60)
        assert got(alice(port), "again") == data


def order(node, what, **fields):
    connection = UnixHTTP(node.socket_path())
    connection.request("POST", "/api/gateway/sessions/" + what, json.dumps(fields), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@test()
def in_the_table():
    """the owner sees what a session does, tells it something, ends its transfer, ends it"""
    with Nodes() as nodes:
        a = nodes.node("a")
        port = with_account(a)
        a.share(make_file(a.home.parent / "big.bin", 40_000_000))

        def line():
            found = [s for s in a.api("/api/gateway/sessions")["sessions"] if s["protocol"] == "FTP"]
            return found[0] if found else None
        c = account(port)
        c.ask("CLNT a client")
        assert line()["user"] == "alice" and line()["client"] == "a client" and SECRET not in json.dumps(line())
        number = line()["id"]
        assert order(a, "abort", id=number) == 400  # nothing moves
        with socket.create_connection(("127.0.0.1", c.passive())) as d:
            assert c.ask("RETR /shared/big.bin")[0] in (125, 150)
            d.recv(1000)
            wait_for(lambda: line()["transferring"] and line()["path"] == "/shared/big.bin" and line()["bytes_out"] > 0, "the transfer to be seen")
            assert order(a, "abort", id=number) == 200
            assert c.reply()[0] == 426
        assert order(a, "message", id=number, text="closing at six") == 200
        assert c.ask("NOOP")[1].startswith("200-The owner of this node says: closing at six\r\n")
        assert order(a, "disconnect", id=number, ban_s=0) == 200
        assert c.reply()[0] == 421 and c.file.read() == b""
        wait_for(lambda: line() is None, "the session to be gone")


@test()
def beyond_this_computer():
    """beyond loopback an account is needed to listen, and visitors stay out unless let in; a taken port is said"""
    with Nodes() as nodes:
        a = nodes.node("a")
        said = a.run("up", "--listen", "127.0.0.1:0", "--http", "off", "--dns", "off", "--ftp", "0.0.0.0:0", check=False)
        assert said.code != 0 and "account" in said.err, said
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            said = a.run("up", "--listen", "127.0.0.1:0", "--http", "off", "--dns", "off", "--ftp", f"127.0.0.1:{taken.getsockname()[1]}", check=False)
            assert said.code != 0 and "uses this port" in said.err, said
        a.run("account", "add", "alice", input=SECRET + "\n")
        a.up("--ftp", "0.0.0.0:0")
        assert client(ftp_port(a)).pwd() == "/"
        a.stop()
        b = nodes.node("b")
        b.up("--ftp", "off")
        assert b.status()["ftp"] is None
