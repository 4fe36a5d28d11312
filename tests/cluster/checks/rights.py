"""What agents, the controller and people may do, and what they must not: tried, and refused by the API server."""

import json
import time

from cluster.api import Refused
from cluster.installed import GROUP, NAMESPACE, InstalledCase, moment, sliced
from harness.daemon import wait_until

PODS = {"selector": {"matchLabels": {"app": "james"}}}
JAIL = {"filters": ["james-smtp-auth"], "source": {"pods": PODS}}
LIMIT = {"protocol": "TCP", "ports": [25], "hits": 4, "window": "60s"}
ROLES = "/apis/rbac.authorization.k8s.io/v1"
# What an agent writes on each of its slices.
SENT = {"gaoler.dev/epoch": str(int(time.time()) // 600)}


class Agents(InstalledCase):
    def setUp(self):
        super().setUp()
        self.one, self.two = self.register("n1", 1), self.register("n2", 2)
        self.agent = self.as_agent(self.one)
        # Policies hold some moments after they were made.
        wait_until(self.policy_holds, 60)

    def policy_holds(self):
        try:
            self.agent.create(f"{GROUP}/nodeagents?dryRun=All", self.object("nodeagents", "n2", {}))
        except Refused as why:
            return why.status == 403
        return False

    def test_an_agent_reads_what_it_needs_and_writes_what_is_its_own_nodes(self):
        for kind in self.KINDS:
            self.agent.get(f"{GROUP}/{kind}")
        for path in ("/api/v1/pods", "/api/v1/services", "/api/v1/nodes/n1", "/api/v1/namespaces/kube-system"):
            self.agent.get(path)
        self.make("banslices", "n1-0001", {"node": "n1", "bans": [sliced("45.1.2.3", moment())]}, api=self.agent, labels=SENT)
        self.make("sightinglists", "n1", {"node": "n1", "jails": []}, api=self.agent)
        self.make("nodeagents", "n1", {}, api=self.agent)
        self.agent.patch(f"{GROUP}/nodeagents/n1/status", {"status": {"version": "test"}})
        self.agent.patch(f"{GROUP}/sightinglists/n1", {"spec": {"leftOut": 1}})

    def test_an_agent_writes_nothing_of_another_node(self):
        api = self.plane.api
        bans = [sliced("45.1.2.3", moment())]
        self.make("sightinglists", "n2", {"node": "n2", "jails": []})
        self.make("nodeagents", "n2", {})
        for order, word in (
            (lambda: self.agent.create(f"{GROUP}/banslices", self.object("banslices", "n2-0001", {"node": "n2", "bans": bans}, SENT)), "BanSlices"),
            (lambda: self.agent.create(f"{GROUP}/banslices", self.object("banslices", "n1-0001", {"node": "n2", "bans": bans}, SENT)), "BanSlices"),
            (lambda: self.agent.create(f"{GROUP}/banslices", self.object("banslices", "other", {"node": "n1", "bans": bans}, SENT)), "BanSlices"),
            (lambda: self.agent.patch(f"{GROUP}/sightinglists/n2", {"spec": {"leftOut": 9}}), "SightingList"),
            # Another node's by its name, whatever stands in it.
            (lambda: self.agent.create(f"{GROUP}/sightinglists", self.object("sightinglists", "n3", {"node": "n1", "jails": []})), "SightingList"),
            (lambda: self.agent.create(f"{GROUP}/sightinglists", self.object("sightinglists", "n1", {"node": "n3", "jails": []})), "SightingList"),
            (lambda: self.agent.patch(f"{GROUP}/nodeagents/n2", {"spec": {"cleanUp": True}}), "NodeAgent"),
            (lambda: self.agent.patch(f"{GROUP}/nodeagents/n2/status", {"status": {"version": "fake"}}), "NodeAgent"),
        ):
            said = self.refusal(order)
            self.assertIn("the agent of node n1 may write only", said)
            self.assertIn(word, said)
        self.assertNotIn("status", api.get(f"{GROUP}/nodeagents/n2"))

    def test_what_an_agent_never_writes_is_refused_with_the_field(self):
        now, before = moment(), moment(3600)
        good = sliced("45.1.2.3", now, moment(-600))
        jailless = {key: value for key, value in good.items() if key != "jail"}
        wide = "no ban is wider than /8 or /16 (`spec.bans[].prefix`)"
        nobody = "nobody has an address that is loopback, link-local, multicast or unspecified (`spec.bans[].prefix`)"
        label = "has the label `gaoler.dev/epoch`"
        slice = lambda bans, labels: self.object("banslices", "n1-0003", {"node": "n1", "bans": bans}, labels)  # noqa: E731
        orders = [(ban, SENT, words) for ban, words in (
            (jailless, "each ban of an agent is a jail's (`spec.bans[].jail`)"),
            *(({**good, "prefix": prefix}, wide) for prefix in ("0.0.0.0/0", "45.0.0.0/7", "::/0", "2001::/15")),
            *(({**good, "prefix": prefix}, nobody) for prefix in (
                "0.0.0.0", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "fe80::1", "FF02::1",
            )),
            ({**good, "since": now, "until": before}, "a ban ends after it began (`spec.bans[].until`)"),
        )]  # fmt: skip
        orders += [(good, labels, label) for labels in ({}, {"other": "1"}, {"gaoler.dev/epoch": "soon"}, {"gaoler.dev/epoch": ""})]
        for ban, labels, words in orders:
            with self.subTest(ban=ban, labels=labels):
                said = self.refusal(lambda b=ban, ls=labels: self.agent.create(f"{GROUP}/banslices", slice([good, b], ls)))
                self.assertIn(words, said)
        for prefix in ("45.0.0.0/8", "2001:db8::/16", "2001:db8::/64", "1.2.3.4", "223.255.255.255", "64:ff9b::1", "fd00::1"):
            with self.subTest(prefix=prefix):
                self.agent.create(f"{GROUP}/banslices?dryRun=All", slice([{**good, "prefix": prefix}], SENT))
        full = [{**good, "prefix": f"2001:db8:{i:x}:ffff::/64"} for i in range(256)]
        self.agent.create(f"{GROUP}/banslices?dryRun=All", slice(full, SENT))

    def test_an_agent_makes_nothing_that_cannot_be_tidied_away(self):
        words = "an agent puts no finalizer on what it writes (`metadata.finalizers`)"
        held = {"finalizers": ["example.org/mine"]}
        specs = {"banslices": ("n1-0004", {"node": "n1", "bans": [sliced("45.1.2.3", moment())]}), "sightinglists": ("n1", {"node": "n1", "jails": []}), "nodeagents": ("n1", {})}
        for kind, (name, spec) in specs.items():
            with self.subTest(kind=kind):
                body = self.object(kind, name, spec, SENT)
                body["metadata"].update(held)
                self.assertIn(words, self.refusal(lambda k=kind, b=body: self.agent.create(f"{GROUP}/{k}", b)))
        self.make("nodeagents", "n1", {}, api=self.agent)
        where = f"{GROUP}/nodeagents/n1"
        self.assertIn(words, self.refusal(lambda: self.agent.patch(where, {"metadata": held})))
        # What somebody else put there does not keep it from telling how it is.
        self.plane.api.patch(where, {"metadata": held})
        self.agent.patch(f"{where}/status", {"status": {"version": "test"}})
        self.agent.patch(where, {"metadata": {"labels": {"a": "b"}}})
        self.plane.api.patch(where, {"metadata": {"finalizers": []}})

    def test_an_agent_does_not_tell_itself_to_clean_up_nor_undo_that_it_was_told(self):
        words = "an agent does not tell itself to clean up (`spec.cleanUp`)"
        body = self.object("nodeagents", "n1", {"cleanUp": True})
        self.assertIn(words, self.refusal(lambda: self.agent.create(f"{GROUP}/nodeagents", body)))
        self.make("nodeagents", "n1", {}, api=self.agent)
        where = f"{GROUP}/nodeagents/n1"
        self.assertIn(words, self.refusal(lambda: self.agent.patch(where, {"spec": {"cleanUp": True}})))
        self.plane.api.patch(where, {"spec": {"cleanUp": True}})
        self.assertIn(words, self.refusal(lambda: self.agent.patch(where, {"spec": {"cleanUp": False}})))
        # What it writes while it cleans up.
        self.agent.patch(f"{where}/status", {"status": {"version": "test"}})
        applied = {**self.object("nodeagents", "n1", {}), "metadata": {"name": "n1"}}
        self.agent.patch(f"{where}?fieldManager=gaoler-agent&force=true", applied, "apply")
        self.assertTrue(self.plane.api.get(where)["spec"]["cleanUp"])

    def test_a_token_of_the_account_that_names_no_node_writes_nothing(self):
        unbound = self.plane.as_account("gaoler-agent", NAMESPACE)
        said = self.refusal(lambda: unbound.create(f"{GROUP}/nodeagents", self.object("nodeagents", "n1", {})))
        self.assertIn("the agent's token names no node", said)

    def test_what_an_agent_must_not_do_is_refused(self):
        agent, mail = self.agent, f"{GROUP}/namespaces/mail"
        self.make("jails", "james", JAIL, namespace="mail")
        self.make("banslices", "n1-0002", {"node": "n1", "bans": [sliced("45.1.2.3", moment())]})
        self.make("nodeagents", "n1", {})
        pod = {"metadata": {"name": "evil"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        orders = {
            "read a Secret": lambda: agent.get("/api/v1/namespaces/gaoler/secrets/any"),
            "list Secrets": lambda: agent.get("/api/v1/secrets"),
            "read ConfigMaps": lambda: agent.get("/api/v1/configmaps"),
            "make a pod": lambda: agent.create("/api/v1/namespaces/gaoler/pods", pod),
            "change a pod": lambda: agent.patch("/api/v1/namespaces/mail/pods/any", {"metadata": {"labels": {"a": "b"}}}),
            "delete a pod": lambda: agent.delete("/api/v1/namespaces/mail/pods/any"),
            "evict a pod": lambda: agent.create("/api/v1/namespaces/mail/pods/any/eviction", {}),
            "exec": lambda: agent.create("/api/v1/namespaces/mail/pods/any/exec?command=sh", {}),
            "attach a container": lambda: agent.patch("/api/v1/namespaces/mail/pods/any/ephemeralcontainers", {}),
            "read logs by the API": lambda: agent.get("/api/v1/namespaces/mail/pods/any/log"),
            "change its node": lambda: agent.patch("/api/v1/nodes/n1", {"metadata": {"labels": {"a": "b"}}}),
            "reach a kubelet": lambda: agent.get("/api/v1/nodes/n1/proxy/pods"),
            "change a Service": lambda: agent.patch("/api/v1/namespaces/mail/services/any", {}),
            "get a token": lambda: agent.create("/api/v1/namespaces/kube-system/serviceaccounts/default/token", {}),
            "bind a role": lambda: agent.create(f"{ROLES}/clusterrolebindings", {"metadata": {"name": "evil"}}),
            "change its role": lambda: agent.patch(f"{ROLES}/clusterroles/gaoler-agent", {"rules": []}),
            "lift the policy": lambda: agent.delete(
                "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/gaoler-own-node"
            ),
            "remove a definition": lambda: agent.delete("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/jails.gaoler.dev"),
            "take the lease": lambda: agent.create("/apis/coordination.k8s.io/v1/namespaces/gaoler/leases", {"metadata": {"name": "l"}}),
            "make an event": lambda: agent.create("/apis/events.k8s.io/v1/namespaces/mail/events", {"metadata": {"name": "e"}}),
            "make a jail": lambda: agent.create(f"{mail}/jails", self.object("jails", "evil", JAIL)),
            "change a jail": lambda: agent.patch(f"{mail}/jails/james", {"spec": {"mode": "Disabled"}}),
            "write a verdict": lambda: agent.patch(f"{mail}/jails/james/status", {"status": {"banned": 9}}),
            "delete a jail": lambda: agent.delete(f"{mail}/jails/james"),
            "make a filter": lambda: agent.create(f"{mail}/filters", self.object("filters", "evil", {})),
            "make a rate limit": lambda: agent.create(f"{mail}/ratelimits", self.object("ratelimits", "evil", LIMIT)),
            "ban by hand": lambda: agent.create(f"{GROUP}/banlists", self.object("banlists", "evil", {"entries": []})),
            "allow": lambda: agent.create(f"{GROUP}/allowlists", self.object("allowlists", "evil", {"entries": []})),
            "pardon": lambda: agent.create(f"{GROUP}/pardons", self.object("pardons", "evil", {"prefix": "45.0.0.0/8"})),
            "build a house": lambda: agent.create(f"{GROUP}/houses", self.object("houses", "cluster", {"members": []})),
            "delete its own bans": lambda: agent.delete(f"{GROUP}/banslices/n1-0002"),
            "change its own bans": lambda: agent.patch(f"{GROUP}/banslices/n1-0002", {"metadata": {"labels": {"a": "b"}}}),
            "delete a node's state": lambda: agent.delete(f"{GROUP}/nodeagents/n1"),
            "delete what it counted": lambda: agent.delete(f"{GROUP}/sightinglists/n1"),
            "delete all bans": lambda: agent.delete(f"{GROUP}/banslices"),
            "delete a pardon": lambda: agent.delete(f"{GROUP}/pardons/any"),
            "change the House": lambda: agent.patch(f"{GROUP}/houses/cluster", {"spec": {"members": []}}),
            "write a verdict on a list": lambda: agent.patch(f"{GROUP}/banlists/any/status", {"status": {}}),
            "give a Service an address": lambda: agent.patch("/api/v1/namespaces/mail/services/any/status", {"status": {}}),
            "lead a Service elsewhere": lambda: agent.create("/apis/discovery.k8s.io/v1/namespaces/mail/endpointslices", {}),
            "say where a node is": lambda: agent.patch("/api/v1/nodes/n1/status", {"status": {}}),
            "say where a pod is": lambda: agent.patch("/api/v1/namespaces/mail/pods/any/status", {"status": {}}),
            "list namespaces": lambda: agent.get("/api/v1/namespaces"),
            "read another namespace": lambda: agent.get("/api/v1/namespaces/mail"),
            "read leases": lambda: agent.get("/apis/coordination.k8s.io/v1/namespaces/gaoler/leases"),
            "change its DaemonSet": lambda: agent.patch("/apis/apps/v1/namespaces/gaoler/daemonsets/gaoler-agent", {}),
        }
        for what, order in orders.items():
            with self.subTest(what):
                with self.assertRaises(Refused) as caught:
                    order()
                self.assertEqual(caught.exception.status, 403, caught.exception)
                self.assertIn("cannot", caught.exception.message)

    def test_the_controller_removes_what_is_of_no_use_any_more(self):
        """Of some only after years: nothing else would show that the right is there."""
        controller = self.plane.as_account("gaoler-controller", NAMESPACE)
        self.make("pardons", "old", {"prefix": "45.0.0.0/8"})
        self.make("nodeagents", "gone", {})
        self.make("sightinglists", "gone", {"node": "gone", "jails": []})
        self.make("banslices", "gone-1", {"node": "gone", "bans": [sliced("45.1.2.3", moment())]})
        for which in ("pardons/old", "nodeagents/gone", "sightinglists/gone", "banslices/gone-1"):
            with self.subTest(which):
                controller.delete(f"{GROUP}/{which}", dryRun=["All"])

    def test_what_the_controller_must_not_do_is_refused(self):
        controller, mail = self.plane.as_account("gaoler-controller", NAMESPACE), f"{GROUP}/namespaces/mail"
        self.make("jails", "james", JAIL, namespace="mail")
        orders = {
            "list Secrets": lambda: controller.get("/api/v1/secrets"),
            "list pods": lambda: controller.get("/api/v1/pods"),
            "change a jail": lambda: controller.patch(f"{mail}/jails/james", {"spec": {"mode": "Disabled"}}),
            "ban by hand": lambda: controller.create(f"{GROUP}/banlists", self.object("banlists", "evil", {"entries": []})),
            "pardon": lambda: controller.create(f"{GROUP}/pardons", self.object("pardons", "evil", {"prefix": "45.0.0.0/8"})),
            "allow": lambda: controller.create(f"{GROUP}/allowlists", self.object("allowlists", "evil", {"entries": []})),
            "take another lease": lambda: controller.request("PUT", "/apis/coordination.k8s.io/v1/namespaces/gaoler/leases/other", {}),
            "change bans": lambda: controller.patch(f"{GROUP}/banslices/any", {"metadata": {"labels": {"a": "b"}}}),
            "change another House": lambda: controller.patch(f"{GROUP}/houses/other", {"spec": {"members": []}}),
        }
        for what, order in orders.items():
            with self.subTest(what):
                with self.assertRaises(Refused) as caught:
                    order()
                self.assertEqual(caught.exception.status, 403, caught.exception)


class Tenants(InstalledCase):
    """People who may edit their namespace."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Without a controller manager nothing is aggregated into Kubernetes' role `edit`.
        plane = cls.plane
        for person, role, namespace in (
            ("jane", "gaoler-edit", "mail"), ("jane", "gaoler-view", "mail"), ("bob", "gaoler-edit", "mail"), ("bob", "gaoler-view", "mail"),
            ("bob", "gaoler-enforce-anywhere", "mail"), ("bob", "gaoler-edit", "shop"), ("bob", "gaoler-view", "shop"),
        ):  # fmt: skip
            plane.kubectl("create", "rolebinding", f"{person}-{role}", "-n", namespace, f"--clusterrole={role}", f"--user={person}")
        cls.people = {person: plane.user(person) for person in ("jane", "bob")}

    def apply(self, person, kind, name, spec, namespace="mail", dry_run=False):
        """What kubectl says to that person; "" where it is done."""
        body = self.object(kind, name, spec)
        body["metadata"]["namespace"] = namespace
        done = self.plane.kubectl(
            "apply", f"--dry-run={'server' if dry_run else 'none'}", "-f", "-", kubeconfig=self.people[person], input=json.dumps(body), check=False
        )
        return "" if done.returncode == 0 else done.stderr

    def setUp(self):
        super().setUp()
        far = {**JAIL, "enforce": {"allPorts": True}}
        # A policy takes a moment to act, and what was let through before is not judged again: ask without creating.
        wait_until(lambda: "enforce-anywhere" in self.apply("jane", "jails", "probe", far, dry_run=True), 60)
        wait_until(lambda: not self.apply("bob", "jails", "far", far), 60)

    def test_a_jail_that_reaches_beyond_its_namespace_is_refused_with_what_to_do(self):
        for spec, words in (
            ({"enforce": {"allPorts": True}}, "`spec.enforce.allPorts` closes every port of every node"),
            ({"enforce": {"ports": [25]}}, "`spec.enforce.ports` closes ports of every node"),
            ({"prefix": {"ipv4": 16}}, "`spec.prefix` shorter than /24 or /48"),
            ({"prefix": {"ipv4": 24, "ipv6": 32}}, "`spec.prefix` shorter than /24 or /48"),
            ({"brake": {"bansPerMinute": 601}}, "`spec.brake.bansPerMinute` over 600"),
        ):
            with self.subTest(spec=spec):
                said = self.apply("jane", "jails", "james", {**JAIL, **spec})
                self.assertIn(words, said)
                self.assertIn("may bind the ClusterRole gaoler-enforce-anywhere to you", said)
                self.assertEqual(self.apply("bob", "jails", "far", {**JAIL, **spec}), "")

    def test_a_jail_for_the_services_of_its_namespace_is_anybodys_who_may_edit_it(self):
        for spec in ({}, {"enforce": {"services": ["james-smtp"]}}, {"prefix": {"ipv4": 24, "ipv6": 48}}, {"enforce": {"allPorts": False}}, {"brake": {"bansPerMinute": 600}}):
            with self.subTest(spec=spec):
                self.assertEqual(self.apply("jane", "jails", "james", {**JAIL, **spec}), "")

    def test_the_verb_counts_in_the_namespace_in_which_it_was_given(self):
        said = self.apply("bob", "jails", "far", {**JAIL, "enforce": {"allPorts": True}}, "shop")
        self.assertIn("without the verb enforce-anywhere on jails in namespace shop", said)

    def test_who_has_not_the_verb_may_change_labels_of_a_far_reaching_jail_but_not_its_spec(self):
        self.assertEqual(self.apply("bob", "jails", "shared", {**JAIL, "enforce": {"allPorts": True}}), "")
        path = ("patch", "jail", "shared", "-n", "mail", "--type=merge", "-p")
        jane = {"kubeconfig": self.people["jane"], "check": False}
        self.assertEqual(self.plane.kubectl(*path, '{"metadata": {"labels": {"team": "mail"}}}', **jane).returncode, 0)
        self.assertIn("enforce-anywhere", self.plane.kubectl(*path, '{"spec": {"maxRetry": 1}}', **jane).stderr)

    def test_a_rate_limit_of_ports_concerns_everybody_and_one_of_services_only_the_namespace(self):
        own = {**LIMIT, "services": ["james-smtp"]}
        for spec, words in (
            (LIMIT, "a RateLimit without `spec.services` holds on every node"),
            ({"protocol": "ICMP", "hits": 6, "window": "5s"}, "a RateLimit without `spec.services` holds on every node"),
            ({**own, "prefix": {"ipv4": 16}}, "`spec.prefix` shorter than /24 or /48"),
            ({**own, "maxSources": 65537}, "`spec.maxSources` above 65536"),
        ):
            with self.subTest(spec=spec):
                self.assertIn(words, self.apply("jane", "ratelimits", "smtp", spec))
                self.assertEqual(self.apply("bob", "ratelimits", "smtp", spec), "")
        self.assertEqual(self.apply("jane", "ratelimits", "own", own), "")
        self.assertEqual(self.apply("jane", "ratelimits", "own", {**own, "ports": None}), "")

    def test_tenants_neither_allow_nor_pardon_nor_ban_for_others(self):
        for kind, spec in (("allowlists", {"entries": []}), ("banlists", {"entries": []}), ("pardons", {"prefix": "45.1.2.3"})):
            for person in ("jane", "bob"):
                with self.subTest(kind=kind, person=person):
                    self.assertIn("cannot", self.apply(person, kind, "evil", spec, None))
