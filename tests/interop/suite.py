"""What the system tests share: registration, skipping, and a runner that prints one line for each (run.py)."""
import pathlib
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import shoal  # noqa: E402

SANITIZED = "release" not in shoal.BINARY  # memory bars do not hold there
TESTS = []


class Skip(Exception):
    pass


class Options:
    rounds = 5       # of the kill -9 tests
    seed = 1         # of everything random


def test(slow=False):
    """Marks a function as a test; its docstring's first line is its name in the output. slow: not part of ./check."""
    def mark(function):
        TESTS.append((function, slow))
        return function
    return mark


def need(condition, reason):
    if not condition:
        raise Skip(reason)


def run(patterns, quick):
    failed = ran = 0
    for function, slow in TESTS:
        module = function.__module__.replace("system_", "")
        name = f"{module}: {(function.__doc__ or function.__name__).strip().splitlines()[0].rstrip('.')}"
        if (quick and slow) or (patterns and not any(p in name or p in function.__name__ for p in patterns)):
            continue
        started = time.monotonic()
        try:
            function()
            ran += 1
            print(f"ok - {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Skip as reason:
            print(f"skip - {name}: {reason}", flush=True)
        except Exception as error:  # a broken test must not hide the others
            failed += 1
            text = str(error) if isinstance(error, AssertionError) and str(error) else traceback.format_exc()
            if isinstance(error, AssertionError):
                frame = traceback.extract_tb(error.__traceback__)
                text = f"{pathlib.Path(frame[-1].filename).name}:{frame[-1].lineno} (from line {frame[1].lineno if len(frame) > 1 else '?'}): " + text
            print(f"not ok - {name} ({time.monotonic() - started:.1f} s)\n# " + text.strip().replace("\n", "\n# "), flush=True)
    return 1 if failed or not ran else 0
