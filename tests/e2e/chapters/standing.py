"""A cluster and a mail server, before anybody attacks."""

from contextlib import suppress

from harness.daemon import wait_until

from ..mail import ANYWHERE_PORTS, NODE_PORTS, SMTP
from ..story import Story


def tell(story: Story):
    tools, cluster, mail = story.tools, story.cluster, story.mail
    made = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in tools.seconds.items())
    story.title("A cluster")
    story.say(f"The image of the Dockerfile has {tools.size / 1e6:.1f} MB. Made or found in the cache: {made}.")
    seconds = cluster.start()
    story.say(f"Three nodes are ready after {seconds:.0f} s: kubelet, containerd, kube-proxy ({cluster.proxy_mode}) on each.")
    story.type("kubectl get nodes -o wide")
    story.title("A mail server: James in two pods, on two of the three nodes")
    mail.apply()
    mail.wait()
    story.type("kubectl get pods,services -n mail -o wide")
    nodes = [pod["spec"]["nodeName"] for pod in mail.pods]
    story.check("two replicas of James run on two nodes", sorted(nodes) == ["n1", "n2"], nodes)
    # kube-proxy takes a moment to lead anybody to pods that have just become ready.
    visitor = story.attackers(1)[0]
    with suppress(TimeoutError):
        wait_until(lambda: reachable(story, visitor) == EXPECTED, 30)
    reached = reachable(story, visitor)
    story.check("everybody reaches James by host port, node port, and from a node without James", reached == EXPECTED, reached)
    wait_until(lambda: all(m.ready() for m in cluster.machines), 30)


# How James is reached: by node, the ways that greet.
EXPECTED = {
    "n1": ["host port", "node port, Cluster", "node port, Local"],
    "n2": ["host port", "node port, Cluster", "node port, Local"],
    "n3": ["node port, Cluster"],
}


def reachable(story, address, timeout=5.0):
    """By node, the ways by which James greets that address."""
    ways = {SMTP: "host port", NODE_PORTS[SMTP]: "node port, Local", ANYWHERE_PORTS[SMTP]: "node port, Cluster"}
    found = {}
    for machine in story.cluster.machines:
        ports = machine.client(address).reaches(list(ways), timeout)
        found[machine.name] = sorted(ways[port] for port in ports)
    return found
