"""`helm uninstall` leaves nothing."""

import re
import time

from harness.daemon import wait_until

from ..story import Story
from .standing import EXPECTED, reachable

EVERYTHING = "kubectl api-resources --verbs=list -o name | grep -v '^events' | paste -sd,"


def tell(story: Story):
    story.title("helm uninstall, in the middle of an attack")
    prisoner = story.figures["banned"][-1]
    reached = reachable(story, prisoner, timeout=1.0)
    before = files(story)
    story.check("before, a banned attacker reaches nobody, and every node keeps state", not any(reached.values()) and all(before.values()), (reached, before))
    began = time.monotonic()
    story.type("helm uninstall gaoler -n gaoler --wait --timeout 3m", shown=20)
    story.say(f"{time.monotonic() - began:.0f} s.")
    tables = [m.name for m in story.cluster.machines if "gaoler" in m.net.run("nft", "list", "tables").stdout]
    story.check("no node has a table of Gaoler's", not tables, tables)
    reached = reachable(story, prisoner)
    story.check("everybody reaches James again", reached == EXPECTED, reached)

    def gone():
        return not objects(story) or time.sleep(0.5)

    # The garbage collector takes a moment.
    try:
        wait_until(gone, 30)
    except TimeoutError:
        pass
    left = objects(story)
    story.check("the API server has no object of Gaoler's but the namespace that --create-namespace made", not left, left)
    after = files(story)
    story.check("no node has a file of Gaoler's", not any(after.values()), after)
    processes = {m.name: m.processes_of("gaoler") for m in story.cluster.machines}
    story.check("nothing of it runs", not any(processes.values()), processes)


def files(story):
    """Node to the files in its state directory."""
    return {m.name: sorted(str(p.relative_to(m.disk)) for p in (m.disk / "lib" / "gaoler").rglob("*")) for m in story.cluster.machines}


def objects(story):
    """Every object of any kind that bears the name."""
    kinds = story.cluster.shell(EVERYTHING)[1].strip()
    named = story.cluster.shell(f"kubectl get {kinds} -A -o name 2>/dev/null | grep gaoler", check=False)[1].split()
    return [name for name in named if not re.fullmatch(r"namespace/gaoler", name)]
