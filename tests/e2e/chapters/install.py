"""Gaoler comes, by the very words of README's quickstart."""

import time

from harness.daemon import wait_until

from ..quickstart import steps
from ..story import Story


def tell(story: Story):
    story.title("Gaoler is installed: README's quickstart for Kubernetes, word by word")
    began = time.monotonic()
    for step in steps("kubernetes"):
        story.type(step.text, timeout=300)
    story.say(f"{time.monotonic() - began:.0f} s from nothing to a Jail in force.")
    agents = wait_until(lambda: ready_agents(story), 120, story.why)
    story.check("an agent guards every node", agents == ["n1", "n2", "n3"], agents)
    jail = wait_until(lambda: condition(story.objects("jails"), "Ready"), 60, story.why)
    story.check("the Jail is in force", jail == ["james"], jail)
    guarded = [machine.name for machine in story.cluster.machines if "inet gaoler" in machine.kernel()]
    story.check("every node's kernel has Gaoler's table", guarded == ["n1", "n2", "n3"], guarded)
    story.figures["banned"] = list(story.figures["unpunished"])
    took = story.held_everywhere(story.figures["banned"])
    story.check("who guessed in the ten minutes before is banned for it on every node", took is not None, story.why)


def condition(objects, kind):
    """The names of those that have a condition."""
    found = []
    for item in objects:
        conditions = item.get("status", {}).get("conditions", [])
        if any(c["type"] == kind and c["status"] == "True" for c in conditions):
            found.append(item["metadata"]["name"])
    return sorted(found)


def ready_agents(story, count=3):
    """The names of the nodes whose agents are ready, once there are so many."""
    found = condition(story.objects("nodeagents"), "Ready")
    return found if len(found) == count else time.sleep(0.1)
