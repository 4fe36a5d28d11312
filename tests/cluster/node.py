"""A node: a network namespace between internet and control plane, a directory of pod logs, an agent."""

import contextlib
import subprocess

from harness.daemon import banned_in
from harness.mailserver import Client, Mailserver
from harness.set_clock import SettableClock
from harness.world import Namespace

from .agent import Agent
from .api import Refused
from .controlplane import PODS4, PODS6
from .fabric import Fabric, cable, forward, give, nth, route
from .pod import Pod, now


class Node:
    """Node number `number` (1 to 200) of a fabric. Its object is in the API from the beginning."""

    ACCOUNT, ACCOUNT_NAMESPACE = "gaoler-agent", "gaoler-system"

    def __init__(self, plane, number, directory, *, name=None, labels=None, clock_ahead=0, settable=False):
        """`clock_ahead`: by how many seconds its clock is ahead of everybody's. `settable`: `set_clock` works."""
        self.clock_ahead = clock_ahead
        self.plane, self.fabric, self.number, self.name = plane, plane.fabric, number, name or f"n{number}"
        self.directory = directory / self.name
        self.pod_logs = self.directory / "pods"
        self.pod_logs.mkdir(parents=True)
        self.wan4, self.wan6 = f"192.0.2.{10 + number}", f"2001:db8:25::{10 + number}"
        self.api4, self.api6 = f"10.89.0.{10 + number}", f"fd00:89::{10 + number}"
        self.pods4, self.pods6 = f"10.88.{number}.0/24", f"fd00:88:0:{number}::/64"
        self.pods_made = self.pods_connected = 0
        self.processes, self.pods = [], []
        self.clock = SettableClock(self.directory / "clock") if settable else None
        self._connect()
        self.object = self._register(labels or {})
        self.agent = None

    def _connect(self):
        fabric, self.net = self.fabric, Namespace()
        forward(self.net)
        for there, bridge, device, four, six in (
            (fabric.internet, "wan0", "eth0", f"{self.wan4}/24", f"{self.wan6}/64"),
            (fabric.control, "api0", "api0", f"{self.api4}/24", f"{self.api6}/64"),
        ):
            cable(there, self.name, self.net, device)
            there.run("ip", "link", "set", self.name, "master", bridge)
            give(self.net, four, device)
            give(self.net, six, device)
        route(self.net, "add", "default", "via", Fabric.ROUTER4)
        route(self.net, "add", "default", "via", Fabric.ROUTER6)
        # Pods of other nodes by way of the inner network, which knows where each node's are.
        route(self.net, "add", PODS4, "via", Fabric.API4)
        route(self.net, "add", PODS6, "via", Fabric.API6)
        route(self.net, "add", "unreachable", self.pods4)
        route(self.net, "add", "unreachable", self.pods6)
        for there, four, six in ((fabric.control, self.api4, self.api6), (fabric.internet, self.wan4, self.wan6)):
            route(there, "replace", self.pods4, "via", four)
            route(there, "replace", self.pods6, "via", six)

    def _register(self, labels):
        api = self.plane.api
        api.create(
            "/api/v1/nodes",
            {
                "metadata": {"name": self.name, "labels": {"kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", **labels}},
                "spec": {"podCIDR": self.pods4, "podCIDRs": [self.pods4, self.pods6]},
            },
        )
        return self.says()

    def says(self, ready=True):
        """Writes its status, as its kubelet would."""
        return self.plane.api.patch(f"/api/v1/nodes/{self.name}/status", {"status": self._status(ready)})

    def _status(self, ready):
        addresses = [("InternalIP", self.api4), ("InternalIP", self.api6), ("ExternalIP", self.wan4), ("ExternalIP", self.wan6)]
        return {
            "addresses": [{"type": t, "address": a} for t, a in (*addresses, ("Hostname", self.name))],
            "conditions": [
                {
                    "type": "Ready", "status": str(ready), "reason": "KubeletReady" if ready else "KubeletNotReady",
                    "lastHeartbeatTime": now(), "lastTransitionTime": now(),
                }
            ],
            "nodeInfo": {
                "kubeletVersion": "v1.35.4", "osImage": "test", "kernelVersion": "6.1.0", "containerRuntimeVersion": "containerd://2.1.0",
                "architecture": "amd64", "operatingSystem": "linux", "bootID": "", "machineID": "", "systemUUID": "", "kubeProxyVersion": "",
            },
        }  # fmt: skip

    def register_again(self, labels=None):
        """Its kubelet makes its object anew, after the storage was emptied."""
        self.object = self._register(labels or {})

    def unregister(self):
        """The node is gone from the cluster for good."""
        self.plane.api.delete(f"/api/v1/nodes/{self.name}")

    # Pods.

    def pod(self, name, **about):
        """A pod that runs here; what it says is written with `pod.log.write(…)`."""
        pod = Pod(self, name, **about)
        self.pods.append(pod)
        return pod

    def next_pod_addresses(self):
        self.pods_made += 1
        return nth(self.pods4, 1 + self.pods_made), nth(self.pods6, 1 + self.pods_made)

    # The network.

    def listen(self, ports, address=None):
        """TCP listeners of the node itself, on its address on the internet unless told otherwise."""
        return Mailserver(self.net, address or self.wan4, ports)

    def client(self, address, server=None):
        """Somebody on the internet, who knocks here; Fabric.own_all() or give() made the address."""
        return Client(self.fabric.internet, address, server or (self.wan6 if ":" in address else self.wan4))

    def own(self, address):
        """Lets this node have one more address (a load balancer's that ends here), and leads the internet to it."""
        give(self.net, f"{address}/{128 if ':' in address else 32}", "lo")
        self.fabric.lead(address, self)

    @contextlib.contextmanager
    def cut_off(self):
        """Meanwhile nothing comes or goes between this node and the API server or the other nodes' pods. Nothing
        says so: packets just vanish, as when a switch dies."""
        self.cut()
        try:
            yield
        finally:
            self.mend()

    def cut(self):
        self.fabric.control.run("ip", "link", "set", self.name, "nomaster")

    def mend(self):
        self.fabric.control.run("ip", "link", "set", self.name, "master", "api0")

    # What runs here.

    def kubeconfig(self):
        """Who the agent is: its service account, with a token bound to this node. Called again, it renews the token."""
        self.plane.service_account(self.ACCOUNT, self.ACCOUNT_NAMESPACE)
        return self.plane.account(self.directory / "agent.kubeconfig", self.ACCOUNT, self.ACCOUNT_NAMESPACE, self.object)

    def set_clock(self, ahead):
        """Sets its clock so many seconds ahead of everybody's: for its agent, and for what its pods write from now on."""
        self.clock_ahead = ahead
        for pod in self.pods:
            for log in pod.logs.values():
                log.ahead = ahead
        self.clock.set(ahead)

    def start_agent(self, binary, **options):
        """`gaoler agent` here. The rights of its account are the caller's to give."""
        self.agent = Agent(self, binary, self.kubeconfig(), **options).start()
        return self.agent

    def start_kube_proxy(self):
        """The real kube-proxy, in nftables mode: Services' addresses and node ports lead to pods."""
        config = self.plane.user("system:kube-proxy")
        with open(self.directory / "kube-proxy.log", "ab") as log:
            self.processes.append(
                self.net.popen(
                    self.plane.programs["kube-proxy"], f"--kubeconfig={config}", f"--hostname-override={self.name}", "--proxy-mode=nftables",
                    f"--cluster-cidr={PODS4},{PODS6}", f"--bind-address={self.api4}", "--conntrack-max-per-core=0", "--conntrack-min=0",
                    "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0", "--oom-score-adj=0",
                    "--metrics-bind-address=127.0.0.1:10249", "--healthz-bind-address=127.0.0.1:10256",
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )
            )  # fmt: skip

    def http(self, url):
        """(status, text) of an HTTP server, asked from here; (0, "") when none answers."""
        done = self.net.run("curl", "-s", "-m", "5", "-w", "\n%{http_code}", url, check=False)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), text

    def kernel(self):
        """nft's words about Gaoler's table, whatever its agent says; empty when there is none."""
        done = self.net.run("nft", "list", "table", "inet", "gaoler", check=False)
        return done.stdout if done.returncode == 0 else ""

    def kernel_bans(self):
        """All elements of the ban sets."""
        return banned_in(self.kernel())

    def close(self):
        """Ends the node: what runs here, its pods, its cables, its object."""
        self.stop()
        for pod in self.pods:
            pod.close()
        for there in (self.fabric.control, self.fabric.internet):
            there.run("ip", "link", "del", self.name)
        self.net.close()
        with contextlib.suppress(OSError, Refused):
            self.unregister()

    def stop(self):
        """Ends all that runs here."""
        if self.agent:
            self.agent.kill()
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []
