#!/usr/bin/env python3
"""A hundred thousand bans held by a cluster: what they cost the API server and each node, and how soon a new node has
them all.

    bench_held.py --binary target/release/gaoler [--bans 100000] [--old 1500] [--minutes 5] [--only-fall]

The bans fall by failed logins in the logs of three nodes (maxRetry 1). Then one more falls each second for some minutes,
while a controller merges slices of one ban each that were written longer ago than any agent watches: as many each
second as fall, so that merging is at the pace it has when bans fall so for hours. Agents have the environment that the
image sets. Everything, API server and etcd included, shares the machine's processors.
"""

import argparse
import contextlib
import http.client
import json
import os
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "checks")]
from cluster import case  # noqa: E402
from cluster.agent import metric  # noqa: E402
from cluster.crilog import records  # noqa: E402
from cluster.measure import measure  # noqa: E402
from cluster.storage import Storage  # noqa: E402
from harness.figures import cpu_seconds, memory, table  # noqa: E402
from harness.jameslog import failure  # noqa: E402

NODES = 3
# Lines a second, all nodes together.
PACE = 5000
EPOCH = 600
SLICES = "/registry/gaoler.dev/banslices/"
TAKEN = "gaoler_firewall_changes_total"
DOCKERFILE = HERE.parents[1] / "Dockerfile"


def as_deployed():
    """What the image tells the C library: to keep no memory that is done with."""
    lines = (line for line in DOCKERFILE.read_text().splitlines() if line.startswith("ENV "))
    settings = dict(setting.split("=", 1) for line in lines for setting in line.removeprefix("ENV ").split())
    return {name: value for name, value in settings.items() if name.startswith("MALLOC_")}


def now():
    return time.time_ns() // 1_000_000


def address(number):
    return f"45.{1 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def old_address(number):
    return f"45.200.{number // 250}.{1 + number % 250}"


def taken(node):
    """How many elements the node's kernel took, as its agent counts them: asking for that costs next to nothing."""
    host, _, port = node.agent.metrics_address.partition(":")
    try:
        with node.net.inside():
            connection = http.client.HTTPConnection(host, int(port), timeout=5)
            connection.connect()
        connection.request("GET", "/metrics")
        return metric(connection.getresponse().read().decode(), TAKEN) or 0
    except OSError:
        return 0
    finally:
        connection.close()


def received(node):
    """Bytes that came to the node from the API server's side, headers of every layer included."""
    told = json.loads(node.net.run("ip", "-s", "-j", "link", "show", "api0").stdout)
    return told[0]["stats64"]["rx"]["bytes"]


class Watcher:
    """Counts the bytes of the watches of BanSlices that an agent has: of the epochs around now, and of the next ones."""

    def __init__(self, plane, path):
        self.bytes = self.slices = 0
        self.lock = threading.Lock()
        since = plane.api.get(f"{path}?limit=1")["metadata"]["resourceVersion"]
        present = int(time.time()) // EPOCH
        for epoch in range(present - 1, present + 3):
            watch = f"{path}?watch=true&resourceVersion={since}&labelSelector=gaoler.dev%2Fepoch%3D{epoch}"
            connection, response = plane.api.open("GET", watch, timeout=3600)
            threading.Thread(target=self._read, args=(connection, response), daemon=True).start()

    def _read(self, connection, response):
        with contextlib.closing(connection):
            while line := response.readline():
                with self.lock:
                    self.bytes += len(line)
                    self.slices += 1


def held_case(options):
    """The whole measurement. Imported late: the case wants to know where the binary is."""
    case.BINARY = os.environ["GAOLER_BINARY"]
    import bans
    from cluster.installed import GROUP, moment, sliced

    class Held(bans.SharedCase):
        def house(self, number):
            node = self.node(number)
            node.ACCOUNT_NAMESPACE = bans.NAMESPACE
            node.james = node.pod(f"james-{number}", namespace="mail", ports=[{"containerPort": 25}])
            return node

        def agent_on(self, node):
            return node.start_agent(case.BINARY, environment={"NO_COLOR": "1", "RUST_LOG": "info", **as_deployed()})

        def runTest(self):
            bans.JAIL = {**bans.JAIL, "count": "Node", "maxRetry": 1, "banTime": "24h", "brake": {"bansPerMinute": 1_000_000}}
            self.rows, self.storage = [], Storage(self.plane)
            self.guarded(NODES)
            self.writers = {name: self.as_agent(node.object) for name, node in ((n.name, n) for n in self.nodes.values())}
            self.fall()
            if not options.only_fall:
                self.weigh(f"{options.bans:,} bans, as the agents wrote them")
                self.trickle()
                self.arrive()
                self.return_to_an_empty_kernel()
            print(table(["", "figure", "wanted"], self.rows), flush=True)

        def row(self, what, figure, wanted=""):
            print(f"{what}: {figure}", file=sys.stderr, flush=True)
            self.rows.append([what, figure, wanted])

        def server(self):
            return self.plane.processes["kube-apiserver"].pid

        def fall(self):
            """Everybody fails once, at a steady pace."""
            nodes, spent = list(self.nodes.values()), self.spent()
            began, step = time.monotonic(), PACE // 20
            for start in range(0, options.bans, step):
                wave = range(start, min(start + step, options.bans))
                for n, node in enumerate(nodes):
                    node.james.log.raw(b"".join(records(failure(address(i), now(), "default")) for i in wave[n::NODES]))
                time.sleep(max(0, began + (start + step) / PACE - time.monotonic()))
            written = time.monotonic()
            for node in nodes:
                node.agent.wait(lambda n=node: taken(n) >= options.bans, 600)
            held = time.monotonic()
            wanted = {address(i) for i in range(options.bans)}
            for node in nodes:
                self.holds(node, wanted)
                now_, most = memory(node.agent.process.pid)
                self.row(f"agent of {node.name}, a third of them its own: resident, at most", f"{now_:.0f} MiB, {most:.0f} MiB", "47.7 MiB")
            self.row(
                "written → in every node's kernel", f"{options.bans:,} lines in {written - began:.0f} s, the last {held - written:.1f} s after that"
            )
            agents, server = (after - before for after, before in zip(self.spent(), spent))
            self.row("processor time of agents and of the API server", f"{agents:.0f} s and {server:.0f} s")

        def holds(self, node, wanted):
            """Its kernel itself says so. A set that is still growing its table is not listed whole: asked until it is."""
            node.agent.wait(lambda: wanted <= node.kernel_bans(), 60)

        def spent(self):
            return sum(cpu_seconds(node.agent.process.pid) for node in self.nodes.values()), cpu_seconds(self.server())

        def weigh(self, when):
            objects, size = self.storage.held(SLICES)
            file, used = self.storage.size()
            self.row(f"{when}: objects", f"{objects:,}")
            self.row(f"{when}: bytes of BanSlices in etcd", f"{size / 1e6:.1f} MB")
            self.row(f"{when}: etcd's file, in use", f"{file / 1e6:.0f} MB, {used / 1e6:.0f} MB")
            self.row(f"{when}: the API server's resident memory", f"{memory(self.server())[0]:.0f} MiB")

        def write_old(self, number):
            """A slice of one ban that an agent wrote half an hour ago; nobody watches its epoch any more."""
            at = time.time() - 3 * EPOCH
            name, *others = (f"n{1 + (number + k) % NODES}" for k in range(NODES))
            ban = sliced(old_address(number), moment(3 * EPOCH), moment(-86_400), others=others)
            epoch = {"gaoler.dev/epoch": str(int(at) // EPOCH)}
            slice_ = self.object("banslices", f"{name}-{int(at * 1e6) + number:013x}", {"node": name, "bans": [ban]}, epoch)
            self.writers[name].create(f"{GROUP}/banslices", slice_)

        def trickle(self):
            """One ban each second, merges going on."""
            nodes = list(self.nodes.values())
            for number in range(options.old):
                self.write_old(number)
            before = self.storage.held(SLICES)[0]
            watcher = Watcher(self.plane, f"{GROUP}/banslices")
            time.sleep(5)
            began, start = time.monotonic(), {node: received(node) for node in nodes}
            time.sleep(60)
            idle = {node: (received(node) - start[node]) / 60 for node in nodes}
            controller = self.controller("merger")
            controller.wait(lambda: controller.said("bans were tidied"), 120)
            began, start, seen = time.monotonic(), {node: received(node) for node in nodes}, watcher.bytes
            count = options.minutes * 60
            for n in range(count):
                nodes[n % NODES].james.log.write(failure(address(options.bans + n), now(), "default"))
                self.write_old(options.old + n)
                time.sleep(max(0, began + n + 1 - time.monotonic()))
            time.sleep(2)
            took = time.monotonic() - began
            after, written = self.storage.held(SLICES)[0], before + 2 * count
            self.assertGreater(written - after, count, f"little was merged\n{controller.told()}")
            self.row("one ban a second, merging as much: slices written and merged away", f"{2 * count + options.old:,} and {written - after:,}")
            self.row("bytes of an agent's watches of BanSlices, per ban", f"{(watcher.bytes - seen) / count:.0f} B", "1024 B")
            for node in nodes:
                rate = (received(node) - start[node]) / took
                told = f"{rate * took / count:.0f} B; {idle[node]:.0f} B/s of them when idle"
                self.row(f"all that {node.name} receives from the API server, packet headers included, per ban", told)
            controller.end()
            self.weigh("afterwards")

        def arrive(self):
            """A node that nobody knew before."""
            node = self.house(NODES + 1)
            self.lead()
            # Its Service's endpoints are known everywhere before the clock runs.
            time.sleep(2)
            total = options.bans + options.old + 2 * options.minutes * 60
            began = time.monotonic()
            self.agent_on(node)
            node.agent.wait(lambda: taken(node) >= total, 120)
            took = time.monotonic() - began
            everybody = {address(i) for i in range(options.bans + options.minutes * 60)}
            everybody |= {old_address(i) for i in range(options.old + options.minutes * 60)}
            self.holds(node, everybody)
            now_, most = memory(node.agent.process.pid)
            self.row(f"a new node, exec → all {total:,} in its kernel", f"{took:.2f} s", "5 s")
            self.row("its agent: resident, at most", f"{now_:.0f} MiB, {most:.0f} MiB", "47.7 MiB")
            self.row("its agent: processor time", f"{cpu_seconds(node.agent.process.pid):.1f} s")

        def return_to_an_empty_kernel(self):
            """As after a reboot: the state is there, the table is not."""
            node = self.nodes[NODES + 1]
            held = len(node.kernel_bans())
            node.agent.stop()
            node.net.run("nft", "delete", "table", "inet", "gaoler")
            began = time.monotonic()
            node.agent.start()
            node.agent.wait(lambda: taken(node) >= held, 120)
            took = time.monotonic() - began
            now_, most = memory(node.agent.process.pid)
            self.row(f"that node after a reboot, exec → all {held:,} in its kernel", f"{took:.2f} s", "1 s")
            self.row("its agent then: resident, at most", f"{now_:.0f} MiB, {most:.0f} MiB", "47.7 MiB")

    return Held()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--bans", type=int, default=100_000)
    parser.add_argument("--old", type=int, default=1500)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--only-fall", action="store_true", help="end when all nodes hold the bans")
    options = parser.parse_args()
    return measure("held", options.binary, [lambda: held_case(options)])


if __name__ == "__main__":
    sys.exit(main())
