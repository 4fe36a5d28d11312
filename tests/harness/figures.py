"""Percentiles, tables, and what the kernel says about a process."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    """The value below which `share` (0 to 1) of `values` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(titles, rows):
    """Aligned text; numbers to the right."""
    cells = [titles, *[[str(c) for c in row] for row in rows]]
    widths = [max(len(row[n]) for row in cells) for n in range(len(titles))]
    lines = []
    for number, row in enumerate(cells):
        line = [c.rjust(w) if number and c[:1].isdigit() else c.ljust(w) for c, w in zip(row, widths)]
        lines.append("  ".join(line).rstrip())
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def cpu_seconds(pid):
    """User and system seconds of a process and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(f) for f in fields[11:15]) / _TICK


def memory(pid):
    """(resident now, resident at most) in MiB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return tuple(int(status[key].split()[0]) / 1024 for key in ("VmRSS", "VmHWM"))


def run_measured(command, environment=None, cpu=None):
    """Runs to the end: (exit status, wall seconds, CPU seconds, peak MiB, what it said)."""
    prefix = ["taskset", "-c", str(cpu)] if cpu is not None else []
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen(
            [*prefix, *map(str, command)], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        said = out.read()
    return child.returncode, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said
