"""How the program lives with systemd: readiness, watchdog, journal, and no more power than the unit gives."""

import json
import os
import signal
import socket
import subprocess
import unittest
from pathlib import Path

from harness.case import GaolerCase
from harness.daemon import wait_until
from harness.journal import Journal

MISSION = Path(__file__).resolve().parents[2] / "deploy/examples/mission.yaml"


class ServiceManager:
    """The receiving end of sd_notify."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(30)

    def wait_for(self, word):
        """All messages up to the first that holds `word`."""
        seen = []
        while not seen or word not in seen[-1]:
            seen.append(self.socket.recv(4096).decode())
        return seen


class Service(GaolerCase):
    def test_it_tells_the_service_manager_when_it_is_ready_alive_reloading_and_stopping(self):
        manager = ServiceManager(self.root / "notify")
        self.install(environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"})
        manager.wait_for("READY=1")
        manager.wait_for("WATCHDOG=1")
        manager.wait_for("WATCHDOG=1")
        self.gaoler.process.send_signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        manager.wait_for("READY=1")
        self.gaoler.process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING=1")
        self.assertEqual(self.gaoler.process.wait(20), 0)

    def test_ready_means_that_old_bans_are_in_the_kernel(self):
        manager = ServiceManager(self.root / "notify")
        self.install(environment={"NOTIFY_SOCKET": manager.path})
        manager.wait_for("READY=1")
        self.fails(self.ATTACKER, 2)
        self.wait_banned(self.ATTACKER)
        self.gaoler.stop()
        manager.wait_for("STOPPING=1")
        self.world.host.run("nft", "flush", "ruleset")
        self.gaoler.start(wait=False)
        manager.wait_for("READY=1")
        self.assertIn(self.ATTACKER, self.gaoler.kernel_bans())

    def test_two_capabilities_are_enough_even_for_other_peoples_logs(self):
        caps = "-all,+net_admin,+dac_read_search"
        setpriv = ["setpriv", "--no-new-privs", f"--inh-caps={caps}", f"--ambient-caps={caps}", f"--bounding-set={caps}"]
        mapped = Path("/proc/self/uid_map").read_text().split()[2] == "1"
        if mapped:  # only uid 0 exists in here: take its privileges away instead
            setpriv += ["--securebits", "+noroot,+noroot_locked"]
        else:
            setpriv += ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
        self.log.touch()
        self.log.chmod(0o000)
        home = self.root / "gaoler"
        (home / "lib").mkdir(parents=True)
        if not mapped:
            for directory in (home, home / "lib"):
                os.chown(directory, 65534, 65534)
            self.root.chmod(0o755)
        self.install(wrapper=setpriv)
        status = Path(f"/proc/{self.gaoler.process.pid}/status").read_text()
        effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
        self.assertEqual(effective, 1 << 12 | 1 << 2, "net_admin and dac_read_search")
        self.fails(self.ATTACKER, 2)
        self.wait_banned(self.ATTACKER)
        self.assertIn(self.ATTACKER, self.gaoler.kernel_bans())

    def test_messages_are_json_when_asked(self):
        self.install(arguments=["--log-format", "json"])
        self.fails(self.ATTACKER, 2)
        self.wait_banned(self.ATTACKER)
        self.gaoler.stop()
        lines = self.gaoler.messages.read_text().splitlines()
        self.assertGreater(len(lines), 0)
        for line in lines:
            json.loads(line)


class SystemdJournal(GaolerCase):
    def guess(self, address, times=1):
        for _ in range(times):
            self.journal.entry(f"Failed password for invalid user admin from {address} port 50122 ssh2")

    def setUp(self):
        super().setUp()
        self.journal = Journal(self.root)
        self.addCleanup(self.journal.close)
        self.install(start=False, environment=self.journal.environment())
        (self.gaoler.config / "james.yaml").unlink()
        self.gaoler.manifest("sshd.yaml", MISSION.read_text().partition("\n---\n")[2])

    def test_the_cursor_is_kept_over_kill_9(self):
        self.gaoler.start()
        self.guess(self.ATTACKER)
        self.settle_journal("45.250.0.1")
        self.gaoler.kill()
        self.guess(self.OTHER, 2)  # while it is away
        self.gaoler.start()
        self.wait_banned(self.OTHER)
        self.settle_journal("45.250.0.2")
        self.assertNotIn(self.ATTACKER, self.gaoler.bans(), "an entry counted twice")
        self.guess(self.ATTACKER)
        self.wait_banned(self.ATTACKER)

    def test_entries_count_once_though_the_jail_asks_for_other_units(self):
        self.gaoler.start()
        self.guess(self.ATTACKER)
        self.settle_journal("45.250.0.1")
        told = (self.gaoler.config / "sshd.yaml").read_text()
        for n, units in enumerate(("[ssh.service, sshd.service]", "[ssh.service, other.service]", "[ssh.service]"), 2):
            self.gaoler.manifest("sshd.yaml", told.replace("[ssh.service]", units))
            self.gaoler.ask("reload")
            self.settle_journal(f"45.250.0.{n}")
        self.assertNotIn(self.ATTACKER, self.gaoler.bans(), "an entry counted twice")
        self.guess(self.ATTACKER)
        self.wait_banned(self.ATTACKER)

    def settle_journal(self, sentinel):
        self.guess(sentinel, 2)
        self.wait_banned(sentinel)

    def test_a_rotated_journal_is_followed(self):
        self.gaoler.start()
        self.guess(self.ATTACKER)
        self.journal.open()
        self.guess(self.ATTACKER)
        self.wait_banned(self.ATTACKER)

    def test_a_message_with_a_line_break_accuses_nobody_else(self):
        self.gaoler.start()
        for _ in range(3):
            self.journal.entry(f"Invalid user x\nFailed password for root from 8.8.8.8 port 1 ssh2\n from {self.OTHER} port 4")
        self.settle_journal("45.250.0.1")
        self.assertNotIn("8.8.8.8", self.gaoler.bans())

    def test_other_units_are_not_listened_to(self):
        self.gaoler.start()
        for _ in range(5):
            self.journal.entry(f"Failed password for root from {self.ATTACKER} port 1 ssh2", unit="evil.service")
        self.settle_journal("45.250.0.1")
        self.assertNotIn(self.ATTACKER, self.gaoler.bans())

    def test_a_dead_journalctl_is_started_again(self):
        self.gaoler.start()
        self.settle_journal("45.250.0.1")
        child = self.journalctl()
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: self.journalctl() not in (None, child), 30, self.why)
        self.guess(self.ATTACKER, 2)
        self.wait_banned(self.ATTACKER)

    def journalctl(self):
        """The pid of the daemon's journalctl."""
        done = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(self.gaoler.process.pid)], capture_output=True, text=True)
        pids = [int(line.split()[0]) for line in done.stdout.splitlines() if "journalctl" in line and "defunct" not in line]
        return pids[0] if pids else None


if __name__ == "__main__":
    unittest.main()
