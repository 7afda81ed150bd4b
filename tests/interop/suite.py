"""What the system tests share: registration, skipping, and a runner that prints one line for each (run.py)."""
import collections
import os
import pathlib
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import shoal  # noqa: E402

SANITIZED = "release" not in shoal.BINARY  # memory bars do not hold there
TESTS = []
Test = collections.namedtuple("Test", "function slow alone long")


class Skip(Exception):
    pass


class Options:
    rounds = 5       # of the kill -9 tests
    seed = 1         # of everything random


def test(slow=False, alone=False, long=False):
    """Marks a function as a test; its docstring's first line is its name in the output. slow: not part of ./check. alone: measures time or memory
    closely enough that nothing else may run beside it. long: takes ten seconds and more, so it starts before the others."""
    def mark(function):
        TESTS.append(Test(function, slow, alone, long))
        return function
    return mark


def need(condition, reason):
    if not condition:
        raise Skip(reason)


def name_of(function):
    return f"{function.__module__.replace('system_', '')}: {(function.__doc__ or function.__name__).strip().splitlines()[0].rstrip('.')}"


def run_one(function):
    """Prints its line. Returns 0 when it passed, 1 when it failed, 2 when it was skipped."""
    name = name_of(function)
    started = time.monotonic()
    try:
        function()
        print(f"ok - {name} ({time.monotonic() - started:.1f} s)", flush=True)
        return 0
    except Skip as reason:
        print(f"skip - {name}: {reason}", flush=True)
        return 2
    except (Exception, SystemExit) as error:  # a broken test must not hide the others
        text = str(error) if isinstance(error, AssertionError) and str(error) else traceback.format_exc()
        if isinstance(error, AssertionError):
            frame = traceback.extract_tb(error.__traceback__)
            text = f"{pathlib.Path(frame[-1].filename).name}:{frame[-1].lineno} (from line {frame[1].lineno if len(frame) > 1 else '?'}): " + text
        print(f"not ok - {name} ({time.monotonic() - started:.1f} s)\n# " + text.strip().replace("\n", "\n# "), flush=True)
        return 1


class Apart:
    """A test in a process of its own. What it prints is kept, and shown in one piece when it has ended."""

    def __init__(self, function):
        self.function, self.output = function, tempfile.TemporaryFile()
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(self.output.fileno(), 1)
            os.dup2(self.output.fileno(), 2)
            result = 1
            try:
                result = run_one(function)
            finally:  # whatever happens, the child never goes on as a second runner
                sys.stdout.flush()
                os._exit(result)

    def ended(self, status):
        self.output.seek(0)
        text = self.output.read().decode(errors="replace")
        self.output.close()
        result = os.waitstatus_to_exitcode(status)
        if not any(line.startswith(("ok - ", "not ok - ", "skip - ")) for line in text.splitlines()):
            text += f"not ok - {name_of(self.function)}\n# its process ended with {result} and no result\n"
            result = 1
        print(text, end="" if text.endswith("\n") else "\n", flush=True)
        return result


def run_apart(functions, jobs):
    """Yields the result of each, `jobs` of them at a time."""
    waiting, running = collections.deque(functions), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            one = Apart(waiting.popleft())
            running[one.pid] = one
        pid, status = os.wait()
        if pid in running:
            yield running.pop(pid).ended(status)


def run(patterns, quick, jobs=1):
    chosen = [t for t in TESTS if not (quick and t.slow)
              and (not patterns or any(p in name_of(t.function) or p in t.function.__name__ for p in patterns))]
    if jobs == 1:
        results = [run_one(t.function) for t in chosen]
    else:
        beside = sorted((t for t in chosen if not t.alone), key=lambda t: not t.long)  # stable: otherwise as they are written
        results = list(run_apart([t.function for t in beside], jobs)) + list(run_apart([t.function for t in chosen if t.alone], 1))
    return 1 if any(r not in (0, 2) for r in results) or 0 not in results else 0
