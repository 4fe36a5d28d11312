"""From the line that James writes to the dropped packet, on the node that read it and on the others."""

from harness.figures import percentile
from harness.daemon import wait_until

from ..attack import guess
from ..knocks import Knocks
from ..story import Story

SAMPLES = 12


def tell(story: Story):
    story.title(f"How fast a ban spreads, seen by packets ({SAMPLES} new attackers, each knocks on all nodes every few ms)")
    here, there = [], []
    for number in range(SAMPLES):
        (address,) = story.attackers(1)
        reader = story.cluster.machines[number % 2]
        with Knocks(story, [address]) as knocks:
            everywhere = {(address, machine.name) for machine in story.cluster.machines}
            wait_until(lambda: knocks.answered() == everywhere, 10, story.why)
            guess(story.internet, address, reader.wan4)
            wait_until(lambda: knocks.silent(100) == everywhere, 30, story.why)
            dropped = knocks.dropped_since()
        decided = story.mail.guesses(address)[1]
        for (_, node), moment in dropped.items():
            (here if node == reader.name else there).append((moment - decided) / 1e6)
        story.figures["banned"].append(address)
    for where, times in (("on the node that read the line", here), ("on every other node", there)):
        story.say(
            f"Line taken by containerd → first packet dropped for good, {where}: "
            f"p50 {percentile(times, 0.5):.1f} ms, p90 {percentile(times, 0.9):.1f} ms, most {max(times):.1f} ms ({len(times)} samples)"
        )
    story.check("every ban came to every node", len(here) == SAMPLES and len(there) == 2 * SAMPLES)
