#!/usr/bin/env python3
"""Log line written → packet dropped, on the node that read it and on every other node, through a real API server; and
ten thousand attackers in ten seconds.

    bench.py --binary target/release/gaoler [--nodes 3 --nodes 10] [--samples 500] [--attackers 10000]

Each sample is a new attacker who knocks on every node's James each millisecond. One failed login (maxRetry 1) is written
to the log on a node drawn by lot; the time from before that to the first knock that was dropped for good is the sample.
Everything, API server and etcd included, shares the machine's processors.
"""

import argparse
import functools
import os
import random
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "checks")]
from cluster import case  # noqa: E402
from cluster.measure import measure  # noqa: E402
from harness.daemon import wait_until  # noqa: E402
from harness.figures import cpu_seconds, memory, percentile, table  # noqa: E402
from harness.jameslog import failure  # noqa: E402
from harness.prober import Prober  # noqa: E402

# Milliseconds (DESIGN §8): median and 99th percentile.
TARGETS = {"same node": (1, 5), "every other node": (30, 250)}
# Between two knocks on one node…
INTERVAL = 1_000_000
# …and on the one that reads the line, for as long as it may need: its target is less than the interval.
NEAR, NEARLY = 100_000, 20_000_000
# After so long without an answer the drop is for good.
SILENCE = 60_000_000
LIMIT = 30_000_000_000


def now():
    return time.time_ns() // 1_000_000


def knock_until_silent(probers, near):
    """Knocks on all in turn until none has answered for a while; gives the silent ones. `near` is knocked on more often
    at first."""
    start = time.monotonic_ns()
    while (began := time.monotonic_ns()) < start + LIMIT:
        for prober in probers:
            prober.knock()
        if all(prober.silent_for(SILENCE) for prober in probers):
            break
        while (rest := INTERVAL - (time.monotonic_ns() - began)) > 0:
            if began - start > NEARLY:
                time.sleep(rest / 1e9)
            else:
                time.sleep(min(rest, NEAR) / 1e9)
                near.knock()
    return [prober for prober in probers if prober.silent_for(SILENCE)]


def bench_case(options, count):
    """A cluster of `count` nodes. Imported late: the case wants to know where the binary is."""
    case.BINARY = os.environ["GAOLER_BINARY"]
    import bans

    class Bench(bans.SharedCase):
        def house(self, number):
            # Nobody listens: a knock is answered with a reset, and nothing piles up.
            node = self.node(number)
            node.ACCOUNT_NAMESPACE = bans.NAMESPACE
            node.james = node.pod(f"james-{number}", namespace="mail", ports=[{"containerPort": 25}])
            node.james.connect()
            return node

        def runTest(self):
            bans.JAIL = {**bans.JAIL, "maxRetry": 1, "brake": {"bansPerMinute": 100_000}}
            self.guarded(count)
            nodes = list(self.nodes.values())
            self.attack(nodes[0], "45.255.255.254", 1)
            for node in nodes:
                node.agent.wait(lambda n=node: "45.255.255.254" in n.kernel_bans(), 60)
            self.spread(nodes)
            self.unban(nodes)
            self.flood(nodes)

        def spread(self, nodes):
            lot, here, there, before = random.Random(7), [], [], len(self.answered())
            for n in range(options.samples):
                address = f"45.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}"
                probers = [Prober(self.fabric.internet, address, node.james.ip, 25) for node in nodes]
                for _ in range(20):
                    for prober in probers:
                        prober.knock()
                    time.sleep(0.001)
                for node, prober in zip(nodes, probers):
                    self.assertGreaterEqual(prober.answered, 0, f"{node.name} does not answer before the ban")
                line = failure(address, now(), "default")
                reader = lot.choice(nodes)
                began = time.monotonic_ns()
                reader.james.log.write(line)
                silent = knock_until_silent(probers, probers[nodes.index(reader)])
                for node, prober in zip(nodes, probers):
                    self.assertIn(prober, silent, f"{address} was not dropped on {node.name}\n{node.agent.told()}")
                    took = (prober.sent[prober.answered + 1] - began) / 1e6
                    (here if node is reader else there).append(took)
                    prober.close()
                time.sleep(lot.random() * 0.02)
            rows = []
            for where, times in (("same node", here), ("every other node", there)):
                figures = [f"{percentile(times, p):.1f}" for p in (0.5, 0.9, 0.99, 1)]
                rows.append([f"{count} nodes, {where}", len(times), *figures, "p50 < {} ms, p99 < {} ms".format(*TARGETS[where])])
            print(table(["written → dropped", "samples", "p50 ms", "p90 ms", "p99 ms", "max ms", "target"], rows))
            answered = self.answered()[before:]
            figures = ", ".join(f"p{p * 100:.0f} {percentile(answered, p):.1f} ms" for p in (0.5, 0.99))
            print(f"of that, the API server's answer to the BanSlice: {figures}", flush=True)

        def answered(self):
            """Milliseconds that the API server took over each BanSlice so far, by its own stamps."""
            times = []
            for _, verb, about, _, event in self.plane.audited():
                if (verb, about) == ("create", "banslices/"):
                    came, went = (datetime.fromisoformat(event[f"{which}Timestamp"]) for which in ("requestReceived", "stage"))
                    times.append((went - came) / timedelta(milliseconds=1))
            return times

        def unban(self, nodes):
            times = []
            for n in range(options.unbans):
                address = f"45.90.0.{1 + n}"
                self.attack(nodes[0], address, 1)
                for node in nodes:
                    node.agent.wait(lambda k=node: address in k.kernel_bans(), 60)  # noqa: B023
                # The server's stamps are whole seconds: a moment anywhere within one.
                time.sleep(random.random())
                began = time.monotonic()
                self.plane.api.create(f"{bans.GROUP}/pardons", self.object("pardons", f"p{n}", {"prefix": address}))
                for node in nodes:
                    node.agent.wait(lambda k=node: address not in k.kernel_bans(), 60)  # noqa: B023
                times.append((time.monotonic() - began) * 1000)
            figures = ", ".join(f"p{p * 100:.0f} {percentile(times, p):.0f} ms" for p in (0.5, 0.99))
            print(f"Pardon asked for → lifted on all {count} nodes: {figures} (target < 1000 ms; looking included)", flush=True)

        def flood(self, nodes):
            attackers = [f"45.{100 + n // 62500}.{n // 250 % 250}.{1 + n % 250}" for n in range(options.attackers)]
            before = len(self.plane.api.get(f"{bans.GROUP}/banslices")["items"])
            spent = [cpu_seconds(node.agent.process.pid) for node in nodes]
            began = time.monotonic()
            tenth = max(1, len(attackers) // 100)
            for turn, start in enumerate(range(0, len(attackers), tenth)):
                for n, address in enumerate(attackers[start : start + tenth]):
                    nodes[n % len(nodes)].james.log.write(failure(address, now(), "default"))
                time.sleep(max(0, began + (turn + 1) * 0.1 - time.monotonic()))
            written = time.monotonic()
            wanted = set(attackers)
            for node in nodes:
                wait_until(lambda n=node: wanted <= n.kernel_bans(), 300, node.agent.told)
            held = time.monotonic()
            items = self.plane.api.get(f"{bans.GROUP}/banslices")["items"]
            published = [ban["prefix"] for item in items for ban in item["spec"]["bans"]]
            self.assertLessEqual(wanted, set(published), "a ban is not published")
            spent = sum(cpu_seconds(node.agent.process.pid) for node in nodes) - sum(spent)
            most = max(memory(node.agent.process.pid)[1] for node in nodes)
            print(
                f"{len(attackers)} attackers in {written - began:.1f} s: {len(items) - before} API writes, on every node"
                f" {held - written:.1f} s after the last line (looking at {count} kernels included), 0 lost,"
                f" {len(published) - len(set(published))} published twice; {spent:.1f} CPU s of {count} agents, at most"
                f" {most:.0f} MiB each",
                flush=True,
            )

    return Bench()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--nodes", type=int, action="append")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--unbans", type=int, default=50)
    parser.add_argument("--attackers", type=int, default=10_000)
    options = parser.parse_args()
    counts = options.nodes or [3, 10]
    return measure("bench", options.binary, [functools.partial(bench_case, options, count) for count in counts])


if __name__ == "__main__":
    sys.exit(main())
