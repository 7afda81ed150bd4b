#!/usr/bin/python3
"""System tests: real processes on loopback, real faults. Needs build/release/bin/shoal (or SHOAL_BINARY).

  tests/interop/run.py                 all of them
  tests/interop/run.py --quick         those that ./check runs
  tests/interop/run.py WORD...         those whose name has one of the words
  --jobs N     so many at a time (default 1), those that measure closely one by one after the others
  --rounds N   of the kill -9 tests (default 5; the issue asks for 100)     --seed N
"""
import argparse
import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import suite  # noqa: E402
import shoal  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("words", nargs="*")
parser.add_argument("--quick", action="store_true")
parser.add_argument("--jobs", type=int, default=1)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
suite.Options.rounds, suite.Options.seed = args.rounds, args.seed
if not pathlib.Path(shoal.BINARY).exists():
    sys.exit(f"{shoal.BINARY} is not there: cmake --preset release && cmake --build --preset release")
for path in sorted(pathlib.Path(__file__).resolve().parent.glob("system_*.py")):
    importlib.import_module(path.stem)
sys.exit(suite.run(args.words, args.quick, max(args.jobs, 1)))
