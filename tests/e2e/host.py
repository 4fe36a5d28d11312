"""One Linux host with systemd, beside the machine: the machine's own files, seen through an overlay.

What is installed or started there is gone with this process, and the machine has nothing of it.
"""

import os
import subprocess
from pathlib import Path

from harness.daemon import wait_until
from harness.world import World

from . import cgroups

# What would reach beyond the host's own namespaces, and what waits for devices.
MASKED = (
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-udevd.service", "systemd-udev-trigger.service",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "dev-hugepages.mount",
)  # fmt: skip
TARGET = """[Unit]
Requires=sysinit.target systemd-journald.service
After=sysinit.target systemd-journald.service
"""


class Host:
    """Boots when made. `kept`: directories that are the machine's own also there, such as a checkout."""

    def __init__(self, directory, cgroup, kept):
        self.directory, self.cgroup, self.kept = Path(directory), cgroup, [Path(path) for path in kept]
        self.world = World()
        self.world.own_all("203.0.113.0/24")
        self.world.own_all("198.51.100.0/24")
        self.root = self.directory / "overlay" / "root"
        self._mount()
        self.init = None

    def _mount(self):
        """In this process' own mount namespace, so that others here see its files too."""
        base = self.root.parent
        base.mkdir(parents=True)
        # An overlay's changes may not lie below what it covers.
        mount("-t", "tmpfs", "tmpfs", base)
        for name in ("upper", "work", "root"):
            (base / name).mkdir()
        mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={base}/upper,workdir={base}/work", self.root)
        for path in self.kept:
            path.mkdir(parents=True, exist_ok=True)
            (self.root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
            mount("--bind", path, self.root / path.relative_to("/"))
        units = self.root / "etc/systemd/system"
        for wanted in units.glob("*.wants/*"):
            wanted.unlink()
        for name in MASKED:
            unit = units / name
            unit.unlink(missing_ok=True)
            unit.symlink_to("/dev/null")
        (units / "host.target").write_text(TARGET)

    def boot(self):
        """Until systemd says that it runs."""
        systems = cgroups.make(self.cgroup)
        script = self.directory / "host-init.sh"
        script.write_text(self._script(systems))
        with open(self.directory / "host.log", "ab") as log:
            holder = self.world.host.popen(
                "unshare", "--mount", "--propagation", "private", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "bash", script,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        self.init = int(wait_until(lambda: children.read_text().split(), 30, self.told)[0])
        wait_until(lambda: self.shell("systemctl is-system-running")[1].strip() == "running", 60, self.told)
        self.holder = holder

    def told(self):
        return (self.directory / "host.log").read_text(errors="replace")[-3000:]

    def shell(self, command, environment=None, timeout=1800.0, directory="/"):
        """A command line as a person with sudo types it there; (exit code, all it said)."""
        # With its cgroup namespace: else systemd would find the processes of a stranger in its groups.
        inside = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", f"--wd={self.root}", "chroot", str(self.root)]
        text = f"cd {directory} && {command}"
        done = subprocess.run(
            [*inside, "bash", "-c", text], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, **(environment or {})}, timeout=timeout,
        )  # fmt: skip
        return done.returncode, done.stdout

    def stop(self):
        """Ends every process of it."""
        self.holder.kill()
        self.holder.wait()

    def _script(self, systems):
        root = self.root
        enter = "\n".join(f"echo 0 >{system}/cgroup.procs" for system in systems)
        # systemd wants the hierarchy it keeps its services in: one of its own with version 1.
        if (cgroups.ROOT / "cgroup.controllers").exists():
            groups = f"mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup"
        else:
            groups = f"""mount -t tmpfs -o mode=755 tmpfs {root}/sys/fs/cgroup
mkdir {root}/sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup {root}/sys/fs/cgroup/systemd"""
        return f"""set -eu
{enter}
exec unshare --cgroup bash -eu <<'END'
mount -t proc proc {root}/proc
# The machine's own settings stay.
mount --bind {root}/proc/sys {root}/proc/sys
mount -o remount,bind,ro {root}/proc/sys
mount -t sysfs -o ro sysfs {root}/sys
{groups}
mount -t tmpfs -o mode=755 tmpfs {root}/dev
for device in null zero full random urandom tty; do
  touch {root}/dev/$device
  mount --bind /dev/$device {root}/dev/$device
done
mkdir {root}/dev/pts {root}/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts {root}/dev/pts
ln -s pts/ptmx {root}/dev/ptmx
ln -s /proc/self/fd {root}/dev/fd
mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm
mount -t tmpfs -o mode=755 tmpfs {root}/run
hostname mail
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \\
  chroot {root} /lib/systemd/systemd --unit=host.target --log-target=console --show-status=no </dev/null
END
"""


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)
