"""Packets of chosen addresses to every node, each known to have passed or not."""

import threading
import time

from harness.prober import Prober

from .mail import ANYWHERE_PORTS, KNOCK

# Between two rounds over all addresses and nodes.
INTERVAL = 0.002


class Knocks:
    """Knocks on every node from every address, again and again, on a thread of its own."""

    def __init__(self, story, addresses):
        internet, port = story.cluster.fabric.internet, ANYWHERE_PORTS[KNOCK]
        self.probers = {
            (address, machine.name): Prober(internet, address, machine.wan4, port) for address in addresses for machine in story.cluster.machines
        }
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._knock, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        for prober in self.probers.values():
            prober.close()

    def _knock(self):
        while not self._over.is_set():
            for prober in self.probers.values():
                prober.knock()
            time.sleep(INTERVAL)

    @property
    def sent(self):
        return sum(len(prober.sent) for prober in self.probers.values())

    def silent(self, milliseconds=200):
        """Those (address, node) from which nothing was answered for so long."""
        return {who for who, prober in self.probers.items() if prober.silent_for(milliseconds * 1_000_000)}

    def answered(self):
        """Those (address, node) that had any answer."""
        return {who for who, prober in self.probers.items() if prober.answered >= 0}

    def dropped_since(self):
        """(address, node) to the moment, in nanoseconds since 1970, of the first knock that was dropped for good."""
        offset = time.time_ns() - time.monotonic_ns()
        return {who: prober.sent[prober.answered + 1] + offset for who, prober in self.probers.items() if prober.answered + 1 < len(prober.sent)}
