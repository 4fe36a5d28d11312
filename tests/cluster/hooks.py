"""Pods that run once (a release's Jobs and tests), run as a kubelet would: the program, as the pod's own account, with its
ConfigMaps, and its end in the pod's status. There is no kubelet and no image in these clusters."""

import os
import subprocess
import threading
import time

from .api import Refused
from .case import BINARY


class Hooks:
    """Runs what appears in a namespace, while used as a context.

    `before`: pod's account to what happens before it runs. `said`: pod's account to the output of its last run.
    """

    def __init__(self, plane, namespace, directory, before=None):
        self.plane, self.namespace, self.directory, self.before = plane, namespace, directory, before or {}
        self.said, self.codes, self.seen = {}, {}, set()
        self.wrong = None
        self.bin = directory / "image"
        self.bin.mkdir(exist_ok=True)
        # As the Dockerfile has it.
        for name in ("gaoler", "kubectl-gaoler"):
            if not (self.bin / name).is_symlink():
                (self.bin / name).symlink_to(BINARY)

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        if self.wrong:
            raise self.wrong

    def _work(self):
        while not self.stop.is_set():
            try:
                for pod in self.plane.api.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"]:
                    once = pod["spec"]["restartPolicy"] == "Never" and pod["status"].get("phase") == "Pending"
                    if once and pod["metadata"]["uid"] not in self.seen:
                        self.seen.add(pod["metadata"]["uid"])
                        self._run(pod)
            except Exception as why:  # told by the test's own thread
                self.wrong = why
                return
            time.sleep(0.1)

    def _run(self, pod):
        account = pod["spec"]["serviceAccountName"]
        if account in self.before:
            self.before[account]()
        [container] = pod["spec"]["containers"]
        path = self.directory / f"{account}.kubeconfig"
        stored = {**pod, "kind": "Pod"}
        self.plane.account(path, account, self.namespace, stored)
        command = [self._mounted(pod, container, word) for word in container["command"]]
        command[0] = self.bin / command[0]
        environment = {"KUBECONFIG": str(path), "PATH": os.environ["PATH"], "HOME": str(self.directory)}
        done = self.plane.net.run(*command, check=False, env=environment, stderr=subprocess.STDOUT)
        self.said[account], self.codes[account] = done.stdout, done.returncode
        try:
            phase = "Succeeded" if done.returncode == 0 else "Failed"
            self.plane.api.patch(f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/status", {"status": {"phase": phase}})
        except Refused as why:
            if why.status != 404:
                raise

    def _mounted(self, pod, container, word):
        """A word of the command; a path in a mounted ConfigMap becomes that of a copy."""
        for mount in container.get("volumeMounts", ()):
            if not word.startswith(mount["mountPath"] + "/"):
                continue
            [volume] = [it for it in pod["spec"]["volumes"] if it["name"] == mount["name"]]
            name = volume["configMap"]["name"]
            data = self.plane.api.get(f"/api/v1/namespaces/{self.namespace}/configmaps/{name}")["data"]
            copy = self.directory / name
            copy.mkdir(exist_ok=True)
            for key, text in data.items():
                (copy / key).write_text(text)
            return str(copy) + word.removeprefix(mount["mountPath"])
        return word
