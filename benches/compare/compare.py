#!/usr/bin/env python3
"""Lines per CPU second from the file to the ledger: Gaoler, fail2ban and fail2ban-rs on the same log in one run.

Every process is pinned to one core and measured as the kernel accounts it, its start included. Whom Gaoler bans is
compared with an independent oracle; a difference ends this with 1. Whom fail2ban's estimate would ban is shown apart.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from harness import oracle, world  # noqa: E402
from harness.figures import run_measured, table  # noqa: E402
from harness.installations import manifest  # noqa: E402
from harness.peers import CACHE, Fail2ban, Fail2banRs  # noqa: E402

MAX_RETRY, FIND_TIME_MS = 5, 600_000
CORE = 0
# A fixed moment: all of these programs read the log by its own time.
END = 1_790_000_000
# Every program runs so often, unless that takes longer than so many seconds; its least CPU time counts. The machine's
# other work and cold memory only ever add.
RUNS, ENOUGH = 15, 30


def logs(lines):
    """Layout to log file; made once and kept in the cache, since the same sources and seed give the same bytes."""
    sources = [ROOT / "scripts/gen_james_log.py", ROOT / "tests/harness/jameslog.py"]
    version = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:8]
    directory = CACHE / "logs" / version
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for layout in ("seed", "default", "json", "cri"):
        path = directory / f"{layout}-{lines}.log"
        if not path.exists():
            print(f"writing {path}", file=sys.stderr)
            making = path.with_suffix(".making")
            subprocess.run(
                [sys.executable, ROOT / "scripts/gen_james_log.py", making, "--layout", layout, "--lines", str(lines), "--end", str(END)],
                check=True,
            )  # fmt: skip
            Path(f"{making}.truth").rename(f"{path}.truth")
            # A line with a time of day alone belongs to the day the file was last written.
            os.utime(making, (END, END))
            making.rename(path)
        found[layout] = path
    return found


class Comparison:
    def __init__(self, binary, directory, lines):
        self.binary, self.directory, self.lines = Path(binary).resolve(), Path(directory), lines
        self.logs = logs(lines)
        self.rows, self.differences = [], []
        self.nothing = self.directory / "empty.log"
        self.nothing.touch()

    def row(self, who, what, log, command, environment):
        """Measures `command(log)`, and the same on an empty log to know what the start alone costs."""
        start = self.least(who, what, command(self.nothing), environment)[2]
        _, wall, cpu, peak, said = self.least(who, what, command(log), environment)
        rate, after = (f"{self.lines / max(seconds, 0.001) / 1e6:.3f} M" for seconds in (cpu, cpu - start))
        megabytes = log.stat().st_size / 1e6
        self.rows.append([who, what, rate, after, f"{megabytes / cpu:.0f}", f"{start:.2f}", f"{cpu:.2f}", f"{wall:.2f}", f"{peak:.0f}"])
        print("  ".join(self.rows[-1]), file=sys.stderr, flush=True)
        return said

    def least(self, who, what, command, environment):
        """The run that took least CPU time: (status, wall, CPU seconds, MiB, what it said)."""
        runs, began = [], time.monotonic()
        while len(runs) < RUNS and (not runs or time.monotonic() - began < ENOUGH):
            runs.append(run_measured(command, environment, cpu=CORE))
            status, *_, said = runs[-1]
            if status not in (0, 1):
                raise RuntimeError(f"{who} {what}: exit {status}\n{said.decode(errors='replace')[-2000:]}")
        return min(runs, key=lambda run: run[2])

    def gaoler(self, what, layout, jail):
        """One `gaoler replay`; whom it bans against the oracle."""
        log = self.logs[layout]
        config = self.directory / f"gaoler-{len(self.rows)}"
        config.mkdir()
        (config / "james.yaml").write_text(jail(log))
        replay = lambda path: [self.binary, "replay", path, "--jail", "james", "--config", config, "-o", "json"]  # noqa: E731
        said = self.row("gaoler", what, log, replay, {**os.environ, "TZ": "UTC"})
        banned = {ban["subject"] for ban in json.loads(said)["bans"]}
        expected = oracle.banned(oracle.read_truth(f"{log}.truth"), MAX_RETRY, FIND_TIME_MS)
        print(f"  banned {len(banned)}, oracle {len(expected)}, equal: {banned == expected}", file=sys.stderr)
        if banned != expected:
            more, less = sorted(banned - expected)[:5], sorted(expected - banned)[:5]
            self.differences.append(f"{what}: {len(banned)} banned, oracle {len(expected)}; too many {more}, missing {less}")

    def peer(self, kind, count):
        peer = kind(None, self.directory / f"{kind.name}-{count}", self.logs["seed"], count=count, max_retry=MAX_RETRY)
        self.row(kind.name, f"{count} pattern{'s' * (count > 1)}", peer.log, peer.offline, peer.environment())

    def all(self, peers):
        for count in (1, 10, 30):
            what = f"{count} pattern{'s' * (count > 1)}"
            self.gaoler(what, "seed", lambda log, count=count: manifest(log, count=count))
        self.gaoler("the seed's two regexes", "seed", lambda log: manifest(log, filters=["james-log4j2"]))
        for layout in ("default", "json", "cri"):
            self.gaoler(
                f"structured rules, {layout}", layout, lambda log: manifest(log, filters=["james-smtp-auth"])
            )  # fmt: skip
        every = sorted(path.stem for path in (ROOT / "filters").glob("*.yaml"))
        for layout in ("seed", "default", "json"):
            self.gaoler(f"all built-in filters, {layout}", layout, lambda log: manifest(log, filters=every))
        for kind in peers:
            for count in (1, 10, 30):
                self.peer(kind, count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    world.enter()
    peers = [] if arguments.no_peers else [Fail2banRs, Fail2ban]
    with tempfile.TemporaryDirectory(prefix="gaoler-compare-") as directory:
        comparison = Comparison(arguments.binary, directory, arguments.lines)
        comparison.all(peers)
        failures = oracle.read_truth(f"{comparison.logs['seed']}.truth")
    versions = ", ".join(f"{p.name} {p.version()}" for p in peers)
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    print(f"\n{arguments.lines} lines, 7 % failures, 10,000 attackers; one core of {model}, {os.uname().release}; {versions}")
    print(f"up to {RUNS} runs each, as long as they take less than {ENOUGH} s together; the one of the least CPU time\n")
    print(table(["", "", "lines/CPU s", "after start", "MB/CPU s", "start CPU s", "CPU s", "wall s", "peak MiB"], comparison.rows))
    right = oracle.banned(failures, MAX_RETRY, FIND_TIME_MS)
    estimate = oracle.fail2ban_estimate(failures, MAX_RETRY, FIND_TIME_MS)
    print(f"\noracle: {len(right)} addresses reach {MAX_RETRY} failures within 10 min; fail2ban's estimate would ban {len(estimate)}:")
    print(f"{len(estimate - right)} that do not, and without {len(right - estimate)} that do")
    for difference in comparison.differences:
        print(f"DIFFERS from the oracle: {difference}")
    print(f"\ncompare: {len(comparison.rows) - len(comparison.differences)} passed, {len(comparison.differences)} failed")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
