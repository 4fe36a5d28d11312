"""The same attack on a guarded house."""

import re

from ..attack import Attack
from ..story import Story
from .before import SECONDS
from .standing import reachable

# A guesser who is not stopped goes on for so long.
LONGEST = 30.0


def tell(story: Story):
    story.title("The same attack, guarded")
    attack = Attack(story, LONGEST).run()
    left = [(g.source, g.kind, g.answered) for g in attack.guessers if not g.shut_out]
    story.check("every attacker is shut out", not left, lambda: f"{left}\n{story.why()}")
    took = story.held_everywhere(attack.sources)
    story.check("every node's kernel drops every attacker, also the node without a James", took is not None, story.why)
    attack.judge_innocents()
    banned = set().union(*(story.held(machine) for machine in story.cluster.machines))
    strangers = banned - set(story.figures["banned"]) - set(attack.sources)
    story.check("nobody else is banned", not strangers, strangers)
    story.figures["banned"] += attack.sources
    reached = reachable(story, attack.sources[0], timeout=1.0)
    story.check("an attacker reaches James by no node and no way", not any(reached.values()), reached)
    drops = {machine.name: dropped(machine) for machine in story.cluster.machines}
    story.check(f"packets were dropped on all three nodes ({drops})", all(drops.values()), story.why)
    before, after = story.figures["before"], attack.answered()
    story.say(f"Guesses answered per attacker, median and most (without Gaoler each was stopped after {SECONDS:.0f} s):")
    story.narrator.output(f"{'':20}{'without Gaoler':>22}{'with Gaoler':>22}")
    for kind, (median, worst) in after.items():
        story.narrator.output(f"{kind:20}{before[kind][0]:12.0f}{before[kind][1]:10}{median:12.0f}{worst:10}")
    logged = {g.source: story.mail.guesses(g.source)[0] for g in attack.guessers}
    story.say(f"Failed logins in James' log per attacker: {', '.join(f'{g.kind} {logged[g.source]}' for g in attack.guessers)}")
    story.figures["prisoners"] = attack.sources


def dropped(machine):
    """Packets that Gaoler's counters on a node have dropped."""
    return sum(int(n) for n in re.findall(r"counter dropped_\S+ \{\s*packets (\d+)", machine.kernel()))
