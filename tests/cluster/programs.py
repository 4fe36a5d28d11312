"""Where Kubernetes' programs are, and what else is fetched once: by scripts/*.sh, before world.enter()."""

import subprocess
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
ALWAYS = ("etcd", "kube-apiserver", "kubectl")


def programs(*names):
    """Program to path. What is missing is built first, which takes minutes and the network: call it before world.enter()."""
    return dict(zip(names, fetched("kube.sh", *names)))


def monitoring_definitions():
    """Files with the definitions of PodMonitor and PrometheusRule."""
    return fetched("monitoring-crds.sh")


def fetched(script, *arguments):
    """The paths that a script prints; what they lead to is there then."""
    done = subprocess.run([SCRIPTS / script, *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(['scripts/' + script, *arguments])} failed: see above")
    return [Path(line) for line in done.stdout.splitlines()]
