"""A container's log on disk, as containerd writes it and the kubelet rotates it."""

import gzip
import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

# containerd's max_container_log_line_size; CRI-O cuts at 8 KiB.
LONGEST = 16 * 1024


def stamp(nanoseconds, hours=0):
    """A moment as containerd prints it: RFC 3339 in the node's zone, nanoseconds without trailing zeros."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours))).isoformat()
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return text[:19] + fraction + ("Z" if hours == 0 else text[19:])


def records(line, stream="stdout", at=None, hours=0, longest=LONGEST):
    """The records of one line: partial ones (P) of `longest` bytes, then its end (F), each with its own time."""
    data = line.encode() if isinstance(line, str) else line
    moment = time.time_ns() if at is None else at
    found = []
    while len(data) > longest:
        found.append(f"{stamp(moment, hours)} {stream} P ".encode() + data[:longest] + b"\n")
        data, moment = data[longest:], moment + 1000
    return b"".join([*found, f"{stamp(moment, hours)} {stream} F ".encode() + data + b"\n"])


class ContainerLog:
    """The log of one container through its restarts: `<n>.log` in a directory, the newest one open for writing."""

    def __init__(self, directory, restarts=0, *, hours=0, longest=LONGEST, ahead=0):
        """`ahead`: by how many seconds its node's clock is ahead; all stamps are by that clock."""
        self.directory, self.restarts, self.hours, self.longest, self.ahead = Path(directory), restarts, hours, longest, ahead
        self.directory.mkdir(parents=True, exist_ok=True)
        self._open()

    @property
    def path(self):
        return self.directory / f"{self.restarts}.log"

    def _open(self):
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)

    def write(self, *lines, stream="stdout", at=None):
        """Appends lines, each in a write of its own. `at`: their true time in nanoseconds since 1970, now unless told."""
        for line in lines:
            os.write(self.descriptor, self._records(line, stream, at))

    def _records(self, line, stream="stdout", at=None):
        moment = time.time_ns() if at is None else at
        return records(line, stream, moment + self.ahead * 1_000_000_000, self.hours, self.longest)

    def raw(self, data):
        """Appends bytes as they are: half a record, garbage."""
        os.write(self.descriptor, data)

    def rename_away(self):
        """The first half of a rotation: the file has a new name, the runtime goes on writing to it. Gives the name."""
        moment = int(time.time())
        while True:
            name = datetime.fromtimestamp(moment, timezone(timedelta(hours=self.hours))).strftime("%Y%m%d-%H%M%S")
            target = self.path.with_name(f"{self.path.name}.{name}")
            # The kubelet looks every few seconds at most and never meets its own name.
            if not target.exists() and not Path(f"{target}.gz").exists():
                break
            moment += 1
        self.path.rename(target)
        return target

    def reopen(self, late=()):
        """The second half: a new file. What was on its way to the old one (`late`) arrives there after that."""
        old = self.descriptor
        self._open()
        for line in late:
            os.write(old, self._records(line))
        os.close(old)

    def rotate(self, *, late=(), keep=5):
        """As the kubelet does: rotated files before the last are compressed, at most `keep` files stay."""
        rotated = sorted(self.directory.glob(f"{self.restarts}.log.*"))
        for path in rotated[: max(0, len(rotated) - (keep - 2))]:
            path.unlink()
        for path in sorted(self.directory.glob(f"{self.restarts}.log.*")):
            if path.suffix != ".gz":
                self.compress(path)
        renamed = self.rename_away()
        self.reopen(late)
        return renamed

    @staticmethod
    def compress(path):
        """In the kubelet's steps: a temporary file, its final name, and only then is the old one gone."""
        temporary = path.with_name(path.name + ".tmp")
        with open(path, "rb") as plain, gzip.open(temporary, "wb") as packed:
            packed.write(plain.read())
        temporary.rename(path.with_name(path.name + ".gz"))
        path.unlink()

    def restart(self):
        """The container died and runs again: the next number. Of those that died, the kubelet keeps the last."""
        os.close(self.descriptor)
        for path in self.directory.glob(f"{self.restarts - 1}.log*"):
            path.unlink()
        self.restarts += 1
        self._open()

    def close(self):
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
