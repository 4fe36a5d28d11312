"""Knocks on a port every 100 µs or faster and knows the first knock that was dropped.

A knock is a SYN to a port that nobody listens on: the host answers each with a RST that repeats its number, so
nothing piles up anywhere and every single knock is known to have passed or not.
"""

import socket
import struct
import time

from .mailserver import family_of


class Prober:
    """One source address. Busy-waits: gives its own CPU a full load while it measures."""

    INTERVAL_NS = 50_000

    def __init__(self, namespace, source, target, port):
        assert family_of(source) == socket.AF_INET
        with namespace.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            self.socket.bind((source, 0))
            self.socket.connect((target, 0))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        # The sum over all that stays the same, so that a knock costs a few additions.
        self.ports = struct.pack("!HH", 40000, port)
        self.rest = struct.pack("!IBBH", 0, 5 << 4, 0x02, 1024)
        pseudo = socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!BBH", 0, 6, 20)
        fixed = pseudo + self.ports + self.rest
        self.sum = sum(struct.unpack(f"!{len(fixed) // 2}H", fixed))
        self.sent = []
        self.answered = -1
        self.next = 0

    def close(self):
        self.socket.close()

    def _knock(self, now):
        number = len(self.sent)
        total = self.sum + (number >> 16) + (number & 0xFFFF)
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        packet = self.ports + struct.pack("!I", number) + self.rest + struct.pack("!HH", ~total & 0xFFFF, 0)
        self.sent.append(now)
        try:
            self.socket.send(packet)
        except OSError:
            pass  # an ICMP error of a peer's `reject`

    def _listen(self):
        try:
            while True:
                answer = self.socket.recv(128)
                begin = (answer[0] & 0x0F) * 4
                if answer[begin + 13] & 0x04:
                    number = int.from_bytes(answer[begin + 8 : begin + 12], "big") - 1
                    self.answered = max(self.answered, number)
        except BlockingIOError:
            pass
        except OSError:
            pass

    def run(self, nanoseconds, until=lambda: False):
        """Knocks for that long, or until `until()`."""
        end = time.monotonic_ns() + nanoseconds
        while (now := time.monotonic_ns()) < end and not until():
            if now >= self.next:
                self._knock(now)
                self.next = now + self.INTERVAL_NS
            self._listen()

    def knock(self):
        """One knock, and what was answered so far."""
        self._knock(time.monotonic_ns())
        self._listen()

    def silent_for(self, nanoseconds):
        """Whether no knock of the last `nanoseconds` was answered."""
        first = self.answered + 1
        return first < len(self.sent) and self.sent[-1] - self.sent[first] >= nanoseconds

    def latency(self, act, limit_ns=10_000_000_000, silence_ns=30_000_000):
        """Nanoseconds from before `act()` to the first knock that was dropped for good; None when none was."""
        self.run(3_000_000)
        assert self.answered >= 0, "the port does not answer before the ban"
        began = time.monotonic_ns()
        act()
        self.run(limit_ns, until=lambda: self.silent_for(silence_ns))
        if not self.silent_for(silence_ns):
            return None
        return self.sent[self.answered + 1] - began
