"""fail2ban (Debian's package, unpacked) and fail2ban-rs (the published crate), as children in a namespace.

They, and Gaoler, get the same patterns, thresholds and ports, each in its own configuration language.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from .daemon import wait_until
from .mailserver import MAIL_PORTS

CACHE = Path(os.environ.get("GAOLER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gaoler")
PEERS = CACHE / "peers"
# What James prints of a failed login, in the seed's layout. `<HOST>` is in all three languages the address.
PATTERN = (
    r"org\.apache\.james\.protocols\.smtp\.core\.esmtp\.AuthCmdHandler \[ip=\] - "
    r"AUTH method LOGIN failed from Username.*@<HOST>$"
)


def patterns(count):
    """`count` patterns of which the first is [PATTERN]; the others look like it and never match."""
    others = (
        rf"org\.apache\.james\.protocols\.{protocol}\.core\.{word}Handler \[ip=<HOST>\] - {word} refused for .*$"
        for word in ("Login", "Sasl", "Starttls", "Quota", "Select", "Fetch", "Delegate", "Idle", "Search", "Append")
        for protocol in ("imap", "pop3", "managesieve")
    )
    return [PATTERN, *(p for _, p in zip(range(count - 1), others))]


class Peer:
    """A rival: `start()`, then `banned()`; `process` and its children are what is measured."""

    process = None

    @staticmethod
    def environment():
        return dict(os.environ)

    def __init__(self, namespace, root, log, *, count=1, max_retry=5, find_time=600, ports=MAIL_PORTS):
        self.namespace, self.root, self.log = namespace, Path(root), Path(log)
        self.root.mkdir(parents=True, exist_ok=True)
        self.messages = self.root / "messages.log"
        self.patterns, self.max_retry, self.find_time, self.ports = patterns(count), max_retry, find_time, ports
        self.configure()

    def told(self):
        return "\n".join(self.messages.read_text(errors="replace").splitlines()[-20:]) if self.messages.exists() else ""

    def _spawn(self, *command, **options):
        with open(self.messages, "ab") as out:
            self.process = self.namespace.popen(*command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **options)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Fail2ban(Peer):
    name = "fail2ban"
    home = PEERS / "fail2ban"

    @staticmethod
    def environment():
        return {**os.environ, "PYTHONPATH": str(Fail2ban.home / "usr/lib/python3/dist-packages"), "LC_ALL": "C.UTF-8"}

    @classmethod
    def version(cls):
        return subprocess.run(
            ["/usr/bin/python3", cls.home / "usr/bin/fail2ban-regex", "--version"], env=cls.environment(), capture_output=True, text=True
        ).stdout.split()[-1]  # fmt: skip

    def configure(self):
        etc = self.root / "etc"
        shutil.copytree(self.home / "etc/fail2ban", etc, dirs_exist_ok=True)
        for leftover in (etc / "jail.d").glob("*"):
            leftover.unlink()
        (etc / "filter.d/james.conf").write_text("[Definition]\nfailregex = " + "\n            ".join(self.patterns) + "\n")
        (etc / "jail.local").write_text(
            f"[DEFAULT]\nbackend = pyinotify\nignoreself = false\n"
            f"[james]\nenabled = true\nfilter = james\nlogpath = {self.log}\nmaxretry = {self.max_retry}\n"
            f"findtime = {self.find_time}\nbantime = 7200\nbanaction = nftables-multiport\n"
            f"port = {','.join(map(str, self.ports))}\n"
        )
        (etc / "fail2ban.local").write_text(
            f"[Definition]\nlogtarget = {self.root}/fail2ban.log\nsocket = {self.root}/f2b.sock\n"
            f"pidfile = {self.root}/f2b.pid\ndbfile = {self.root}/f2b.sqlite3\nloglevel = INFO\n"
        )
        self.etc = etc

    def start(self):
        self._spawn("/usr/bin/python3", self.home / "usr/bin/fail2ban-server", "-f", "-c", self.etc, env=self.environment())
        wait_until(lambda: self.client("status", "james").returncode == 0, 60, self.told)

    def client(self, *words):
        command = ["/usr/bin/python3", self.home / "usr/bin/fail2ban-client", "-c", self.etc, *words]
        return self.namespace.run(*command, env=self.environment(), check=False)

    def banned(self):
        return set(self.client("get", "james", "banip").stdout.split())

    def offline(self, log):
        """The command that reads a whole log once (fail2ban-regex)."""
        return ["/usr/bin/python3", self.home / "usr/bin/fail2ban-regex", log, self.etc / "filter.d/james.conf"]


class Fail2banRs(Peer):
    name = "fail2ban-rs"
    binary = PEERS / "bin/fail2ban-rs"

    @classmethod
    def version(cls):
        return subprocess.run([cls.binary, "--version"], capture_output=True, text=True).stdout.split()[-1]

    def configure(self):
        self.config = self.root / "config.toml"
        quoted = ",\n".join(f"  '{p}'" for p in self.patterns)
        self.config.write_text(
            f'[global]\nstate_file = "{self.root}/state.bin"\nsocket_path = "{self.root}/rs.sock"\n'
            f'[jail.james]\nenabled = true\nlog_path = "{self.log}"\ndate_format = "iso8601"\n'
            f"filter = [\n{quoted}\n]\n"
            f"port = [{', '.join(json.dumps(str(p)) for p in self.ports)}]\nprotocol = \"tcp\"\n"
            f'max_retry = {self.max_retry}\nfind_time = "{self.find_time}s"\nban_time = "2h"\n'
            f'backend = "nftables"\nignoreself = false\n'
        )

    def start(self):
        self._spawn(self.binary, "--config", self.config, "run")
        wait_until(lambda: self.client("status").returncode == 0, 60, self.told)

    def client(self, *words):
        return self.namespace.run(self.binary, "--config", self.config, *words, check=False)

    def banned(self):
        found = set()
        for line in self.client("list-bans", "--json").stdout.splitlines():
            if line.startswith("{"):
                found.add(json.loads(line)["ip"])
        return found

    def offline(self, log):
        """The command that reads a whole log once."""
        return [self.binary, "--config", self.config, "dry-run", log, "-j", "james"]
