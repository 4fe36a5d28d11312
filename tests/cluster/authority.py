"""The cluster's certificate authority, and the files that name a server and who asks it."""

import base64
import json
import os
import subprocess
import tempfile
from pathlib import Path

from .clock import shifted


class Authority:
    """A certificate authority in a directory. P-256, as RSA keys take seconds each on a busy machine."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.crt"
        self.key = self.directory / "ca.key"
        self._openssl("req", "-x509", *self._new_key(self.key), "-out", self.certificate, "-subj", "/CN=gaoler-test", "-days", "365")
        # What service-account tokens are signed with.
        self.token_key, self.token_public = self.directory / "token.key", self.directory / "token.pub"
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.token_key)
        self._openssl("pkey", "-in", self.token_key, "-pubout", "-out", self.token_public)

    def server(self, name, alternatives):
        """Certificate and key of a server; `alternatives` as openssl writes them (DNS:…, IP:…)."""
        return self._issue(name, f"/CN={name}", f"subjectAltName={','.join(alternatives)}\nextendedKeyUsage=serverAuth,clientAuth")

    def user(self, name, groups=()):
        """Certificate and key of a client with that user name in those groups."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={name}"
        return self._issue(name, subject, "extendedKeyUsage=clientAuth")

    def kubeconfig(self, path, server, **user):
        """Writes a kubeconfig; `user` is its `user` entry, the context's namespace is `default`."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority-data": embedded(self.certificate)}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path = Path(path)
        path.write_text(json.dumps(config, indent=1))
        path.chmod(0o600)
        return path

    def _issue(self, name, subject, extensions):
        stem = name.replace(":", "-").replace("/", "-")
        certificate, key = self.directory / f"{stem}.crt", self.directory / f"{stem}.key"
        with tempfile.TemporaryDirectory(dir=self.directory) as work:
            request, about = Path(work) / "request", Path(work) / "extensions"
            about.write_text(extensions + "\n")
            self._openssl("req", *self._new_key(key), "-out", request, "-subj", subject)
            self._openssl(
                "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                "-days", "365", "-out", certificate, "-extfile", about,
            )  # fmt: skip
        return certificate, key

    @staticmethod
    def _new_key(path):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(path))

    @staticmethod
    def _openssl(*arguments):
        # Valid from yesterday on, as a cluster's certificates are for a node whose clock is behind.
        yesterday = {**os.environ, **shifted(-86_400)}
        done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=yesterday)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(map(str, arguments))}: {done.stderr}")


def embedded(path):
    """A file's content as kubeconfigs hold it."""
    return base64.b64encode(Path(path).read_bytes()).decode()
