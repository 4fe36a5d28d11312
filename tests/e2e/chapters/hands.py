"""What an operator does with kubectl."""

import json
import time

from harness.daemon import wait_until

from ..quickstart import steps
from ..story import Story
from .standing import EXPECTED, reachable


def tell(story: Story):
    story.title("The operator looks, and lets one out")
    prisoners = story.figures["prisoners"]
    prisoner, other = prisoners[0], prisoners[2]

    def counted():
        (jail,) = story.objects("jails")
        return jail.get("status", {}).get("banned", 0) >= len(prisoners) or time.sleep(0.2)

    wait_until(counted, 90, story.why)
    story.say("The last part of README's quickstart:")
    said = "".join(story.type(step.text) for step in steps("kubernetes-look"))
    missing = [source for source in prisoners if source not in said]
    story.check("Jail, agents and every attacker are shown", not missing and "james" in said and "n3" in said, missing)
    said = story.type("kubectl get nodeagents")
    story.check("`kubectl get nodeagents` shows three", all(name in said for name in ("n1", "n2", "n3")), said)
    said = story.type(f"kubectl gaoler why {prisoner}")
    story.check("`kubectl gaoler why` gives the evidence", "james" in said and "failures" in said, said)
    story.type("kubectl describe jail james -n mail | tail -n 12", shown=12)
    began = time.monotonic()
    story.type(f"kubectl gaoler unban {prisoner}")
    wait_until(lambda: all(prisoner not in story.held(m) for m in story.cluster.machines), 30, story.why)
    story.say(f"Lifted on all nodes {time.monotonic() - began:.1f} s after the command was typed.")
    reached = reachable(story, prisoner)
    story.check("who is let out reaches James again, by every node", reached == EXPECTED, reached)
    story.check("the others stay in", all(other in story.held(m) for m in story.cluster.machines), story.why)
    kept = [ban["prefix"] for line in story.cluster.shell("kubectl gaoler bans -o json")[1].splitlines() if (ban := _ban(line))]
    story.check("and he is gone from the list", prisoner not in kept and other in kept, kept)
    story.figures["banned"].remove(prisoner)


def _ban(line):
    ban = json.loads(line)
    return {**ban, "prefix": ban.get("prefix") or ban.get("subject")}
