"""`gaoler agent` on a node."""

import os
import re
import signal
import subprocess
import urllib.parse

from harness.daemon import banned_in, wait_until

METRICS_PORT = 9417


class Agent:
    """One agent: it can run, die and run again, with the same state file."""

    def __init__(self, node, binary, kubeconfig, *, arguments=(), environment=None, metrics=True):
        self.node, self.binary, self.kubeconfig = node, binary, kubeconfig
        self.state = node.directory / "state"
        self.messages = node.directory / "agent.log"
        self.arguments, self.environment = list(arguments), {**os.environ, **(environment or {})}
        self.metrics_address = f"127.0.0.1:{METRICS_PORT}" if metrics else None
        self.process = None

    def command_line(self):
        metrics = ["--metrics", self.metrics_address] if self.metrics_address else []
        return [
            self.binary, "agent", "--node-name", self.node.name, "--pod-logs", self.node.pod_logs, "--state", self.state,
            "--kubeconfig", self.kubeconfig, *metrics, *self.arguments,
        ]  # fmt: skip

    def start(self):
        with open(self.messages, "ab") as messages:
            self.process = self.node.net.popen(
                *self.command_line(), env=self.environment, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages
            )
        return self

    def wait(self, condition, timeout=60.0):
        """Polls until `condition` gives something true; the agent must live meanwhile."""

        def alive_and_so():
            if self.process.poll() is not None:
                raise RuntimeError(f"the agent of {self.node.name} ended with {self.process.returncode}\n{self.told()}")
            return condition()

        return wait_until(alive_and_so, timeout, self.told)

    def kill(self):
        """Ends it as a crash does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self, timeout=30.0):
        """Ends it as the kubelet does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def told(self, lines=40):
        """Its last messages."""
        text = self.messages.read_text(errors="replace") if self.messages.exists() else ""
        return f"agent of {self.node.name}:\n" + "\n".join(text.splitlines()[-lines:])

    def http(self, path="/metrics"):
        """(status, text) of its HTTP server; (0, why) while there is none."""
        done = self.node.net.run(
            "curl", "-s", "-m", "5", "-w", "\n%{http_code}", urllib.parse.urljoin(f"http://{self.metrics_address}", path), check=False
        )
        text, _, status = done.stdout.rpartition("\n")
        return int(status or 0), text

    def metric(self, name, **labels):
        """The sum of a metric over all series that have these labels."""
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        total = None
        for line in self.http()[1].splitlines():
            found = re.match(rf"{re.escape(name)}(?:\{{(.*)\}})? (\S+)", line)
            if found and all(label in (found[1] or "") for label in wanted):
                total = (total or 0.0) + float(found[2])
        return total

    def kernel_bans(self):
        """All elements of the ban sets in its node's kernel, whatever it says."""
        return banned_in(self.kernel())

    def kernel(self):
        done = self.node.net.run("nft", "list", "table", "inet", "gaoler", check=False)
        return done.stdout if done.returncode == 0 else ""
