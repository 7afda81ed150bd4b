"""Accounts by the command line, and who may do what over HTTP: the node's own user, other users of this computer, who signed in, scripts with tokens."""
import http.client
import json
import os
import re

from shoal import Nodes, make_file
from suite import need, test

NOBODY = 65534
JSON = {"Content-Type": "application/json"}


def ask(port, path, method="GET", headers=None, body=None, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request(method, path, json.dumps(body) if body is not None else None, {**(JSON if body is not None else {}), **(headers or {})})
    answer = connection.getresponse()
    data = answer.read().decode(errors="replace")
    connection.close()
    return answer.status, json.loads(data) if data.startswith("{") else data, dict(answer.getheaders())


def as_nobody(*arguments, **named):
    """`ask` by a process of another user."""
    need(os.geteuid() == 0, "only root can be somebody else for a moment")
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os.write(into, json.dumps(ask(*arguments, **named)).encode())
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return json.loads(text)


def port_of(node):
    return int(node.status()["http"].rsplit(":", 1)[1])


@test()
def by_command_line():
    """accounts: made, listed, changed and removed by the command line, with and without a running node; what is wrong is said"""
    with Nodes() as world:
        a = world.node("a")
        for line, arguments, code, said in (("long enough\n", ["add", "ann"], 0, "added"), ("long enough\n", ["add", "Ann"], 6, "already"), ("short\n", ["add", "bob"], 2, "8 to 256"),
                                            ("", ["add", "bob"], 2, "standard input"), ("long enough\n", ["add", "b/b"], 2, "character 2"), ("x" * 300 + "\n", ["add", "bob"], 2, "too long"),
                                            ("long enough\n", ["add", "--owner", "carl"], 0, "controls"), ("other secret\n", ["password", "ann"], 0, "changed"),
                                            ("other secret\n", ["password", "dora"], 4, "no account"), ("", ["remove", "dora"], 4, "no account"), ("", ["revoke", "x"], 2, "no number"),
                                            ("", ["token", "dora"], 4, "no account")):
            result = a.run("account", *arguments, input=line, check=False)
            assert result.code == code and said in result.err, (arguments, result)
            if arguments == ["password", "ann"]:
                a.up("--http", "127.0.0.1:0")  # the rest with a node that runs
        people = a.run("account", "list", "--json").json()
        assert [(p["name"], p["privilege"], p["last"]) for p in people] == [("ann", "user", None), ("carl", "owner", None)], people
        token = a.run("account", "token", "ann", "--label", "backup").out.strip()
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
        (login,) = a.run("account", "logins", "ann", "--json").json()
        assert login["token"] and login["label"] == "backup" and login["user"] == "ann"
        bearer = {"Authorization": f"Bearer {token}"}
        port = port_of(a)
        assert ask(port, "/api/session", headers=bearer)[1]["user"] == "ann"
        a.run("account", "revoke", str(login["id"]))
        assert ask(port, "/api/signins", headers=bearer)[0] == 401
        token = a.run("account", "token", "ann").out.strip()
        a.run("account", "remove", "ann")
        assert ask(port, "/api/signins", headers={"Authorization": f"Bearer {token}"})[0] == 401
        assert not list(a.home.glob("**/*ann*")), "something of the account is left"
        assert a.run("account", "add", "anna", input="long enough\n", check=False).code == 0


@test()
def others_on_this_computer():
    """HTTP: another user of this computer reads what is shared and nothing else, until it signs in; cookies alone control nothing"""
    with Nodes() as world:
        a = world.node("a")
        a.up("--http", "127.0.0.1:0")
        port = port_of(a)
        a.share(make_file(world.path("public.bin"), 5000))
        a.run("account", "add", "ann", input="the password\n")
        a.run("account", "add", "--owner", "carl", input="the password\n")

        mine = ask(port, "/api/session")[1]
        assert mine["privilege"] == "owner" and mine["token"], mine
        assert as_nobody(port, "/shared/public.bin")[0] == 200
        assert as_nobody(port, "/api/search?q=public")[0] == 200
        status, seen, _ = as_nobody(port, "/api/status")
        assert status == 200 and "home" not in seen and "network" not in seen
        theirs = as_nobody(port, "/api/session")[1]
        assert theirs["privilege"] == "nobody" and theirs["token"] is None, theirs
        for path in ("peers", "invite", "invite.svg", "jobs", "shares", "pins", "accounts", "signins"):
            status, answer, fields = as_nobody(port, f"/api/{path}")
            assert status == 401 and "WWW-Authenticate" in fields and "sign" in answer["error"]["message"], (path, status, answer)
        for path in ("down", "gc", "shares", "accounts", "open", "tokens", "join"):
            assert as_nobody(port, f"/api/{path}", "POST", body={})[0] == 403, path
            assert as_nobody(port, f"/api/{path}", "POST", {"X-Shoal-Token": "x" * 43}, {})[0] == 403, path

        assert as_nobody(port, "/api/signin", "POST", body={"name": "x" * 20000, "password": "y"})[0] == 401, "a large body of a stranger is not gathered"

        # By password: the cookie and the page's token together, never one of them.
        status, answer, fields = as_nobody(port, "/api/signin", "POST", body={"name": "Carl", "password": "the password"})
        assert status == 200 and answer["privilege"] == "owner" and answer["user"] == "carl", answer
        cookie = fields["Set-Cookie"]
        assert re.fullmatch(r"shoal_[0-9a-f]{8}=[\w-]{43}; Path=/; Max-Age=\d+; HttpOnly; SameSite=Strict", cookie), cookie
        cookie, token = cookie.split(";")[0], answer["token"]
        both = {"Cookie": f"a=b; {cookie}; c=d", "X-Shoal-Token": token}
        for headers, wanted in (({}, 401), ({"Cookie": cookie}, 401), ({"X-Shoal-Token": token}, 401), (both, 200), ({**both, "X-Shoal-Token": token[:-1] + "_"}, 401),
                                ({**both, "Cookie": cookie[:-1] + "_"}, 401)):
            assert as_nobody(port, "/api/peers", headers=headers)[0] == wanted, headers
        gc = {"dry_run": True}
        assert as_nobody(port, "/api/gc", "POST", both, gc)[0] == 200
        assert as_nobody(port, "/api/gc", "POST", {"Cookie": cookie}, gc)[0] == 403
        assert as_nobody(port, "/api/gc", "POST", {**both, "Origin": "http://evil.example"}, gc)[0] == 403
        (login,) = as_nobody(port, "/api/signins", headers=both)[1]["signins"]
        assert login["current"] and login["user"] == "carl" and not login["token"]
        assert as_nobody(port, "/api/signout", "POST", both, {})[0] == 200
        assert as_nobody(port, "/api/peers", headers=both)[0] == 401

        # A user is no owner, and sees their own sign-ins only.
        _, answer, fields = as_nobody(port, "/api/signin", "POST", body={"name": "ann", "password": "the password"})
        user = {"Cookie": fields["Set-Cookie"].split(";")[0], "X-Shoal-Token": answer["token"]}
        token = a.run("account", "token", "carl").out.strip()
        assert as_nobody(port, "/api/peers", headers=user)[0] == 403
        assert as_nobody(port, "/api/down", "POST", user, {})[0] == 403
        assert as_nobody(port, "/api/tokens", "POST", user, {"name": "carl"})[0] == 403
        listed = as_nobody(port, "/api/signins", headers=user)[1]["signins"]
        assert [s["user"] for s in listed] == ["ann"]
        carls = next(s["id"] for s in a.api("/api/signins")["signins"] if s["user"] == "carl")
        assert as_nobody(port, "/api/signins", "DELETE", user, {"id": carls})[0] == 404
        assert as_nobody(port, "/api/accounts/password", "POST", user, {"name": "carl", "password": "another one", "old": "the password"})[0] == 403
        assert as_nobody(port, "/api/accounts/password", "POST", user, {"name": "ann", "password": "another one", "old": "wrong"})[0] == 403
        assert as_nobody(port, "/api/accounts/password", "POST", user, {"name": "ann", "password": "another one", "old": "the password"})[0] == 200
        assert as_nobody(port, "/api/session", headers=user)[1]["user"] == "ann", "the browser that changed it was signed out"
        assert as_nobody(port, "/api/peers", headers={"Authorization": f"Bearer {token}"})[0] == 200

        # The link of `shoal open` is good once.
        secret = a.run("open").out.strip().rsplit("/", 1)[1]
        status, answer, _ = as_nobody(port, "/api/signin", "POST", body={"secret": secret})
        assert status == 200 and answer["privilege"] == "owner" and answer["user"] is None
        assert as_nobody(port, "/api/signin", "POST", body={"secret": secret})[0] == 403

        # Sign-ins outlive the node.
        a.stop()
        a.up("--http", f"127.0.0.1:{port}")
        assert as_nobody(port, "/api/session", headers=user)[1]["user"] == "ann"


@test()
def guessing():
    """HTTP: wrong passwords are told in one way, and slow down soon"""
    with Nodes() as world:
        a = world.node("a")
        a.up("--http", "127.0.0.1:0")
        port = port_of(a)
        a.run("account", "add", "ann", input="the password\n")
        answers = []
        for name in ("ann", "nobody", "ann", "no/body", "ann"):
            answers.append(ask(port, "/api/signin", "POST", body={"name": name, "password": "a guess"})[:2])
        assert all(answer == answers[0] for answer in answers) and answers[0][0] == 403, answers
        status, answer, fields = ask(port, "/api/signin", "POST", body={"name": "ann", "password": "the password"})
        assert status == 429 and int(fields["Retry-After"]) >= 1 and "try again" in answer["error"]["message"], (status, answer)
        for body, wanted in (({}, 400), ({"name": 1, "password": 2}, 400), ({"name": "ann"}, 400)):
            assert ask(port, "/api/signin", "POST", body=body)[0] == wanted
        assert ask(port, "/api/signin", "POST", {"Origin": "http://evil.example"}, {"name": "ann", "password": "the password"})[0] == 403
