"""What a ban closes and what it leaves open, told by packets."""

import socket
import unittest

from harness.case import GaolerCase
from harness.daemon import wait_until
from harness.installations import manifest
from harness.mailserver import Mailserver
from harness.world import World

PATIENCE = 1.0


class Packets(GaolerCase):
    def test_two_jails_share_a_port_and_each_keeps_its_own_bans(self):
        self.serve([25, 143])
        both = "45.129.14.32"
        second = self.root / "second.log"
        self.install(start=False, ports=[25])
        text = manifest(second, max_retry=2, ports=[25, 143]).replace("name: james}", "name: second}").replace("guessing", "other")
        self.gaoler.manifest("second.yaml", text)
        self.gaoler.start()
        for address, path in ((self.ATTACKER, self.log), (self.OTHER, second), (both, self.log), (both, second)):
            self.fails(address, 2, path=path)
        wait_until(lambda: {self.ATTACKER, self.OTHER, both} <= self.gaoler.kernel_bans(), 30, self.why)
        wait_until(lambda: both in self.gaoler.bans("james") & self.gaoler.bans("second"), 30, self.why)
        self.assertEqual(self.client(self.ATTACKER).reaches([25, 143], PATIENCE), [143])
        self.assertEqual(self.client(self.OTHER).reaches([25, 143], PATIENCE), [])
        self.gaoler.ask("unban", both, "--jail", "second")
        wait_until(lambda: self.client(both).reaches([143], PATIENCE) == [143], 10, self.why)
        self.assertEqual(self.client(both).reaches([25], PATIENCE), [], "the other jail's ban went too")

    def test_a_ban_on_all_ports_leaves_the_hosts_own_connections_alone(self):
        self.serve([22, 25])
        self.install()
        banned, free = self.ATTACKER, self.OTHER
        theirs = Mailserver(self.world.internet, banned, [8025])
        self.gaoler.ask("ban", banned, "--reason", "all of it")
        wait_until(lambda: self.client(banned).reaches([22, 25], PATIENCE) == [], 10, self.why)
        self.assertFalse(self.pings(banned), "other protocols are open")
        self.assertTrue(self.pings(free))
        self.assertEqual(self.client(free).reaches([22, 25]), [22, 25])
        with self.world.host.inside():
            ours = socket.create_connection((banned, 8025), timeout=5)
        self.assertTrue(ours.recv(64), "the host cannot reach the banned address")
        ours.close()
        del theirs

    def pings(self, source):
        done = self.world.internet.run("ping", "-c", "2", "-i", "0.2", "-W", "1", "-I", source, World.HOST4, check=False)
        return done.returncode == 0

    def test_nested_prefixes_with_different_ends_end_apart(self):
        self.serve([25])
        self.install()
        inner, neighbour = "45.129.14.30", "45.129.14.31"
        self.gaoler.ask("ban", inner, "--jail", "james", "--for", "2h")
        self.gaoler.ask("ban", "45.129.14.0/24", "--jail", "james", "--for", "4s")
        wait_until(lambda: self.client(neighbour).reaches([25], 0.3) == [], 10, self.why)
        self.assertEqual(self.client(inner).reaches([25], PATIENCE), [])
        wait_until(lambda: self.client(neighbour).reaches([25], PATIENCE) == [25], 20, self.why)
        self.assertEqual(self.client(inner).reaches([25], PATIENCE), [], "the inner ban ended with the outer")

    def test_unbanning_a_prefix_lifts_what_lies_inside(self):
        self.serve([25])
        self.install()
        for address in (self.ATTACKER, self.OTHER):
            self.fails(address, 2)
        self.wait_banned(self.ATTACKER, self.OTHER)
        self.gaoler.ask("unban", "45.129.14.0/24")
        wait_until(lambda: self.client(self.ATTACKER).reaches([25], PATIENCE) == [25], 10, self.why)
        self.assert_banned()

    def test_reject_answers_instead_of_silence(self):
        self.serve([25])
        self.install(extra="")
        text = (self.gaoler.config / "james.yaml").read_text().replace("enforce: {", "enforce: {action: Reject, ")
        self.gaoler.manifest("james.yaml", text)
        self.gaoler.ask("reload")
        self.fails(self.ATTACKER, 2)
        wait_until(lambda: self.ATTACKER in self.gaoler.kernel_bans(), 30, self.why)
        with self.world.internet.inside(), self.assertRaises(ConnectionRefusedError):
            socket.create_connection((World.HOST4, 25), timeout=5, source_address=(self.ATTACKER, 0))

    def test_ipv6_is_banned_by_its_64(self):
        self.server = Mailserver(self.world.host, World.HOST6, [25])
        self.install()
        self.world.own_all("2001:db8:bad::/48")
        one, sibling, stranger = "2001:db8:bad:1::1", "2001:db8:bad:1:ffff::2", "2001:db8:bad:2::1"
        self.fails(one, 2)
        self.wait_banned("2001:db8:bad:1::/64")

        def reaches(address):
            with self.world.internet.inside():
                try:
                    with socket.create_connection((World.HOST6, 25), timeout=PATIENCE, source_address=(address, 0)) as s:
                        return bool(s.recv(10))
                except OSError:
                    return False

        wait_until(lambda: not reaches(sibling), 10, self.why)
        self.assertFalse(reaches(one))
        self.assertTrue(reaches(stranger))


if __name__ == "__main__":
    unittest.main()
