#!/usr/bin/env python3
"""The chart without a cluster: lint, values, schema, what is rendered, alerts, dashboard. tests/cluster has the rest.

    run.py [NAME ...]       only checks whose name holds one of these
"""

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))


def main():
    suite = unittest.TestSuite()
    found = unittest.TestLoader().discover(str(HERE / "checks"), pattern="*.py", top_level_dir=str(HERE / "checks"))
    wanted = sys.argv[1:]

    def flat(tests):
        for test in tests:
            if isinstance(test, unittest.TestSuite):
                yield from flat(test)
            else:
                yield test

    suite.addTests(test for test in flat(found) if not wanted or any(name in test.id() for name in wanted))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    bad = len(result.failures) + len(result.errors) + len(result.skipped)
    print(f"\nchart: {result.testsRun} checks, {bad} failed")
    return 0 if result.testsRun and result.wasSuccessful() and not result.skipped else 1


if __name__ == "__main__":
    sys.exit(main())
