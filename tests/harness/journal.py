"""A systemd journal of our own, written by systemd-journal-remote and read by the real journalctl."""

import os
import subprocess
import time
import uuid
from pathlib import Path

REMOTE = "/lib/systemd/systemd-journal-remote"


class Journal:
    """One journal file in a directory, and a `journalctl` for PATH that reads it instead of the machine's."""

    def __init__(self, root):
        self.directory = Path(root) / "journal"
        self.directory.mkdir(parents=True)
        self.boot, self.machine = uuid.uuid4().hex, uuid.uuid4().hex
        self.writer = None
        self.serial = 0
        self.bin = Path(root) / "bin"
        self.bin.mkdir(exist_ok=True)
        shim = self.bin / "journalctl"
        shim.write_text(f'#!/bin/sh\nexec /usr/bin/journalctl --directory={self.directory} "$@"\n')
        shim.chmod(0o755)
        self.open()

    def environment(self):
        """What a program needs to read this journal."""
        return {"PATH": f"{self.bin}:{os.environ['PATH']}"}

    def open(self):
        """Begins a new journal file, as a rotation does."""
        self.close()
        self.serial += 1
        self.writer = subprocess.Popen(
            [REMOTE, "-o", self.directory / f"remote-{self.serial}.journal", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.entry("started", unit="init.scope", identifier="systemd")

    def close(self):
        if self.writer:
            self.writer.stdin.close()
            self.writer.wait()
            self.writer = None

    def entry(self, message, unit="ssh.service", identifier="sshd", pid=4242, seconds=None):
        """Appends one entry."""
        fields = {
            "__REALTIME_TIMESTAMP": int((seconds or time.time()) * 1e6),
            "__MONOTONIC_TIMESTAMP": int(time.monotonic() * 1e6),
            "_BOOT_ID": self.boot,
            "_MACHINE_ID": self.machine,
            "_HOSTNAME": "mail",
            "_TRANSPORT": "syslog",
            "PRIORITY": 6,
            "SYSLOG_IDENTIFIER": identifier,
            "_PID": pid,
            "_SYSTEMD_UNIT": unit,
        }
        data = "".join(f"{key}={value}\n" for key, value in fields.items()).encode()
        text = message.encode()
        # The export format's binary form carries any bytes.
        data += b"MESSAGE\n" + len(text).to_bytes(8, "little") + text + b"\n\n"
        self.writer.stdin.write(data)
        self.writer.stdin.flush()
