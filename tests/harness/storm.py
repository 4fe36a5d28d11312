"""A log under fire: attackers whose count is known, and every way of rotating."""

import gzip
import os
import random
import shutil
import threading
import time
from pathlib import Path

from .jameslog import failure, noise

ROTATIONS = ("rename", "late", "copytruncate", "gzip", "symlink")


class Storm:
    """Writes a James log. Half of the attackers fail exactly `max_retry` times, half once less: a failure that is
    counted twice bans one too many, a lost one bans one too few.

    One stream is a plain file that gets rotated, the other a symlink to a file that changes.
    """

    def __init__(self, directory, max_retry=5, seed=7):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.max_retry = max_retry
        self.random = random.Random(seed)
        self.path = self.directory / "james.log"
        self.path.touch()
        self.link = self.directory / "linked.log"
        self.targets = 0
        self._retarget()
        self.guilty, self.lucky = set(), set()
        self.written, self.rotated = 0, []
        self.serial = 0

    @property
    def glob(self):
        return self.directory / "*.log"

    def _retarget(self):
        """A new file behind the symlink, put there in one step. Its name tells whose it is: what was behind the link
        and is gone from there while nobody looked, nobody could find otherwise."""
        self.targets += 1
        target = self.directory / f"linked.log.{20260101000000 + self.targets}"
        target.touch()
        fresh = self.directory / "linked.tmp"
        fresh.symlink_to(target.name)
        fresh.rename(self.link)

    def rotate(self, kind):
        self.rotated.append(kind)
        if kind == "symlink":
            self._retarget()
            return
        one = self.directory / "james.log.1"
        for number in range(40, 0, -1):
            for suffix in ("", ".gz"):
                old = self.directory / f"james.log.{number}{suffix}"
                if old.exists():
                    old.rename(self.directory / f"james.log.{number + 1}{suffix}")
        if kind == "copytruncate":
            shutil.copyfile(self.path, one)
            os.truncate(self.path, 0)
            return
        with open(self.path, "ab", buffering=0) as still_open:
            self.path.rename(one)
            if kind == "late":
                still_open.write(self._line(None))
            self.path.touch()
            if kind == "late":
                still_open.write(self._line(None))
        if kind == "gzip":
            # As logrotate's `compress` does: a new file with the old one's time, then the old one goes.
            packed = one.with_suffix(".1.gz")
            with open(one, "rb") as plain, gzip.open(packed, "wb") as out:
                shutil.copyfileobj(plain, out)
            shutil.copystat(one, packed)
            one.unlink()

    def _line(self, address):
        now = int(time.time() * 1000)
        self.written += 1
        text = failure(address, now, "seed") if address else noise(self.random, now, "seed")
        return text.encode() + b"\n"

    def _addresses(self, count):
        """`count` new attackers, alternately guilty and lucky."""
        found = []
        for _ in range(count):
            self.serial += 1
            address = f"45.{self.serial // 62500}.{self.serial // 250 % 250}.{1 + self.serial % 250}"
            guilty = self.serial % 2 == 0
            (self.guilty if guilty else self.lucky).add(address)
            found += [address] * (self.max_retry if guilty else self.max_retry - 1)
        return found

    def feed(self, lines, seconds, attackers=None, rotations=(), stop=None):
        """Writes `lines` lines over about `seconds`, rotating in all of `rotations` again and again."""
        attackers = lines // 60 if attackers is None else attackers
        failures = self._addresses(attackers)
        plan = [*failures, *[None] * max(lines - len(failures), 0)]
        self.random.shuffle(plan)
        kinds = list(rotations)
        every = max(len(plan) // (len(kinds) * 8), 1) if kinds else 0
        began, at = time.monotonic(), 0
        while at < len(plan):
            if stop and stop.is_set():
                raise RuntimeError("the storm was called off")
            size = self.random.randrange(1, 40)
            chunk = b"".join(map(self._line, plan[at : at + size]))
            where = self.link if self.random.random() < 0.3 else self.path
            with open(where, "ab", buffering=0) as log:
                # Sometimes a line comes in two pieces.
                cut = self.random.randrange(1, len(chunk)) if self.random.random() < 0.1 else 0
                if cut:
                    log.write(chunk[:cut])
                    time.sleep(0.002)
                log.write(chunk[cut:])
            if every and at // every != (at + size) // every:
                self.rotate(kinds[(at // every) % len(kinds)])
            at += size
            ahead = began + seconds * at / len(plan) - time.monotonic()
            if ahead > 0:
                time.sleep(ahead)

    def feed_in_background(self, *arguments, **options):
        """The same in a thread; `join()` gives back what went wrong."""
        return Background(lambda: self.feed(*arguments, **options))

    def last_word(self):
        """One more guilty attacker at the end of either stream: banned once everything before was read."""
        self.serial += 2 - self.serial % 2
        found = []
        for where in (self.path, self.link):
            self.serial += 2
            address = f"45.{self.serial // 62500}.{self.serial // 250 % 250}.{1 + self.serial % 250}"
            self.guilty.add(address)
            found.append(address)
            with open(where, "ab", buffering=0) as log:
                log.write(b"".join(self._line(address) for _ in range(self.max_retry)))
        return found


class Background(threading.Thread):
    """A thread whose error is raised where it is joined."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.work, self.error = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except BaseException as error:  # raised again in join
            self.error = error

    def join(self, timeout=None):
        super().join(timeout)
        if self.error:
            raise self.error
