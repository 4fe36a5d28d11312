"""The seed's scenario with real packets, its log and filter, and the office with an old password."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from datetime import datetime, timezone
from pathlib import Path

from harness.case import BINARY
from harness.installations import manifest
from harness.jameslog import SEED, failure, success

SCENARIO = Path(__file__).resolve().parents[1] / "scenario" / "scenario.py"
MINUTE = 60_000


class Mission(unittest.TestCase):
    def test_the_scenario_plays_to_its_end(self):
        done = subprocess.run([sys.executable, SCENARIO, "--binary", BINARY], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout[-6000:] + done.stderr)
        self.assertRegex(done.stdout, r"scenario: [1-9]\d+ passed, 0 failed")

    def test_regex_matches_all_eight_lines_of_the_seed_with_its_own_filter(self):
        for filter_ in (SEED / "filter.d/james.conf", "james-log4j2"):
            done = subprocess.run([BINARY, "regex", SEED / "james.log", filter_], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("Lines: 8 lines, 0 ignored, 8 matched, 0 missed", done.stdout)


class Office(unittest.TestCase):
    """Twenty colleagues behind one address log in; two phones there retry an old password every five minutes."""

    OFFICE = "198.51.100.7"
    MAX_RETRY = 5

    def replay(self, lines, extra=""):
        with tempfile.TemporaryDirectory(prefix="gaoler-office-") as directory:
            log, config = Path(directory) / "james.log", Path(directory) / "jail.yaml"
            log.write_text("".join(text + "\n" for _, text in sorted(lines)))
            config.write_text(manifest(log, filters=["james-smtp-auth"], max_retry=self.MAX_RETRY, extra=extra))
            command = [BINARY, "replay", log, "--jail", "james", "--config", config, "-o", "json"]
            done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TZ": "UTC"})
        self.assertIn(done.returncode, (0, 1), done.stderr)
        return json.loads(done.stdout)["bans"]

    def day(self):
        """Three hours of it: (milliseconds, line)."""
        begin = 1_790_000_000_000
        lines = [
            (at, success(self.OFFICE, at, user=f"colleague{n}"))
            for n in range(20)
            for at in range(begin + n * 13_000, begin + 180 * MINUTE, 9 * MINUTE)
        ]
        phones = range(begin + MINUTE, begin + 180 * MINUTE, 5 * MINUTE)
        lines += [(at + n, failure(self.OFFICE, at + n, "json", user="old")) for at in phones for n in (0, 1500)]
        return begin, lines

    def test_two_phones_with_an_old_password_do_not_shut_out_the_office(self):
        _, lines = self.day()
        self.assertEqual(self.replay(lines), [])

    def test_without_trust_they_would(self):
        _, lines = self.day()
        self.assertNotEqual(self.replay(lines, extra="  trusted: {factor: 1}\n"), [])

    def test_a_guesser_behind_the_same_address_is_banned_within_three_times_max_retry(self):
        begin, lines = self.day()
        first = begin + 62 * MINUTE
        guesses = [first + n * 1200 for n in range(60)]
        lines += [(at, failure(self.OFFICE, at, "json", user="root").replace("fbade068", f"{at:08x}")) for at in guesses]
        bans = self.replay(lines)
        self.assertEqual({ban["subject"] for ban in bans}, {self.OFFICE})
        self.assertLessEqual(bans[0]["since"], iso(guesses[3 * self.MAX_RETRY - 1]))


def iso(milliseconds):
    """As reports write it; text that sorts."""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


if __name__ == "__main__":
    unittest.main()
