"""The network of a cluster: nodes between the internet and the control plane, each link of its own.

    internet   bridge wan0 192.0.2.1, 2001:db8:25::1       attackers, everybody else, and the load balancer's router
       |  eth0 of node i: 192.0.2.(10+i), 2001:db8:25::(10+i)
    node i     pods 10.88.i.0/24, fd00:88:0:i::/64
       |  api0 of node i: 10.89.0.(10+i), fd00:89::(10+i)
    control    bridge api0 10.89.0.1, fd00:89::1           etcd, the API server; pods of other nodes are routed here
"""

import ipaddress

from harness.world import Namespace


class Fabric:
    """The two networks that all nodes share."""

    API4, API6 = "10.89.0.1", "fd00:89::1"
    ROUTER4, ROUTER6 = "192.0.2.1", "2001:db8:25::1"

    def __init__(self):
        self.control, self.internet = Namespace(), Namespace()
        for net, bridge, addresses in (
            (self.control, "api0", (f"{self.API4}/24", f"{self.API6}/64")),
            (self.internet, "wan0", (f"{self.ROUTER4}/24", f"{self.ROUTER6}/64")),
        ):
            forward(net)
            net.run("ip", "link", "add", bridge, "type", "bridge")
            net.run("ip", "link", "set", bridge, "up")
            for address in addresses:
                give(net, address, bridge)

    def own_all(self, prefix):
        """Lets the internet own every address of `prefix`, without listing them."""
        route(self.internet, "add", "local", prefix, "dev", "lo")
        if ":" in prefix:
            # IPv6 binds to a route's addresses only when told.
            self.internet.run("sysctl", "-qw", "net.ipv6.ip_nonlocal_bind=1")

    def lead(self, address, node):
        """Packets of the internet to `address` (a load balancer's, say) go to that node."""
        length = 128 if ":" in address else 32
        route(self.internet, "replace", f"{address}/{length}", "via", node.wan6 if ":" in address else node.wan4)


def forward(net):
    """Lets a namespace pass packets on."""
    net.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


def give(net, address, device):
    """An address with its length for a device."""
    flags = ["nodad"] if ":" in address else []
    net.run("ip", "addr", "add", address, "dev", device, *flags)


def route(net, verb, *words):
    """`ip route`, of the family that the words' addresses have."""
    family = "-6" if any(":" in word for word in words) else "-4"
    net.run("ip", family, "route", verb, *words)


def cable(net, name, other, other_name):
    """Joins two namespaces; both ends are up."""
    net.run("ip", "link", "add", name, "type", "veth", "peer", "name", other_name, "netns", other.path)
    net.run("ip", "link", "set", name, "up")
    other.run("ip", "link", "set", other_name, "up")


def nth(prefix, number):
    """The address with that number in a prefix."""
    return str(ipaddress.ip_network(prefix)[number])
