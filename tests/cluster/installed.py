"""Gaoler as deploy/kubernetes installs it: definitions, accounts, rights, policies. Its pods are what a test starts."""

import os
import signal
import subprocess
import time

from harness.daemon import wait_until

from .api import Refused
from .case import BINARY, REPOSITORY, ClusterCase
from .clock import shifted

NAMESPACE = "gaoler"
GROUP = "/apis/gaoler.dev/v1alpha1"


def sliced(prefix, since, until=None, *, jail="mail/james", nth=1, times=5, filter="james-smtp-auth", others=()):
    """A ban as an agent writes it into a BanSlice."""
    ban = {"jail": jail, "prefix": prefix, "nth": nth, "since": since, "weight": times, "with": list(others)}
    ban["rules"] = [{"rule": f"{filter}/rules[0]", "times": times}]
    return {**ban, "until": until} if until else ban


def moment(seconds_ago=0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


class InstalledCase(ClusterCase):
    """Definitions and deploy/kubernetes are applied; agents' and the controller's accounts have the rights they ship with."""

    KINDS = {
        "banslices": "BanSlice", "sightinglists": "SightingList", "nodeagents": "NodeAgent", "jails": "Jail", "filters": "Filter",
        "ratelimits": "RateLimit", "banlists": "BanList", "allowlists": "AllowList", "pardons": "Pardon", "houses": "House",
    }  # fmt: skip

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.install()

    @classmethod
    def install(cls):
        """Applies all of it, also once more after the storage was emptied."""
        cls.plane.kubectl("apply", "--server-side", "-f", str(REPOSITORY / "crds"))
        cls.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        # A new kind's storage answers "(re)initializing" for a moment.
        for kind in cls.KINDS:
            wait_until(lambda k=kind: cls.serves(k), 60)
        cls.applied = cls.plane.kubectl("apply", "--server-side", "-k", str(REPOSITORY / "deploy" / "kubernetes"))
        for namespace in ("mail", "shop"):
            cls.plane.namespace(namespace)

    @classmethod
    def serves(cls, kind):
        try:
            return cls.plane.api.get(f"{GROUP}/{kind}")
        except Refused as why:
            if why.status not in (404, 429):
                raise
            return None

    def register(self, name, number=0):
        """A Node object alone, until the test ends."""
        path = "/api/v1/nodes"
        stored = self.plane.api.create(path, {"metadata": {"name": name}, "spec": {"podCIDRs": [f"10.88.{number}.0/24"], "podCIDR": f"10.88.{number}.0/24"}})
        self.addCleanup(self.forget, f"{path}/{name}")
        addresses = [{"type": "InternalIP", "address": f"10.89.0.{10 + number}"}]
        self.plane.api.patch(f"{path}/{name}/status", {"status": {"addresses": addresses}})
        return stored

    def forget(self, path):
        try:
            self.plane.api.delete(path)
        except Refused as why:
            self.assertEqual(why.status, 404)

    def as_agent(self, node):
        """Requests of the agent of this node: its token is bound to it."""
        return self.plane.as_account("gaoler-agent", NAMESPACE, node)

    def make(self, kind, name, spec, *, namespace=None, api=None, labels=None):
        where = f"{GROUP}/namespaces/{namespace}/{kind}" if namespace else f"{GROUP}/{kind}"
        stored = (api or self.plane.api).create(where, self.object(kind, name, spec, labels))
        self.addCleanup(self.forget, f"{where}/{name}")
        return stored

    def object(self, kind, name, spec, labels=None):
        metadata = {"name": name, "labels": labels or {}}
        return {"apiVersion": "gaoler.dev/v1alpha1", "kind": self.KINDS[kind], "metadata": metadata, "spec": spec}

    def refusal(self, order):
        """What the API server says when it refuses."""
        with self.assertRaises(Refused) as caught:
            order()
        self.assertIn(caught.exception.status, (403, 422), caught.exception)
        return caught.exception.message

    def controller(self, name, *arguments, clock_ahead=0):
        """One replica of the controller under its own account, until the test ends."""
        controller = Controller(self.plane, self.directory, name, arguments, clock_ahead)
        self.addCleanup(controller.end)
        return controller.start()


class Controller:
    """`gaoler controller`, beside the API server."""

    def __init__(self, plane, directory, name, arguments=(), clock_ahead=0):
        self.plane, self.name, self.messages = plane, name, directory / f"{name}.log"
        self.config = plane.account(directory / f"{name}.kubeconfig", "gaoler-controller", NAMESPACE)
        self.arguments, self.process = list(arguments), None
        self.environment = {**os.environ, "NO_COLOR": "1", **shifted(clock_ahead)}

    def start(self):
        with open(self.messages, "ab") as messages:
            self.process = self.plane.net.popen(
                BINARY, "controller", "--kubeconfig", self.config, "--namespace", NAMESPACE, "--identity", self.name,
                "--metrics", "off", *self.arguments, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages,
            )  # fmt: skip
        return self

    def wait(self, condition, timeout=60.0):
        """Polls until `condition` gives something true; the controller must live meanwhile."""

        def alive_and_so():
            if self.process.poll() is not None:
                raise RuntimeError(f"controller {self.name} ended with {self.process.returncode}\n{self.told()}")
            return condition()

        return wait_until(alive_and_so, timeout, self.told)

    def kill(self):
        """Ends it as a crash does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def end(self):
        """Ends it well, so that the next test's need not wait until its lease runs out."""
        try:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGCONT)
                self.stop()
        finally:
            self.kill()

    def stop(self, timeout=30.0):
        """Ends it as the kubelet does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def said(self, text):
        return text in self.messages.read_text(errors="replace")

    def told(self, lines=40):
        return f"controller {self.name}:\n" + "\n".join(self.messages.read_text(errors="replace").splitlines()[-lines:])
