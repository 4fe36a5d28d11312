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
        self.metrics = "off"
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
            "--metrics", self.metrics, "--events", str(self.events), *self.arguments, *more,
        ]  # fmt: skip

    def start(self, *more, wait=True):
        with open(self.messages, "ab") as messages:
            self.process = self.namespace.popen(
                *self.command_line(*more), env=self.environment, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=60.0):
        """Until it answers on its socket and its firewall stands."""

        def stands():
            self.alive()
            answer = self.ask("status", "-o", "json", check=False)
            return answer.returncode in (0, 1) and json.loads(answer.stdout)["firewall"]["state"] != "starting"

        wait_until(stands, timeout, self.told)

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

    def ban_list(self, jail=None):
        """All bans it holds, as it reports them."""
        only = ["--jail", jail] if jail else []
        return [json.loads(line) for line in self.ask("bans", *only, "-o", "json").stdout.splitlines()]

    def bans(self, jail=None):
        """The subjects it holds bans for: those of one jail, or all."""
        return {ban["subject"] for ban in self.ban_list(jail)}

    def status(self, jail=None):
        """The whole status, or one jail's."""
        whole = json.loads(self.ask("status", "-o", "json", check=False).stdout)
        return whole if jail is None else next(j for j in whole["jails"] if j["name"] == jail)

    def wait_drained(self, jail="james", lines=None, timeout=120.0):
        """Until nothing of the jail's files is unread, and at least `lines` lines were read since it started."""

        def drained():
            self.alive()
            files = self.status(jail)["files"]
            read = sum(f["lines"] for f in files)
            return files and all(f["lagBytes"] == 0 for f in files) and (lines is None or read >= lines)

        wait_until(drained, timeout, lambda: f"{self.told()}\n{json.dumps(self.status(jail))}")

    def events_seen(self):
        """The events it wrote, oldest first."""
        if not self.events.exists():
            return []
        # The last line may be half written, when the daemon was killed just then.
        return [json.loads(line) for line in self.events.read_text().splitlines() if line.endswith("}")]

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
    """The addresses in all sets that may hold bans (those without intervals to which no rule adds), of nft's text."""
    found = set()
    for body in re.findall(r"\bset [\w-]+ \{(.*?)\n\t\}", ruleset, re.DOTALL):
        # `gc-interval` is another thing.
        flags = re.search(r"^\s*flags (\S+)", body, re.M)
        if flags and {"interval", "dynamic"} & set(flags[1].split(",")):
            continue
        elements = re.search(r"elements = \{(.*)\}", body, re.DOTALL)
        for element in elements.group(1).split(",") if elements else ():
            found.add(element.split()[0])
    return found


def wait_until(condition, timeout, why=lambda: ""):
    """Polls until `condition` gives something true, and gives that.

    It is late by a twentieth of the time waited, by 0.1 s at most: asking starts programs or connections, and many wait at
    a time.
    """
    began = time.monotonic()
    while True:
        if result := condition():
            return result
        waited = time.monotonic() - began
        if waited > timeout:
            raise TimeoutError(f"not within {timeout} s\n{why()}")
        time.sleep(min(max(0.005, waited / 20), 0.1))
