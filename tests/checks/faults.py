"""Whatever happens, in the end: bans = oracle, none lost, none doubled, table never absent.

Sizes are small here; with GAOLER_FULL=1 they are those of the acceptance list.
"""

import contextlib
import json
import os
import random
import re
import subprocess
import tempfile
import time
import unittest
from datetime import datetime
from pathlib import Path

from harness.daemon import wait_until
from harness.installations import Guard
from harness.jameslog import append, failure
from harness.mailserver import MAIL_PORTS
from harness.prober import Prober
from harness.set_clock import SettableClock
from harness.storm import ROTATIONS, Background, Storm
from harness.world import World

FULL = bool(os.environ.get("GAOLER_FULL"))


class Fault(unittest.TestCase):
    """A host with Gaoler on a stormy log, and somebody banned from the first moment who must never get through."""

    PRISONER = "45.200.0.1"

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="gaoler-fault-")
        self.root = Path(self.directory.name)
        self.addCleanup(self.directory.cleanup)
        self.world = World()
        self.world.own_all("45.0.0.0/8")
        self.storm = Storm(self.root / "log")
        self.monitor = None

    def install(self, **options):
        self.gaoler = Guard(
            self.world.host, self.root / "gaoler", self.storm.glob, binary=os.environ["GAOLER_BINARY"], **options
        )
        self.gaoler.start()
        self.addCleanup(self.gaoler.kill)

    def imprison(self):
        """Bans the prisoner and begins to watch that they stay out and that the table stays."""
        append(self.storm.path, *[failure(self.PRISONER, int(time.time() * 1000))] * self.storm.max_retry)
        self.storm.guilty.add(self.PRISONER)
        wait_until(lambda: self.PRISONER in self.gaoler.kernel_bans(), 60, self.gaoler.told)
        self.monitor = self.world.host.popen("nft", "monitor", "tables", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.prober = Prober(self.world.internet, self.PRISONER, World.HOST4, MAIL_PORTS[0])
        self.watching = True

        def knock():
            while self.watching:
                self.prober.knock()
                time.sleep(0.002)

        self.knocking = Background(knock)

    def release(self):
        """What the watch has seen: (knocks, answered, whether the table was ever deleted)."""
        self.watching = False
        self.knocking.join()
        self.monitor.terminate()
        seen = self.monitor.communicate()[0].decode()
        return len(self.prober.sent), self.prober.answered + 1, bool(re.search(r"delete table inet gaoler\b", seen))

    def assert_oracle(self, timeout=90.0):
        """The bans are those that must be, in the ledger and in the kernel, each once and each with its evidence."""
        last = set(self.storm.last_word())
        wait_until(lambda: last <= self.gaoler.bans(), timeout, lambda: f"{self.gaoler.told()}\n{json.dumps(self.gaoler.status('james'))}")
        # A rotated file that nobody announced is read only after it has been quiet for a while.
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: self.storm.guilty <= self.gaoler.bans(), 20)
        bans = self.gaoler.ban_list("james")
        subjects = [ban["subject"] for ban in bans]
        lost, doubled = self.storm.guilty - set(subjects), set(subjects) - self.storm.guilty
        context = f"rotations {self.storm.rotated}"
        self.assertEqual((sorted(lost), sorted(doubled)), ([], []), f"(lost, counted twice); {context}")
        self.assertEqual(len(subjects), len(set(subjects)), "an address is banned twice")
        odd = [ban for ban in bans if ban["n"] != 1 or ban["weight"] != self.storm.max_retry]
        self.assertEqual(odd, [], "n-th time or number of failures")
        wait_until(lambda: self.storm.guilty <= self.gaoler.kernel_bans(), 30, self.gaoler.told)
        self.assertEqual(self.gaoler.kernel_bans(), self.storm.guilty, "kernel and ledger differ")

    def assert_never_out(self, gaps=False):
        knocks, answered, deleted = self.release()
        self.assertGreater(knocks, 50)
        if not gaps:
            self.assertEqual(answered, 0, f"of {knocks} knocks")
            self.assertFalse(deleted, "the table was deleted")
        return answered


class Kills(Fault):
    def test_killed_at_random_moments_while_logs_rotate_in_every_way(self):
        kills, lines = (100, 100_000) if FULL else (12, 12_000)
        self.install()
        self.imprison()
        chance = random.Random(11)
        feeding = self.storm.feed_in_background(lines, kills * 0.6, rotations=ROTATIONS)
        for _ in range(kills):
            time.sleep(chance.random() * 0.5)
            self.gaoler.kill()
            # Sometimes it stays away for a while, through a rotation or two.
            time.sleep(chance.choice([0, 0, 0.05, 0.3]))
            self.gaoler.start(wait=chance.random() < 0.5)
        feeding.join()
        self.gaoler.wait_ready()
        self.assert_oracle()
        self.assert_never_out()
        self.assertEqual(set(self.storm.rotated), set(ROTATIONS), "not every rotation happened")

    def test_stopped_in_order_and_started_again(self):
        self.install()
        self.imprison()
        self.storm.feed(3000, 1.0, rotations=ROTATIONS)
        self.assertEqual(self.gaoler.stop(), 0, self.gaoler.told())
        self.assertIn(self.PRISONER, self.gaoler.kernel_bans())
        self.storm.feed(3000, 0.5, rotations=ROTATIONS)
        self.gaoler.start()
        self.storm.feed(3000, 0.5)
        self.assert_oracle()
        self.assert_never_out()


class Disks(Fault):
    def test_the_state_file_was_cut_in_half(self):
        self.install()
        self.imprison()
        self.storm.feed(5000, 1.0)
        self.gaoler.stop()
        size = self.gaoler.state.stat().st_size
        self.assertGreater(size, 100)
        os.truncate(self.gaoler.state, size // 2)
        self.gaoler.start()
        self.storm.feed(2000, 0.5)
        self.assert_oracle()
        self.assert_never_out()

    def test_the_disk_under_the_state_is_full(self):
        disk = self.root / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        self.install(state=disk / "state")
        self.imprison()
        self.storm.feed(2000, 0.5)
        ballast = disk / "ballast"
        with self.assertRaises(OSError), open(ballast, "wb", buffering=0) as out:
            while True:
                out.write(bytes(4096))
        self.storm.feed(3000, 4.0)
        self.assert_oracle()
        # Killed while it cannot save, and again when it can.
        self.gaoler.kill()
        self.gaoler.start()
        self.storm.feed(2000, 0.5)
        self.assert_oracle()
        ballast.unlink()
        self.storm.feed(2000, 3.0)
        self.gaoler.kill()
        self.gaoler.start()
        self.assert_oracle()
        self.assert_never_out()

    def test_the_log_is_deleted_and_made_again(self):
        self.install()
        self.imprison()
        for _ in range(5):
            self.storm.feed(500, 0.2)
            self.gaoler.wait_drained()
            self.storm.path.unlink()
            time.sleep(0.05)
            self.storm.path.touch()
        self.storm.feed(500, 0.2)
        self.assert_oracle()
        self.assert_never_out()


class Kernel(Fault):
    def test_somebody_flushes_the_ruleset_while_attacked(self):
        self.install()
        self.imprison()
        repairs = []
        for _ in range(20 if FULL else 3):
            self.storm.feed(300, 0.2)
            began = time.monotonic()
            self.world.host.run("nft", "flush", "ruleset")
            wait_until(lambda: self.PRISONER in self.gaoler.kernel_bans(), 20, self.gaoler.told)
            repairs.append(time.monotonic() - began)
        self.assert_oracle()
        answered = self.assert_never_out(gaps=True)
        worst = f"repaired within {max(repairs) * 1000:.0f} ms ({len(repairs)} times), {answered} knocks passed meanwhile"
        print(f"[{worst}] ", end="", flush=True)

    def test_nft_fails_for_a_while(self):
        tools = self.root / "tools"
        tools.mkdir()
        broken = self.root / "nft-is-broken"
        shim = tools / "nft"
        shim.write_text(f'#!/bin/sh\nif [ -e {broken} ]; then echo "Error: out of order" >&2; exit 1; fi\nexec /usr/sbin/nft "$@"\n')
        shim.chmod(0o755)
        self.install(environment={"PATH": f"{tools}:{os.environ['PATH']}"})
        self.imprison()
        broken.touch()
        self.storm.feed(2000, 1.0)
        self.world.host.run("nft", "flush", "ruleset")
        self.storm.feed(2000, 60.0 if FULL else 3.0)
        broken.unlink()
        self.assert_oracle()
        self.assert_never_out(gaps=True)


class Clock(Fault):
    """The daemon's clock alone is set."""

    takes = 110

    def install(self, **options):
        self.clock = SettableClock(self.root / "clock")
        super().install(environment=self.clock.environment(), **options)

    def test_the_clock_is_stepped_back_and_forth(self):
        self.install()
        self.imprison()
        for seconds in (3000, -3000, 0):
            self.clock.set(seconds)
            self.storm.feed(1000, 1.0)
            self.gaoler.wait_drained()
        self.assert_oracle()
        self.assert_never_out()

    def until(self, subject):
        """When a ban ends, as a person reads it."""
        text = next((ban["until"] for ban in self.gaoler.ban_list() if ban["subject"] == subject), None)
        self.assertIsNotNone(text, f"{subject} is not banned any more\n{self.gaoler.told()}")
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    def held_until(self, end, *subjects):
        """That these are kept out until then by the machine's clock, and no longer."""
        wait_until(lambda: time.time() > end - 3, 60)
        self.assertLessEqual(set(subjects), self.gaoler.kernel_bans())
        wait_until(lambda: not set(subjects) & (self.gaoler.kernel_bans() | self.gaoler.bans()), 10, self.gaoler.told)
        self.assertGreaterEqual(time.time(), end - 1)

    def test_what_is_left_of_a_ban_stays_when_the_clock_is_set(self):
        self.install()
        self.imprison()
        for ahead in (3600, -3600):
            self.gaoler.ask("ban", "45.201.0.1", "--for", "20s")
            end, ahead_before = time.time() + 20, self.clock.ahead
            self.assertAlmostEqual(self.until("45.201.0.1"), end + ahead_before, delta=2)
            self.clock.set(ahead)
            self.assertAlmostEqual(self.until("45.201.0.1"), end + ahead, delta=2)
            self.held_until(end, "45.201.0.1")
        self.assert_never_out()

    def test_what_is_left_of_a_ban_stays_when_the_clock_is_set_while_the_daemon_is_away(self):
        self.install()
        self.imprison()
        for ahead in (3600, -3600):
            self.gaoler.ask("ban", "45.201.0.1", "--for", "30s")
            end = time.time() + 30
            self.gaoler.kill()
            self.clock.set(ahead)
            self.gaoler.start()
            self.assertAlmostEqual(self.until("45.201.0.1"), end + ahead, delta=2)
            self.held_until(end, "45.201.0.1")
        self.assert_never_out()

    def test_who_was_pardoned_before_the_clock_was_set_back_is_counted_again(self):
        self.install()
        self.clock.set(3600)
        self.gaoler.ask("ban", "45.201.0.2")
        self.gaoler.ask("unban", "45.201.0.2")
        self.clock.set(0)
        # Counted from zero, and counted.
        append(self.storm.path, *[failure("45.201.0.2", int(time.time() * 1000))] * self.storm.max_retry)
        self.storm.guilty.add("45.201.0.2")
        self.assert_oracle()


if __name__ == "__main__":
    unittest.main()
