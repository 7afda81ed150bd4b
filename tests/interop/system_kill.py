"""kill -9 of seed, leech and both at random moments: nothing partial under a final name, nothing acknowledged lost, at most one checkpoint fetched
twice. Five rounds of each in ./check; `./check soak 100` for the issue's hundred."""
import random
import subprocess
import time

from shoal import Nodes, deep, make_file, make_tree, same_tree, wait_for
from suite import Options, test

SIZE = 40 << 20
RATE = 40  # MB/s of the seed, so that there is a middle to be killed in
CHECKPOINT = (32 << 20) + (24 << 20)  # a checkpoint, and what may be in flight under the memory budget


def same_file(a, b):
    return subprocess.run(["cmp", "-s", str(a), str(b)]).returncode == 0


def whole_or_absent(source, target):
    if target.exists():
        assert same_file(source, target) if source.is_file() else same_tree(source, target) is None, f"{target} is under its final name and not whole"
        return True
    return False


def killed_rounds(victims, kind):
    generator = random.Random(f"{Options.seed} {victims} {kind}")
    with Nodes() as world:
        config = f"[transfer]\nupload = {RATE}MB/s\n"
        seed, leech = world.node("seed", config=config), world.node("leech", config=config)
        seed.up()
        leech.join(seed.invite()).up()
        seed_port = seed.port()
        if kind == "file":
            source = make_file(world.path("source"), SIZE)
        else:
            source = make_tree(world.path("source"), 1000, 16000, folders=20)
            make_file(source / "big", SIZE // 2)
        link = seed.link(source)
        acknowledged = []
        for index in range(Options.rounds):
            folder = world.path(f"got{index}")  # a tree keeps its name in a folder that is there
            folder.mkdir()
            target = folder / "source"
            sent_before = sent(seed) if "seed" not in victims else 0
            command = leech.popen("get", link, "-o", folder)
            time.sleep(generator.uniform(0.0, 1.3))  # the one place where a moment is drawn, not awaited
            for victim in victims:
                (seed if victim == "seed" else leech).kill()
            finish(command)
            whole_or_absent(source, target)
            if "seed" in victims:
                seed.up(listen=f"127.0.0.1:{seed_port}")
            if "leech" in victims:
                leech.up()
            again = leech.get(link, folder, timeout=150, check=False)
            assert again.code == 0, again
            assert whole_or_absent(source, target), "get says done, and there is nothing"
            acknowledged.append(target)
            if "seed" not in victims:
                twice = sent(seed) - sent_before - SIZE
                assert kind == "tree" or twice <= CHECKPOINT, f"round {index}: {twice / 1e6:.0f} MB were fetched twice"
            parts = [p.name for p in world.base.glob("got*/*.part*")]
            assert not parts, parts
            # What was acknowledged is still known after the next death.
            if index % 3 == 2:
                leech.kill()
                leech.up()
                listed = leech.run("ls").out
                for path in acknowledged:
                    assert str(path) in listed, f"{path} was fetched and shared, and is not listed after kill -9:\n{listed}"
                    assert whole_or_absent(source, path)
                for path in acknowledged[:-1]:
                    leech.run("unshare", path, check=False)
                acknowledged = acknowledged[-1:]
            # The next round must fetch again and not copy what is here.
            leech.run("unshare", target, check=False)
            acknowledged = [path for path in acknowledged if path != target]
        listed = seed.run("ls").out
        assert "source" in listed, listed


def finish(command):
    """The command ends by itself when its node dies; when only the seed died it may go on waiting for it."""
    try:
        command.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        command.terminate()
        command.communicate(timeout=20)


def sent(node):
    status = node.status()
    return int(deep(status.get("transfer", status), "bytes_up") or 0)


@test()
def kill_leech_file():
    """kill -9 of the leech at random moments, one file"""
    killed_rounds(["leech"], "file")


@test(long=True)
def kill_seed_file():
    """kill -9 of the seed at random moments, one file"""
    killed_rounds(["seed"], "file")


@test(long=True)
def kill_both_file():
    """kill -9 of both at random moments, one file"""
    killed_rounds(["seed", "leech"], "file")


@test()
def kill_leech_tree():
    """kill -9 of the leech at random moments, a tree"""
    killed_rounds(["leech"], "tree")


@test(long=True)
def kill_both_tree():
    """kill -9 of both at random moments, a tree"""
    killed_rounds(["seed", "leech"], "tree")


@test(long=True)
def kill_while_sharing():
    """kill -9 while sharing: what share acknowledged is still there, what it did not can be shared again"""
    generator = random.Random(Options.seed)
    with Nodes() as world:
        node = world.node("n").up()
        known = []
        for index in range(Options.rounds):
            small = make_file(world.path(f"small{index}"), 5000, index)
            known.append((small, node.share(small)[0]["id"]))
            tree = make_tree(world.path(f"tree{index}"), 500, 20000, seed=index)
            command = node.popen("share", "--json", tree)
            time.sleep(generator.uniform(0.0, 0.4))
            node.kill()
            finish(command)
            node.up()
            listed = node.run("ls", "--json").out
            for path, content in known:
                assert content in listed, f"{path} was acknowledged and is gone"
            known.append((tree, node.share(tree)[0]["id"]))


STEPS = {
    "file": ["file-synced", "file-renamed", "adopting", "adopted", "recorded"],
    "tree": ["tree-synced", "tree-renamed", "adopting", "adopted", "recorded"],
    "selection": ["tree-synced", "tree-renamed", "adopting", "adopted", "recorded"],
}


def killed_at_each_step(kind):
    """The leech dies at this step (SHOAL_FAULT), starts again without being asked for anything, and has it: whole, shared, nothing left over."""
    with Nodes() as world:
        seed = world.node("seed").up()
        small = make_tree(world.path("source"), 30, 9000, folders=3)
        make_file(small / "d00" / "big", 5 << 20)
        source = small / "d00" / "big" if kind == "file" else small
        link = seed.link(source)
        invite = seed.invite()
        for step in STEPS[kind]:
            leech = world.node(f"leech-{step}").join(invite)
            folder = world.path(f"got-{step}")
            folder.mkdir()
            target = folder / source.name
            flags = ["--select", "d00"] if kind == "selection" else []
            plain = dict(leech.env)
            leech.env["SHOAL_FAULT"] = step
            leech.up()
            died = leech.process
            command = leech.popen("get", link, "-o", folder, *flags)
            wait_for(lambda: died.poll() is not None, f"the leech to die at {step}")
            assert died.returncode == -9, (step, died.returncode)
            leech.process = None
            leech.env = plain
            finish(command)
            if step != f"{kind if kind == 'file' else 'tree'}-synced":
                assert target.exists(), f"{step}: the name was not given yet"
            leech.up()
            shared = target / "d00" if kind == "selection" else target
            wait_for(lambda: str(shared) in leech.run("ls").out, f"{step}: the restarted leech to share {shared}\n{leech.log()}")
            again = leech.get(link, folder, *flags, check=False, timeout=60)
            assert again.code == 0, (step, again)
            if kind == "selection":
                assert same_tree(source / "d00", target / "d00") is None and [p.name for p in target.iterdir()] == ["d00"], step
            else:
                assert whole_or_absent(source, target), step
            left = [p.name for p in folder.glob("*.part*")]
            assert not left, (step, left)
            # What lies there and is no share any more is looked at byte by byte: whole it becomes one again, damaged it is in the way.
            leech.run("unshare", shared)
            assert leech.get(link, folder, *flags, check=False, timeout=60).code == 0, step
            assert str(shared) in leech.run("ls").out, step
            leech.stop()


@test()
def kill_at_each_step_file():
    """the leech dies before and after the final name, and while it is recorded: one file"""
    killed_at_each_step("file")


@test()
def kill_at_each_step_tree():
    """the leech dies before and after the final name, and while it is recorded: a tree"""
    killed_at_each_step("tree")


@test(slow=True)
def kill_at_each_step_selection():
    """the leech dies before and after the final name, and while it is recorded: a part of a tree"""
    killed_at_each_step("selection")


@test()
def in_the_way():
    """a tree of that name with one byte wrong is in the way, and stays as it is"""
    with Nodes() as world:
        seed = world.node("seed").up()
        source = make_tree(world.path("source"), 30, 9000, folders=3)
        link = seed.link(source)
        leech = world.node("leech").join(seed.invite()).up()
        folder = world.path("got")
        folder.mkdir()
        target = folder / "source"
        leech.get(link, folder)
        leech.run("unshare", target)
        wrong = target / "d01" / "f00001"
        data = bytearray(wrong.read_bytes())
        data[77] ^= 1
        wrong.write_bytes(data)
        again = leech.get(link, folder, check=False, timeout=60)
        assert again.code == 6 and "exists" in again.err, again
        assert wrong.read_bytes() == data
