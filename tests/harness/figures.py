"""Percentiles, tables, and what the kernel says about a process."""

import os
import re
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


def high_water(pid):
    """MiB that a process held at most since it began its program; 0 when it has ended."""
    try:
        told = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(told[1]) / 1024 if told else 0.0


def run_measured(command, environment=None, cpu=None):
    """Runs to the end: (exit status, wall seconds, CPU seconds, peak MiB, what it said)."""
    prefix = ["taskset", "-c", str(cpu)] if cpu is not None else []
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        child = subprocess.Popen(
            [*prefix, *map(str, command)], env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        peak, ended = 0.0, 0
        # Not ru_maxrss: that begins with the memory of whoever started it, this interpreter.
        while not ended:
            peak = max(peak, high_water(child.pid))
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if not ended:
                time.sleep(0.003)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        said = out.read()
    return child.returncode, wall, usage.ru_utime + usage.ru_stime, peak, said
