"""`gaoler agent` on a node."""

import os
import re
import signal
import subprocess

from harness.daemon import wait_until

from .clock import shifted

METRICS_PORT = 9417


class Agent:
    """One agent: it can run, die and run again, with the same state file."""

    def __init__(self, node, binary, kubeconfig, *, arguments=(), environment=None, metrics=True):
        self.node, self.binary, self.kubeconfig = node, binary, kubeconfig
        self.state = node.directory / "state"
        self.messages = node.directory / "agent.log"
        clock = node.clock.environment() if node.clock else shifted(node.clock_ahead)
        self.arguments, self.environment = list(arguments), {**os.environ, **clock, **(environment or {})}
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
        """(status, text) of its HTTP server; (0, "") while there is none."""
        return self.node.http(f"http://{self.metrics_address}{path}")

    def metric(self, name, **labels):
        """The sum of a metric over all series that have these labels; None where there is none."""
        return metric(self.http()[1], name, **labels)

    def kernel_bans(self):
        return self.node.kernel_bans()


def metric(text, name, **labels):
    """The same, of a scrape's text."""
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    found = re.findall(rf"(?m)^{re.escape(name)}(?:\{{(.*)\}})? (\S+)", text)
    values = [float(value) for had, value in found if all(label in had for label in wanted)]
    return sum(values) if values else None
