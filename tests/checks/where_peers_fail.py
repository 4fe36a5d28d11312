"""What every peer that was measured fails in part: one test each, with the whole program and real files."""

import os
import shutil
import unittest

from harness.case import GaolerCase, now_ms
from harness.daemon import wait_until
from harness.jameslog import append, failure, seed_stamp
from harness.world import World


class ReadingLogs(GaolerCase):
    def test_failures_in_the_file_before_the_start_count(self):
        self.fails(self.ATTACKER, 2)
        self.install()
        self.wait_banned(self.ATTACKER)
        self.assert_banned(self.ATTACKER)

    def test_failures_written_while_stopped_count(self):
        self.install()
        self.fails(self.OTHER)
        self.settle()
        self.gaoler.stop()
        self.fails(self.ATTACKER, 2)
        self.fails(self.OTHER)
        self.gaoler.start()
        self.wait_banned(self.ATTACKER, self.OTHER)
        self.assert_banned(self.ATTACKER, self.OTHER)

    def test_one_failure_a_restart_and_one_failure_make_two(self):
        for end in ("stop", "kill"):
            with self.subTest(end=end):
                address = self.ATTACKER if end == "stop" else self.OTHER
                if self.gaoler is None:
                    self.install()
                self.fails(address)
                self.settle()
                getattr(self.gaoler, end)()
                self.gaoler.start()
                self.settle()
                self.assertNotIn(address, self.gaoler.bans(), "counted twice")
                self.fails(address)
                self.wait_banned(address)

    def test_late_lines_into_the_renamed_file_count(self):
        self.install()
        self.fails(self.OTHER)
        self.settle()
        with open(self.log, "ab", buffering=0) as still_open:
            self.log.rename(self.root / "james.log.1")
            still_open.write(failure(self.ATTACKER, now_ms()).encode() + b"\n")
            self.log.touch()
            self.settle()
            still_open.write(failure(self.ATTACKER, now_ms()).encode() + b"\n")
            still_open.write(failure(self.OTHER, now_ms()).encode() + b"\n")
        self.wait_banned(self.ATTACKER, self.OTHER)
        self.assert_banned(self.ATTACKER, self.OTHER)

    def test_copytruncate_right_after_the_write_loses_nothing(self):
        self.install()
        self.fails(self.OTHER)
        self.settle()
        self.fails(self.ATTACKER, 2)
        shutil.copyfile(self.log, self.root / "james.log.1")
        os.truncate(self.log, 0)
        self.fails(self.OTHER)
        self.wait_banned(self.ATTACKER, self.OTHER)
        self.assert_banned(self.ATTACKER, self.OTHER)

    def test_copytruncate_with_the_same_size_written_again_is_noticed(self):
        self.install()
        when = now_ms()
        self.fails(self.OTHER, at=when)
        self.settle()
        size = self.log.stat().st_size
        self.gaoler.stop()
        shutil.copyfile(self.log, self.root / "james.log.1")
        os.truncate(self.log, 0)
        # Other lines, the same length to the byte.
        while self.log.stat().st_size < size:
            self.fails(self.ATTACKER, at=when)
            if size - self.log.stat().st_size < len(failure(self.ATTACKER, when)) + 1:
                append(self.log, "x" * max(size - self.log.stat().st_size - 1, 0))
        self.assertEqual(self.log.stat().st_size, size)
        self.gaoler.start()
        self.wait_banned(self.ATTACKER)
        self.settle()
        self.assert_banned(self.ATTACKER)

    def test_a_line_in_two_pieces_counts_once(self):
        self.install()
        self.settle()
        line = failure(self.ATTACKER, now_ms()).encode() + b"\n"
        for cut in (3, len(line) // 2, len(line) - 1):
            address = f"45.1.1.{cut}"
            line = failure(address, now_ms()).encode() + b"\n"
            for _ in range(2):
                with open(self.log, "ab", buffering=0) as log:
                    log.write(line[:cut])
                    self.settle_elsewhere()
                    log.write(line[cut:])
            self.wait_banned(address)
            self.assertEqual({b["weight"] for b in self.gaoler.ban_list() if b["subject"] == address}, {2})

    def settle_elsewhere(self):
        """Until the reader has certainly seen the half line: its offset report is asked for in between."""
        self.gaoler.status("james")

    def test_a_log_that_is_not_there_yet_is_waited_for(self):
        self.install()
        self.assertFalse(self.log.exists())
        self.fails(self.ATTACKER, 2)
        self.wait_banned(self.ATTACKER)


class Time(GaolerCase):
    def test_stamps_three_hours_old_at_the_start_do_not_ban(self):
        self.fails(self.ATTACKER, 5, at=now_ms() - 3 * 3_600_000)
        self.install()
        self.settle()
        self.assert_banned()

    def test_stamps_further_apart_than_find_time_do_not_ban(self):
        self.install(find_time="5s")
        self.settle()
        when = now_ms()
        self.fails(self.ATTACKER, at=when - 5001)
        self.fails(self.ATTACKER, at=when)
        self.settle()
        self.assert_banned()

    def test_stamps_exactly_find_time_apart_ban(self):
        self.install(find_time="5s")
        self.settle()
        # The first is read while it is young: what is older than findTime when it is read is skipped.
        when = now_ms()
        self.fails(self.ATTACKER, at=when)
        self.settle()
        wait_until(lambda: now_ms() >= when + 5000, 30)
        self.fails(self.ATTACKER, at=when + 5000)
        self.wait_banned(self.ATTACKER)
        self.settle()
        self.assert_banned(self.ATTACKER)

    def test_a_zone_west_of_greenwich_after_a_blank_is_understood(self):
        self.log.touch()
        when = now_ms() - 60_000
        for hours in (-5, 2):
            address = {-5: self.ATTACKER, 2: self.OTHER}[hours]
            line = failure(address, when).replace(seed_stamp(when), seed_stamp(when, hours=hours))
            self.assertIn(" -0500 " if hours < 0 else " +0200 ", line)
            # Read at the start, where the stamp itself counts: five hours off would be far too old.
            append(self.log, line, line)
        self.install()
        self.wait_banned(self.ATTACKER, self.OTHER)

    def test_old_stamps_appended_live_count_as_now(self):
        self.install()
        self.settle()
        self.fails(self.ATTACKER, 2, at=now_ms() - 3 * 3_600_000)
        self.wait_banned(self.ATTACKER)


class House(GaolerCase):
    def test_the_hosts_own_addresses_are_never_banned(self):
        self.install()
        self.settle()
        for own in (World.HOST4, World.HOST6, "127.0.0.1", "::1", "fe80::1"):
            self.fails(own, 5)
        self.settle()
        self.assert_banned()

    def test_an_address_the_host_gets_later_is_never_banned_either(self):
        self.install()
        self.settle()
        self.world.host.run("ip", "addr", "add", "45.77.0.1/32", "dev", "eth0")
        self.settle()
        # The kernel tells of new addresses in its own time: the daemon says when it has heard.
        wait_until(self.refused, 20, self.why)
        self.fails("45.77.0.1", 5)
        self.settle()
        self.assert_banned()

    def refused(self):
        """Whether even a person's order to ban it is refused; takes the ban back where it is not."""
        if self.gaoler.ask("ban", "45.77.0.1", check=False).returncode != 0:
            return True
        self.gaoler.ask("unban", "45.77.0.1")
        return False


if __name__ == "__main__":
    unittest.main()
