#!/usr/bin/env python3
"""Resident memory, restoring many bans, and one more ban on top of a million.

    idle · 100,000 tracked · 100,000 banned · 1,000,000 distinct attackers (what gives way is counted)
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness import world  # noqa: E402
from harness.daemon import wait_until  # noqa: E402
from harness.figures import cpu_seconds, memory, percentile, table  # noqa: E402
from harness.installations import Guard  # noqa: E402
from harness.jameslog import append, failure  # noqa: E402
from harness.mailserver import MAIL_PORTS  # noqa: E402
from harness.prober import Prober  # noqa: E402


UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "gaoler.service"


def as_deployed():
    """The environment that the unit gives to the service: it tells the C library to keep no memory that is done with."""
    line = next(line for line in UNIT.read_text().splitlines() if line.startswith("Environment="))
    return dict(setting.split("=", 1) for setting in line.removeprefix("Environment=").split())


def address(n):
    return f"{45 + n // 16_000_000}.{n // 65536 % 250}.{n // 256 % 256}.{n % 256}"


class Stage:
    def __init__(self, binary, **jail):
        self.directory = tempfile.TemporaryDirectory(prefix="gaoler-memory-")
        root = Path(self.directory.name)
        self.log = root / "james.log"
        self.log.touch()
        self.world = world.World()
        self.world.own_all("45.0.0.0/8")
        self.gaoler = Guard(self.world.host, root / "gaoler", self.log, binary=binary, environment=as_deployed(), **jail)
        self.gaoler.start()
        # Read live from the first line on.
        append(self.log, "nothing yet")
        self.gaoler.wait_drained()

    def attack(self, addresses, times=1):
        """Appends their failures; seconds until all was read, and CPU seconds it took."""
        now = int(time.time() * 1000)
        text = "".join(failure(address(n), now) + "\n" for _ in range(times) for n in addresses)
        pid = self.gaoler.process.pid
        before, began = cpu_seconds(pid), time.monotonic()
        with open(self.log, "ab", buffering=0) as log:
            log.write(text.encode())
        self.gaoler.wait_drained(timeout=600)
        return time.monotonic() - began, cpu_seconds(pid) - before

    def memory(self):
        time.sleep(2)  # the snapshot after the work belongs to it
        return memory(self.gaoler.process.pid)

    def close(self):
        self.gaoler.kill()
        self.directory.cleanup()


def resident(binary, rows):
    stage = Stage(binary)
    rows.append(["idle", "15", *mib(stage.memory()), ""])
    seconds, cpu = stage.attack(range(100_000))
    watched = stage.gaoler.status("james")["watched"]
    rows.append(["100,000 tracked", "50", *mib(stage.memory()), f"{watched} watched; read in {seconds:.2f} s, {cpu:.2f} CPU s"])
    stage.close()

    stage = Stage(binary, max_retry=1)
    seconds, cpu = stage.attack(range(100_000))
    wait_until(lambda: stage.gaoler.status()["firewall"]["applied"] >= 100_000, 120, stage.gaoler.told)
    rows.append(["100,000 banned", "50", *mib(stage.memory()), f"{stage.gaoler.status()['bans']} bans; read in {seconds:.2f} s, {cpu:.2f} CPU s"])
    restore(stage, rows)
    stage.close()

    stage = Stage(binary)
    seconds, cpu = stage.attack(range(1_000_000))
    jail = stage.gaoler.status("james")
    rows.append(["1,000,000 distinct", "cap", *mib(stage.memory()), f"{jail['watched']} watched, {jail['counters']['evicted']} gave way; read in {seconds:.2f} s, {cpu:.2f} CPU s"])
    stage.close()


def restore(stage, rows):
    """As after a reboot: the state is there, the kernel is empty."""
    stage.gaoler.stop()
    stage.world.host.run("nft", "flush", "ruleset")
    began = time.monotonic()
    stage.gaoler.start(wait=False)
    # Log lines go on being read meanwhile.
    late = address(200_000)
    append(stage.log, failure(late, int(time.time() * 1000)))

    def applied():
        answer = stage.gaoler.ask("status", "-o", "json", check=False)
        return '"applied"' in answer.stdout and stage.gaoler.status()["firewall"]["applied"] >= 100_000

    wait_until(applied, 120, stage.gaoler.told)
    took = time.monotonic() - began

    def held_by_the_kernel():
        # A set that is still growing its table is not listed whole.
        held = len(stage.gaoler.kernel_bans())
        return held if held >= 100_000 else None

    held = wait_until(held_by_the_kernel, 30, stage.gaoler.told)
    rows.append(["100,000 restored", "1 s", *mib(stage.memory()), f"{took:.2f} s from exec to the last one in the kernel; {held} there"])
    # `gaoler bans` has the daemon write all of them out at once.
    wait_until(lambda: late in stage.gaoler.bans(), 30, stage.gaoler.told)
    rows.append(["100,000 listed", "", *mib(stage.memory()), ""])


def on_top_of_a_million(binary, rows):
    """Latency of one more ban while the kernel's set holds a million."""
    stage = Stage(binary, max_retry=1)
    stage.attack([0])
    wait_until(lambda: address(0) in stage.gaoler.kernel_bans(), 30, stage.gaoler.told)
    figures = {}
    for held in (1, 1_000_000):
        if held > 1:
            name = next(
                line.split()[1] for line in stage.gaoler.kernel().splitlines()
                if line.strip().startswith("set ") and "james" in line and "32" in line
            )  # fmt: skip
            elements = ", ".join(f"{address(n)} timeout 1h" for n in range(500_000, 500_000 + held))
            stage.world.host.run("nft", "-f", "-", input=f"add element inet gaoler {name} {{ {elements} }}\n")
        rnd, times = random.Random(3), []
        for n in range(200):
            attacker = address((300_000 if held == 1 else 400_000) + n)
            prober = Prober(stage.world.internet, attacker, world.World.HOST4, MAIL_PORTS[0])
            took = prober.latency(lambda: append(stage.log, failure(attacker, int(time.time() * 1000))))  # noqa: B023
            prober.close()
            times.append(took / 1e6)
            time.sleep(rnd.random() * 0.01)
        figures[held] = (percentile(times, 0.5), percentile(times, 0.99))
    told = "; ".join(f"{held:,} held: p50 {a:.2f} ms, p99 {b:.2f} ms" for held, (a, b) in figures.items())
    rows.append(["line → drop", "", "", "", told])
    stage.close()


class Rows(list):
    """Tells each row at once, too: the last ones take minutes."""

    def append(self, row):
        print("  ".join(row), file=sys.stderr, flush=True)
        super().append(row)


def mib(pair):
    return [f"{value:.1f}" for value in pair]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    arguments = parser.parse_args()
    world.enter()
    rows = Rows()
    resident(arguments.binary, rows)
    on_top_of_a_million(arguments.binary, rows)
    print(table(["", "target MiB", "resident", "peak", ""], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
