"""Who must be banned: tests/oracle/oracle.py asked, and what fail2ban would do instead."""

import subprocess
import sys
from pathlib import Path

ORACLE = Path(__file__).resolve().parent.parent / "oracle" / "oracle.py"


def banned(failures, max_retry, find_time):
    """The addresses that reach `max_retry` failures within `find_time`. Times are milliseconds, in any order."""
    records = "".join(f"{when // 1000}.{when % 1000:03d} {address}\n" for when, address in failures)
    limits = ["--max-retry", str(max_retry), "--find-time", f"{find_time / 1000:.3f}", "--ban-time", "7200"]
    done = subprocess.run([sys.executable, ORACLE, *limits], input=records, capture_output=True, text=True, check=True)
    return {line.split()[0].removesuffix("/32") for line in done.stdout.splitlines()}


def fail2ban_estimate(failures, max_retry, find_time):
    """Whom fail2ban bans: its count is no sliding window.

    Where an address' failures span more than `find_time`, their number is scaled down to it instead of counted; and
    it knows whole seconds only. Times are milliseconds here.
    """
    find_time //= 1000
    found, tickets = set(), {}
    for milliseconds, address in sorted(failures):
        when = milliseconds // 1000
        first, last, count = tickets.get(address, (when, when, 0))
        if last <= when - find_time:
            first, count = when, 0
        elif when - first > find_time:
            count = round(count / (when - first) * find_time)
            first = when - find_time
        tickets[address] = (first, when, count + 1)
        if count + 1 >= max_retry:
            found.add(address)
            del tickets[address]
    return found


def read_truth(path):
    """The failures that `scripts/gen_james_log.py` wrote beside its log, in milliseconds."""
    with open(path, encoding="utf-8") as truth:
        return [(int(when), address) for when, address in map(str.split, truth)]
