"""A real James, fetched from Maven Central once, started in a network namespace."""

import base64
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path

import layouts

HERE = Path(__file__).resolve().parent
# Ports are PORT_BASE plus what the cases say (25 SMTP, 43 IMAP, 10 POP3, 0 WebAdmin, ...).
PORT_BASE = 20000
# What James 3.9.0 ships.
NEWER_LOGBACK = "1.5.18"
DOMAIN = "example.test"
USERS = {"bob": "secret", "alice": "secret"}


def cache():
    root = os.environ.get("GAOLER_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gaoler"
    return Path(root)


def newer_logback():
    """The jars of the logback that James 3.9 has, whose JSON encoder 3.8 lacks; to be put before a server's own."""
    lib = cache() / "james" / f"logback-{NEWER_LOGBACK}"
    for artifact in ("logback-classic", "logback-core"):
        if not (lib / f"{artifact}-{NEWER_LOGBACK}.jar").exists():
            subprocess.run(
                ["mvn", "-B", "-q", "dependency:copy", f"-Dartifact=ch.qos.logback:{artifact}:{NEWER_LOGBACK}",
                 f"-DoutputDirectory={lib}"], check=True
            )  # fmt: skip
    return lib


def fetch(version):
    """The jars of that version, in the cache. Some 314 of them, 122 MiB."""
    lib = cache() / "james" / version / "lib"
    lib.parent.mkdir(parents=True, exist_ok=True)
    with open(lib.parent / "lock", "w") as lock:
        # Another suite may be at it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (lib / "complete").exists():
            return lib
        shutil.rmtree(lib, ignore_errors=True)
        lib.mkdir()
        subprocess.run(
            ["mvn", "-B", "-q", "-f", HERE / "pom.xml", "dependency:copy-dependencies", "-DincludeScope=runtime",
             f"-DoutputDirectory={lib}", f"-Djames.version={version}"], check=True
        )  # fmt: skip
        (lib / "complete").touch()
        return lib


class Server:
    """One James: configured below `directory`, listening on `address` of `namespace`."""

    def __init__(self, namespace, version, directory, address, *, layouts_used=layouts.NAMES, asynchronous=False, logback=None, before=None):
        """`logback`: a configuration file to use as it is; `before`: jars that take precedence."""
        self.namespace, self.version, self.address = namespace, version, address
        self.lib = fetch(version)
        self.directory = Path(directory)
        self.log = self.directory / "log"
        self.conf = self.directory / "conf"
        for folder in (self.conf, self.log, self.directory / "var"):
            folder.mkdir(parents=True, exist_ok=True)
        self._configure(layouts_used, asynchronous)
        if logback:
            shutil.copy(logback, self.conf / "logback.xml")
        self.classpath = f"{before}/*:{self.lib}/*" if before else f"{self.lib}/*"
        self.process = None

    def _configure(self, layouts_used, asynchronous):
        for source in (HERE / "conf").iterdir():
            text = re.sub(r"@P(\d+)@", lambda m: str(PORT_BASE + int(m[1])), source.read_text())
            (self.conf / source.name).write_text(text.replace("@HOST@", self.address).replace("@HASH@", "PBKDF2-SHA512"))
        contrib = any(self.lib.glob("logback-json-classic-*.jar"))
        (self.conf / "logback.xml").write_text(layouts.logback(self.log, contrib, layouts_used, asynchronous))
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(
            ["keytool", "-genkeypair", "-alias", "james", "-keyalg", "RSA", "-keysize", "2048", "-storetype", "PKCS12",
             "-keystore", self.conf / "keystore", "-storepass", "james72laBalle", "-dname", "CN=mail.example.test",
             "-validity", "3650"], **quiet
        )  # fmt: skip
        private = self.directory / "jwt_private"
        subprocess.run(["openssl", "genrsa", "-out", private, "2048"], **quiet)
        # WebAdmin and JMAP want the public key alone.
        subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-out", self.conf / "jwt_publickey"], **quiet)
        self.token = self._token(private)

    @staticmethod
    def _token(private):
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        claims = {"sub": "admin", "admin": True, "iat": 1500000000}
        head = part(b'{"alg":"RS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", private], input=head.encode(), capture_output=True)
        return head + "." + part(signed.stdout)

    def start(self, timeout=300):
        """Starts it and provisions domain and users; gives the seconds until all ports answered."""
        began = time.monotonic()
        with open(self.directory / "console.log", "wb") as console:
            # `file://conf/...` is relative to working.directory.
            self.process = self.namespace.popen(
                "java", "-Xmx256m", f"-Dworking.directory={self.directory}",
                f"-Dlogback.configurationFile={self.conf}/logback.xml", "-Djdk.tls.ephemeralDHKeySize=2048",
                "-cp", self.classpath, "org.apache.james.MemoryJamesServerMain",
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        with self.namespace.inside():
            for port in (0, 25, 43, 10, 90):
                self._answers(PORT_BASE + port, began + timeout)
            provision(self.address, self.token)
        return time.monotonic() - began

    def _answers(self, port, deadline):
        while True:
            try:
                socket.create_connection((self.address, port), timeout=5).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("James did not start:\n" + (self.directory / "console.log").read_text()[-3000:])
                time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def provision(address, token):
    """Makes the domain and the users, over WebAdmin."""
    # Without this Content-Type WebAdmin's request logger eats the body, and logs it, passwords and all.
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    wanted = [(f"/domains/{DOMAIN}", None)]
    wanted += [(f"/users/{user}@{DOMAIN}", json.dumps({"password": word})) for user, word in USERS.items()]
    for path, body in wanted:
        http = HTTPConnection(address, PORT_BASE, timeout=60)
        http.request("PUT", path, body, headers)
        answer = http.getresponse()
        answer.read()
        http.close()
        if answer.status != 204:
            raise RuntimeError(f"WebAdmin: PUT {path}: {answer.status}")
