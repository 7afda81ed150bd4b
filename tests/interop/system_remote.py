"""The browser gateway beyond this computer, in a network namespace of its own with one more address (nothing leaves the machine): it takes an
account; who signed in is a first-class visitor; limits for each address, bans."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "support")]
from shoal import Nodes, make_file, wait_for  # noqa: E402
from suite import need, test  # noqa: E402
from system_accounts import ask  # noqa: E402

HERE, OTHER = "10.77.0.1", "10.77.0.2"


def in_namespace(part):
    """Runs a function of this file in a namespace of its own."""
    need(os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"), "only root makes network namespaces")
    setup = f"ip link set lo up && ip addr add {HERE}/24 dev lo && ip addr add {OTHER}/24 dev lo"
    command = f"{setup} && exec {sys.executable} {__file__} {part}"
    if subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode != 0:
        need(False, "network namespaces are not allowed here")
    done = subprocess.run(["unshare", "-n", "sh", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@test()
def beyond_this_computer():
    """HTTP: listening for other computers takes an account; then they sign in and have what is shared, their folder, and the Host checks"""
    in_namespace("visitors")


@test()
def limits_and_bans():
    """HTTP: more connections than one address may have are 429 with Retry-After, than all may have 503; a ban ends them and keeps out"""
    in_namespace("limits")


def visitors():
    with Nodes() as world:
        a = world.node("a")
        refused = a.run("up", "--listen", "off", "--http", f"{HERE}:18080", check=False)
        assert refused.code != 0 and "shoal account add" in refused.err, refused
        a.run("account", "add", "ann", input="the password\n")
        a.up("--http", "0.0.0.0:18080", "--set", "http.names=nas nas.local")
        a.share(make_file(world.path("shared.bin"), 9000))
        (content,) = a.api("/api/shares")["shares"]
        port = 18080
        assert ask(port, "/")[0] == 200
        assert ask(port, "/api/session")[1]["privilege"] == "owner"
        for path in ("/shared/shared.bin", f"/content/{content['id']}", "/shared/", "/home/ann/", "/metrics", "/api/status", "/api/peers", "/api/search?q=shared", "/api/events"):
            assert ask(port, path, host=HERE)[0] == 401, path
        for path in ("/", "/app.js", "/api/session"):
            assert ask(port, path, host=HERE)[0] == 200, path
        session = ask(port, "/api/session", host=HERE)[1]
        assert session == {"user": None, "privilege": "nobody", "accounts": 1, "local": False, "token": None}, session
        assert ask(port, "/api/gc", "POST", {"X-Shoal-Token": "x"}, {}, host=HERE)[0] == 401
        page = ask(port, "/shared/", headers={"Accept": "text/html"}, host=HERE)
        assert page[0] == 401 and "Sign in" in page[1]

        for name, wanted in ((f"{HERE}:{port}", 200), ("nas", 200), (f"NAS.local:{port}", 200), ("evil.example", 421), ("nas.local.evil.example", 421), ("10.77.0.9", 200)):
            assert ask(port, "/", headers={"Host": name}, host=HERE)[0] == wanted, name
        origin = {"Origin": f"http://{HERE}:{port}"}
        secret = {"name": "ann", "password": "the password"}
        assert ask(port, "/api/signin", "POST", {"Origin": "http://10.77.0.9"}, secret, host=HERE)[0] == 403
        status, answer, fields = ask(port, "/api/signin", "POST", origin, secret, host=HERE)
        assert status == 200 and answer["privilege"] == "user" and not answer["local"], answer
        cookie = {"Cookie": fields["Set-Cookie"].split(";")[0]}
        both = {**cookie, "X-Shoal-Token": answer["token"]}
        status, got, fields = ask(port, f"/content/{content['id']}", headers={**cookie, "Sec-Fetch-Dest": "document"}, host=HERE)
        assert status == 200 and fields["Content-Security-Policy"].startswith("sandbox"), "no *.localhost for a telephone"
        assert ask(port, "/shared/shared.bin", headers=cookie, host=HERE)[0] == 200
        assert ask(port, "/api/search?q=shared", headers=both, host=HERE)[0] == 200
        assert "home" not in ask(port, "/api/status", headers=both, host=HERE)[1]
        assert ask(port, "/api/peers", headers=both, host=HERE)[0] == 403
        assert ask(port, "/home/ann/note.txt", "PUT", {**cookie, **origin}, {"x": 1}, host=HERE)[0] in (401, 403), "a cookie alone wrote"
        assert ask(port, "/home/ann/note.txt", "PUT", {**both, **origin}, {"x": 1}, host=HERE)[0] == 201
        assert ask(port, "/home/ann/note.txt", headers=cookie, host=HERE)[1] == {"x": 1}
        assert ask(port, "/home/bob/note.txt", "PUT", {**both, **origin}, {"x": 1}, host=HERE)[0] == 403
        token = {"Authorization": "Bearer " + a.run("account", "token", "ann").out.strip()}
        assert ask(port, "/metrics", headers=token, host=HERE)[0] == 200
        assert ask(port, "/home/ann/other.txt", "PUT", token, {"y": 2}, host=HERE)[0] == 201
        # What is removed is out at once.
        a.run("account", "remove", "ann")
        assert ask(port, "/shared/shared.bin", headers=cookie, host=HERE)[0] == 401
        assert ask(port, "/metrics", headers=token, host=HERE)[0] == 401


def connect(port, host=HERE, source=HERE):
    s = socket.create_connection((host, port), timeout=10, source_address=(source, 0))
    return s


def answer(s, request=b"GET /api/session HTTP/1.1\r\nHost: 10.77.0.1\r\n\r\n"):
    s.sendall(request)
    return s.recv(65536).decode()


def limits():
    with Nodes() as world:
        a = world.node("a")
        a.run("account", "add", "ann", input="the password\n")
        a.up("--http", "0.0.0.0:18081", "--set", "gateways.connections-per-address=4", "--set", "gateways.connections=6")
        port = 18081
        mine = [connect(port) for _ in range(4)]
        assert all(" 200 " in answer(s) for s in mine)
        text = answer(connect(port))
        assert text.startswith("HTTP/1.1 429 ") and "\r\nRetry-After: 1\r\n" in text and "Connection: close" in text, text
        theirs = [connect(port, source=OTHER) for _ in range(2)]
        assert all(" 200 " in answer(s) for s in theirs)
        text = answer(connect(port, source=OTHER))
        assert text.startswith("HTTP/1.1 503 ") and "\r\nRetry-After: 1\r\n" in text, text
        mine.pop().close()
        wait_for(lambda: " 200 " in answer(connect(port)) or None, "room again", 10)

        listed = a.api("/api/gateway/sessions")
        assert listed["totals"]["refused"] >= 2 and listed["protocols"]["HTTP"]["open"] == len(listed["sessions"]), listed
        banned = next(s for s in listed["sessions"] if s["address"].startswith(OTHER))
        assert banned["where"] == "local network" and banned["can"]["disconnect"] and not banned["transferring"]
        token = (a.home / "api.token").read_text().strip()
        owner = {"X-Shoal-Token": token}
        mine[0].close()
        mine[1].close()
        post = lambda path, body, method="POST": ask(port, path, method, owner, body)[0]
        wait_for(lambda: post("/api/gateway/sessions/disconnect", {"id": banned["id"], "ban_s": 60}) == 200 or None, "the ban", 10)
        assert all(s.recv(10) == b"" for s in theirs), "all sessions of a banned address end"
        text = answer(connect(port, source=OTHER))
        assert text.startswith("HTTP/1.1 403 ") and "\r\nRetry-After: " in text, text
        (ban,) = a.api("/api/gateway/sessions")["bans"]
        assert ban["address"] == OTHER and 50 < ban["left_s"] <= 60
        assert post("/api/gateway/bans", {"address": OTHER}, "DELETE") == 200
        assert " 200 " in answer(connect(port, source=OTHER))
        local = next(s for s in a.api("/api/gateway/sessions")["sessions"] if s["address"].startswith(HERE))
        assert post("/api/gateway/sessions/disconnect", {"id": local["id"]}) == 200
        assert post("/api/gateway/sessions/disconnect", {"id": local["id"]}) == 404
        events = [line["event"] for line in a.api("/api/gateway/log")["log"]]
        assert {"began", "ended", "refused", "banned"} <= set(events), events


if __name__ == "__main__":
    globals()[sys.argv[1]]()
