"""A check on the whole program: one world, one Gaoler, one log."""

import json
import os
import tempfile
import time
import unittest
from pathlib import Path

from .daemon import wait_until
from .installations import Guard
from .jameslog import append, failure
from .mailserver import MAIL_PORTS, Client, Mailserver
from .world import World

BINARY = os.environ.get("GAOLER_BINARY", "")


def now_ms():
    return int(time.time() * 1000)


class GaolerCase(unittest.TestCase):
    """Every test gets a host and an internet of its own; nothing is left of them afterwards."""

    ATTACKER, OTHER = "45.129.14.30", "45.129.14.31"
    layout = "seed"
    # Whose failures come last in a test: once they are banned, everything before has been read.
    SENTINELS = [f"45.250.0.{n}" for n in range(1, 100)]

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="gaoler-check-")
        self.addCleanup(self.directory.cleanup)
        self.root = Path(self.directory.name)
        self.world = World()
        self.world.own_all("45.0.0.0/8")
        self.log = self.root / "james.log"
        self.sentinels = list(self.SENTINELS)
        self.gaoler = None

    def install(self, *, start=True, wrapper=(), environment=None, arguments=(), **jail):
        """Gaoler with one jail, two failures in ten minutes unless told otherwise."""
        self.max_retry = jail.setdefault("max_retry", 2)
        self.gaoler = Guard(
            self.world.host, self.root / "gaoler", self.log, binary=BINARY, environment=environment, arguments=arguments, **jail
        )
        self.gaoler.wrapper = list(wrapper)
        self.addCleanup(lambda: self.gaoler.process and self.gaoler.kill())
        if start:
            self.gaoler.start()

    def serve(self, ports=MAIL_PORTS):
        self.server = Mailserver(self.world.host, World.HOST4, ports)

    def client(self, address):
        return Client(self.world.internet, address, World.HOST4)

    def fails(self, address, times=1, at=None, path=None):
        """Appends failures; `at` is their time in milliseconds, now unless told otherwise."""
        append(path or self.log, *[failure(address, now_ms() if at is None else at, self.layout)] * times)

    def settle(self, path=None):
        """Until everything written so far has been read."""
        sentinel = self.sentinels.pop()
        self.fails(sentinel, self.max_retry, path=path)
        self.wait_banned(sentinel)

    def wait_banned(self, *addresses):
        wait_until(lambda: set(addresses) <= self.gaoler.bans(), 30, self.why)

    def why(self):
        return f"{self.gaoler.told()}\n{json.dumps(self.gaoler.status())}\n{self.gaoler.bans()}"

    def assert_banned(self, *addresses):
        """Exactly these, sentinels aside, in the ledger and in the kernel."""
        wanted = set(addresses)
        self.assertEqual(self.gaoler.bans() - set(self.SENTINELS), wanted, self.gaoler.told())
        wait_until(lambda: self.gaoler.kernel_bans() - set(self.SENTINELS) == wanted, 30, lambda: f"{self.gaoler.kernel()}\n{self.why()}")
