"""Rate limits outlive their daemon, and a change of one is no matter of the others."""

import re
import time

from harness.case import GaolerCase
from harness.daemon import wait_until
from harness.forge import ACK, PSH, SYN, Forge
from harness.world import World

METRICS = "127.0.0.1:9417"
LIMITS = """apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec: {protocol: TCP, ports: [25], hits: 4, window: 1h}
---
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: imap}
spec: {protocol: TCP, ports: [143], hits: IMAP, window: 1h, penalty: Excess}
"""


class Limits(GaolerCase):
    def knocks(self, source, port, times):
        """`y` for each connection that was greeted, `n` for each that was not."""
        return "".join("y" if self.client(source).reaches([port], 0.7) else "n" for _ in range(times))

    def limits(self):
        return {limit["name"]: limit for limit in self.gaoler.status()["rateLimits"]}

    def metrics(self, limit):
        """The limit's metrics by name, without their common beginning."""
        text = self.world.host.run("curl", "-sS", f"http://{METRICS}/metrics").stdout
        return {name: float(value) for name, value in re.findall(rf'(?m)^gaoler_ratelimit_(\w+){{ratelimit="{limit}"}} (\S+)', text)}

    def declare(self, imap):
        self.gaoler.manifest("limits.yaml", LIMITS.replace("IMAP", str(imap)))

    def test_limits_hold_while_the_daemon_is_killed_and_counts_outlive_it_and_changes_of_other_limits(self):
        self.serve([25, 143])
        self.install(start=False, ports=[587])
        self.declare(imap=3)
        self.gaoler.metrics = METRICS
        self.gaoler.start()
        self.assertEqual(self.knocks(self.ATTACKER, 25, 2), "yy")
        self.assertEqual(self.knocks(self.OTHER, 143, 3), "yyn")
        # Another limit changes its nature: the first has still counted two.
        self.declare(imap=40)
        self.gaoler.ask("reload")
        wait_until(lambda: self.limits()["imap"]["hits"] == 40 and "imap_rate4" in self.gaoler.kernel(), 30, self.why)
        self.assertEqual(self.knocks(self.OTHER, 143, 3), "yyy")
        self.gaoler.kill()
        # Nobody is there. The third connection is the last.
        self.assertEqual(self.knocks(self.ATTACKER, 25, 3), "ynn")
        self.assertEqual(self.knocks("45.129.14.77", 25, 5), "yyynn")
        self.gaoler.start()
        self.assertEqual(self.knocks(self.ATTACKER, 25, 1), "n")
        self.assertEqual(self.knocks("45.129.14.77", 25, 1), "n")
        # SYNs are repeated while nobody answers.
        smtp = self.limits()["smtp"]
        self.assertEqual(smtp["offenders"], 2, smtp)
        self.assertGreaterEqual(smtp["limitedPackets"], 6, smtp)
        # Who it is and for how long: in the overview, in full, and as data.
        named = {one["source"]: one["until"] for one in smtp["latestOffenders"]}
        self.assertEqual(set(named), {self.ATTACKER, "45.129.14.77"})
        for verb in (("status",), ("status", "smtp"), ("status", "ratelimit/smtp")):
            told = self.gaoler.ask(*verb, check=False).stdout
            for source in named:
                self.assertRegex(told, rf"{re.escape(source)}\b.*\b(59m|1h)")
        self.assertIn("there is no jail smtp", self.gaoler.ask("status", "jail/smtp", check=False).stderr)
        told = self.metrics("smtp")
        self.assertEqual((told["offenders"], told["uncounted_packets_total"]), (2, 0), told)
        self.assertGreaterEqual(told["packets_total"], 6, told)
        self.assertEqual(self.metrics("imap")["offenders"], 0, "what the earlier limit refused is another matter")
        self.assertEqual(self.gaoler.stop(), 0)
        self.assertEqual(self.knocks(self.ATTACKER, 25, 1), "n")

    def test_who_is_over_a_limit_that_shuts_nobody_out_is_told_and_let_go_as_it_is(self):
        self.serve([25, 143])
        self.install(start=False, ports=[587])
        manifests = LIMITS.replace("IMAP", "3").replace("{protocol: TCP, ports: [25]", "{mode: Observe, protocol: TCP, ports: [25]")
        off = "---\n" + LIMITS.partition("---")[0].replace("name: smtp", "name: off").replace("{protocol", "{mode: Disabled, escalateTo: none, protocol")
        self.gaoler.manifest("limits.yaml", manifests + off)
        self.gaoler.start()
        self.assertEqual(self.knocks(self.ATTACKER, 143, 4), "yynn")
        self.assertEqual(self.knocks(self.ATTACKER, 25, 5), "yyyyy")
        source = re.escape(self.ATTACKER)
        told = self.gaoler.ask("status", check=False).stdout
        self.assertRegex(told, rf"(?m)^imap +refused what was over +{source} \(\d+s ago\)$")
        self.assertRegex(told, rf"(?m)^smtp +would refuse for +{source} \((59m|1h)")
        self.assertRegex(told, r"(?m)^off +Disabled +TCP 25 .* 0 +0 packets +0 packets$")
        self.assertIn("OVER THE LIMIT LAST AT", self.gaoler.ask("status", "imap", check=False).stdout)
        self.assertIn("WOULD BE REFUSED UNTIL", self.gaoler.ask("status", "smtp", check=False).stdout)
        self.assertRegex(self.gaoler.ask("status", "off").stdout, "escalates to +jail none, which keeps nobody out: the limit is `Disabled`")
        why = self.gaoler.ask("why", self.ATTACKER, check=False)
        self.assertEqual(why.returncode, 1, "it is shut out of nothing")
        self.assertIn("is not banned", why.stdout)
        self.assertRegex(why.stdout, r"over rate limit imap, which refuses only what is over, the last at .* \(\d+s ago\)")
        self.assertRegex(why.stdout, r"over rate limit smtp, which only observes and would refuse it until .* \(in (59m|1h)")
        unban = self.gaoler.ask("unban", self.ATTACKER, check=False)
        self.assertEqual((unban.returncode, "nobody" in unban.stdout), (0, False), unban.stdout)
        for limit in ("imap", "smtp"):
            self.assertIn(f"rate limit {limit} has forgotten what was over it and counts anew", unban.stdout)
        self.assertEqual(self.gaoler.ask("unban", self.ATTACKER, check=False).returncode, 1, "there is nothing left")
        self.assertEqual(self.knocks(self.ATTACKER, 143, 3), "yyn")
        # Who is put on an AllowList is none of them any more.
        self.assertEqual(self.limits()["imap"]["offenders"], 1)
        entries = f"{{entries: [{{prefix: {self.ATTACKER}}}]}}"
        self.gaoler.manifest("allow.yaml", f"apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {{name: office}}\nspec: {entries}\n")
        self.gaoler.ask("reload")
        wait_until(lambda: self.limits()["imap"]["offenders"] == 0, 30, self.why)
        self.assertNotIn(self.ATTACKER, self.gaoler.ask("status", check=False).stdout)
        self.assertEqual(self.knocks(self.ATTACKER, 143, 3), "yyy")

    def test_forged_packets_ban_nobody_and_who_completes_connections_and_goes_on_is_banned(self):
        self.serve([25, 143])
        self.install(start=False, ports=[25, 143])
        self.gaoler.manifest("limits.yaml", LIMITS.partition("---")[0].replace("1h}", "1h, escalateTo: james}"))
        self.gaoler.start()
        forge = Forge(self.world.internet)
        # Nobody contradicts the forger in the name of the first; the second is there and answers with resets.
        for victim in ("198.18.0.77", "45.129.14.66"):
            for source in range(2000, 5000):
                segment = {"source": source, "port": 25}
                forge.send(victim, World.HOST4, **segment, seq=1, flags=SYN)
                # Another number on the same connection: the server answers with a bare ACK.
                forge.send(victim, World.HOST4, **segment, seq=1 << 20, flags=SYN)
            # Of these some are near enough to the server's number for connection tracking.
            for guess in range(0, 1 << 32, 1 << 20):
                forge.send(victim, World.HOST4, source=2000, port=25, seq=2, ack=guess, flags=PSH | ACK)
        wait_until(lambda: self.limits()["smtp"]["offenders"] == 2, 30, self.why)
        # A partner with a connection of its own now and then, in whose name a thousand are forged.
        self.assertEqual(self.knocks(self.OTHER, 25, 1), "y")
        for source in range(2000, 3000):
            forge.send(self.OTHER, World.HOST4, source=source, port=25, seq=1, flags=SYN)
        self.assertEqual(self.knocks(self.ATTACKER, 25, 4), "yyyn")
        self.wait_banned(self.ATTACKER)
        self.assert_banned(self.ATTACKER)
        self.assertEqual(self.knocks(self.ATTACKER, 143, 1), "n", "the jail's other port")
        [ban] = self.gaoler.ban_list()
        self.assertEqual((ban["jail"], ban["reason"]), ("james", "over the rate limit smtp with 3 completed connections"))
        # What came before a pardon is forgiven; nothing is read twice.
        self.gaoler.ask("unban", self.ATTACKER)
        wait_until(lambda: self.knocks(self.ATTACKER, 143, 1) == "y", 30, self.why)
        time.sleep(3)
        self.assert_banned()
