"""The cluster of the end-to-end tests: a control plane, three nodes, the internet around them."""

import os
import subprocess
import time

from cluster.controlplane import ControlPlane
from cluster.fabric import Fabric
from harness.daemon import wait_until

from .machine import Machine

PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
# Where attackers and innocents come from.
INTERNET = ("45.0.0.0/8", "198.51.100.0/24")


class Cluster:
    """Three nodes. Only the first two have the images of `mail`, and their label."""

    def __init__(self, root, tools, *, cgroup, proxy_mode):
        self.root, self.tools = root, tools
        self.fabric = Fabric()
        for prefix in INTERNET:
            self.fabric.own_all(prefix)
        # Nodes' names are in no DNS: their kubelets are asked by address.
        self.plane = ControlPlane(
            root / "control", tools.programs, self.fabric, controllers=True, kubelets=True,
            arguments=["--kubelet-preferred-address-types=InternalIP", f"--kubelet-certificate-authority={root}/control/pki/ca.crt"],
        )  # fmt: skip
        self.cgroup, self.proxy_mode, self.images = cgroup, proxy_mode, tools.images
        self.machines = []
        self.environment = {**os.environ, "KUBECONFIG": str(self.plane.admin), "HOME": str(root / "home")}
        self.environment["PATH"] = f"{tools.directory}:{os.environ['PATH']}"
        (root / "home").mkdir()

    def start(self):
        """Until all nodes are ready; gives the seconds that took."""
        began = time.monotonic()
        self.plane.start()
        for number in (1, 2, 3):
            mail = number < 3
            machine = Machine(
                self.plane, number, self.root, cgroup=self.cgroup, proxy_mode=self.proxy_mode,
                images=[image for image in self.images if mail or not image.mail], labels={"mail": "yes"} if mail else {},
            )  # fmt: skip
            self.machines.append(machine)
            machine.start()
        for machine in self.machines:
            wait_until(machine.ready, 180, machine.told)
        return time.monotonic() - began

    def stop(self):
        """Ends every process of it."""
        for machine in self.machines:
            machine.stop()
        self.plane.stop()

    # Orders.

    def shell(self, command, check=True, timeout=300.0, directory=None):
        """A command line as a person types it, at the administrator's desk; (exit code, all it said)."""
        done = self.fabric.control.run(
            "bash", "-c", command, check=False, env=self.environment, cwd=directory or self.tools.repository,
            stderr=subprocess.STDOUT, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}")
        return done.returncode, done.stdout

    def wait(self, condition, timeout=120.0, why=lambda: ""):
        """Polls until `condition` gives something true."""
        return wait_until(condition, timeout, why)

    def pods(self, namespace, selector):
        """The pods of a namespace that have those labels, as stored."""
        return self.plane.api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={selector}")["items"]

    def told(self, lines=15):
        """The last messages of everything."""
        texts = [self.plane.why(lines)] + [machine.told(lines) for machine in self.machines]
        return "\n".join(texts)
