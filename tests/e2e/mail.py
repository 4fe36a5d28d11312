"""A James in pods: two replicas on two nodes, as people run it."""

import calendar
import json
import time
from pathlib import Path

import server
from harness.daemon import wait_until

from .tools import JAMES, REPOSITORY

NAMESPACE = "mail"
SMTP, IMAP, POP3, KNOCK = 25, 143, 110, 9
# Container port of each service port.
TARGETS = {SMTP: server.PORT_BASE + 25, IMAP: server.PORT_BASE + 43, POP3: server.PORT_BASE + 10}
# Node ports, of the Service that keeps clients' addresses and of the one that does not.
NODE_PORT_BASE = 30000
NODE_PORTS = {SMTP: NODE_PORT_BASE + 25, IMAP: NODE_PORT_BASE + 43, POP3: NODE_PORT_BASE + 10}
# Nobody listens behind KNOCK: the pod answers every SYN with a reset, so that each packet is known to have passed or not.
ANYWHERE_PORTS = {SMTP: 31025, KNOCK: 31009}


def manifests():
    """What a mail administrator applies, without a Secret for the configuration."""
    ports = [{"name": f"p{port}", "containerPort": target, "hostPort": port} for port, target in TARGETS.items()]
    probe = {"tcpSocket": {"port": TARGETS[SMTP]}, "periodSeconds": 1}
    container = {
        "name": "james", "image": "localhost/james:1", "imagePullPolicy": "Never", "ports": ports,
        "startupProbe": {**probe, "failureThreshold": 300}, "readinessProbe": {**probe, "periodSeconds": 5},
        "resources": {"requests": {"memory": "350Mi"}, "limits": {"memory": "700Mi"}},
        "volumeMounts": [{"name": "conf", "mountPath": "/james/conf"}, {"name": "var", "mountPath": "/james/var"}],
    }  # fmt: skip
    pod = {
        "nodeSelector": {"mail": "yes"}, "dnsPolicy": "Default", "enableServiceLinks": False, "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [{"name": "conf", "secret": {"secretName": "james-conf"}}, {"name": "var", "emptyDir": {}}],
    }  # fmt: skip
    labels = {"app": "james"}
    stateful = {
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "james", "namespace": NAMESPACE},
        "spec": {
            "replicas": 2, "serviceName": "james", "podManagementPolicy": "Parallel", "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }  # fmt: skip
    kept = [{"name": f"p{port}", "port": port, "targetPort": target, "nodePort": NODE_PORTS[port]} for port, target in TARGETS.items()]
    lost = [
        {"name": f"p{port}", "port": port, "targetPort": TARGETS.get(port, port), "nodePort": node_port}
        for port, node_port in ANYWHERE_PORTS.items()
    ]
    return [stateful, _service("james", "Local", kept), _service("james-anywhere", "Cluster", lost)]


def _service(name, policy, ports):
    return {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": "NodePort", "externalTrafficPolicy": policy, "selector": {"app": "james"}, "ports": ports},
    }  # fmt: skip


class Mail:
    """Two pods of James, their users, and what they log."""

    def __init__(self, cluster, directory):
        self.cluster = cluster
        # Only its files are wanted: it runs in pods.
        self.files = server.Server(
            None, JAMES, directory / "james", "0.0.0.0", logback=REPOSITORY / "deploy" / "james" / "logback-3.8.xml"
        )
        self.pods = []

    def apply(self):
        plane = self.cluster.plane
        plane.namespace(NAMESPACE)
        plane.kubectl("create", "secret", "generic", "james-conf", "-n", NAMESPACE, f"--from-file={self.files.conf}")
        plane.apply(manifests())

    def wait(self, timeout=300.0):
        """Until both answer and have their users; gives the seconds since then."""
        began = time.monotonic()
        wait_until(lambda: len(self._ready()) == 2, timeout, self.told)
        self.pods = sorted(self._ready(), key=lambda pod: pod["spec"]["nodeName"])
        for pod in self.pods:
            wait_until(lambda address=pod["status"]["podIP"]: self._provisioned(address), timeout, self.told)
        return time.monotonic() - began

    def _provisioned(self, address):
        """Its WebAdmin comes up after its other servers."""
        try:
            with self.cluster.fabric.control.inside():
                server.provision(address, self.files.token)
        except OSError:
            return time.sleep(0.2)
        return True

    def _ready(self):
        time.sleep(0.1)
        pods = self.cluster.pods(NAMESPACE, "app=james")
        return [p for p in pods if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))]

    def told(self):
        texts = [self.cluster.plane.kubectl("get", "pods,events", "-n", NAMESPACE, "-o", "wide", check=False).stdout]
        for name in ("james-0", "james-1"):
            texts.append(self.cluster.plane.kubectl("logs", "-n", NAMESPACE, name, "--tail=20", check=False).stdout)
        return "\n".join(texts)

    def logs(self):
        """Every line that the two have written: (moment in nanoseconds when containerd took it, text)."""
        for machine in self.cluster.machines:
            for path in sorted(machine.pod_logs.glob(f"{NAMESPACE}_james-*/james/*.log")):
                with open(path, errors="replace") as log:
                    for line in log:
                        moment, _, _, text = line.split(" ", 3)
                        yield nanoseconds(moment), text

    def guesses(self, address):
        """How many failed logins from that address they have logged, and when the last was written."""
        moments = [moment for moment, text in self.logs() if address in text and failed(json.loads(text), address)]
        return len(moments), max(moments, default=None)

    def network(self, machine):
        """The network namespace of the James on a node, as a path."""
        (pid,) = machine.processes_of("java")
        return Path(f"/proc/{pid}/ns/net")


def failed(event, address):
    """Whether an event of James' JSON is one failed login from `address`."""
    message, context = event.get("message", ""), event.get("mdc", {})
    if "AUTH method" in message and "failed from" in message:
        return message.endswith(f"@{address}")
    if context.get("ip") != address:
        return False
    return "Bad credential supplied" in message or (context.get("protocol") == "IMAP" and "Could not retrieve user" in message)


def nanoseconds(moment):
    """Of an RFC 3339 time with nanoseconds, as container runtimes write it."""
    day, _, rest = moment.partition(".")
    fraction = rest.rstrip("Z").partition("+")[0]
    return calendar.timegm(time.strptime(day, "%Y-%m-%dT%H:%M:%S")) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])
