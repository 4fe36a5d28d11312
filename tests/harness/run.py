#!/usr/bin/env python3
"""Runs the checks in tests/checks that start the whole program. A skipped check is a failed one.

    run.py --binary target/debug/gaoler [NAME ...]     only checks whose name holds NAME
    run.py --binary target/debug/gaoler --jobs 3       classes side by side: they mostly wait
"""

import argparse
import os
import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from harness import side_by_side, world  # noqa: E402


def discover(names):
    found = unittest.TestLoader().discover(str(TESTS / "checks"), pattern="*.py", top_level_dir=str(TESTS / "checks"))
    return [test for test in side_by_side.flat(found) if not names or any(name in test.id() for name in names)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the gaoler binary")
    parser.add_argument("--full", action="store_true", help="the sizes of the acceptance list")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="run so many classes side by side")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    os.environ["GAOLER_BINARY"] = str(Path(arguments.binary).resolve())
    if arguments.full:
        os.environ["GAOLER_FULL"] = "1"
    if arguments.jobs > 1:
        full = ["--full"] if arguments.full else []

        def command(name):
            return [sys.executable, __file__, "--binary", arguments.binary, *full, name]

        return side_by_side.run("harness", side_by_side.by_class(discover(arguments.names)), command, arguments.jobs)
    world.enter()
    chosen = discover(arguments.names)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.TestSuite(chosen))
    bad = len(result.failures) + len(result.errors) + len(result.skipped) + len(result.unexpectedSuccesses)
    print(f"\nharness: {result.testsRun - bad} passed, {bad} failed")
    return 0 if result.testsRun and not bad else 1


if __name__ == "__main__":
    sys.exit(main())
