"""`gaoler controller` under the rights it ships with, on a real API server."""

import json
import signal
import time
from datetime import datetime

from cluster.installed import GROUP, NAMESPACE, InstalledCase, moment, sliced

PODS = {"selector": {"matchLabels": {"app": "james"}}}
JAIL = {"filters": ["james-smtp-auth"], "source": {"pods": PODS}}
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/gaoler-controller"
LONG_AGO = str(int(time.time()) // 600 - 5)


class EmptiedHouse(InstalledCase):
    """The storage is emptied: tests of other classes would miss what was in it."""

    takes = 60

    def house(self):
        return [item["spec"] for item in self.plane.api.get(f"{GROUP}/houses")["items"]]

    def test_the_house_is_written_again_though_nothing_of_it_has_changed(self):
        self.register("n1", 1)
        controller = self.controller("keeper")
        controller.wait(lambda: "10.89.0.11" in json.dumps(self.house()))
        before = self.house()
        self.plane.empty()
        self.install()
        self.register("n1", 1)
        # Its kubelet renews its token.
        self.plane.account(self.directory / "keeper.kubeconfig", "gaoler-controller", NAMESPACE)
        controller.wait(lambda: self.house() == before, 180)


class Controlling(InstalledCase):
    takes = 240

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # No agent reports on it. That is told of a jail when it is half a minute old: it grows old during other tests.
        cls.plane.api.create(f"{GROUP}/namespaces/mail/jails", {"apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": "aged"}, "spec": JAIL})

    def status(self, kind, name, namespace=None):
        where = f"{GROUP}/namespaces/{namespace}/{kind}" if namespace else f"{GROUP}/{kind}"
        return self.plane.api.get(f"{where}/{name}").get("status", {})

    def condition(self, kind, name, about, namespace=None):
        """The condition of that type, {} where there is none."""
        conditions = self.status(kind, name, namespace).get("conditions", [])
        return next((c for c in conditions if c["type"] == about), {})

    def verdict(self, controller, kind, name, wanted, namespace=None):
        """Waits for `Accepted` to be `wanted` and gives it."""
        controller.wait(lambda: self.condition(kind, name, "Accepted", namespace).get("status") == wanted)
        return self.condition(kind, name, "Accepted", namespace)

    def report(self, node, jails, reported=None):
        """What an agent says of its jails."""
        self.plane.api.patch(f"{GROUP}/nodeagents/{node}/status", {"status": {"reported": reported or moment(), "jails": jails}})

    def names(self, kind):
        return {item["metadata"]["name"] for item in self.plane.api.get(f"{GROUP}/{kind}")["items"]}

    # The lease.

    def holder(self):
        return self.plane.api.get(LEASE)["spec"].get("holderIdentity")

    def test_of_two_replicas_one_writes_and_the_other_takes_over(self):
        short = ("--lease", "6s")
        first = self.controller("first", *short)
        first.wait(lambda: first.said("the lease is ours"))
        second = self.controller("second", *short)
        second.wait(lambda: second.said("another controller writes; waiting"))
        self.assertEqual(self.holder(), "first")
        before = self.plane.api.get(LEASE)["spec"]["leaseTransitions"]
        # A crash: the lease runs out.
        first.kill()
        second.wait(lambda: self.holder() == "second")
        # A good end: it is given back, and taken at once.
        third = self.controller("third", *short)
        third.wait(lambda: third.said("another controller writes; waiting"))
        self.assertEqual(second.stop(), 0)
        self.assertTrue(second.said("the lease is given back"))
        third.wait(lambda: self.holder() == "third")
        self.assertEqual(self.plane.api.get(LEASE)["spec"]["leaseTransitions"], before + 2)

    def test_a_replica_that_stood_still_writes_nothing_after_its_lease_went_to_another(self):
        short = ("--lease", "6s")
        first = self.controller("sleeper", *short, "-v")
        first.wait(lambda: first.said("the lease is ours"))
        self.make("jails", "before", JAIL, namespace="mail")
        self.verdict(first, "jails", "before", "True", "mail")
        first.process.send_signal(signal.SIGSTOP)
        second = self.controller("heir", *short)
        second.wait(lambda: self.holder() == "heir")
        first.process.send_signal(signal.SIGCONT)
        first.wait(lambda: first.said("the lease is lost"))
        written = self.writes(first)
        self.make("jails", "after", JAIL, namespace="mail")
        self.verdict(second, "jails", "after", "True", "mail")
        self.assertEqual(self.writes(first), written)
        self.assertEqual(self.holder(), "heir")

    @staticmethod
    def writes(controller):
        """What it said that it wrote."""
        return [line for line in controller.messages.read_text().splitlines() if "written kind" in line or "is written" in line]

    # The House.

    def house(self):
        found = self.plane.api.get(f"{GROUP}/houses")["items"]
        return {m["prefix"]: (m["role"], m.get("name")) for item in found for m in item["spec"]["members"]}

    def test_the_house_follows_the_cluster_and_an_idle_cluster_writes_nothing(self):
        self.register("n1", 1)
        controller = self.controller("keeper")
        controller.wait(lambda: self.house().get("10.89.0.11") == ("Node", "n1"))
        house = self.house()
        self.assertEqual(house["10.88.1.0/24"], ("Pods", "n1"))
        # The range of Services, of which the API server tells, instead of each address.
        self.assertEqual(house["10.96.0.0/16"], ("Service", None))
        self.assertEqual(house["fd00:10::/112"], ("Service", None))
        self.assertEqual(house[self.fabric.API4], ("ApiServer", None))
        self.register("n2", 2)
        controller.wait(lambda: "10.89.0.12" in self.house())
        self.plane.api.delete("/api/v1/nodes/n2")
        controller.wait(lambda: "10.89.0.12" not in self.house())
        self.verdict(controller, "jails", "aged", "True", "mail")
        controller.wait(lambda: self.condition("jails", "aged", "Ready", "mail").get("reason") == "NoAgent", 90)
        version = self.plane.api.get(f"{GROUP}/jails")["metadata"]["resourceVersion"]
        # Longer than the controller goes without looking whether time has changed something.
        time.sleep(12)
        for kind in ("houses", "jails", "banslices", "nodeagents"):
            for item in self.plane.api.get(f"{GROUP}/{kind}")["items"]:
                self.assertLessEqual(int(item["metadata"]["resourceVersion"]), int(version), item["metadata"])

    # Verdicts.

    def test_each_malformed_object_is_reported_on_itself_and_the_others_go_on(self):
        node = self.register("n1", 1)
        self.assertTrue(node)
        self.make("filters", "broken", {"failRegex": ["^login failed from <HOST> (unclosed$"]}, namespace="mail")
        self.make("jails", "good", JAIL, namespace="mail")
        self.make("jails", "nameless", {**JAIL, "filters": ["no-such-filter"]}, namespace="mail")
        self.make("jails", "hanging", {**JAIL, "filters": ["broken"]}, namespace="mail")
        self.make("ratelimits", "smtp", {"protocol": "TCP", "ports": [25], "hits": 4, "window": "60s"}, namespace="mail")
        self.make("allowlists", "everybody", {"entries": [{"prefix": "0.0.0.0/0"}]})
        self.make("allowlists", "office", {"entries": [{"prefix": "198.51.100.7"}]})
        self.make("banlists", "everybody", {"entries": [{"prefix": "0.0.0.0/0"}]})
        self.make("banlists", "a-node", {"entries": [{"prefix": "10.89.0.11"}, {"prefix": "203.0.113.10"}]})
        self.make("banlists", "services", {"entries": [{"prefix": "10.96.7.7"}]})
        self.make("banlists", "feed", {"entries": [{"prefix": "198.51.100.0/24"}, {"prefix": "203.0.113.9"}]})
        controller = self.controller("judge")
        for kind, name, namespace, wanted, reason, words in (
            ("filters", "broken", "mail", "False", "BadRegex", "spec.failRegex[0]"),
            ("jails", "good", "mail", "True", "AsDeclared", ""),
            ("jails", "nameless", "mail", "False", "NoSuchFilter", "there is no filter `no-such-filter`"),
            ("jails", "hanging", "mail", "False", "NoSuchFilter", "the filter `broken` is refused itself; fix: correct the filter"),
            ("ratelimits", "smtp", "mail", "True", "AsDeclared", ""),
            ("allowlists", "everybody", None, "False", "BadEntry", "`0.0.0.0/0` is everybody: nobody could ever be banned"),
            ("allowlists", "office", None, "True", "AsDeclared", ""),
            ("banlists", "everybody", None, "False", "BadEntry", "`0.0.0.0/0` is everybody"),
            ("banlists", "a-node", None, "True", "AsDeclared", ""),
            ("banlists", "services", None, "True", "AsDeclared", ""),
            ("banlists", "feed", None, "True", "AsDeclared", ""),
        ):
            with self.subTest(kind=kind, name=name):
                said = self.verdict(controller, kind, name, wanted, namespace)
                self.assertEqual((said["reason"], said["observedGeneration"]), (reason, 1), said)
                self.assertIn(words, said["message"])
        spared = self.condition("banlists", "feed", "EntriesSpared")
        self.assertIn("`198.51.100.0/24` is not banned: on the allow list office", spared["message"])
        self.assertNotIn("203.0.113.9", spared["message"])
        # Who covers the house falls alone: the rest of such a list is in force.
        for name, words in (("a-node", "`10.89.0.11` is not banned: part of the cluster (node n1)"), ("services", "`10.96.7.7` is not banned: part of the cluster (Service)")):
            spared = self.condition("banlists", name, "EntriesSpared")
            self.assertIn(words, spared["message"])
            self.assertNotIn("203.0.113.10", spared["message"])
        # Corrected, it is accepted, and what hung on it too.
        was = self.condition("jails", "hanging", "Accepted", "mail")
        self.plane.api.patch(f"{GROUP}/namespaces/mail/filters/broken", {"spec": {"failRegex": ["^login failed from <HOST>$"]}})
        self.verdict(controller, "filters", "broken", "True", "mail")
        now = self.verdict(controller, "jails", "hanging", "True", "mail")
        self.assertEqual(self.status("filters", "broken", "mail")["observedGeneration"], 2)
        self.assertGreaterEqual(now["lastTransitionTime"], was["lastTransitionTime"])

    # Totals.

    def test_a_jails_status_tells_what_all_agents_say(self):
        for number in (1, 2, 3):
            self.register(f"n{number}", number)
            self.make("nodeagents", f"n{number}", {})
        self.make("jails", "james", JAIL, namespace="mail")
        self.make("jails", "empty", {**JAIL, "source": {"pods": {"selector": {"matchLabels": {"app": "nobody"}}}}}, namespace="mail")
        braking = {"type": "Braking", "status": "True", "reason": "TooMany", "message": "601 bans a minute", "lastTransitionTime": moment()}
        self.report("n1", [{"name": "mail/james", "pods": 2, "watched": 4, "banned": 7}])
        self.report("n2", [{"name": "mail/james", "pods": 1, "watched": 6, "banned": 7}])
        self.report("n3", [])
        controller = self.controller("counter")

        def totals():
            status = self.status("jails", "james", "mail")
            return tuple(status.get(k) for k in ("nodes", "pods", "failing", "banned"))

        controller.wait(lambda: totals() == (2, 3, 6, 7))
        ready = self.condition("jails", "james", "Ready", "mail")
        self.assertEqual((ready["status"], ready["reason"], ready["message"]), ("True", "Guarding", "guards, reading 3 pods on 2 nodes"))
        self.report("n2", [{"name": "mail/james", "pods": 1, "watched": 6, "banned": 7, "conditions": [braking]}])
        controller.wait(lambda: self.condition("jails", "james", "Braking", "mail").get("message") == "on n2: 601 bans a minute")
        ready = self.condition("jails", "james", "Ready", "mail")
        self.assertEqual((ready["status"], ready["reason"]), ("False", "Braking"))
        # After its time a jail that reads nothing says which selector matched nothing.
        controller.wait(lambda: self.condition("jails", "empty", "SourceMissing", "mail"), 90)
        self.assertIn("no agent found a pod that `app=nobody` selects", self.condition("jails", "empty", "SourceMissing", "mail")["message"])
        # Bursts of reports are one write each five seconds.
        writes = []
        for banned in range(40):
            self.report("n1", [{"name": "mail/james", "pods": 2, "watched": 4, "banned": 100 + banned}])
            writes.append(self.status("jails", "james", "mail")["banned"])
            time.sleep(0.25)
        self.assertLessEqual(len(set(writes)), 5, writes)
        controller.wait(lambda: totals() == (2, 3, 6, 139))

    # Events.

    def test_new_bans_are_told_on_their_jail_and_many_in_one(self):
        jail = self.make("jails", "james", JAIL, namespace="mail")
        controller = self.controller("crier")
        controller.wait(lambda: self.condition("jails", "james", "Accepted", "mail"))
        self.make("banslices", "n1-old", {"node": "n1", "bans": [sliced("45.9.9.9", moment(3600), moment(3000))]})
        first = sliced("45.129.14.30", moment(), moment(-600), others=["n2"])
        self.make("banslices", "n1-a", {"node": "n1", "bans": [first]})
        self.make("banslices", "n2-a", {"node": "n2", "bans": [first]})

        def notes(reason):
            items = self.plane.api.get("/apis/events.k8s.io/v1/namespaces/mail/events")["items"]
            return [e["note"] for e in items if e["reason"] == reason and e["regarding"]["uid"] == jail["metadata"]["uid"]]

        controller.wait(lambda: notes("Banned"))
        time.sleep(3)
        self.assertEqual(notes("Banned"), ["Banned 45.129.14.30 for 10m: 5 x james-smtp-auth on n1,n2"])
        crowd = [sliced(f"45.130.0.{i}", moment(), moment(-600)) for i in range(200)]
        self.make("banslices", "n1-b", {"node": "n1", "bans": crowd})
        controller.wait(lambda: notes("BannedMany"), 90)
        self.assertEqual(len(notes("Banned")), 10)
        self.assertIn("Banned 191 more within a minute, among them 45.130.0.9,", notes("BannedMany")[0])
        told = self.plane.kubectl("describe", "jail", "james", "-n", "mail").stdout
        self.assertIn("Banned 45.129.14.30 for 10m: 5 x james-smtp-auth on n1,n2", told)

    # A wrong clock.

    def check_with_clock(self, ahead):
        self.register("n1", 1)
        self.make("nodeagents", "n1", {})
        jail = self.make("jails", "james", {**JAIL, "escalation": {"forgetAfter": "1h"}}, namespace="mail")
        self.report("n1", [{"name": "mail/james", "pods": 2, "watched": 4, "banned": 7}])
        old, young = {"gaoler.dev/epoch": LONG_AGO}, {"gaoler.dev/epoch": str(int(time.time()) // 600)}
        for i in range(8):
            self.make("banslices", f"n1-{i}", {"node": "n1", "bans": [sliced(f"45.12.0.{i}", moment(7200), moment(-36000))]}, labels=old)
            self.make("banslices", f"n1-young-{i}", {"node": "n1", "bans": [sliced(f"45.12.1.{i}", moment(1800), moment(-600))]}, labels=young)
        self.make("banslices", "n1-remembered", {"node": "n1", "bans": [sliced("45.12.2.1", moment(1800), moment(1200))]}, labels=old)
        controller = self.controller("dreamer", clock_ahead=ahead)
        self.addCleanup(lambda: [self.forget(f"{GROUP}/banslices/{name}") for name in self.names("banslices") if name.startswith("merged-")])
        controller.wait(lambda: self.condition("jails", "james", "Ready", "mail").get("reason") == "Guarding")
        self.assertEqual(self.status("jails", "james", "mail")["banned"], 7)
        # A jail that is older than its time of grace has had it.
        controller.wait(lambda: self.condition("jails", "aged", "Ready", "mail").get("reason") == "SourceMissing", 90)
        changed = datetime.fromisoformat(self.condition("jails", "james", "Ready", "mail")["lastTransitionTime"].replace("Z", "+00:00"))
        self.assertAlmostEqual(changed.timestamp(), time.time(), delta=120)
        self.make("banslices", "n1-news", {"node": "n1", "bans": [sliced("45.12.3.1", moment(), moment(-600))]}, labels=young)

        def notes():
            items = self.plane.api.get("/apis/events.k8s.io/v1/namespaces/mail/events")["items"]
            return [e["note"] for e in items if e["regarding"]["uid"] == jail["metadata"]["uid"]]

        controller.wait(notes)
        # What nobody watches any more is merged, what agents watch is left alone.
        controller.wait(lambda: not {f"n1-{i}" for i in range(8)} & self.names("banslices"), 90)
        time.sleep(3)
        self.assertLessEqual({f"n1-young-{i}" for i in range(8)} | {"n1-news"}, self.names("banslices"))
        slices = self.plane.api.get(f"{GROUP}/banslices")["items"]
        self.assertIn("45.12.2.1", {ban["prefix"] for one in slices for ban in one["spec"]["bans"]}, "what its jail remembers")
        self.assertEqual(notes(), ["Banned 45.12.3.1 for 10m: 5 x james-smtp-auth on n1"], "and nothing old")
        self.assertTrue(controller.said(f"clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the API server's"), controller.told())

    def test_a_controller_whose_clock_is_an_hour_ahead_says_and_does_the_same(self):
        self.check_with_clock(3600)

    def test_a_controller_whose_clock_is_an_hour_behind_says_and_does_the_same(self):
        self.check_with_clock(-3600)

    def test_a_controller_whose_clock_is_two_minutes_ahead_tells_new_bans(self):
        self.check_with_clock(125)

    # Tidying.

    def test_slices_that_nobody_watches_are_merged_and_useless_ones_removed(self):
        self.register("n1", 1)
        self.make("jails", "james", {**JAIL, "escalation": {"forgetAfter": "1h"}}, namespace="mail")
        old = {"gaoler.dev/epoch": LONG_AGO}
        for i in range(20):
            bans = [sliced(f"45.10.0.{i}", moment(7200), moment(-36000))]
            self.make("banslices", f"n1-{i:04}", {"node": "n1", "bans": bans}, labels=old)
        young = [sliced("45.10.1.1", moment(), moment(-600))]
        for i in range(10):
            self.make("banslices", f"n1-young-{i}", {"node": "n1", "bans": young})
        over = [sliced("45.10.2.1", moment(90000), moment(80000)), sliced("45.10.2.2", moment(90000), moment(80000))]
        self.make("banslices", "n1-over", {"node": "n1", "bans": over}, labels=old)
        within = [sliced("45.10.2.3", moment(1200), moment(600))]
        self.make("banslices", "n1-remembered", {"node": "n1", "bans": within}, labels=old)
        controller = self.controller("sweeper")
        old_ones = {"n1-over", "n1-remembered", *(f"n1-{i:04}" for i in range(20))}
        controller.wait(lambda: not old_ones & self.names("banslices"), 90)
        left = self.names("banslices")
        merged = {name for name in left if name.startswith("merged-")}
        self.assertEqual((len(merged), len(left - merged)), (1, 10), left)
        (name,) = merged
        spec = self.plane.api.get(f"{GROUP}/banslices/{name}")["spec"]
        self.addCleanup(self.forget, f"{GROUP}/banslices/{name}")
        kept = {f"45.10.0.{i}" for i in range(20)} | {"45.10.2.3"}
        self.assertEqual((spec["node"], {ban["prefix"] for ban in spec["bans"]}), ("n1", kept))

    def test_a_merged_slice_is_there_before_its_parts_are_gone(self):
        old = {"gaoler.dev/epoch": LONG_AGO}
        for i in range(8):
            self.make("banslices", f"n1-{i}", {"node": "n1", "bans": [sliced(f"45.11.0.{i}", moment(7200), moment(-36000))]}, labels=old)
        since = self.plane.api.get(f"{GROUP}/banslices")["metadata"]["resourceVersion"]
        controller = self.controller("merger")
        controller.wait(lambda: "n1-7" not in self.names("banslices"), 90)
        events = []
        for what, object in self.plane.api.watch(f"{GROUP}/banslices", since):
            events.append((what, object["metadata"]["name"]))
            if len(events) == 9:
                break
        self.assertTrue(events[0][0] == "ADDED" and events[0][1].startswith("merged-"), events)
        self.addCleanup(self.forget, f"{GROUP}/banslices/{events[0][1]}")
        self.assertEqual({name for what, name in events[1:] if what == "DELETED"}, {f"n1-{i}" for i in range(8)})

    def test_a_ban_in_a_slice_of_its_own_costs_a_watcher_less_than_a_kibibyte(self):
        """The size that src/kubernetes/controller/traffic.rs reckons with, of a real server's event."""
        since = self.plane.api.get(f"{GROUP}/banslices")["metadata"]["resourceVersion"]
        ban = sliced("45.129.140.30", moment(), moment(-600), jail="mail/james-auth", others=["worker-02", "worker-03"])
        ban["first"] = ban["since"] = "2026-11-22T20:00:00.123456Z"
        name = "worker-01-00000000000ab"
        self.make("banslices", name, {"node": "worker-01", "bans": [ban]}, labels={"gaoler.dev/epoch": "2991666"})
        what, object = next(self.plane.api.watch(f"{GROUP}/banslices", since))
        size = len(json.dumps({"type": what, "object": object}, separators=(",", ":")))
        print(f"{size} bytes ", end="", flush=True)
        self.assertLess(size, 1024)

    def test_what_a_gone_node_left_is_removed_only_after_a_while(self):
        self.register("n1", 1)
        for name in ("n1", "gone"):
            self.make("nodeagents", name, {})
            self.make("sightinglists", name, {"node": name, "jails": []})
        controller = self.controller("porter")
        controller.wait(lambda: controller.said("the declarations were judged"))
        time.sleep(35)
        # Two rounds later nothing is gone: five minutes have not passed.
        self.assertEqual(self.names("nodeagents"), {"n1", "gone"})
        self.assertEqual(self.names("sightinglists"), {"n1", "gone"})
