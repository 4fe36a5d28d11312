#!/usr/bin/env python3
"""Writes a log as a busy, attacked James writes it, and beside it what really happened in it.

The same seed gives the same bytes. A fixed share of the lines are failed logins; every attacker has a plan:
bursts that must be banned, slow guessing that must not, and failures exactly `find-time` apart (banned) or one
millisecond further (not banned).
"""

import argparse
import random
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from harness.jameslog import LAYOUTS, failure, noise  # noqa: E402


def attackers(count):
    """Public addresses, all different, none of them in a range that is never banned."""
    return [f"{45 + n // 65536 % 50}.{n // 256 % 256}.{n % 256}.{1 + n % 254}" for n in range(count)]


def plan(rnd, failures, count, begin, span, find_time, max_retry):
    """(milliseconds, address) of every failure, `failures` in all."""
    events = []
    addresses = attackers(count)
    while len(events) < failures:
        for address in addresses:
            left = failures - len(events)
            if left <= 0:
                break
            kind = rnd.random()
            if kind < 0.5:
                first = begin + rnd.randrange(max(span - 60_000, 1))
                times = [first + rnd.randrange(60_000) for _ in range(rnd.randrange(max_retry, max_retry * 2))]
            elif kind < 0.7:
                times = [begin + rnd.randrange(span) for _ in range(rnd.randrange(1, max_retry * 3))]
            else:
                width = find_time if kind < 0.85 else find_time + 1
                first = begin + rnd.randrange(max(span - width, 1))
                inner = [first + rnd.randrange(1, find_time) for _ in range(max_retry - 2)]
                times = [first, *inner, first + width]
            events += [(t, address) for t in times[:left]]
    return sorted(events)


def write(out, truth, lines, share, count, layout, end, span, find_time, max_retry, seed):
    """Writes the log to `out` and one `milliseconds address` per failure to `truth`."""
    rnd = random.Random(seed)
    begin = end - span
    failed = plan(rnd, int(lines * share), count, begin, span, find_time, max_retry)
    quiet = sorted(begin + rnd.randrange(span) for _ in range(lines - len(failed)))
    # Writing noise is most of the work: a thousand texts with their stamps put in.
    at_failed = 0
    for t in [*quiet, end + 1]:
        while at_failed < len(failed) and failed[at_failed][0] <= t:
            when, address = failed[at_failed]
            out.write(failure(address, when, layout) + "\n")
            truth.write(f"{when} {address}\n")
            at_failed += 1
        if t <= end:
            out.write(noise(rnd, t, layout) + "\n")


def milliseconds(text):
    units = {"s": 1000, "m": 60_000, "h": 3_600_000}
    return int(text[:-1]) * units[text[-1]]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", help="the log; beside it OUT.truth with `milliseconds address` of every failure")
    p.add_argument("--layout", choices=LAYOUTS, default="default")
    p.add_argument("--lines", type=int, default=1_000_000)
    p.add_argument("--share", type=float, default=0.07, help="of the lines that are failures (%(default)s)")
    p.add_argument("--attackers", type=int, default=10_000)
    p.add_argument("--end", type=float, default=time.time(), help="time of the last line, in seconds (now)")
    p.add_argument("--span", type=milliseconds, default=milliseconds("3h"), help="from first to last line (3h)")
    p.add_argument("--find-time", type=milliseconds, default=milliseconds("10m"))
    p.add_argument("--max-retry", type=int, default=5)
    p.add_argument("--seed", type=int, default=7)
    a = p.parse_args()
    with open(a.out, "w", encoding="utf-8") as out, open(a.out + ".truth", "w", encoding="utf-8") as truth:
        write(out, truth, a.lines, a.share, a.attackers, a.layout, int(a.end * 1000), a.span, a.find_time, a.max_retry, a.seed)


if __name__ == "__main__":
    main()
