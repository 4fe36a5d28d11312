"""Counts packets of banned addresses that came past Gaoler: on every node on their way to pods, and in James' pods."""

import json

TABLE = """
table inet witness {
  set banned { type ipv4_addr; }
  counter passed { }
  chain towards_pods {
    type filter hook %s priority %s; policy accept;
    ip saddr @banned counter name passed
  }
}
"""


class Leaks:
    """Counters of the kernel, in tables of their own. A packet to a pod on its node is counted twice: there and in the pod."""

    def __init__(self, story):
        self.places = [(machine.name, machine.net.run) for machine in story.cluster.machines]
        for _, run in self.places:
            # After the drop and after the node port has become a pod's address, before the source is replaced.
            run("nft", "-f", "-", input=TABLE % ("forward", "-300"))
        for machine in story.cluster.machines[:2]:
            place = Pod(machine, story.mail.network(machine))
            place.run("nft", "-f", "-", input=TABLE % ("prerouting", "-300"))
            self.places.append((f"James on {machine.name}", place.run))

    def watch(self, addresses):
        """From now on packets from these are counted."""
        for _, run in self.places:
            run("nft", "add", "element", "inet", "witness", "banned", "{ %s }" % ", ".join(addresses))

    def passed(self):
        """Place to packets seen since the start, those places only that saw one."""
        found = {}
        for name, run in self.places:
            listed = json.loads(run("nft", "-j", "list", "counter", "inet", "witness", "passed").stdout)
            (packets,) = (item["counter"]["packets"] for item in listed["nftables"] if "counter" in item)
            if packets:
                found[name] = packets
        return found

    def reset(self):
        """Counts from zero, and watches nobody."""
        for _, run in self.places:
            run("nft", "reset", "counter", "inet", "witness", "passed")
            run("nft", "flush", "set", "inet", "witness", "banned")

    def close(self):
        for _, run in self.places:
            run("nft", "delete", "table", "inet", "witness", check=False)


class Pod:
    """The network of a pod, by the path of its namespace."""

    def __init__(self, machine, path):
        self.machine, self.path = machine, path

    def run(self, *command, **options):
        return self.machine.net.run("nsenter", f"--net={self.path}", *command, **options)
