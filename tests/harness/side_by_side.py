"""Checks side by side: each class in a process, and so in a world, of its own. Most of them wait most of the time."""

import re
import subprocess
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

# About how many seconds a class takes that says nothing of itself.
USUAL = 20


def flat(suite):
    """The tests of a suite of suites."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def by_class(tests):
    """(part of a name that all tests of the class have, their number), of each class; the longest first, so that none is
    left alone at the end. A class says in `takes` about how many seconds it takes."""
    count, takes = {}, {}
    for test in tests:
        name = test.id().rpartition(".")[0] + "."
        count[name] = count.get(name, 0) + 1
        takes[name] = getattr(test, "takes", USUAL)
    return sorted(count.items(), key=lambda one: (takes[one[0]], one[1]), reverse=True)


def run(who, classes, command, jobs):
    """Runs `command(name)` of each class, so many at a time, and prints what each printed when it ends. Each ends with the
    line "WHO: N passed, M failed", and so does the whole; gives the exit code."""
    began, passed, failed = time.monotonic(), 0, 0

    def one(name):
        return subprocess.run(command(name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    with ThreadPoolExecutor(jobs) as workers:
        for done in workers.map(one, [name for name, _ in classes]):
            print(done.stdout, flush=True)
            told = re.search(rf"^{who}: (\d+) passed, (\d+) failed", done.stdout, re.M)
            passed += int(told[1]) if told else 0
            # Who ends badly without a word failed too.
            failed += max(int(told[2]) if told else 1, int(done.returncode != 0))
    wanted = sum(number for _, number in classes)
    print(f"\n{who}: {passed} passed, {failed} failed of {wanted}, {time.monotonic() - began:.0f} s")
    return 0 if passed and not failed and passed == wanted else 1
