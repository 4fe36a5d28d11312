"""The control groups of one run: what kubelets and their pods live in, and nothing of the machine's."""

import contextlib
import time
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PREFIX = "gaoler-e2e-"


def hierarchies():
    """The roots of all hierarchies: one with version 2, one per controller with version 1."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in ROOT.iterdir() if path.is_dir() and not path.is_symlink() and (path / "cgroup.procs").exists()]


def make(name):
    """The group `name` in every hierarchy, with one `system` in it for what is no pod; gives the latter."""
    made = []
    for root in hierarchies():
        group = root / name
        system = group / "system"
        if root == ROOT:
            _delegate(root)
        group.mkdir()
        if root == ROOT:
            _delegate(group)
        _copy_cpuset(root, group)
        system.mkdir()
        _copy_cpuset(group, system)
        made.append(system)
    return made


def _delegate(group):
    """Version 2: what is below may use the controllers that are here."""
    for controller in (group / "cgroup.controllers").read_text().split():
        # Some want a real-time scheduler or a device that is not there.
        with contextlib.suppress(OSError):
            (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _copy_cpuset(above, group):
    """Version 1: a new group has no processors, and no process may enter it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (above / name).exists() and not (above / "cgroup.subtree_control").exists():
            (group / name).write_text((above / name).read_text())


def remove(name, seconds=10.0):
    """Removes the groups of that name and what is below them, once their processes have ended; gives those that stay."""
    end = time.monotonic() + seconds
    while left := [root / name for root in hierarchies() if (root / name).exists()]:
        for group in left:
            for inner in sorted(group.rglob("*/"), key=lambda path: len(path.parts), reverse=True):
                with contextlib.suppress(OSError):
                    inner.rmdir()
            with contextlib.suppress(OSError):
                group.rmdir()
        if time.monotonic() > end:
            return [group for group in left if group.exists()]
        time.sleep(0.05)
    return []


def names(run):
    """The groups that the run with that number made."""
    return sorted({path.name for root in hierarchies() for path in root.glob(f"{PREFIX}{run}-*")})


def abandoned():
    """Numbers of runs that are no more and could not tidy up, as a killed one."""
    runs = {path.name.split("-")[2] for root in hierarchies() for path in root.glob(f"{PREFIX}*")}
    return sorted(run for run in runs if not Path(f"/proc/{run}").exists())
