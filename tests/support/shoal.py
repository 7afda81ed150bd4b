"""Real nodes for tests and benches: start `shoal up` in a home of its own, wait on conditions (never on time), run commands, stop.

Standard library only. Children die with this process (PR_SET_PDEATHSIG), so that nothing is left running whatever happens here.
"""
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("SHOAL_BINARY", str(ROOT / "build/release/bin/shoal"))
WAIT_S = float(os.environ.get("SHOAL_TEST_WAIT", "60"))  # most that any condition may take

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def wait_for(condition, what, timeout=None, every=0.02):
    """Calls condition until it is true and returns its value; AssertionError naming `what` after the time-out."""
    end = time.monotonic() + (timeout or WAIT_S)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout or WAIT_S:.0f} s for {what}")
        time.sleep(every)


def deep(value, *names):
    """The first value under any of the names, anywhere in a JSON document; None when there is none."""
    queue = [value]
    while queue:
        item = queue.pop(0)
        if isinstance(item, dict):
            for name in names:
                if name in item:
                    return item[name]
            queue.extend(item.values())
        elif isinstance(item, list):
            queue.extend(item)
    return None


class UnixHTTP(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Result:
    def __init__(self, completed):
        self.code, self.out, self.err = completed.returncode, completed.stdout, completed.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit {self.code}\n--- out\n{self.out[-2000:]}\n--- err\n{self.err[-2000:]}"


class Node:
    """One home. `up` starts its node; commands work with or without it."""

    def __init__(self, base, name, config="", env=None, wrapper=()):
        self.name = name
        self.home = pathlib.Path(base) / name
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_path = self.home.parent / f"{name}.log"
        self.process = None
        self.wrapper = list(wrapper)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("SHOAL_HOME", "XDG_"))}
        self.env["SHOAL_HOME"] = str(self.home)
        self.env.update(env or {})
        ini = self.home / "shoal.ini"
        if not ini.exists():  # multicast off: tests that run side by side must not meet
            ini.write_text("[network]\nneighbours = off\n" + config)

    # ---- the node ----
    def spawn(self, *flags, listen="127.0.0.1:0"):
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.wrapper + [BINARY, "up", "--listen", listen, *(word for name in ("--http", "--ftp", "--dns") if name not in flags for word in (name, "off")), *flags], env=self.env, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=die_with_parent, start_new_session=False)
        return self

    def up(self, *flags, listen="127.0.0.1:0", timeout=None):
        self.spawn(*flags, listen=listen)
        return self.wait_ready(timeout)

    def wait_ready(self, timeout=None):
        def ready():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.log()[-3000:]}"
            try:
                return self.status()
            except (OSError, ValueError, AssertionError, http.client.HTTPException):
                return None
        wait_for(ready, f"{self.name} to answer; its log:\n{self.log()[-2000:]}", timeout)
        return self

    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, timeout=30):
        """SIGTERM; returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not end within {timeout} s of SIGTERM:\n{self.log()[-2000:]}")
        code, self.process = self.process.returncode, None
        return code

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    # ---- commands ----
    def run(self, *arguments, check=True, timeout=120, input=None, cwd=None, env=None):
        completed = subprocess.run([BINARY, *map(str, arguments)], env=env or self.env, capture_output=True, text=True, timeout=timeout, cwd=cwd,
                                   input=input, stdin=None if input is not None else subprocess.DEVNULL, preexec_fn=die_with_parent)
        result = Result(completed)
        if check:
            assert result.code == 0, f"{self.name}: shoal {' '.join(map(str, arguments))[:300]}: {result!r}"
        return result

    def popen(self, *arguments, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.STDOUT)
        return subprocess.Popen([BINARY, *map(str, arguments)], env=self.env, stdin=subprocess.DEVNULL, text=True, preexec_fn=die_with_parent, **options)

    def api(self, path, timeout=30):
        """GET on the control socket; cheaper than a command where a test polls."""
        connection = UnixHTTP(self.socket_path(), timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, f"{path}: {response.status} {body[:300]!r}"
            return json.loads(body)
        finally:
            connection.close()

    def socket_path(self):
        for candidate in ("api.sock", "shoal.sock", "control.sock", "sock"):
            if (self.home / candidate).exists():
                return self.home / candidate
        found = [path for path in self.home.glob("*") if path.is_socket()]
        if not found:
            raise OSError("no control socket yet")
        return found[0]

    def status(self):
        return self.api("/api/status")

    def invite(self):
        return self.run("invite").out.strip().splitlines()[-1]

    def join(self, invite):
        self.run("join", invite)
        return self

    def share(self, *paths, check=True, timeout=600):
        return self.run("share", "--json", *paths, check=check, timeout=timeout).json()

    def link(self, path, timeout=600):
        return self.share(path, timeout=timeout)[0]["link"]

    def get(self, link, output, *flags, check=True, timeout=600):
        return self.run("get", link, "-o", output, *flags, check=check, timeout=timeout)

    def get_in_vain(self, link, output, seconds=8):
        """A get that must not succeed: it may refuse, or look for sources until it is stopped. Returns what it said."""
        command = self.popen("get", link, "-o", output)
        try:
            text, _ = command.communicate(timeout=seconds)
            assert command.returncode not in (0, -6, -11), (command.returncode, text)
        except subprocess.TimeoutExpired:
            command.send_signal(signal.SIGINT)
            text, _ = command.communicate(timeout=20)
        assert not pathlib.Path(output).exists(), f"{output} is there"
        return text

    def contacts(self):
        status = self.status()
        return int(deep(status, "contacts_live", "contacts") or 0)

    def address(self):
        """The loopback address of its node, host:port."""
        listen = self.status()["listen"]
        if isinstance(listen, dict):
            listen = list(listen.values())
        if isinstance(listen, list):
            listen = next(item for item in listen if item and item.startswith("127."))
        return listen

    def port(self):
        return int(self.address().rsplit(":", 1)[1])

    # ---- what the system says about it ----
    def proc_kib(self, field):
        """VmRSS or VmHWM [KiB]; 0 when the node is gone."""
        try:
            with open(f"/proc/{self.process.pid}/status") as f:
                return next((int(line.split()[1]) for line in f if line.startswith(field)), 0)
        except (OSError, AttributeError):
            return 0

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Nodes:
    """A temporary directory with nodes in it; a context manager that stops them all."""

    def __init__(self, folder=None, keep=False):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="shoal-test-", dir=folder))
        self.nodes = []
        self.keep = keep

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            for node in self.nodes:
                tail = node.log()[-600:].strip()
                if tail:
                    print(f"# log of {node.name}:\n# " + tail.replace("\n", "\n# "), flush=True)
        self.close()

    def close(self):
        for node in self.nodes:
            if node.alive():
                node.process.send_signal(signal.SIGTERM)
        for node in self.nodes:
            try:
                node.stop(15)
            except AssertionError:
                pass
        if not self.keep:
            shutil.rmtree(self.base, ignore_errors=True)

    def node(self, name, **options):
        node = Node(self.base, name, **options)
        self.nodes.append(node)
        return node

    def network(self, count, prefix="n", **options):
        """`count` nodes up in one network, all joined by the first one's invite."""
        nodes = [self.node(f"{prefix}{index}", **options) for index in range(count)]
        nodes[0].up()
        invite = nodes[0].invite()
        for node in nodes[1:]:
            node.join(invite).spawn()
        for node in nodes[1:]:
            node.wait_ready()
        for node in nodes:
            wait_for(lambda: node.contacts() >= min(count - 1, 8) or None, f"{node.name} to know its neighbours")
        return nodes

    def path(self, name):
        return self.base / name


def make_file(path, size, seed=1):
    """Bytes that do not repeat, from a seed."""
    import random
    generator = random.Random(seed)
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as f:
        left = size
        while left > 0:
            step = min(left, 1 << 20)
            f.write(generator.randbytes(step))
            left -= step
    return path


def make_tree(path, files, size, folders=10, seed=1):
    path = pathlib.Path(path)
    for index in range(files):
        make_file(path / f"d{index % folders:02}" / f"f{index:05}", size, seed * 1000003 + index)
    return path


def same_tree(a, b):
    """None when equal (names, kinds, bytes), otherwise what differs."""
    result = subprocess.run(["diff", "-r", "--no-dereference", str(a), str(b)], capture_output=True, text=True)
    return None if result.returncode == 0 else (result.stdout + result.stderr)[:2000]


def without_sources(link):
    """The link with its source hints taken away, so that only the DHT can help."""
    head, _, query = link.partition("?")
    kept = [part for part in query.split("&") if part and not part.startswith("s=")]
    return head + ("?" + "&".join(kept) if kept else "")
