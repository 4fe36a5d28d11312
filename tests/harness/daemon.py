"""`gaoler run` as a child, and the verbs that talk to it."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path


class Daemon:
    """One installation: a directory of manifests, a state file, a socket. It can run, die and run again."""

    def __init__(self, namespace, binary, root, *, state=None, environment=None, wrapper=(), arguments=()):
        self.namespace, self.binary = namespace, Path(binary).resolve()
        self.root = Path(root)
        self.config = self.root / "etc"
        self.config.mkdir(parents=True, exist_ok=True)
        self.state = Path(state) if state else self.root / "lib" / "state"
        self.state.parent.mkdir(parents=True, exist_ok=True)
        self.socket = self.root / "control.sock"
        self.events = self.root / "events.jsonl"
        self.messages = self.root / "messages.log"
        self.environment = {**os.environ, "GAOLER_SOCKET": str(self.socket), **(environment or {})}
        self.wrapper, self.arguments = list(wrapper), list(arguments)
        self.process = None

    def manifest(self, name, text):
        """Writes one manifest, in one step, as a careful person would."""
        target = self.config / name
        temporary = target.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.rename(target)

    def command_line(self, *more):
        return [
            *self.wrapper, str(self.binary), "run",
            "--config", str(self.config), "--state", str(self.state), "--socket", str(self.socket),
            "--metrics", "off", "--events", str(self.events), *self.arguments, *more,
        ]  # fmt: skip

    def start(self, *more, wait=True):
        with open(self.messages, "ab") as messages:
            self.process = self.namespace.popen(
                *self.command_line(*more), env=self.environment, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=30.0):
        """Until it answers on its socket."""
        wait_until(lambda: self.alive() and self.ask("status", check=False).returncode in (0, 1), timeout, self.told)

    def alive(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"gaoler ended with {self.process.returncode}\n{self.told()}")
        return True

    def told(self, lines=30):
        """The last messages on its stderr."""
        text = self.messages.read_text(errors="replace") if self.messages.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def kill(self):
        """Ends it as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout=20.0):
        """Ends it as a service manager does; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def ask(self, *verb, check=True):
        """One verb, in the host's namespace; output as text."""
        return self.namespace.run(self.binary, *verb, env=self.environment, check=check)

    def json(self, *verb):
        return json.loads(self.ask(*verb, "-o", "json").stdout)

    def bans(self, jail=None):
        """The subjects it holds bans for: those of one jail, or all."""
        answer = self.json("bans")
        found = answer["bans"] if isinstance(answer, dict) else answer
        return {ban["subject"] for ban in found if jail in (None, ban["jail"])}

    def events_seen(self):
        """The events it wrote, oldest first."""
        if not self.events.exists():
            return []
        return [json.loads(line) for line in self.events.read_text().splitlines() if line]

    # What the kernel holds, whatever the daemon says.

    def kernel(self):
        """nft's words about the table; empty when there is none."""
        done = self.namespace.run("nft", "list", "table", "inet", "gaoler", check=False)
        return done.stdout if done.returncode == 0 else ""

    def kernel_bans(self):
        """All elements of the ban sets."""
        return banned_in(self.kernel())

    def dropped_packets(self):
        """Packets that any of the table's counters has seen."""
        return sum(int(n) for n in re.findall(r"\bpackets (\d+) bytes", self.kernel()))


def banned_in(ruleset):
    """The addresses in all sets that may hold bans (those without intervals), of nft's text."""
    found = set()
    for body in re.findall(r"\bset [\w-]+ \{(.*?)\n\t\}", ruleset, re.DOTALL):
        if "interval" in body.partition("elements")[0]:
            continue
        elements = re.search(r"elements = \{(.*)\}", body, re.DOTALL)
        for element in elements.group(1).split(",") if elements else ():
            found.add(element.split()[0])
    return found


def wait_until(condition, timeout, why=lambda: ""):
    """Polls until `condition` gives something true, and gives that."""
    end = time.monotonic() + timeout
    while True:
        if result := condition():
            return result
        if time.monotonic() > end:
            raise TimeoutError(f"not within {timeout} s\n{why()}")
        time.sleep(0.005)
