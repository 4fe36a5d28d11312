"""What attackers write into a log: it bans nobody else, stops nothing, and never the house."""

import base64
import os
import time
import unittest

from harness.case import GaolerCase, now_ms
from harness.figures import cpu_seconds
from harness.jameslog import failure
from harness.world import World

VICTIM = "8.8.8.8"
# Put where James prints a user name, an EHLO argument or a recipient.
NAMES = [
    f"x]@{VICTIM}",
    # A line break can only come with a name in base64, and James writes names in small letters.
    f"x\r\n12:00:00.000 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from y@{VICTIM}\r\n".lower(),
    f"x\n2026-01-01 12:00:00.000 +0000 - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - "
    f"AUTH method LOGIN failed from Username{{x}}@{VICTIM}\n".lower(),
    f"[ip={VICTIM}] - Rejected message. Unknown user: x",
    f"\033[31m@{VICTIM}\033[0m",
    f"x\0@{VICTIM}",
    f'x","mdc":{{"ip":"{VICTIM}","remoteIP":"{VICTIM}"}},"x":"',
    f"localPart=x]}}]@{VICTIM} with remote address {VICTIM}",
    f"ip={VICTIM}, remoteIP={VICTIM}, protocol=SMTP",
    f"::ffff:{VICTIM}",
    f"@{VICTIM}" * 500,
    "(" * 5000 + f"{VICTIM}" + ")" * 5000,
]


class Hostile(GaolerCase):
    FILTERS = {"seed": ["james-log4j2"], "default": ["james-smtp-auth", "james-pop3-auth"], "json": ["james-smtp-auth", "james-imap-auth"]}

    def begin(self, layout):
        self.layout = layout
        self.install(filters=self.FILTERS[layout])
        self.settle()

    def write(self, data):
        with open(self.log, "ab", buffering=0) as log:
            log.write(data)

    def test_names_that_look_like_accusations_accuse_nobody(self):
        for layout in self.FILTERS:
            with self.subTest(layout=layout):
                self.log = self.root / f"{layout}.log"
                if self.gaoler:
                    self.gaoler.kill()
                    self.gaoler.state.unlink()
                    self.world.host.run("nft", "flush", "ruleset")
                self.begin(layout)
                for name in NAMES:
                    for _ in range(3):
                        # The attacker fails, with that name; James itself appends the attacker's address.
                        self.write(failure(self.OTHER, now_ms(), layout, user=name).encode() + b"\n")
                self.settle()
                self.assertLessEqual(self.gaoler.bans() - set(self.SENTINELS), {self.OTHER})

    def test_bytes_that_are_no_text_harm_nothing(self):
        self.begin("default")
        self.write(bytes(range(256)) * 50 + b"\n")
        self.write(b"\xff\xfe\x00\n" * 100 + os.urandom(100_000) + b"\n")
        self.write(b"\0" * 1_000_000 + b"\n")
        self.settle()
        self.assertEqual(self.gaoler.bans() - set(self.SENTINELS), set())

    def test_a_line_of_ten_megabytes_is_passed_over(self):
        self.begin("default")
        self.write(b"x" * 10_000_000 + f"AUTH method PLAIN failed from x@{VICTIM}\n".encode())
        self.settle()
        self.assertEqual(self.gaoler.bans() - set(self.SENTINELS), set())

    def test_json_nested_deeper_than_any_stack_is_passed_over(self):
        self.begin("json")
        line = failure(self.OTHER, now_ms(), "json")
        self.write(line.replace('"throwable":null', '"throwable":' + "[" * 20_000 + "]" * 20_000).encode() + b"\n")
        self.write(b"[" * 50_000 + b"\n" + b'{"a":' * 10_000 + b"\n")
        self.settle()
        self.assertEqual(self.gaoler.bans() - set(self.SENTINELS), set())

    def test_the_house_named_in_a_log_is_never_banned(self):
        self.begin("json")
        for house in (World.HOST4, World.HOST6, f"::ffff:{World.HOST4}", "127.0.0.1", "::1", "0.0.0.0", "fe80::1", "224.0.0.1"):
            self.fails(house, 5)
        self.settle()
        self.assertEqual(self.gaoler.bans() - set(self.SENTINELS), set())

    def test_time_grows_with_the_length_of_a_line_and_not_faster(self):
        self.begin("seed")
        costs = []
        for size in (1000, 4000, 16000):
            # Almost matches at every place, as a line against a backtracking engine would.
            unit = "AUTH method LOGIN failed from Username@"
            line = failure(self.OTHER, now_ms(), "seed").rpartition("AUTH")[0] + unit * (size // len(unit)) + "x\n"
            before = self.cpu()
            self.write(line.encode() * (4_000_000 // size))
            self.settle()
            costs.append(self.cpu() - before)
        # The same number of bytes each time. Quadratic work would cost sixteen times as much in the longest.
        self.assertLess(costs[-1], costs[0] * 6 + 0.5, costs)

    def cpu(self):
        return cpu_seconds(self.gaoler.process.pid)

    def test_passwords_in_the_log_never_reach_our_own_output(self):
        secret = base64.b32encode(os.urandom(10)).decode()
        self.begin("default")
        self.write(f"{time.strftime('%H:%M:%S')}.000 [INFO ] o.a.j.p.s.X - LOGIN bob {secret}\n".encode() * 3)
        self.write(failure(self.OTHER, now_ms(), "default", user=secret).encode() + b"\n")
        self.write(failure(self.OTHER, now_ms(), "default", user=secret).encode() + b"\n")
        self.wait_banned(self.OTHER)
        said = self.gaoler.messages.read_text() + self.gaoler.events.read_text() + self.gaoler.ask("why", self.OTHER).stdout
        said += self.gaoler.ask("bans").stdout + self.gaoler.ask("status", check=False).stdout
        self.assertNotIn(secret, said)
        self.assertNotIn(secret.encode(), self.gaoler.state.read_bytes())


if __name__ == "__main__":
    unittest.main()
