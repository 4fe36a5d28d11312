"""Agents that start with a backlog, are replaced one after the other, or go with their node."""

import contextlib
import random
import socket
import threading
import time

from bans import JAIL, SharedCase
from cluster.crilog import records
from cluster.services import service
from harness.daemon import wait_until
from harness.jameslog import failure, noise
from harness.oracle import banned
from nodes import NodeCase

MEGABYTE = 1 << 20


class Backlog(NodeCase):
    # Rotated by size, as the kubelet does: two that are compressed, one that is not, and the one being written.
    FILES, SIZE = 4, 5 * MEGABYTE

    def lines(self):
        """20 MB of a pod's lines of the last ten minutes, and the failures among them as (milliseconds, address).

        Most attackers have one failure too few, or just enough: one line lost or counted twice is another verdict.
        """
        chance = random.Random(3)
        strangers = [noise(chance, round(time.time() * 1000), "default") for _ in range(500)]
        size = len(records(strangers[0])) + 1
        count = self.FILES * self.SIZE // size
        begin, step = time.time_ns() - 600 * 10**9, 590 * 10**9 // count
        tries = [f"45.5.{n // 250}.{n % 250 + 1}" for n in range(2000) for _ in range(chance.choice((3, 4, 4, 5, 5, 6)))]
        chance.shuffle(tries)
        places = dict(zip(chance.sample(range(count), len(tries)), tries))
        failures, found = [], []
        for number in range(count):
            at = begin + number * step
            if address := places.get(number):
                failures.append((at // 10**6, address))
                found.append(records(failure(address, at // 10**6, "default"), at=at))
            else:
                found.append(records(strangers[number % len(strangers)], at=at))
        return found, failures

    def test_20_mb_unread_at_start_are_counted_once_also_when_the_agent_is_killed_over_them(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        lines, failures = self.lines()
        self.assertGreaterEqual(sum(map(len, lines)), 0.9 * self.FILES * self.SIZE)
        each = len(lines) // self.FILES + 1
        for number in range(self.FILES):
            if number:
                pod.log.rotate()
            written = lines[number * each : (number + 1) * each]
            # What the last run surely finds unread, however fast the ones before were.
            late = written[len(written) // 2 :] if number == self.FILES - 1 else []
            pod.log.raw(b"".join(written[: len(written) - len(late)]))
        names = sorted(path.name for path in pod.log.directory.iterdir())
        self.assertEqual((len(names), sum(name.endswith(".gz") for name in names)), (self.FILES, self.FILES - 2), names)
        wanted = banned(failures, 5, 900_000)
        self.assertGreater(len(wanted), 500)
        self.assertGreater(len({address for _, address in failures} - wanted), 500)
        self.jail(maxRetry=5, findTime="15m", brake={"bansPerMinute": 1_000_000})
        agent = self.agent(node)
        read = lambda: agent.metric("gaoler_log_lines_total") or 0  # noqa: E731
        for share in (0.2, 0.5):
            agent.wait(lambda share=share: len(agent.kernel_bans() & wanted) > share * len(wanted), 120)
            agent.kill()
            if share == 0.5:
                pod.log.raw(b"".join(late))
            agent.start()
        agent.wait(lambda: wanted <= agent.kernel_bans(), 120)
        self.fails(pod.log, "45.6.0.1", times=5)
        self.banned(agent, "45.6.0.1")
        # The last run began where an earlier one had come to, and not at the end.
        print(f"{len(lines)} lines, {len(wanted)} banned, {read():.0f} lines read by the last run ", end="", flush=True)
        self.assertGreater(read(), 1000)
        self.assertLess(read(), len(lines))
        self.assertEqual(agent.kernel_bans() - {"45.6.0.1"}, wanted)
        self.assertEqual(sum(value for value in [agent.metric("gaoler_log_lost_bytes_total")] if value), 0)


class Rolled(SharedCase):
    BANNED = [f"45.133.0.{n}" for n in range(1, 31)]
    # Counted like the banned, and not banned: shows that the counter counts.
    FREE = "45.133.1.1"

    def count(self, node):
        """Lets the pod's own network count packets of those who are banned: whatever comes so far has passed the node."""
        rules = f"""table inet seen {{
            set who {{ type ipv4_addr; elements = {{ {", ".join([*self.BANNED, self.FREE])} }}; }}
            counter passed {{ }}
            chain prerouting {{ type filter hook prerouting priority raw; ip saddr @who counter name passed; }}
        }}"""
        node.james.net.run("nft", "-f", "-", input=rules)

    def passed(self, node):
        words = node.james.net.run("nft", "list", "counter", "inet", "seen", "passed").stdout.split()
        return int(words[words.index("packets") + 1])

    def knock(self, over):
        """SYNs of all who are banned to all pods, without end, from a thread of its own."""
        while not over.is_set():
            for address in self.BANNED:
                with contextlib.ExitStack() as sockets, self.fabric.internet.inside():
                    for node in self.nodes.values():
                        knocking = sockets.enter_context(socket.socket())
                        knocking.setblocking(False)
                        knocking.bind((address, 0))
                        knocking.connect_ex((node.james.ip, 25))
                        self.knocks += 1
                    time.sleep(0.002)

    def test_agents_are_replaced_one_after_the_other_and_no_packet_of_a_banned_address_passes(self):
        self.guarded()
        for number, address in enumerate(self.BANNED):
            self.attack(self.nodes[1 + number % 3], address)
        for node in self.nodes.values():
            node.agent.wait(lambda n=node: set(self.BANNED) <= n.agent.kernel_bans())
            self.count(node)
            self.assertFalse(self.is_dropped(node, self.FREE))
        before = {node.name: self.passed(node) for node in self.nodes.values()}
        self.assertGreater(min(before.values()), 0, "the counter counts")
        self.knocks, over = 0, threading.Event()
        knocking = threading.Thread(target=self.knock, args=(over,), daemon=True)
        knocking.start()
        more = iter(f"45.134.0.{n}" for n in range(1, 100))
        attacked = []

        def attack(nodes):
            for node in nodes:
                attacked.append(next(more))
                self.attack(node, attacked[-1])

        try:
            for how in ("stop", "kill"):
                for node in self.nodes.values():
                    attack(self.nodes.values())
                    getattr(node.agent, how)()
                    # Also while nobody reads.
                    attack(self.nodes.values())
                    node.agent.start()
                    node.agent.wait(lambda n=node: n.agent.http("/readyz")[0] == 200)
            for node in self.nodes.values():
                node.agent.wait(lambda n=node: set(attacked) <= n.agent.kernel_bans())
        finally:
            over.set()
            knocking.join()
        print(f"{self.knocks} knocks ", end="", flush=True)
        self.assertGreater(self.knocks, 500)
        self.assertEqual({node.name: self.passed(node) for node in self.nodes.values()}, before)
        everybody = set(self.BANNED) | set(attacked)
        wait_until(lambda: {prefix for _, prefix, _ in self.published()} == everybody, 60)
        # What an agent took up again after its restart it compares with what is there.
        time.sleep(3)
        published = self.published()
        self.assertEqual([one for one in published if published.count(one) > 1], [], "none is published twice")
        self.assertEqual(len(published), len(everybody))

    def test_a_node_made_anew_has_all_bans_when_it_guards(self):
        self.guarded()
        for number, address in enumerate(self.BANNED):
            self.attack(self.nodes[1 + number % 3], address)
        one = self.nodes[1]
        wait_until(lambda: len(self.published()) == len(self.BANNED), 60)
        one.agent.kill()
        for kept in one.directory.glob("state*"):
            kept.unlink()
        one.net.run("nft", "delete", "table", "inet", "gaoler")
        began = time.monotonic()
        one.agent.start()
        one.agent.wait(lambda: one.agent.http("/readyz")[0] == 200)
        ready = time.monotonic() - began
        one.agent.wait(lambda: set(self.BANNED) <= one.agent.kernel_bans())
        print(f"ready after {ready:.2f} s, all bans after {time.monotonic() - began:.2f} s ", end="", flush=True)
        time.sleep(3)
        self.assertEqual(len(self.published()), len(self.BANNED), "none is published twice")


class Gone(SharedCase):
    takes = 150

    def test_the_bans_of_a_node_that_is_gone_are_published_again_by_another_after_an_emptied_storage(self):
        self.guarded()
        one, two, three = self.nodes.values()
        everybody = {f"45.135.0.{node.number}" for node in self.nodes.values()}
        for node in self.nodes.values():
            self.attack(node, f"45.135.0.{node.number}")
        for address in everybody:
            self.wait_dropped(address)
        wait_until(lambda: len(self.published()) == 3, 60)
        three.agent.kill()
        three.unregister()
        self.plane.empty()
        self.install()
        for node in (one, two):
            node.register_again()
            node.kubeconfig()
        wait_until(lambda: {prefix for _, prefix, _ in self.published()} == everybody, 300, lambda: f"{self.published()}\n{one.agent.told()}")
        again = [node for node, prefix, _ in self.published() if prefix == "45.135.0.3"]
        self.assertTrue(set(again) <= {"n1", "n2"}, again)
        # Once, unless both looked at the same moment; and by whom it was decided is still said.
        print(f"published again by {', '.join(again)} ", end="", flush=True)
        slices = self.plane.api.get("/apis/gaoler.dev/v1alpha1/banslices")["items"]
        for ban in (ban for one in slices for ban in one["spec"]["bans"] if ban["prefix"] == "45.135.0.3"):
            self.assertIn("n3", ban["with"])
        # A new node hears of it, though whoever decided it is no more.
        self.service = service(self.plane, "james-smtp", {25: 25}, namespace="mail", kind="NodePort")
        self.make("jails", "james", JAIL, namespace="mail")
        four = self.house(4)
        self.lead()
        self.agent_on(four)
        self.wait_guarding(four)
        self.wait_dropped("45.135.0.3", [four])
