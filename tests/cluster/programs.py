"""Where Kubernetes' programs are: built or found by scripts/kube.sh."""

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "kube.sh"
ALWAYS = ("etcd", "kube-apiserver", "kubectl")


def programs(*names):
    """Program to path. What is missing is built first, which takes minutes and the network: call it before world.enter()."""
    done = subprocess.run([SCRIPT, *names], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"scripts/kube.sh {' '.join(names)} failed: see above")
    return dict(zip(names, map(Path, done.stdout.split("\n"))))
