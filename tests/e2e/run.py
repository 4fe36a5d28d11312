#!/usr/bin/env python3
"""Gaoler on a whole cluster, told as a story: three nodes with real kubelets, the chart by real Helm, a real James in
pods, attackers and innocents outside.

    run.py --image ARCHIVE                      all chapters
    run.py --image ARCHIVE --until CHAPTER      up to that one: each finds what the ones before left
    run.py --image ARCHIVE --hold               waits for Enter before it takes the cluster down

Nothing appears in the machine's own network; every process ends with this one. Root is needed. Logs stay when
something fails.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "james")]
from harness import world  # noqa: E402

from e2e import cgroups  # noqa: E402

INSIDE, ROOT = "GAOLER_E2E_RUN", "GAOLER_E2E_ROOT"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", required=True, type=Path, metavar="ARCHIVE", help="what scripts/image.sh wrote")
    parser.add_argument("--until", metavar="CHAPTER", help="the last chapter to run")
    parser.add_argument("--hold", action="store_true", help="wait for Enter before the end")
    parser.add_argument("--keep", action="store_true", help="keep logs and disks after a good run too")
    parser.add_argument("--proxy-mode", default="iptables", choices=["iptables", "nftables"], help="how kube-proxy works")
    return parser.parse_args()


def watch_over():
    """Runs this program once more and tidies up what does not end with it, however it ends."""
    if os.geteuid() != 0:
        sys.exit("e2e: needs root: it starts kubelets")
    for run in cgroups.abandoned():
        for name in cgroups.names(run):
            cgroups.remove(name, 1)
    root = Path(tempfile.mkdtemp(prefix="gaoler-e2e-"))
    if str(root).startswith(("/var/", "/run/")):
        os.rmdir(root)
        sys.exit("e2e: TMPDIR must not lie below /var or /run: nodes have their own")
    environment = {**os.environ, INSIDE: str(os.getpid()), ROOT: str(root)}
    child = subprocess.Popen([sys.executable, __file__, *sys.argv[1:]], env=environment, preexec_fn=world.end_with_parent)

    def end(number, frame):
        child.kill()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    code = child.wait()
    left = []
    for name in cgroups.names(os.getpid()):
        left += cgroups.remove(name)
    if left:
        print(f"e2e: control groups stay: {left}", file=sys.stderr)
        code = code or 1
    if code == 0 and not arguments().keep:
        shutil.rmtree(root)
    else:
        print(f"logs: {root}", file=sys.stderr)
    return code if code >= 0 else 1


def main():
    if INSIDE not in os.environ:
        return watch_over()
    options = arguments()
    root = Path(os.environ[ROOT])
    from e2e.cluster import PROGRAMS, Cluster
    from e2e.tools import Tools

    if "GAOLER_TEST_WORLD" not in os.environ:
        # From the private network nothing can be fetched any more.
        Tools(root, PROGRAMS, options.image).keep()
    world.enter()
    import names

    names.stay_at_home()
    from e2e.chapters import CHAPTERS
    from e2e.mail import Mail
    from e2e.story import Story

    tools = Tools.kept(root)
    cluster = Cluster(root, tools, cgroup=f"{cgroups.PREFIX}{os.environ[INSIDE]}", proxy_mode=options.proxy_mode)
    story = Story(tools, cluster, Mail(cluster, root))
    try:
        for name, chapter in CHAPTERS.items():
            chapter(story)
            if name == options.until:
                break
    except BaseException:  # noqa: BLE001
        story.narrator.failed.append("the story broke off")
        traceback.print_exc()
        (root / "told.log").write_text(cluster.told(200))
    finally:
        if options.hold:
            input(f"The cluster stands. KUBECONFIG={cluster.plane.admin}; Enter takes it down. ")
        cluster.stop()
    bad = story.narrator.failed
    for what in bad:
        print("FAILED:", what)
    passed = story.narrator.passed
    print(f"\ne2e: {passed} passed, {len(bad)} failed, {time.monotonic() - story.began:.0f} s", flush=True)
    return 0 if passed and not bad else 1


if __name__ == "__main__":
    sys.exit(main())
