"""A Service that replaces clients' addresses by a node's: Gaoler says so and bans nobody of the house."""

import time

from harness.daemon import wait_until

from ..attack import guess
from ..mail import ANYWHERE_PORTS, SMTP
from ..story import Story
from .install import condition


def tell(story: Story):
    story.title("Guesses through a Service with externalTrafficPolicy: Cluster, by the node without a James")
    third = story.cluster.machines[2]
    (address,) = story.attackers(1)
    answered = sum(guess(story.internet, address, third.wan4, ANYWHERE_PORTS[SMTP]) for _ in range(3))
    story.check(f"James answers {answered} guesses, and sees a node's address instead of the attacker's", answered == 18, answered)
    said = wait_until(lambda: condition(story.objects("jails"), "SourceAddressLost") or time.sleep(0.2), 60, story.why)
    story.check("the Jail says SourceAddressLost", said == ["james"], said)
    story.type("kubectl get jail james -n mail -o jsonpath='{.status.conditions[?(@.type==\"SourceAddressLost\")].message}'")
    house = {machine.api4 for machine in story.cluster.machines} | {machine.wan4 for machine in story.cluster.machines}
    banned = set().union(*(story.held(machine) for machine in story.cluster.machines))
    story.check("no node is banned for it", not banned & house, banned & house)
    story.check("and the way stays open", third.client(address).reaches([ANYWHERE_PORTS[SMTP]]) != [], address)
