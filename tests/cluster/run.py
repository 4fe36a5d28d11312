#!/usr/bin/env python3
"""Runs the checks in tests/cluster/checks on a real API server. A skipped check is a failed one.

    run.py --binary target/debug/gaoler [--only NAME ...]     only checks whose name holds NAME
    run.py --binary target/debug/gaoler --jobs 3              classes side by side: they mostly wait

Everything runs in network namespaces that end with this process. Logs and storage stay when a check fails.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from cluster.programs import ALWAYS, fetched, monitoring_definitions, programs  # noqa: E402
from harness import side_by_side as classes  # noqa: E402
from harness import world  # noqa: E402

# All that any check here wants.
NEEDED = (*ALWAYS, "kube-controller-manager", "kube-proxy")


def fetch():
    """From the private network nothing can be fetched any more."""
    programs(*NEEDED)
    monitoring_definitions()
    fetched("helm.sh")


class Timed(unittest.TextTestResult):
    """Says how long each check took, and counts those that passed: a failing class fails before its checks run."""

    passed = 0

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        unittest.TestResult.addSuccess(self, test)
        self.passed += 1
        self.stream.writeln(f"ok, {time.monotonic() - self.began:.1f} s")
        self.stream.flush()


def discover(only):
    found = unittest.TestLoader().discover(str(HERE / "checks"), pattern="*.py", top_level_dir=str(HERE / "checks"))
    return [test for test in classes.flat(found) if not only or any(name in test.id() for name in only)]


def side_by_side(arguments):
    """Each class in a process and a network of its own, so many at a time."""
    keep = ["--keep"] if arguments.keep else []

    def command(name):
        return [sys.executable, __file__, "--binary", arguments.binary, "--only", name, *keep]

    return classes.run("cluster", classes.by_class(discover(arguments.only)), command, arguments.jobs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the gaoler binary, with the feature kubernetes")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--keep", action="store_true", help="keep logs and storage after a good run too")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="run so many classes side by side")
    arguments = parser.parse_args()
    os.environ["GAOLER_BINARY"] = str(Path(arguments.binary).resolve())
    if arguments.jobs > 1:
        fetch()
        return side_by_side(arguments)
    fetch()
    world.enter()
    began = time.monotonic()
    root = Path(tempfile.mkdtemp(prefix="gaoler-cluster-"))
    os.environ["GAOLER_CLUSTER_ROOT"] = str(root)
    good = False
    try:
        chosen = unittest.TestSuite(discover(arguments.only))
        result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Timed).run(chosen)
        # A check with several failing parts is one failed check.
        failed = {getattr(test, "test_case", test).id() for test, _ in [*result.failures, *result.errors, *result.skipped]}
        bad = len(failed) + len(result.unexpectedSuccesses)
        good = bool(result.passed) and not bad
        print(f"\ncluster: {result.passed} passed, {bad} failed, {time.monotonic() - began:.0f} s")
    finally:
        if good and not arguments.keep:
            shutil.rmtree(root)
        else:
            print("logs:", root)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
