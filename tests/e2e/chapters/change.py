"""`helm upgrade` with other values."""

import json

from harness.daemon import wait_until

from ..attack import guess
from ..story import Story
from .install import condition, ready_agents

OFFICE = "198.51.100.77"


def tell(story: Story):
    story.title("helm upgrade with changed values: another log format, an AllowList, James' Jails")
    banned = story.figures["banned"]
    story.type(
        "helm upgrade gaoler charts/gaoler -n gaoler --reuse-values --set agent.logFormat=json --set james.enabled=true"
        " --set james.namespace=mail --set james.mode=Enforce --set uninstall.removeDefinitions=true"
        f" --set-json 'allowLists.office={{\"entries\":[{{\"prefix\":\"{OFFICE}/32\",\"comment\":\"the office\"}}]}}' >/dev/null"
    )
    story.type("kubectl rollout status daemonset/gaoler-agent -n gaoler --timeout=180s", shown=3)
    agents = wait_until(lambda: ready_agents(story), 60, story.why)
    story.check("agents are ready on every node again", agents == ["n1", "n2", "n3"], agents)
    said = story.cluster.shell("kubectl logs -n gaoler daemonset/gaoler-agent --tail=1")[1].strip().splitlines()[-1]
    story.check("agents write JSON now", json_like(said), said)
    jails = wait_until(lambda: (found := condition(story.objects("jails"), "Ready")) and len(found) > 1 and found, 60, story.why)
    story.type("kubectl get jails -n mail")
    story.check("James' Jails of the chart are in force beside ours", "james" in jails and "james-logins" in jails, jails)
    kept = [m.name for m in story.cluster.machines if not set(banned) <= story.held(m)]
    story.check("no ban was lifted", not kept, lambda: f"{kept}\n{story.why()}")
    answered = guess(story.internet, OFFICE, story.cluster.machines[0].wan4, times=20)
    (attacker,) = story.attackers(1)
    guess(story.internet, attacker, story.cluster.machines[0].wan4, times=20)
    story.check("who guesses after the office did is banned", story.held_everywhere([attacker]) is not None, story.why)
    held = [m.name for m in story.cluster.machines if OFFICE in story.held(m)]
    story.check(f"the office mistypes {answered} times and is not", answered == 20 and not held, (answered, held))
    banned.append(attacker)


def json_like(line):
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
