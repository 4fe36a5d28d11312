"""TCP segments with any sender, as one sends them who does not see the answers."""

import socket
import struct

SYN, PSH, ACK = 0x02, 0x08, 0x10


class Forge:
    """Sends from inside a namespace, over IPv4."""

    def __init__(self, namespace):
        with namespace.inside():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, sender, to, *, source, port, seq, flags, ack=0):
        """One segment without data, from `source` to `port`."""
        addresses = socket.inet_aton(sender) + socket.inet_aton(to)
        tcp = struct.pack("!HHIIBBHHH", source, port, seq, ack, 0x50, flags, 65535, 0, 0)
        sum_ = checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp)) + tcp)
        tcp = tcp[:16] + struct.pack("!H", sum_) + tcp[18:]
        # The kernel fills in the checksum of the IP header.
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, socket.IPPROTO_TCP, 0) + addresses
        self.socket.sendto(header + tcp, (to, 0))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
