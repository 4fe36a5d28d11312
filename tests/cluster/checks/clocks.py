"""One node's clock is wrong, or is set while its agent runs: it and all others judge and end bans as if it were right."""

import random
import re
import time
from datetime import datetime

from bans import JAIL, SharedCase
from cluster.installed import GROUP
from harness.daemon import wait_until
from harness.jameslog import failure
from harness.oracle import banned

FIND_TIME = 20_000
# Nodes know each other's time to within some hundredths of a second: whose verdict hangs on less is not asked for.
EDGE = 250


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Clocks(SharedCase):
    takes = 190

    def guarded_by(self, clocks, **spec):
        """Nodes 1 to 3, guarded; `clocks`: by how many seconds that of a node is ahead. Until each knows its own."""
        self.spec = {**JAIL, "findTime": f"{FIND_TIME // 1000}s", "brake": {"bansPerMinute": 100_000}, **spec}
        self.clocks = clocks
        self.guarded()
        for number, node in self.nodes.items():
            wait_until(lambda n=node: bool(self.skew(n)) == (n.number in clocks), 60, node.agent.told)
            self.assertEqual(node.clock_ahead, clocks.get(number, 0))

    def node(self, number, **about):
        return super().node(number, clock_ahead=self.clocks.get(number, 0), **about)

    def make(self, kind, name, spec, **about):
        return super().make(kind, name, self.spec if kind == "jails" else spec, **about)

    def skew(self, node):
        """What the node says of its clock; None where it says nothing, "" before it says anything at all."""
        status = self.plane.api.get(f"{GROUP}/nodeagents").get("items", [])
        found = next((agent.get("status", {}) for agent in status if agent["metadata"]["name"] == node.name), {})
        return next((c["message"] for c in found.get("conditions", []) if c["type"] == "ClockSkew" and c["status"] == "True"), None)

    def fails(self, node, address, at):
        """James there says that somebody failed then, in milliseconds; its text has the node's own time too."""
        node.james.log.write(failure(address, at + node.clock_ahead * 1000, "default"), at=at * 1_000_000)

    def storm(self, attackers, span):
        """Failures (when, address, node): each attacker tries at any node, and no verdict hangs on a moment."""
        chance = random.Random(11)
        begin = round(time.time() * 1000) + 1000
        tries = []
        for number in range(attackers):
            address = f"45.3.{number // 250}.{number % 250 + 1}"
            length = chance.choice((8, 15, 22, 30))
            while True:
                start = chance.uniform(0, span - length)
                times = sorted(round((start + chance.uniform(0, length)) * 1000) for _ in range(chance.randint(3, 8)))
                spans = [last - first for first, last in zip(times, times[4:])]
                if all(abs(span - FIND_TIME) > EDGE for span in spans):
                    break
            tries += [(begin + at, address, chance.choice(list(self.nodes.values()))) for at in times]
        return sorted(tries, key=lambda one: one[0])

    def play(self, tries):
        for at, address, node in tries:
            time.sleep(max(0.0, at / 1000 - time.time()))
            self.fails(node, address, at)

    def check_verdicts(self, ahead):
        self.guarded_by({2: ahead})
        right, wrong = self.nodes[1], self.nodes[2]
        # The first answer tells it to within a second, a few more exactly.
        words = f"{abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'}"
        wait_until(lambda: words in self.skew(wrong), 60, lambda: self.skew(wrong))
        tries = self.storm(300, 40)
        merged = [(at, address) for at, address, _ in tries]
        wanted = banned(merged, 5, FIND_TIME)
        # As if the wrong clock were believed: what the other two saw would not count there, nor here what it saw.
        blind = banned([(at, address) for at, address, node in tries if node is not wrong], 5, FIND_TIME)
        blind |= banned([(at, address) for at, address, node in tries if node is wrong], 5, FIND_TIME)
        print(f"{len(tries)} failures, {len(wanted)} to be banned, {len(blind)} without common time ", end="", flush=True)
        self.assertGreater(len(wanted - blind), 50)
        self.assertGreater(len({address for _, address in merged} - wanted), 50)
        self.play(tries)
        for node in self.nodes.values():
            node.agent.wait(lambda n=node: wanted <= n.agent.kernel_bans(), 30)
        time.sleep(3)
        for node in self.nodes.values():
            self.assertEqual(node.agent.kernel_bans(), wanted, node.name)
        # Whoever decided, the ban began when its failures were: no record is in another time.
        for one in self.plane.api.get(f"{GROUP}/banslices")["items"]:
            for ban in one["spec"]["bans"]:
                began = seconds(ban["since"])
                self.assertTrue(tries[0][0] / 1000 - 1 < began < time.time() + 1, f"{one['spec']['node']}: {ban}")
                self.assertAlmostEqual(seconds(ban["until"]) - began, 7200, delta=30)
        # Decided a moment before, here and there, and pardoned on all.
        for node, address in ((right, "45.129.14.31"), (wrong, "45.129.14.32")):
            self.attack_now(node, address)
            self.wait_dropped(address)
            self.pardon(address, name=f"sorry-{node.name}")
            asked = time.monotonic()
            self.wait_free(address)
            print(f"{time.monotonic() - asked:.2f} s to unban who {node.name} banned ", end="", flush=True)
        # Counted from zero on all, and also there what the others saw after the pardon.
        time.sleep(1.2)
        for address in ("45.129.14.31", "45.129.14.32"):
            for node in (right, wrong, self.nodes[3], wrong):
                self.fails(node, address, round(time.time() * 1000))
        time.sleep(2)
        for node in self.nodes.values():
            for address in ("45.129.14.31", "45.129.14.32"):
                self.assertNotIn(address, node.agent.kernel_bans(), node.name)
        for address in ("45.129.14.31", "45.129.14.32"):
            self.fails(right, address, round(time.time() * 1000))
            self.wait_dropped(address)
        for node in self.nodes.values():
            self.assertEqual(bool(self.skew(node)), node is wrong, node.name)
        # It said so of itself, and wrote no ban twice.
        self.assertEqual(wrong.agent.metric("gaoler_clock_ahead_seconds"), ahead)
        self.assertEqual(right.agent.metric("gaoler_clock_ahead_seconds"), 0)

    def attack_now(self, node, address):
        for _ in range(5):
            self.fails(node, address, round(time.time() * 1000))

    def test_one_clock_two_minutes_ahead(self):
        self.check_verdicts(120)

    def test_one_clock_two_minutes_behind(self):
        self.check_verdicts(-120)

    def test_a_ban_ends_everywhere_at_the_same_moment_whatever_the_clocks(self):
        self.guarded_by({2: 120, 3: -120}, banTime="20s")
        ends = {}
        for node in self.nodes.values():
            address = f"45.132.0.{node.number}"
            self.attack_now(node, address)
            ends[address] = time.time() + 20
            self.wait_dropped(address)
        over = {}
        while len(over) < 9 and time.time() < max(ends.values()) + 30:
            for node in self.nodes.values():
                held = node.agent.kernel_bans()
                for address in set(ends) - held:
                    over.setdefault((address, node.name), time.time() - ends[address])
        self.assertEqual(len(over), 9, over)
        print(f"ends off by {min(over.values()):.2f} to {max(over.values()):.2f} s ", end="", flush=True)
        for who, off in over.items():
            self.assertLess(abs(off), 2, (who, over))


HOUR = 3600


class SetClocks(Clocks):
    """The clock of node 2 is set while everything runs."""

    takes = 120

    # What is inherited is tried above.
    test_one_clock_two_minutes_ahead = test_one_clock_two_minutes_behind = None
    test_a_ban_ends_everywhere_at_the_same_moment_whatever_the_clocks = None

    def node(self, number, **about):
        return SharedCase.node(self, number, settable=number == 2, **about)

    def ends(self, addresses):
        """When the kernels of all nodes let these pass again, by the right clock."""
        found = {}
        for node in self.nodes.values():
            text, now = node.kernel(), time.time()
            for address, left in re.findall(r"(\d+\.\d+\.\d+\.\d+) timeout \w+ expires (\w+)", text):
                if address in addresses:
                    units = {"d": 86_400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
                    found[node.name, address] = now + sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)(ms|[dhms])", left))
        self.assertEqual(len(found), len(addresses) * len(self.nodes), found)
        return found

    def assert_same_ends(self, before, addresses):
        now = self.ends(addresses)
        off = {who: now[who] - end for who, end in before.items()}
        self.assertLess(max(map(abs, off.values())), 2, off)
        return max(map(abs, off.values()))

    def slices_of(self, addresses):
        """What is written of these: object, address, end."""
        slices = self.plane.api.get(f"{GROUP}/banslices")["items"]
        return sorted((s["metadata"]["name"], ban["prefix"], ban["until"]) for s in slices for ban in s["spec"]["bans"] if ban["prefix"] in addresses)

    def banned_before(self, wrong):
        """Bans that nobody touches, one by another node and one by this: whose, what is written of them, and their ends."""
        stay = {"45.129.14.31": self.nodes[1], "45.129.14.32": wrong}
        for address, node in stay.items():
            self.attack_now(node, address)
            self.wait_dropped(address)
        wait_until(lambda: len(self.slices_of(stay)) == 2, 60, wrong.agent.told)
        return stay, self.slices_of(stay), self.ends(stay)

    def test_a_clock_is_set_an_hour_forth_and_back_while_bans_run_and_an_attack_goes_on(self):
        self.guarded_by({})
        right, wrong = self.nodes[1], self.nodes[2]
        stay = {"45.129.14.31": right, "45.129.14.32": wrong}
        go = {"45.129.14.33": wrong, "45.129.14.34": right}
        for address, node in {**stay, **go}.items():
            self.attack_now(node, address)
            self.wait_dropped(address)
        wait_until(lambda: len(self.slices_of({**stay, **go})) == 4, 60, wrong.agent.told)
        written, ends = self.slices_of(stay), self.ends(stay)
        tries = self.storm(200, 44)
        wanted = banned([(at, address) for at, address, _ in tries], 5, FIND_TIME)
        worst = 0
        for number, ahead in enumerate((0, HOUR, 0, -HOUR)):
            if number:
                # What was written before is read before.
                time.sleep(0.5)
                wrong.set_clock(ahead)
            quarter = tries[len(tries) * number // 4 : len(tries) * (number + 1) // 4]
            self.play(quarter[: len(quarter) // 2])
            if number == 1:
                for address in go:
                    self.pardon(address, name=f"sorry-{address.rsplit('.')[-1]}")
            self.play(quarter[len(quarter) // 2 :])
            worst = max(worst, self.assert_same_ends(ends, stay))
        for node in self.nodes.values():
            node.agent.wait(lambda n=node: wanted | set(stay) <= n.agent.kernel_bans(), 30)
        wait_until(lambda: f"{HOUR} s behind" in (self.skew(wrong) or ""), 60, lambda: self.skew(wrong))
        time.sleep(0.5)
        wrong.set_clock(0)
        wait_until(lambda: self.skew(wrong) is None, 60, lambda: self.skew(wrong))
        time.sleep(3)
        for node in self.nodes.values():
            self.assertEqual(node.agent.kernel_bans(), wanted | set(stay), node.name)
        worst = max(worst, self.assert_same_ends(ends, stay))
        print(f"{len(tries)} failures, {len(wanted)} banned, ends off by {worst:.2f} s at most ", end="", flush=True)
        self.assertEqual(self.slices_of(stay), written, "nothing is written again")
        for one in self.plane.api.get(f"{GROUP}/banslices")["items"]:
            for ban in one["spec"]["bans"]:
                self.assertTrue(tries[0][0] / 1000 - 60 < seconds(ban["since"]) < time.time() + 1, f"{one['spec']['node']}: {ban}")
                self.assertAlmostEqual(seconds(ban["until"]) - seconds(ban["since"]), 7200, delta=60)
        # Who was pardoned while the clock was ahead counts from zero now that it is right again.
        for address in go:
            self.attack_now(wrong, address)
            self.wait_dropped(address)

    def test_a_clock_that_was_set_while_the_agent_was_away_moves_no_ban(self):
        self.guarded_by({})
        wrong = self.nodes[2]
        stay, written, ends = self.banned_before(wrong)
        for ahead in (HOUR, -HOUR):
            # A second and more, so that what it knows is saved.
            time.sleep(2)
            wrong.agent.kill()
            wrong.set_clock(ahead)
            wrong.agent.start()
            words = f"{HOUR} s {'ahead of' if ahead > 0 else 'behind'}"
            wait_until(lambda w=words: w in (self.skew(wrong) or ""), 60, lambda: self.skew(wrong))
            time.sleep(3)
            self.assert_same_ends(ends, stay)
        self.assertEqual(self.slices_of(stay), written, "nothing is written again")

    def test_a_clock_that_is_set_while_the_api_server_is_away_moves_no_ban(self):
        self.guarded_by({}, findTime="10m")
        wrong = self.nodes[2]
        stay, written, ends = self.banned_before(wrong)
        # Of five failures three come before, and two after, each in another hour by its clock.
        moment = round(time.time() * 1000)
        for _ in range(3):
            self.fails(wrong, "45.129.14.35", moment)
        time.sleep(1)
        with wrong.cut_off():
            for ahead in (HOUR, -HOUR):
                time.sleep(0.5)
                wrong.set_clock(ahead)
                self.attack_now(wrong, f"45.129.14.{40 + ahead // HOUR}")
                self.wait_dropped(f"45.129.14.{40 + ahead // HOUR}", [wrong])
                self.assert_same_ends(ends, stay)
        for _ in range(2):
            self.fails(wrong, "45.129.14.35", round(time.time() * 1000))
        banned_there = ("45.129.14.39", "45.129.14.41", "45.129.14.35")
        for address in banned_there:
            self.wait_dropped(address, timeout=120)
        self.assert_same_ends(ends, stay)
        self.assertEqual(self.slices_of(stay), written, "nothing is written again")
        told = self.slices_of(banned_there)
        self.assertEqual(sorted(address for _, address, _ in told), sorted(banned_there), "each is written once")
        for _, address, until in told:
            self.assertAlmostEqual(seconds(until), time.time() + 7200, delta=120, msg=address)
