"""Malformed and hostile resources: each is reported on itself, and a good jail beside them goes on banning."""

import json
import time

from bans import SharedCase, milliseconds
from cluster.api import Refused
from cluster.installed import GROUP
from harness.jameslog import failure

PODS = {"selector": {"matchLabels": {"app": "james"}}}
RULE = {"logger": "org.apache.james.util.AuditTrail", "message": "^failed$"}


def jail(**change):
    return {"filters": ["james-smtp-auth"], "source": {"pods": PODS}, **change}


def rule(**change):
    return {"rules": [{**RULE, **change}]}


def entry(**entry):
    return {"entries": [entry]}


def limit(**change):
    return {"protocol": "TCP", "ports": [25], "hits": 4, "window": "60s", **change}


def regexes(*regexes):
    return {"failRegex": list(regexes)}


# (kind, spec, what the API server answers): it refuses these itself, and names the field.
REFUSED = {
    "a regex of 1 MB": ("filters", regexes("<HOST>" + "x" * 1_000_000), "spec.failRegex[0]"),
    "300 regexes": ("filters", regexes(*["<HOST>"] * 300), "spec.failRegex"),
    "a filter of nothing": ("filters", {"description": "none"}, "a filter needs `rules` or `failRegex`"),
    "a rule without a condition": ("filters", {"rules": [{"context": {"a": "b"}}]}, "spec.rules[0]"),
    "a weight of 0": ("filters", rule(weight=0), "spec.rules[0].weight"),
    "a jail without filters": ("jails", jail(filters=[]), "spec.filters"),
    "a jail that reads the node's files": ("jails", jail(source={"files": ["/etc/shadow"]}), "exist only on a plain host"),
    "a path for a filter": ("jails", jail(filters=["../../etc/passwd"]), "spec.filters[0]"),
    "no failure needed": ("jails", jail(maxRetry=0), "spec.maxRetry"),
    "a window of nothing": ("jails", jail(findTime="0s"), "`findTime` is from 1s to 8760h"),
    "a ban of a thousand years": ("jails", jail(banTime="8760000h"), "`banTime` is `Permanent`"),
    "a ban that is no time": ("jails", jail(banTime="for ever"), "spec.banTime"),
    "a port that is none": ("jails", jail(enforce={"ports": [70000]}), "spec.enforce.ports[0]"),
    "a prefix that is everybody": ("jails", jail(prefix={"ipv4": 0}), "spec.prefix.ipv4"),
    "a mode that is none": ("jails", jail(mode="Sometimes"), "spec.mode"),
    "a name for a prefix": ("banlists", entry(prefix="everybody"), "spec.entries[0].prefix"),
    "an end that is no time": ("banlists", entry(prefix="45.1.2.3", until="tomorrow"), "spec.entries[0].until"),
    "an entry of nothing": ("allowlists", entry(comment="nobody"), "spec.entries[0]"),
    "a limit without a port": ("ratelimits", limit(ports=[]), "spec.ports"),
    "a pardon for nobody": ("pardons", {"reason": "none"}, "spec.prefix"),
}

# (kind, spec, condition, its status, what it says): the schema lets these pass.
REPORTED = {
    "regex-unclosed": ("filters", regexes("^failed from <HOST> (unclosed$"), "Accepted", "False", "spec.failRegex[0]"),
    "regex-of-nobody": ("filters", regexes("^failed from somebody$"), "Accepted", "False", "spec.failRegex[0]"),
    "regex-explosive": ("filters", regexes("^(((a{1,999}){1,999}){1,999})<HOST>$"), "Accepted", "False", "spec.failRegex[0]"),
    "regex-deep": ("filters", regexes("(" * 300 + "<HOST>" + ")" * 300), "Accepted", "False", "spec.failRegex[0]"),
    "message-looks-back": ("filters", rule(message=r"^(a)\1 <HOST>$"), "Accepted", "False", "spec.rules[0].message"),
    "logger-of-dots": ("filters", rule(logger="org..AuditTrail"), "Accepted", "False", "spec.rules[0].logger"),
    "address-nowhere": ("filters", rule(address=["message"]), "Accepted", "False", "spec.rules[0].address"),
    "date-of-nothing": ("filters", {**regexes("<HOST>"), "datePatterns": ["((("]}, "Accepted", "False", "spec.datePatterns[0]"),
    "example-that-fails": (
        "filters", {**rule(), "examples": [{"line": "nothing at all", "match": True, "address": "192.0.2.1"}]}, "Accepted", "False", "spec.examples[0]",
    ),
    "jail-without-filter": ("jails", jail(filters=["no-such-filter"]), "Accepted", "False", "spec.filters[0]"),
    "jail-of-a-bad-filter": ("jails", jail(filters=["regex-unclosed"]), "Accepted", "False", "spec.filters[0]"),
    "jail-of-a-bad-layout": (
        "jails", jail(source={"pods": PODS, "layout": {"type": "Pattern", "pattern": "%d{unclosed"}}), "Accepted", "False", "spec.source.layout.pattern",
    ),
    "jail-that-ignores-no-prefix": ("jails", jail(ignore=["10.0.0.0/33"]), "Accepted", "False", "spec.ignore[0]"),
    "jail-of-nobody": ("jails", jail(source={"pods": {"selector": {"matchLabels": {"app": "nobody"}}}}), "SourceMissing", "True", "spec.source.pods"),
    "jail-of-no-service": ("jails", jail(enforce={"services": ["gone"]}), "ServiceMissing", "True", "gone"),
    "allow-everybody": ("allowlists", entry(prefix="0.0.0.0/0"), "Accepted", "False", "spec.entries[0]"),
    "allow-all-of-v6": ("allowlists", entry(prefix="::/0"), "Accepted", "False", "spec.entries[0]"),
    "allow-no-prefix": ("allowlists", entry(prefix="10.0.0.0/33"), "Accepted", "False", "spec.entries[0]"),
    "ban-everybody": ("banlists", entry(prefix="0.0.0.0/0"), "Accepted", "False", "spec.entries[0]"),
    "ban-all-of-v6": ("banlists", entry(prefix="::/0"), "Accepted", "False", "spec.entries[0]"),
    "ban-a-node": ("banlists", entry(prefix="10.89.0.11"), "EntriesSpared", "True", "`10.89.0.11` is not banned"),
    "ban-the-api-server": ("banlists", entry(prefix="10.89.0.0/24"), "EntriesSpared", "True", "`10.89.0.0/24` is not banned"),
    "ban-for-no-jail": ("banlists", entry(prefix="45.40.0.1", scope="shop/none"), "Accepted", "True", "spec.entries[0].scope: there is no jail `shop/none`"),
}  # fmt: skip

NAMESPACED = {"filters", "jails", "ratelimits"}


class Malformed(SharedCase):
    """The good jail is in namespace `mail`, what is hostile in `shop`, where no pod is read from."""

    takes = 260

    def where(self, kind):
        return f"{GROUP}/namespaces/shop/{kind}" if kind in NAMESPACED else f"{GROUP}/{kind}"

    def condition(self, kind, name, about):
        status = self.plane.api.get(f"{self.where(kind)}/{name}").get("status", {})
        return next((c for c in status.get("conditions", []) if c["type"] == about), {})

    def wait_guarding(self, node):
        """Thousands of Jails are to be read first."""
        node.agent.wait(lambda: node.james.ip in node.kernel(), 300)

    def goes_on(self, address):
        """The good jail bans whoever comes now, and nobody else."""
        node, good = self.nodes[1], "45.41.255.255"
        self.assertFalse(self.is_dropped(node, address))
        began = time.monotonic()
        self.attack(node, address)
        self.wait_dropped(address, timeout=120)
        self.assertFalse(self.is_dropped(node, good))
        return time.monotonic() - began

    def memory(self, process):
        """Resident MB now and at most."""
        lines = open(f"/proc/{process.pid}/status").read().splitlines()
        held = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in lines if line.startswith(("VmRSS", "VmHWM"))}
        return f"{held['VmRSS']} MB, at most {held['VmHWM']} MB"

    def test_at_least_25_of_them_are_each_reported_on_themselves_and_the_good_jail_bans(self):
        self.assertGreaterEqual(len(REFUSED) + len(REPORTED), 25)
        self.guarded(1)
        agent = self.nodes[1].agent
        controller = self.controller("judge")
        # A pod of the hostile namespace, so that its jails read something.
        self.nodes[1].pod("james-0", namespace="shop")
        self.goes_on("45.41.0.1")
        for what, (kind, spec, words) in REFUSED.items():
            with self.subTest(what):
                with self.assertRaises(Refused) as caught:
                    self.plane.api.create(self.where(kind), self.object(kind, "bad", spec))
                self.assertEqual(caught.exception.status, 422, caught.exception)
                self.assertIn(words, caught.exception.message)
        for name, (kind, spec, *_) in REPORTED.items():
            self.make(kind, name, spec, namespace="shop" if kind in NAMESPACED else None)
        for name, (kind, _, about, status, words) in REPORTED.items():
            with self.subTest(name):
                try:
                    controller.wait(lambda k=kind, n=name, a=about, s=status: self.condition(k, n, a).get("status") == s, 60)
                except TimeoutError as why:
                    raise AssertionError(json.dumps(self.plane.api.get(f"{self.where(kind)}/{name}").get("status"))) from why
                self.assertIn(words, self.condition(kind, name, about)["message"])
        self.goes_on("45.41.0.2")
        self.assertEqual(controller.process.poll(), None)
        self.assertEqual({a.split("/")[0] for a in agent.kernel_bans()}, {"45.41.0.1", "45.41.0.2"})

    def crowd(self, numbers):
        """Jails of a tenant. Half of them read his own pod, half of them choose what nobody has, each something else."""
        for i in numbers:
            labels = {"app": "james"} if i % 2 else {"app": f"nobody-{i}"}
            spec = jail(source={"pods": {"selector": {"matchLabels": labels}}})
            self.plane.api.create(self.where("jails"), self.object("jails", f"crowd-{i:04}", spec))

    def test_beside_five_thousand_jails_of_a_tenant_the_good_jail_bans(self):
        began = time.monotonic()
        self.addCleanup(self.plane.kubectl, "delete", "--raw", self.where("jails"))
        self.crowd(range(4950))
        made = time.monotonic()
        self.guarded(1)
        one, agent = self.nodes[1], self.nodes[1].agent
        guarded = time.monotonic()
        took = [self.goes_on("45.42.0.1")]
        controller = self.controller("crowd")
        pod = one.pod("james-0", namespace="shop")
        for i in range(20):
            pod.log.write(failure(f"45.43.0.{i}", milliseconds(), "default"))
        # The last of them come while it guards.
        self.crowd(range(4950, 5000))
        agent.wait(lambda: "Jail shop/crowd-4999" in agent.messages.read_text(errors="replace"), 600)
        took.append(self.goes_on("45.42.0.2"))
        known = time.monotonic()
        controller.wait(lambda: self.condition("jails", "crowd-4999", "Accepted"), 900)
        said = self.condition("jails", "crowd-4999", "Accepted")
        self.assertEqual((said["status"], said["reason"]), ("False", "TooMany"))
        self.assertIn("metadata.namespace: the namespace has 5000 Jails, and only the first 100 by name are in force", said["message"])
        self.assertEqual(self.condition("jails", "crowd-0099", "Accepted")["status"], "True")
        took.append(self.goes_on("45.42.0.3"))
        judged = time.monotonic()
        watches = one.net.run("ss", "-Htn", "state", "established", "dport", "=", "6443").stdout.count("\n")
        print(
            f"4,950 jails made in {made - began:.0f} s, guarded {guarded - made:.0f} s after that, 5,000 known {known - guarded:.0f} s and judged "
            f"{judged - guarded:.0f} s after that; agent {self.memory(agent.process)}, {watches} connections; "
            f"controller {self.memory(controller.process)}; the good jail's bans took {', '.join(f'{t:.1f}' for t in took)} s ",
            end="", flush=True,
        )  # fmt: skip
        self.assertLess(watches, 100)
        self.assertEqual((agent.process.poll(), controller.process.poll()), (None, None))
