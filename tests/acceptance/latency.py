#!/usr/bin/env python3
"""Log line written → packet dropped, for Gaoler and its peers in one run; and 5,000 attackers at once.

Each sample is a new attacker: knocks every 50 µs, then one failed login appended to the log (maxRetry 1), then the
first knock that was dropped for good. The time begins before the write. The burst is 5,000 attackers' lines in one
write, and ends when the last of them stands in the kernel, as `nft monitor` tells.
"""

import argparse
import os
import random
import re
import select
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness import world  # noqa: E402
from harness.daemon import banned_in, wait_until  # noqa: E402
from harness.figures import percentile, table  # noqa: E402
from harness.installations import Guard  # noqa: E402
from harness.jameslog import append, failure  # noqa: E402
from harness.mailserver import MAIL_PORTS  # noqa: E402
from harness.peers import Fail2ban, Fail2banRs  # noqa: E402
from harness.prober import Prober  # noqa: E402

TARGET = {"p50": 1.0, "p99": 5.0, "burst": 1.0}


def rivals(names, binary):
    """Name to a function that sets it up on (namespace, root, log)."""
    made = {
        "gaoler": lambda ns, root, log: Guard(ns, root, log, binary=binary, max_retry=1),
        "fail2ban-rs": lambda ns, root, log: Fail2banRs(ns, root, log, max_retry=1),
        "fail2ban": lambda ns, root, log: Fail2ban(ns, root, log, max_retry=1),
    }
    return {name: made[name] for name in names}


class Stage:
    """A fresh world with one guard on one log."""

    def __init__(self, setup):
        self.directory = tempfile.TemporaryDirectory(prefix="gaoler-latency-")
        root = Path(self.directory.name)
        self.log = root / "james.log"
        self.log.touch()
        self.world = world.World()
        self.world.own_all("45.0.0.0/8")
        self.guard = setup(self.world.host, root / "guard", self.log)
        self.guard.start()
        # Past the reader's first look at the file, so that every line below is read live.
        append(self.log, failure("45.255.255.254", now()))
        wait_until(lambda: "45.255.255.254" in self.elements(), 60, self.guard.told)

    def elements(self):
        return banned_in(self.world.host.run("nft", "list", "ruleset").stdout)

    def close(self):
        self.guard.stop()
        self.directory.cleanup()


def now():
    return int(time.time() * 1000)


def single(stage, samples, rnd):
    """Milliseconds of each sample."""
    found = []
    for n in range(samples):
        address = f"45.{1 + n // 62500}.{n // 250 % 250}.{1 + n % 250}"
        prober = Prober(stage.world.internet, address, world.World.HOST4, MAIL_PORTS[0])
        took = prober.latency(lambda: append(stage.log, failure(address, now())))  # noqa: B023
        prober.close()
        if took is None:
            raise RuntimeError(f"{address} was not dropped within 10 s\n{stage.guard.told()}")
        found.append(took / 1e6)
        # Never in step with anybody's polling.
        time.sleep(rnd.random() * 0.02)
    return found


def burst(stage, count, limit=120.0):
    """Seconds until all `count` attackers of one write are in the kernel, or None, and how many were."""
    addresses = {f"45.100.{n // 250}.{1 + n % 250}" for n in range(count)}
    lines = [failure(address, now()) for address in sorted(addresses)]
    monitor = stage.world.host.popen("nft", "-nn", "monitor", "new", "elements", stdout=-1, stderr=-1, bufsize=0)
    seen, last = set(), None
    time.sleep(0.5)
    began = time.monotonic()
    append(stage.log, *lines)
    rest = b""
    while len(seen & addresses) < count and time.monotonic() - began < limit:
        if not select.select([monitor.stdout], [], [], 0.2)[0]:
            # The monitor may have lost events of a large transaction: look once things are quiet.
            if last and time.monotonic() - last > 1.0 and addresses <= stage.elements():
                seen |= addresses
            continue
        rest += os.read(monitor.stdout.fileno(), 1 << 20)
        *whole, rest = rest.split(b"\n")
        for line in whole:
            found = set(re.findall(rb"\b45\.100\.\d+\.\d+\b", line))
            if found:
                last = time.monotonic()
                seen |= {f.decode() for f in found}
    monitor.kill()
    monitor.wait()
    held = len(addresses & stage.elements())
    return (last - began if held == count and last else None), held


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--samples", type=int, default=1000, help="of Gaoler; the peers get a tenth")
    parser.add_argument("--attackers", type=int, default=5000)
    parser.add_argument("--only", nargs="*", default=["gaoler", "fail2ban-rs", "fail2ban"])
    arguments = parser.parse_args()
    world.enter()
    rows = []
    for name, setup in rivals(arguments.only, arguments.binary).items():
        samples = arguments.samples if name == "gaoler" else max(arguments.samples // 10, 1)
        stage = Stage(setup)
        try:
            times = single(stage, samples, random.Random(7))
            took, held = burst(stage, arguments.attackers)
        finally:
            stage.close()
        told = f"{took:.2f} s" if took else f"> 120 s ({held} in)"
        rows.append([name, samples, *(f"{percentile(times, p):.2f}" for p in (0.5, 0.9, 0.99, 1)), told])
        print(" ".join(map(str, rows[-1])), file=sys.stderr, flush=True)
    titles = ["", "samples", "p50 ms", "p90 ms", "p99 ms", "max ms", f"{arguments.attackers} at once"]
    print(table(titles, rows))
    print(f"targets: p50 < {TARGET['p50']} ms, p99 < {TARGET['p99']} ms, {arguments.attackers} at once < {TARGET['burst']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
