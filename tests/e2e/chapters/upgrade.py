"""Agents are replaced, and killed, while attackers go on."""

import os
import signal
import threading
import time

from harness.daemon import wait_until

from ..attack import guess
from ..knocks import Knocks
from ..leaks import Leaks
from ..story import Story
from .install import ready_agents


def tell(story: Story):
    story.title("A rolling upgrade in the middle of an attack")
    leaks = Leaks(story)
    (fresh,) = story.attackers(1)
    leaks.watch([fresh])
    guess(story.internet, fresh, story.cluster.machines[0].wan4)
    story.check("the witnesses see the packets of an attacker who is not banned yet", len(leaks.passed()) >= 2, leaks.passed())
    wait_until(lambda: all(fresh in story.held(m) for m in story.cluster.machines), 30, story.why)
    banned = [*story.figures["banned"][:8], fresh]
    time.sleep(0.2)
    leaks.reset()
    leaks.watch(banned)
    # The same program under another name, so that every pod is replaced.
    for machine in story.cluster.machines:
        machine.run("ctr", "-n", "k8s.io", "images", "tag", "--force", "docker.io/library/gaoler:0.1.0", "docker.io/library/gaoler:0.1.1")
    with Knocks(story, banned) as knocks:
        began = time.monotonic()
        before = agents(story)
        meanwhile = replace(story, "0.1.1")
        after = agents(story)
        story.say(f"{time.monotonic() - began:.0f} s; {knocks.sent} packets of {len(banned)} banned attackers to three nodes meanwhile.")
        story.check("every agent was replaced", len(after) == 3 and not set(before) & set(after), (before, after))
        story.check("no packet of a banned attacker reached James during the upgrade: 0", not leaks.passed(), leaks.passed())
        story.check("and none was answered", not knocks.answered(), knocks.answered())
        story.check("who attacked during the upgrade was banned on every node", story.held_everywhere([meanwhile], 60) is not None, story.why)
        story.title("An agent is killed in the middle of an attack (kill -9)")
        sent = knocks.sent
        machine = story.cluster.machines[0]
        (victim,) = [pid for pid, line in machine.processes_of("gaoler").items() if " agent " in line]
        os.kill(victim, signal.SIGKILL)
        (late,) = story.attackers(1)
        guess(story.internet, late, machine.wan4)
        wait_until(lambda: [p for p in machine.processes_of("gaoler") if p != victim] or time.sleep(0.05), 60, story.why)
        began = time.monotonic()
        wait_until(lambda: late in story.held(machine) or time.sleep(0.05), 60, story.why)
        story.say(f"The new agent read what was logged meanwhile: the attacker of that moment was banned {time.monotonic() - began:.1f} s after it started.")
        story.check("who attacked while there was no agent was banned on every node", story.held_everywhere([late], 60) is not None, story.why)
        story.check(f"no packet of a banned attacker reached James after the crash: 0 of {knocks.sent - sent}", not leaks.passed(), leaks.passed())
        story.check("and none was answered", not knocks.answered(), knocks.answered())
    wait_until(lambda: ready_agents(story), 60, story.why)
    leaks.close()
    story.figures["banned"] += [fresh, meanwhile, late]


def agents(story):
    """The UIDs of the agents' pods."""
    pods = story.cluster.pods("gaoler", "app.kubernetes.io/component=agent")
    return sorted(pod["metadata"]["uid"] for pod in pods)


def replace(story, tag):
    """Rolls to another image; somebody begins to guess as soon as the first agent is gone. Gives his address."""
    began = agents(story)
    command = f"helm upgrade gaoler charts/gaoler -n gaoler --reuse-values --set image.tag={tag} >/dev/null"
    helm = threading.Thread(target=story.type, args=(command,), daemon=True)
    helm.start()
    (address,) = story.attackers(1)
    wait_until(lambda: agents(story) != began or time.sleep(0.02), 120, story.why)
    guess(story.internet, address, story.cluster.machines[1].wan4)
    helm.join()
    story.type("kubectl rollout status daemonset/gaoler-agent -n gaoler --timeout=180s", shown=3)
    return address
