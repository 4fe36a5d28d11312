"""The commands of docs/kubernetes.md, docs/how-to and the chart's page, as they stand there, on a real API server."""

import os
import re
import shutil
import textwrap
import time
from pathlib import Path

from chart.chart import REPOSITORY
from cluster.api import Refused
from cluster.case import BINARY
from cluster.hooks import Hooks
from cluster.installed import NAMESPACE, Controller, InstalledCase
from cluster.programs import monitoring_definitions
from cluster.services import service
from e2e.quickstart import commands
from harness.daemon import wait_until
from harness.jameslog import failure
from release import OURS, ChartCase

ADDRESS = "203.0.113.7"
# What no test cluster can do: build, push, install on the machine itself.
ELSEWHERE = ("make ", "skopeo ", "cargo ", "tests/cluster/")
# Something needs a look; nobody bans the address.
MAY_END_WITH_1 = ("kubectl gaoler status", "kubectl gaoler why")
KUBECTL = """#!/bin/bash
# There is no kubelet that could be asked: what it would tell is read where it would read it.
if [ "$1" = logs ]; then exec cut -d ' ' -f 4- {log}; fi
exec {kubectl} "$@"
"""


def told(page, after=None, before=None):
    """The commands between two headings of a page."""
    text = (REPOSITORY / page).read_text()
    text = text.split(f"\n{after}\n", 1)[1] if after else text
    text = text.split(f"\n{before}\n", 1)[0] if before else text
    blocks = re.findall(r"^( *)```console\n(.*?)^\1```$", text, re.M | re.S)
    return [command.text for _, block in blocks for command in commands(textwrap.dedent(block))]


class PagesCase(ChartCase):
    def setUp(self):
        super().setUp()
        self.bin = self.directory / "bin"
        self.bin.mkdir()
        for name, program in (("helm", self.helm_program), ("gaoler", BINARY), ("kubectl-gaoler", BINARY)):
            (self.bin / name).symlink_to(program)
        self.here = self.directory / "checkout"
        self.here.mkdir()
        for name in ("charts", "crds", "deploy"):
            (self.here / name).symlink_to(REPOSITORY / name)

    def type(self, *lines):
        """Each as a person types it, in a checkout."""
        typed = 0
        for line in lines:
            if line.startswith(ELSEWHERE):
                continue
            environment = {**os.environ, "KUBECONFIG": str(self.plane.admin), "HOME": str(self.directory), "PATH": f"{self.bin}:{os.environ['PATH']}"}
            text = line.replace("/tmp/", f"{self.directory}/")
            done = self.plane.net.run("bash", "-o", "pipefail", "-c", text, check=False, env=environment, cwd=self.here, timeout=120)
            allowed = (0, 1) if line.startswith(MAY_END_WITH_1) else (0,)
            self.assertIn(done.returncode, allowed, f"$ {line}\n{done.stdout}{done.stderr}")
            typed += 1
        self.assertGreater(typed, 0)

    def kubectl_for(self, log):
        program = self.bin / "kubectl"
        program.write_text(KUBECTL.format(kubectl=self.plane.programs["kubectl"], log=log))
        program.chmod(0o755)


class WithHelm(PagesCase):
    def test_the_commands_of_the_pages_work_one_after_the_other(self):
        for definitions in monitoring_definitions():
            self.plane.kubectl("apply", "--server-side", "-f", definitions)
        node = self.node(1)
        pod = node.pod("james-0", namespace="mail", ports=[{"containerPort": 25}])
        service(self.plane, "james-smtp", {25: 25}, namespace="mail", kind="NodePort")
        self.kubectl_for(pod.log.path)

        install, *then = told("docs/kubernetes.md", "## Install", "## A first Jail")[2:5]
        self.assertIn("helm install gaoler", install)
        with Hooks(self.plane, NAMESPACE, self.directory):
            self.type(install)
        node.ACCOUNT_NAMESPACE = NAMESPACE
        agent = node.start_agent(BINARY)
        controller = Controller(self.plane, self.directory, "one").start()
        self.addCleanup(controller.end)
        agent.wait(lambda: agent.http("/readyz")[0] == 200)
        self.type(*told("docs/kubernetes.md", "## A first Jail", "### What a ban closes"))
        wait_until(lambda: "Ready" in str(self.plane.api.get(f"{OURS}/namespaces/mail/jails/james").get("status")), 60)
        for _ in range(6):
            pod.log.write(failure(ADDRESS, int(time.time() * 1000), "default"))
        wait_until(lambda: ADDRESS in str(self.plane.api.get(f"{OURS}/banslices")), 60)
        with Hooks(self.plane, NAMESPACE, self.directory):
            self.type(*then)
        self.assertIn("helm test", then[-1])

        self.type(*told("docs/kubernetes.md", "## Look", "## Who may do what"))
        shutil.copytree(REPOSITORY / "deploy" / "kubernetes" / "examples", self.here / "manifests")
        (self.here / "jail.yaml").rename(self.here / "manifests" / "jail.yaml")
        for page in ("external-traffic-policy", "gitops", "proxy"):
            with self.subTest(page=page):
                self.type(*told(f"docs/how-to/{page}.md"))
        with Hooks(self.plane, NAMESPACE, self.directory):
            self.type(*told("docs/how-to/monitoring.md"))
        self.assertTrue((self.directory / "gaoler.tar.gz").stat().st_size)
        self.assertEqual(len(self.plane.json("get", "podmonitors", "-n", NAMESPACE)["items"]), 2)


class WithoutHelm(PagesCase):
    def test_it_is_installed_and_removed(self):
        self.kubectl_for(Path("/dev/null"))
        self.type(*told("docs/kubernetes.md", "## Install", "## A first Jail")[6:])
        for kind in InstalledCase.KINDS:
            wait_until(lambda k=kind: self.served(k), 60)
        self.type(*told("docs/kubernetes.md", "## Upgrade, uninstall", "## Limits"))
        left = self.plane.kubectl("get", "daemonset,deployment,clusterrole,validatingadmissionpolicy", "-A", "-o", "name").stdout
        self.assertNotIn("gaoler", left)

    def served(self, kind):
        """A new kind's storage answers "(re)initializing" for a moment."""
        try:
            self.names(kind)
        except Refused as why:
            self.assertIn(why.status, (404, 429), why)
            return False
        return True
