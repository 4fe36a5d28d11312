"""The chart, rendered by Helm."""

import subprocess
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CHART = REPOSITORY / "charts" / "gaoler"
# What a release writes into labels beside what the plain manifests have.
RELEASE_LABELS = ("app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart")


def helm_program():
    """Where Helm is; fetched at the first use."""
    return subprocess.run([REPOSITORY / "scripts" / "helm.sh"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def combinations():
    """Every file of values that the chart is tried with."""
    return sorted(CHART.glob("ci/*.yaml"))


class Helm:
    def __init__(self):
        self.program = helm_program()

    def run(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)

    def template(self, *arguments, values=None, release="gaoler", namespace="gaoler", connected=True):
        """Everything that Helm would send, hooks included, as text; the error's text where it refuses.

        With `connected` false, what `helm template` says by itself, which knows of no cluster.
        """
        given = ["--values", "-"] if values is not None else []
        given += ["--api-versions", "apiregistration.k8s.io/v1"] if connected else []
        command = [self.program, "template", release, CHART, "--namespace", namespace, *given, *map(str, arguments)]
        text = yaml.safe_dump(values) if values is not None else None
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, input=text)

    def objects(self, *arguments, **more):
        done = self.template(*arguments, **more)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return [it for it in yaml.safe_load_all(done.stdout) if it]


def hook(it):
    """The events of a hook; None for what is part of the release."""
    return (it["metadata"].get("annotations") or {}).get("helm.sh/hook")


def which(it):
    return f"{it['kind']} {it['metadata'].get('namespace', '')}/{it['metadata']['name']}"


def by_name(objects):
    found = {which(it): it for it in objects}
    assert len(found) == len(objects), f"an object twice among {sorted(map(which, objects))}"
    return found


def plain(it):
    """An object without what only a release writes into it."""
    labels = {k: v for k, v in (it["metadata"].get("labels") or {}).items() if k not in RELEASE_LABELS}
    return {**it, "metadata": {**it["metadata"], "labels": labels}}
