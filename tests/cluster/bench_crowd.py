#!/usr/bin/env python3
"""Two hundred agents on one API server: what they ask of it when nothing happens, and how bans get around.

    bench_crowd.py --crowd target/release/examples/crowd --binary target/release/gaoler [--agents 200] [--readers 50]

The agents are real, with their connections, watches, writes, logs and state, and share some processes; only the kernel
is none: each notes when it was told whom to keep out. API server and etcd share the machine's processors with them, so
what is told of times is the worst of both.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "checks")]
from cluster import case  # noqa: E402
from cluster.measure import measure  # noqa: E402
from cluster.pod import Pod  # noqa: E402
from cluster.storage import Storage  # noqa: E402
from harness.daemon import wait_until  # noqa: E402
from harness.figures import cpu_seconds, memory, percentile, table  # noqa: E402
from harness.jameslog import failure  # noqa: E402

# A user of the machine has 128 inotify instances unless told otherwise, and each agent wants one.
TOGETHER = 100
FIRST_USER = 61_000


def now():
    return time.time_ns() // 1_000_000


class Seat:
    """What a pod must know of its node, and the directory of an agent."""

    clock_ahead = 0  # of everybody's, in seconds

    def __init__(self, plane, number, root):
        self.plane, self.name = plane, f"c{number}"
        self.directory = root / self.name
        self.pod_logs = self.directory / "pods"
        self.pod_logs.mkdir(parents=True)
        self.api4, self.api6 = f"10.90.{number // 250}.{1 + number % 250}", f"fd00:90::{number:x}"
        self.number = number

    def next_pod_addresses(self):
        return f"10.91.{self.number // 250}.{1 + self.number % 250}", f"fd00:91::{self.number:x}"


class Use:
    """What the API server and the agents used since the last time."""

    def __init__(self, bench):
        self.bench, self.before = bench, None
        self.since()

    def since(self):
        bench = self.bench
        requests, events, sent = bench.counted()
        here = {
            "time": time.monotonic(), "server": cpu_seconds(bench.server()), "etcd": cpu_seconds(bench.plane.processes["etcd"].pid),
            "agents": sum(cpu_seconds(crowd.pid) for crowd in bench.crowds), "requests": requests, "events": events, "sent": sent,
        }  # fmt: skip
        before, self.before = self.before or here, here
        return {key: here[key] - before[key] for key in here}


def crowd_case(options):
    """The whole measurement. Imported late: the case wants to know where the binary is."""
    case.BINARY = os.environ["GAOLER_BINARY"]
    import bans
    from cluster.installed import GROUP, NAMESPACE, InstalledCase
    from cluster.services import service

    class Crowd(InstalledCase):
        def runTest(self):
            self.rows, self.storage, self.crowds, self.next, self.lot = [], Storage(self.plane), [], 0, random.Random(5)
            self.seats = [self.seat(n) for n in range(1, options.agents + 1)]
            service(self.plane, "james-smtp", {25: 25}, namespace="mail", kind="NodePort")
            jail = {**bans.JAIL, "maxRetry": 1, "brake": {"bansPerMinute": 1_000_000}}
            self.make("jails", "james", jail, namespace="mail")
            # Nobody fails so often: what is counted here is only told to the other nodes.
            self.make("filters", "probes", {"failRegex": ["probe failed from <HOST>$"]}, namespace="mail")
            slow = {**bans.JAIL, "filters": ["probes"], "maxRetry": 2 * options.readers}
            self.make("jails", "slow", slow, namespace="mail")
            self.controller("c").wait(lambda: self.plane.api.get(f"{GROUP}/houses")["items"])
            self.weigh("before")
            self.begin()
            self.weigh(f"{options.agents} agents")
            self.idle()
            for rate, seconds in ((1, 60), (10, 60), (100, 30)):
                self.spread(rate, seconds)
            self.weigh("after all bans")
            self.sight(30)
            self.come_back()
            print(table(["", "figure"], self.rows), flush=True)

        # The crowd.

        def seat(self, number):
            seat = Seat(self.plane, number, self.directory / str((number - 1) // TOGETHER))
            node = self.plane.api.create("/api/v1/nodes", {"metadata": {"name": seat.name, "labels": {"kubernetes.io/os": "linux"}}})
            addresses = [{"type": "InternalIP", "address": address} for address in (seat.api4, seat.api6)]
            self.plane.api.patch(f"/api/v1/nodes/{seat.name}/status", {"status": {"addresses": addresses}})
            self.plane.account(seat.directory / "agent.kubeconfig", "gaoler-agent", NAMESPACE, node)
            seat.james = Pod(seat, f"james-{number}", namespace="mail", ports=[{"containerPort": 25}]) if number <= options.readers else None
            return seat

        def begin(self):
            """All at once, as when the API server comes back or a DaemonSet is rolled out without limit."""
            use, began = Use(self), time.monotonic()
            # They see the API server through a cable of their own: what goes over it is counted there.
            self.room = self.node(200, name="room")
            for user, root in enumerate(sorted({seat.directory.parent for seat in self.seats})):
                alone = []
                if os.geteuid() == 0 and "0 4294967295" in " ".join(Path("/proc/self/uid_map").read_text().split()[1:]):
                    subprocess.run(["chown", "-R", str(FIRST_USER + user), root], check=True)
                    # Another user forgets that it ends with its parent, unless told again.
                    alone = ["setpriv", f"--reuid={FIRST_USER + user}", "--clear-groups", "--pdeathsig=KILL"]
                with open(self.directory / f"crowd-{user}.log", "ab") as log:
                    crowd = self.room.net.popen(*alone, options.crowd, root, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                self.addCleanup(crowd.kill)
                self.crowds.append(crowd)
            wait_until(lambda: self.guarding() >= options.agents, 600, self.told)
            took = time.monotonic() - began
            spent = use.since()
            self.row(f"{options.agents} agents begin at once → all guard", f"{took:.1f} s, {spent['server']:.0f} CPU s of the API server")

        def guarding(self):
            time.sleep(1)
            ready = 0
            for agent in self.plane.api.get(f"{GROUP}/nodeagents")["items"]:
                conditions = agent.get("status", {}).get("conditions", [])
                ready += any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            return ready

        def told(self):
            logs = (self.directory / f"crowd-{user}.log" for user in range(len(self.crowds)))
            return "\n".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-10:])

        # What is counted.

        def row(self, what, figure):
            print(f"{what}: {figure}", file=sys.stderr, flush=True)
            self.rows.append([what, figure])

        def server(self):
            return self.plane.processes["kube-apiserver"].pid

        def counted(self):
            """Requests the API server answered by (verb, resource), watch events of our kinds, bytes to the agents."""
            text = self.plane.api.get("/metrics")
            requests, events = 0, 0
            for verb, count in re.findall(r'(?m)^apiserver_request_total\{.*?verb="(\w+)".*?\} (\S+)$', text):
                requests += float(count) if verb not in ("WATCH", "CONNECT") else 0
            for count in re.findall(r'(?m)^apiserver_watch_events_total\{[^}]*group="gaoler.dev"[^}]*\} (\S+)$', text):
                events += float(count)
            sent = 0
            if hasattr(self, "room"):
                link = self.room.net.run("cat", "/proc/net/dev").stdout
                sent = int(re.search(r"(?m)^\s*api0:\s*(\d+)", link)[1])
            return requests, events, sent

        def weigh(self, when):
            """Memory and storage."""
            text = self.plane.api.get("/metrics")
            watches = sum(float(n) for n in re.findall(r'(?m)^apiserver_longrunning_requests\{[^}]*verb="WATCH"[^}]*\} (\S+)$', text))
            sockets = self.plane.net.run("ss", "-Htn", "state", "established", "sport", "=", ":6443").stdout.count("\n")
            objects, size = self.storage.held("/registry/gaoler.dev/")
            agents = sum(memory(crowd.pid)[0] for crowd in self.crowds)
            self.row(
                f"{when}: API server", f"{memory(self.server())[0]:.0f} MiB, {watches:.0f} watches on {sockets} connections"
            )
            self.row(f"{when}: our objects in etcd", f"{objects:,}, {size / 1e6:.2f} MB; its file in use {self.storage.size()[1] / 1e6:.0f} MB")
            if agents:
                self.row(f"{when}: an agent in the crowd", f"{agents / options.agents:.1f} MiB")

        def used(self, what, spent):
            seconds, agents = spent["time"], options.agents
            self.row(
                what,
                f"API server {spent['server'] / seconds * 100:.1f} % of a processor, etcd {spent['etcd'] / seconds * 100:.1f} %, an agent"
                f" {spent['agents'] / seconds / agents * 100:.2f} %; {spent['requests'] / seconds:.1f} requests/s,"
                f" {spent['events'] / seconds:.0f} watch events/s, {spent['sent'] / seconds / agents:.0f} B/s to each agent",
            )

        # What happens.

        def idle(self):
            # What was written at the start is settled by then.
            time.sleep(30)
            use = Use(self)
            time.sleep(options.idle)
            self.used(f"idle for {options.idle} s", use.since())

        def spread(self, rate, seconds):
            """So many bans a second by lines in the logs of nodes drawn by lot."""
            readers, use = self.seats[: options.readers], Use(self)
            written, began = {}, time.monotonic()
            for n in range(rate * seconds):
                address = f"45.{1 + self.next // 62500}.{self.next // 250 % 250}.{1 + self.next % 250}"
                self.next += 1
                line = failure(address, now(), "default")
                reader = self.lot.choice(readers)
                written[address] = (reader.name, time.time_ns() // 1000)
                reader.james.log.write(line)
                time.sleep(max(0, began + (n + 1) / rate - time.monotonic()))
            spent = use.since()
            here, there = wait_until(lambda: self.heard(written), 120, self.told)
            self.used(f"{rate} bans/s", spent)
            for where, times in (("there", here), ("every other node", there)):
                figures = ", ".join(f"p{p * 100:.0f} {percentile(times, p):.1f} ms" for p in (0.5, 0.99))
                self.row(f"{rate} bans/s: written → decided {where}", f"{figures}, at most {max(times):.0f} ms")

        def sight(self, seconds):
            """Each second each node that counts sees one more subject below the threshold."""
            readers, use, began = self.seats[: options.readers], Use(self), time.monotonic()
            for second in range(seconds):
                for n, seat in enumerate(readers):
                    text = f"org.apache.james.Probes - probe failed from 45.{150 + second}.{n // 250}.{1 + n % 250}"
                    line = f"{time.strftime('%H:%M:%S', time.gmtime())}.000 [INFO ] {text}"
                    seat.james.log.write(line, line)
                time.sleep(max(0, began + second + 1 - time.monotonic()))
            self.used(f"{options.readers} nodes tell one more sighting each second, for {seconds} s", use.since())
            lists = self.plane.api.get(f"{GROUP}/sightinglists")["items"]
            told = [sum(len(jail["subjects"]) for jail in item["spec"]["jails"] if "subjects" in jail) for item in lists]
            self.assertEqual(len([n for n in told if n > 0]), options.readers, "not all told what they saw")
            _, size = self.storage.held("/registry/gaoler.dev/sightinglists/")
            self.row("their lists then", f"{sum(told) / len(told):.0f} subjects and {size / len(lists):.0f} B each")

        def heard(self, written):
            """Milliseconds until the node that read each line and every other node were to keep out who it is about;
            nothing as long as one has not heard."""
            time.sleep(0.5)
            first = {}
            for root in sorted({seat.directory.parent for seat in self.seats}):
                notes = (root / "applied").read_text()
                # The last line may be half written.
                for line in notes[: notes.rfind("\n") + 1].splitlines():
                    node, subject, at = line.split(" ")
                    if subject in written and (node, subject) not in first:
                        first[node, subject] = int(at)
            if len(first) < len(written) * options.agents:
                return None
            here, there = [], []
            for (node, subject), at in first.items():
                reader, began = written[subject]
                (here if node == reader else there).append((at - began) / 1000)
            return here, there

        def come_back(self):
            """The API server begins anew; everybody lists and watches again."""
            began = time.monotonic()
            self.plane.restart()
            address, reader = "45.99.99.99", self.seats[0]
            written = {address: (reader.name, time.time_ns() // 1000)}
            reader.james.log.write(failure(address, now(), "default"))
            wait_until(lambda: self.heard(written), 300, self.told)
            took, spent = time.monotonic() - began, cpu_seconds(self.server())
            self.row("the API server is killed and begins anew", f"all {options.agents} hear of a ban {took:.0f} s later, {spent:.0f} CPU s of the new one")

    return Crowd()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="for the controller")
    parser.add_argument("--crowd", required=True)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--readers", type=int, default=50, help="so many of them have a James")
    parser.add_argument("--idle", type=int, default=120)
    options = parser.parse_args()
    options.crowd = str(Path(options.crowd).resolve())
    return measure("crowd", options.binary, [lambda: crowd_case(options)])


if __name__ == "__main__":
    sys.exit(main())
