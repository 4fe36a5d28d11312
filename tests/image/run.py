#!/usr/bin/env python3
"""What is in the image that `make image` wrote, and that it works with the rights the DaemonSet has and no others.

    run.py ARCHIVE [NAME ...]

The image is unpacked and run by runc: read-only root, NET_ADMIN alone, no new privileges, as root (the agent) or as
nobody (everything else). The node's network is a network namespace made here. Wants root.
"""

import argparse
import gzip
import io
import json
import os
import re
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from harness.jameslog import failure  # noqa: E402
from harness import world  # noqa: E402
from harness.world import Namespace  # noqa: E402

MANIFESTS = TESTS.parent / "deploy" / "kubernetes"
LARGEST = 15_000_000
JAIL = """
apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {name: james}
spec: {filters: [james-smtp-auth], source: {files: [/var/log/pods/james.log]}, maxRetry: 3, enforce: {ports: [25]}}
"""


class Image:
    """An OCI archive, unpacked."""

    def __init__(self, archive, directory):
        self.root = directory / "rootfs"
        self.root.mkdir()
        self.compressed = 0
        with tarfile.open(archive) as outer:
            def blob(digest):
                return outer.extractfile("blobs/" + digest.replace(":", "/")).read()

            index = json.load(outer.extractfile("index.json"))
            manifest = json.loads(blob(index["manifests"][0]["digest"]))
            self.config = json.loads(blob(manifest["config"]["digest"]))
            self.entries = []
            for layer in manifest["layers"]:
                packed = blob(layer["digest"])
                self.compressed += len(packed)
                with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as inner:
                    self.entries += inner.getmembers()
                    # As it is. Set this way, because the argument `filter` is younger than Debian 12's Python.
                    inner.extraction_filter = lambda member, _: member
                    inner.extractall(self.root)


class InImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory(prefix="gaoler-image-")
        cls.addClassCleanup(work.cleanup)
        cls.work = Path(work.name)
        cls.image = Image(ARCHIVE, cls.work)
        cls.serial = 0

    def bundle(self, arguments, *, user=0, capabilities=(), mounts=(), network=None):
        """A directory that runc runs: one process with these rights."""
        type(self).serial += 1
        bundle = self.work / f"bundle-{self.serial}"
        bundle.mkdir()
        caps = [f"CAP_{name}" for name in capabilities]
        net = {"type": "network", **({"path": network.path} if network else {})}
        spec = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False, "user": {"uid": user, "gid": user}, "cwd": "/", "noNewPrivileges": True,
                "args": [*self.image.config["config"]["Entrypoint"], *arguments], "env": self.image.config["config"]["Env"],
                "capabilities": {name: caps for name in ("bounding", "effective", "permitted")},
            },
            "root": {"path": str(self.image.root), "readonly": True},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=64k"]},
                *[{"destination": to, "type": "bind", "source": str(of), "options": ["rbind", how]} for of, to, how in mounts],
            ],
            "linux": {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount")] + [net]},
        }  # fmt: skip
        (bundle / "config.json").write_text(json.dumps(spec))
        return ["runc", "--root", str(self.work / "runc"), "run", "--bundle", str(bundle), f"gaoler-image-{os.getpid()}-{self.serial}"]

    def run_in(self, *arguments, **rights):
        done = subprocess.run(self.bundle(arguments, **rights), capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr


class Contents(InImage):
    def test_it_is_small(self):
        print(f"({self.image.compressed} bytes compressed) ", end="", flush=True)
        self.assertLess(self.image.compressed, LARGEST)

    def test_nothing_in_it_is_writable_setuid_or_a_shell(self):
        for entry in self.image.entries:
            with self.subTest(entry=entry.name):
                self.assertEqual((entry.uid, entry.gid), (0, 0))
                if not entry.issym():
                    self.assertFalse(entry.mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), oct(entry.mode))
        programs = {Path(e.name).name for e in self.image.entries if e.isfile() and e.mode & stat.S_IXUSR and ".so" not in e.name}
        self.assertEqual(programs, {"gaoler", "nft"})

    def test_it_says_what_it_is_and_is_nobody_unless_told(self):
        config = self.image.config["config"]
        labels = config["Labels"]
        version = re.search(r'(?m)^version = "(.*)"', (TESTS.parent / "Cargo.toml").read_text())[1]
        self.assertEqual(labels["org.opencontainers.image.version"], version)
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")
        self.assertEqual(config["User"], "65532:65532")

    def test_it_answers_by_the_name_under_which_the_charts_test_asks(self):
        self.assertEqual(os.readlink(self.image.root / "usr/local/bin/kubectl-gaoler"), "gaoler")

    def test_every_part_brings_its_licence(self):
        documents = self.image.root / "usr/share/doc"
        self.assertEqual((documents / "gaoler/copyright").read_text(), (TESTS.parent / "LICENSE").read_text())
        for part in ("nftables", "libnftables1", "libc6"):
            self.assertGreater((documents / part / "copyright").stat().st_size, 1000, part)


class Running(InImage):
    def test_as_nobody_without_any_right_it_answers(self):
        code, said = self.run_in("--version", user=65532)
        self.assertEqual((code, said.split()[0]), (0, "gaoler"), said)

    def test_it_knows_the_zones_that_layouts_name(self):
        # No file of the image holds them.
        line = "2026-07-01 17:00:00 login failed from 192.0.2.1"
        code, said = self.run_in("regex", "--timezone", "Europe/Berlin", line, "^ login failed from <HOST>$", user=65532)
        self.assertEqual((code, "1 matched" in said), (0, True), said)

    def test_the_daemonset_asks_for_what_is_tried_here(self):
        text = (MANIFESTS / "agent.yaml").read_text()
        for part in ("runAsUser: 0", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true", "drop: [ALL]", "add: [NET_ADMIN]"):
            self.assertIn(part, text)

    def test_the_programs_take_the_arguments_of_the_manifests(self):
        for component, rights in (("agent", {"capabilities": ["NET_ADMIN"]}), ("controller", {"user": 65532})):
            text = (MANIFESTS / f"{component}.yaml").read_text()
            self.assertIn(f"command: [gaoler, {component}]", text)
            arguments = [a.replace("$(NODE_NAME)", "n1") for a in re.findall(r"--[a-z-]+=[^\s\"]+", text)]
            self.assertTrue(arguments)
            code, said = self.run_in(component, *arguments, network=Namespace(), mounts=self.node()[1], **rights)
            # They were read: what is missing is the cluster.
            self.assertIn("found neither a kubeconfig nor a service account", said)
            self.assertNotEqual(code, 0)

    def node(self):
        """Directories of a node with one log and one jail that reads it, and how a pod mounts them."""
        type(self).serial += 1
        logs, state, config = (self.work / f"{name}-{self.serial}" for name in ("logs", "state", "config"))
        for directory in (logs, state, config):
            directory.mkdir()
        (config / "jail.yaml").write_text(JAIL)
        (logs / "james.log").touch()
        return logs, [(logs, "/var/log/pods", "ro"), (state, "/var/lib/gaoler", "rw"), (config, "/etc/gaoler", "ro")]

    def test_with_net_admin_the_kernel_does_all_that_bans_need_and_without_it_does_not(self):
        mounts = self.node()[1]
        code, said = self.run_in("doctor", capabilities=["NET_ADMIN"], network=Namespace(), mounts=mounts)
        self.assertEqual(code, 0, said)
        self.assertRegex(said, r"ok +may change the firewall")
        code, said = self.run_in("doctor", network=Namespace(), mounts=mounts)
        self.assertEqual(code, 1, said)
        self.assertRegex(said, r"BAD +may change the firewall")

    def test_with_the_rights_of_the_daemonset_it_bans(self):
        logs, mounts = self.node()
        log, state = logs / "james.log", Path(mounts[1][0])
        net = Namespace()
        command = self.bundle(
            ["run", "--config", "/etc/gaoler", "--state", "/var/lib/gaoler/state", "--socket", "/var/lib/gaoler/sock", "--metrics", "off"],
            capabilities=["NET_ADMIN"], network=net, mounts=mounts,
        )  # fmt: skip
        output = self.work / "daemon.log"
        with output.open("w") as sink:
            daemon = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            until(lambda: (state / "sock").exists() or daemon.poll() is not None)
            self.assertIsNone(daemon.poll(), output.read_text())
            with log.open("a") as lines:
                for _ in range(3):
                    lines.write(failure("45.129.14.30", int(time.time() * 1000), "default") + "\n")
            until(lambda: "45.129.14.30" in net.run("nft", "list", "table", "inet", "gaoler", check=False).stdout)
        except TimeoutError:
            self.fail(output.read_text())
        finally:
            daemon.terminate()
            daemon.wait(30)
        # Bans outlive the one who set them.
        self.assertIn("45.129.14.30", net.run("nft", "list", "table", "inet", "gaoler").stdout)


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)


def main():
    global ARCHIVE
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", help="what scripts/image.sh wrote")
    parser.add_argument("names", nargs="*", help="only checks whose name holds one of these")
    arguments = parser.parse_args()
    ARCHIVE = arguments.archive
    world.enter()
    suite = unittest.TestSuite()
    for case in (Contents, Running):
        for test in unittest.defaultTestLoader.loadTestsFromTestCase(case):
            if not arguments.names or any(name in test.id() for name in arguments.names):
                suite.addTest(test)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    return 0 if result.testsRun and result.wasSuccessful() and not result.skipped else 1


if __name__ == "__main__":
    sys.exit(main())
