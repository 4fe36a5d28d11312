"""A pod of a node: its object, its network, its containers' logs."""

import contextlib
import shutil
import time
import uuid
from datetime import datetime, timezone

from harness.mailserver import Mailserver
from harness.world import Namespace

from .api import Refused
from .crilog import ContainerLog
from .fabric import cable, give, route


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pod:
    """Made by Node.pod(). It runs from the beginning; what the kubelet would say of it stands in its status."""

    def __init__(self, node, name, *, namespace="default", labels=None, containers=("james",), ports=(), host_network=False, spec=None):
        """`ports`: what the containers listen on, as in a manifest: {"containerPort": 25, "hostPort": 25}."""
        self.node, self.plane, self.name, self.namespace = node, node.plane, name, namespace
        self.path = f"/api/v1/namespaces/{namespace}/pods/{name}"
        self.host_network = host_network
        self.ips = [node.api4, node.api6] if host_network else list(node.next_pod_addresses())
        self.net = node.net if host_network else None
        self.restarts = dict.fromkeys(containers, 0)
        self.ids = {container: self._new_id() for container in containers}
        self.started = now()
        # What they listen on belongs to the first container.
        described = [{"name": c, "image": "localhost/none:1", "ports": list(ports) if i == 0 else []} for i, c in enumerate(containers)]
        self.object = self.plane.api.create(
            f"/api/v1/namespaces/{namespace}/pods",
            {
                "metadata": {"name": name, "labels": labels or {"app": "james"}},
                "spec": {
                    "nodeName": node.name, "containers": described, "hostNetwork": host_network,
                    "terminationGracePeriodSeconds": 0, **(spec or {}),
                },
            },
        )  # fmt: skip
        self.uid = self.object["metadata"]["uid"]
        self.directory = node.pod_logs / f"{namespace}_{name}_{self.uid}"
        self.logs = {container: ContainerLog(self.directory / container, ahead=node.clock_ahead) for container in containers}
        self.says()

    @staticmethod
    def _new_id():
        return f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}"

    @property
    def log(self):
        """The log of the first container."""
        return next(iter(self.logs.values()))

    @property
    def ip(self):
        return self.ips[0]

    def says(self, phase="Running", ready=True, **more):
        """Writes its status, as its kubelet would."""
        statuses = [
            {
                "name": container, "image": "localhost/none:1", "imageID": "", "ready": ready, "started": True,
                "restartCount": self.restarts[container], "containerID": self.ids[container],
                "state": {"running": {"startedAt": self.started}} if phase == "Running" else
                         {"terminated": {"exitCode": 0, "containerID": self.ids[container]}},
            }
            for container in self.logs
        ]  # fmt: skip
        conditions = [
            {"type": kind, "status": "True" if ready else "False", "lastTransitionTime": now()}
            for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
        ]
        status = {
            "phase": phase, "podIP": self.ips[0], "podIPs": [{"ip": ip} for ip in self.ips], "startTime": self.started,
            "hostIP": self.node.api4, "hostIPs": [{"ip": self.node.api4}, {"ip": self.node.api6}],
            "containerStatuses": statuses, "conditions": conditions,
        }  # fmt: skip
        self.object = self.plane.api.patch(self.path + "/status", {"status": {**status, **more}})

    def restart(self, container=None):
        """The container died and runs again: `<n+1>.log`, a new id and one restart more in its status."""
        container = container or next(iter(self.logs))
        self.logs[container].restart()
        self.restarts[container] += 1
        self.ids[container] = self._new_id()
        self.says()
        return self.logs[container]

    def connect(self):
        """A network namespace of its own, routed through its node, where it has none yet."""
        if self.net:
            return self.net
        self.net = Namespace()
        here = f"pod{self.node.pods_connected}"
        self.node.pods_connected += 1
        cable(self.node.net, here, self.net, "eth0")
        # Its gateway is its node, whatever addresses that has: pods are reached by a route each.
        for address, gateway, bits in ((self.ips[0], "169.254.1.1", 32), (self.ips[1], "fe80::1", 128)):
            give(self.net, f"{address}/{bits}", "eth0")
            give(self.node.net, f"{gateway}/{64 if bits == 128 else 32}", here)
            route(self.node.net, "add", f"{address}/{bits}", "dev", here)
            if bits == 32:
                route(self.net, "add", f"{gateway}/32", "dev", "eth0")
            route(self.net, "add", "default", "via", gateway, "dev", "eth0")
        return self.net

    def listen(self, ports, family=4):
        """Listens on ports of its own address."""
        return Mailserver(self.connect(), self.ips[0 if family == 4 else 1], ports)

    def delete(self, grace=0.0):
        """The object goes; a moment (`grace`, in seconds) later the kubelet takes its logs away."""
        self.plane.api.delete(self.path, gracePeriodSeconds=0)
        time.sleep(grace)
        self.forget_logs()

    def close(self):
        """Whatever is left of it goes, with its network."""
        with contextlib.suppress(OSError, Refused):
            self.plane.api.delete(self.path, gracePeriodSeconds=0)
        self.forget_logs()
        if self.net and not self.host_network:
            self.net.close()
            self.net = None

    def forget_logs(self):
        for log in self.logs.values():
            log.close()
        shutil.rmtree(self.directory, ignore_errors=True)
