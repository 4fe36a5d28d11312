"""What an attack comes to while nobody guards the house."""

from ..attack import Attack
from ..story import Story

SECONDS = 5.0


def tell(story: Story):
    story.title(f"Without Gaoler: eight attackers guess passwords for {SECONDS:.0f} s")
    attack = Attack(story, SECONDS).run()
    story.figures["before"] = attack.answered()
    story.figures["unpunished"] = attack.sources
    for kind, (median, worst) in attack.answered().items():
        story.say(f"{kind}: {median:.0f} guesses answered per attacker, at most {worst}")
    story.check("nobody stops them", not any(g.shut_out for g in attack.guessers), [g.source for g in attack.guessers if g.shut_out])
    attack.judge_innocents()
    logged = {g.source: story.mail.guesses(g.source)[0] for g in attack.guessers}
    story.check(
        "James names each attacker in its log",
        all(logged[g.source] and g.answered for g in attack.guessers),
        [(g.source, g.kind, g.answered, logged[g.source]) for g in attack.guessers],
    )
