"""What one node's agent makes of the cluster: pods to logs, Services to closed ports, and all of it without a server."""

import time

from cluster.agent import Agent
from cluster.api import Refused
from cluster.case import BINARY, REPOSITORY, ClusterCase
from cluster.controlplane import PORT
from cluster.forwarder import Forwarder
from cluster.node import Node
from cluster.services import endpoint_slices, service
from harness.daemon import wait_until
from harness.jameslog import failure

JAILS = "/apis/gaoler.dev/v1alpha1/namespaces/{}/jails"
# The harness' account gets what a release's agent may, and no more.
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "agent-under-test"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "gaoler-agent"},
    "subjects": [{"kind": "ServiceAccount", "name": "gaoler-agent", "namespace": "gaoler-system"}],
}  # fmt: skip


class NodeCase(ClusterCase):
    """A cluster that knows Gaoler's kinds, with two tenants."""

    programs = ("kube-proxy",)
    # Tests share a control plane: each has a namespace of its own.
    count = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.prepare()

    @classmethod
    def prepare(cls):
        """Kinds and rights, also once more after the storage was emptied."""
        cls.plane.kubectl("apply", "--server-side", "-f", REPOSITORY / "crds")
        cls.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        cls.plane.namespace("gaoler")
        cls.plane.kubectl("apply", "--server-side", "-f", REPOSITORY / "deploy" / "kubernetes" / "agent-rbac.yaml")
        cls.plane.apply(BINDING)

    def empty(self):
        """The storage is emptied; kinds, rights, namespaces and nodes come back, and nothing else."""
        self.plane.empty()
        self.prepare()
        for namespace in (self.mail, Node.ACCOUNT_NAMESPACE):
            self.plane.namespace(namespace)
        for node in self.nodes.values():
            node.register_again()
            node.kubeconfig()

    def setUp(self):
        super().setUp()
        NodeCase.count += 1
        self.mail = self.plane.namespace(f"mail-{NodeCase.count}")

    def jail(self, name="james", namespace=None, **spec):
        """A jail that bans at the second failure."""
        namespace = namespace or self.mail
        pods = spec.pop("pods", {"selector": {"matchLabels": {"app": "james"}}})
        body = {
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": name},
            "spec": {"filters": ["james-smtp-auth"], "source": {"pods": pods}, "maxRetry": 2, "banTime": "2h", **spec},
        }  # fmt: skip
        self.addCleanup(lambda: self.gone(f"{JAILS.format(namespace)}/{name}"))
        return self.plane.api.create(JAILS.format(namespace), body)

    def gone(self, path):
        self.plane.kubectl("delete", "--raw", path, check=False)

    def agent(self, node, **options):
        agent = node.start_agent(BINARY, **options)
        agent.wait(lambda: agent.http("/readyz")[0] == 200)
        return agent

    @staticmethod
    def fails(log, address, times=2):
        for _ in range(times):
            log.write(failure(address, int(time.time() * 1000), "default"))

    def banned(self, agent, *addresses):
        agent.wait(lambda: set(addresses) <= agent.kernel_bans())


class Pods(NodeCase):
    def test_lines_of_the_pods_a_jail_selects_are_counted_and_no_others(self):
        node = self.node(1)
        ours = node.pod("james-0", namespace=self.mail, containers=("james", "metrics"))
        other = node.pod("web-0", namespace=self.mail, labels={"app": "web"})
        tenant = self.plane.namespace(f"{self.mail}-tenant")
        theirs = node.pod("james-0", namespace=tenant)
        self.jail()
        agent = self.agent(node)
        self.fails(other.log, "45.0.0.1")
        self.fails(theirs.log, "45.0.0.2")
        self.fails(ours.logs["metrics"], "45.0.0.3")
        self.fails(ours.log, "45.0.0.4")
        self.banned(agent, "45.0.0.3", "45.0.0.4")
        self.assertEqual(agent.kernel_bans(), {"45.0.0.3", "45.0.0.4"})

    def test_pods_that_come_and_change_their_labels_are_followed(self):
        node = self.node(1)
        self.jail()
        agent = self.agent(node)
        pod = node.pod("james-0", namespace=self.mail, labels={"app": "web"})
        self.fails(pod.log, "45.0.1.1")
        late = node.pod("james-1", namespace=self.mail)
        self.fails(late.log, "45.0.1.2")
        self.banned(agent, "45.0.1.2")
        self.assertNotIn("45.0.1.1", agent.kernel_bans())
        self.plane.api.patch(pod.path, {"metadata": {"labels": {"app": "james"}}})
        # What it wrote within `findTime` counts as well: it was never read.
        self.banned(agent, "45.0.1.1")

    def test_rotation_restarts_and_a_pod_deleted_with_unread_lines_lose_nothing(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail()
        agent = self.agent(node)
        self.fails(pod.log, "45.0.2.1", times=1)
        pod.log.rotate(late=[failure("45.0.2.2", 0, "default")])
        self.fails(pod.log, "45.0.2.1", times=1)
        pod.restart()
        self.fails(pod.log, "45.0.2.2", times=1)
        self.banned(agent, "45.0.2.1", "45.0.2.2")
        # The object is gone at once, its logs a moment later, and the last lines in between.
        self.plane.api.delete(pod.path, gracePeriodSeconds=0)
        self.fails(pod.log, "45.0.2.3")
        self.banned(agent, "45.0.2.3")
        # Written while no agent ran, by a pod whose object goes before it starts again.
        last = node.pod("james-1", namespace=self.mail)
        self.fails(last.log, "45.0.2.4", times=1)
        agent.wait(lambda: agent.metric("gaoler_failures_total", jail=f"{self.mail}/james") == 7)
        agent.wait(lambda: "james-1" in (node.directory / "state-cluster").read_text())
        agent.kill()
        self.fails(last.log, "45.0.2.4", times=1)
        self.plane.api.delete(last.path, gracePeriodSeconds=0)
        agent.start()
        self.banned(agent, "45.0.2.4")

    def test_what_a_jail_refuses_leaves_its_neighbours_and_its_own_past_alone(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail("good")
        self.jail("bad", maxRetry=1)
        agent = self.agent(node)
        # The API server's schema lets this pass; the compiler does not.
        self.plane.api.create(
            f"/apis/gaoler.dev/v1alpha1/namespaces/{self.mail}/filters",
            {"apiVersion": "gaoler.dev/v1alpha1", "kind": "Filter", "metadata": {"name": "broken"}, "spec": {"failRegex": ["<HOST> ((("]}},
        )
        self.plane.api.patch(f"{JAILS.format(self.mail)}/bad", {"spec": {"filters": ["broken"]}})
        agent.wait(lambda: "broken" in agent.told(400))
        self.fails(pod.log, "45.0.3.1", times=1)
        # Its last good state bans at the first failure, also after a restart without a server.
        self.banned(agent, "45.0.3.1")


class Scopes(NodeCase):
    def reaches(self, node, server, address, port=25):
        return node.client(address, server).reaches([port], timeout=2) == [port]

    def test_every_way_to_the_pods_is_closed_and_a_neighbours_service_on_the_same_port_is_not(self):
        one, two = self.node(1), self.node(2)
        tenant = self.plane.namespace(f"{self.mail}-tenant")
        pod = one.pod("james-0", namespace=self.mail, ports=[{"containerPort": 25, "hostPort": 2525}])
        neighbour = one.pod("james-0", namespace=tenant, ports=[{"containerPort": 25}])
        servers = [pod.listen([25]), neighbour.listen([25])]
        ours = service(self.plane, "smtp", {25: 25}, namespace=self.mail, kind="LoadBalancer", ingress=["198.51.100.25"], policy="Local")
        theirs = service(self.plane, "smtp", {25: 25}, namespace=tenant, kind="LoadBalancer", ingress=["198.51.100.26"], policy="Local")
        # kube-proxy opens node ports at the node's inner address alone, and no plugin leads a hostPort anywhere.
        servers.append(one.listen([2525, 25, ours["spec"]["ports"][0]["nodePort"]]))
        for held, pods in ((ours, [pod]), (theirs, [neighbour])):
            endpoint_slices(self.plane, held, pods)
        one.start_kube_proxy()
        self.fabric.lead("198.51.100.25", one)
        self.fabric.lead("198.51.100.26", one)
        self.jail()
        agents = [self.agent(one), self.agent(two)]
        evil, good = "45.0.4.1", "45.0.4.2"
        node_port = ours["spec"]["ports"][0]["nodePort"]
        ways = [("198.51.100.25", 25), (pod.ip, 25), (one.wan4, node_port), (one.wan4, 2525)]
        for way in ways:
            wait_until(lambda way=way: self.reaches(one, way[0], evil, way[1]), 60, agents[0].told)
        self.fails(pod.log, evil)
        self.banned(agents[0], evil)
        for server, port in ways:
            self.assertFalse(self.reaches(one, server, evil, port), f"{server}:{port}\n{one.kernel()}")
            self.assertTrue(self.reaches(one, server, good, port), f"{server}:{port}")
        # The neighbour on the same port, and the node's own port 25.
        for server in ("198.51.100.26", neighbour.ip, one.wan4):
            self.assertTrue(self.reaches(one, server, evil), server)
        # A node without the pods closes the Service too, and no pod.
        kernel = two.kernel()
        cluster_ip = ours["spec"]["clusterIP"]
        self.assertIn("198.51.100.25 . 25", kernel)
        self.assertIn(f"{cluster_ip} . 25", kernel)
        self.assertNotIn(f"{pod.ip} . 25", kernel)
        for address in (theirs["spec"]["clusterIP"], "198.51.100.26"):
            self.assertNotIn(f"{address} . 25", kernel)
        del servers

    def test_services_and_selectors_are_followed_live(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail, labels={"app": "james", "tier": "front"})
        node.pod("james-1", namespace=self.mail, labels={"app": "imap"})
        self.jail()
        agent = self.agent(node)
        guarded = lambda made, port: f"{made['spec']['clusterIP']} . {port}" in node.kernel()  # noqa: E731
        smtp = service(self.plane, "smtp", {25: 25}, namespace=self.mail)
        agent.wait(lambda: guarded(smtp, 25))
        imap = service(self.plane, "imap", {143: 143}, namespace=self.mail, selector={"app": "imap"})
        path = f"/api/v1/namespaces/{self.mail}/services/smtp"
        self.plane.api.patch(path, {"spec": {"ports": [{"name": "p", "port": 587, "targetPort": 587}]}})
        agent.wait(lambda: guarded(smtp, 587) and not guarded(smtp, 25))
        self.assertFalse(guarded(imap, 143))
        # The Service leads elsewhere, then nowhere.
        self.plane.api.patch(path, {"spec": {"selector": {"app": None, "tier": "back"}}})
        agent.wait(lambda: not guarded(smtp, 587))
        self.plane.api.patch(path, {"spec": {"selector": {"tier": "front"}}})
        agent.wait(lambda: guarded(smtp, 587))
        # The jail chooses others.
        selector = {"matchLabels": None, "matchExpressions": [{"key": "app", "operator": "In", "values": ["imap"]}]}
        self.plane.api.patch(f"{JAILS.format(self.mail)}/james", {"spec": {"source": {"pods": {"selector": selector}}}})
        agent.wait(lambda: guarded(imap, 143) and not guarded(smtp, 587))
        self.plane.api.delete(f"/api/v1/namespaces/{self.mail}/services/imap")
        agent.wait(lambda: not guarded(imap, 143))
        del pod


class Without(NodeCase):
    """Without an API server."""

    def test_of_many_namespaces_the_services_are_followed_by_one_watch(self):
        node = self.node(1)
        namespaces = [self.plane.namespace(f"{self.mail}-{i:02}") for i in range(65)]
        services = [service(self.plane, "smtp", {25: 25}, namespace=namespace) for namespace in (namespaces[0], namespaces[-1], self.mail)]
        for namespace in namespaces:
            self.jail(namespace=namespace, enforce={"services": ["smtp"]})
        agent = self.agent(node)
        first, last, other = (f"{one['spec']['clusterIP']} . 25" for one in services)
        agent.wait(lambda: first in node.kernel() and last in node.kernel())
        self.assertNotIn(other, node.kernel(), "no jail is there")
        watched = [e["objectRef"].get("namespace", "") for _, verb, name, _, e in self.plane.audited("") if verb == "watch" and name.startswith("services/")]
        self.assertFalse({*watched} & {*namespaces}, watched)
        # One jail fewer, and each has a watch of its own.
        self.gone(f"{JAILS.format(namespaces[0])}/james")
        agent.wait(lambda: first not in node.kernel())
        self.assertIn(last, node.kernel())

    def test_a_node_that_starts_without_a_server_guards_with_what_it_said_last(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        made = service(self.plane, "smtp", {25: 25}, namespace=self.mail)
        self.jail()
        agent = self.agent(node)
        self.fails(pod.log, "45.0.5.1")
        self.banned(agent, "45.0.5.1")
        agent.wait(lambda: (node.directory / "state-cluster").exists() and self.mail in (node.directory / "state-cluster").read_text())
        agent.stop()
        with self.plane.down():
            # The node was made anew: its kernel remembers nothing.
            node.net.run("nft", "delete", "table", "inet", "gaoler")
            agent.start()
            self.banned(agent, "45.0.5.1")
            self.fails(pod.log, "45.0.5.2")
            self.banned(agent, "45.0.5.2")
            self.assertIn(f"{made['spec']['clusterIP']} . 25", node.kernel())
            self.assertEqual(agent.http("/readyz")[0], 200)
            self.assertIn("guarding with what the API server said last", agent.told(400))
        # It is back, with another Service.
        imap = service(self.plane, "imap", {143: 143}, namespace=self.mail)
        agent.wait(lambda: f"{imap['spec']['clusterIP']} . 143" in node.kernel())
        self.assertEqual({"45.0.5.1", "45.0.5.2"} - agent.kernel_bans(), set())

    def test_a_server_that_goes_away_stops_nothing(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail()
        agent = self.agent(node)
        self.fails(pod.log, "45.0.6.1")
        self.banned(agent, "45.0.6.1")
        with self.plane.frozen():
            self.fails(pod.log, "45.0.6.2")
            self.banned(agent, "45.0.6.2")
        with self.plane.down():
            self.fails(pod.log, "45.0.6.3")
            self.banned(agent, "45.0.6.3")
            agent.wait(lambda: self.told(agent, "the API server is not heard"))
        agent.wait(lambda: self.told(agent, "the API server is heard again"))

    def test_the_last_jail_that_is_deleted_while_a_node_is_cut_off_is_forgotten(self):
        node = self.node(1)
        self.jail()
        agent = self.agent(node)
        name = f"{self.mail}/james"
        agent.wait(lambda: name in agent.http("/metrics")[1])
        with self.plane.down():
            self.plane.erase(f"/registry/gaoler.dev/jails/{name}")
        # The list is empty now, and of the same storage: unlike an emptied one, it is believed.
        agent.wait(lambda: name not in agent.http("/metrics")[1], 60)

    def test_an_agent_without_a_server_and_a_past_is_not_ready(self):
        node = self.node(1)
        kubeconfig = node.kubeconfig()
        self.assertTrue(kubeconfig.exists())
        with self.plane.down():
            agent = Agent(node, BINARY, kubeconfig).start()
            self.addCleanup(agent.kill)
            agent.wait(lambda: agent.http("/readyz")[0] == 503)
            self.assertEqual(agent.http("/healthz")[0], 200)
        self.jail()
        agent.wait(lambda: agent.http("/readyz")[0] == 200)

    @staticmethod
    def told(agent, words):
        """How often it said that."""
        return agent.messages.read_text(errors="replace").count(words)


class Restored(NodeCase):
    """The storage is emptied: tests of other classes would miss what was in it."""

    takes = 70

    def test_what_is_declared_after_the_storage_was_emptied_is_learnt(self):
        node = self.node(1)
        self.jail("before")
        agent = self.agent(node)
        agent.wait(lambda: f"{self.mail}/before" in agent.http("/metrics")[1])
        # The versions that its watches have seen are far above those that the new storage begins with.
        versions = self.plane.api.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": "versions"}})
        for turn in range(1500):
            versions = self.plane.api.patch("/api/v1/namespaces/default/configmaps/versions", {"data": {"turn": str(turn)}})
        self.jail("last")
        agent.wait(lambda: f"{self.mail}/last" in agent.http("/metrics")[1])
        high = int(versions["metadata"]["resourceVersion"])
        self.empty()
        pod = node.pod("james-0", namespace=self.mail)
        jail = self.jail("after")
        self.assertLess(int(jail["metadata"]["resourceVersion"]), high)
        agent.wait(lambda: f"{self.mail}/after" in agent.http("/metrics")[1], 120)
        self.fails(pod.log, "45.0.7.1")
        self.banned(agent, "45.0.7.1")
        self.assertNotIn(f"{self.mail}/before", agent.http("/metrics")[1])


class WentBack(NodeCase):
    """The storage is restored from a backup: tests of other classes would miss what was in it."""

    takes = 95

    def test_what_is_declared_after_the_storage_went_back_is_learnt_though_no_watch_broke_off(self):
        forwarder = Forwarder(self.plane.net, self.plane.fabric.API4, 7443, PORT)
        self.addCleanup(forwarder.close)
        self.plane.url = self.plane.url.replace(str(PORT), "7443")
        node = self.node(1)
        self.jail("before")
        agent = self.agent(node)
        agent.wait(lambda: f"{self.mail}/before" in agent.http("/metrics")[1])
        agent.stop()
        backup = self.plane.backup()
        agent.start()
        self.turn(400)
        last = self.jail("last")
        agent.wait(lambda: f"{self.mail}/last" in agent.http("/metrics")[1])
        # The agent asks once a minute which version the storage has, and has not asked since: of the later ones its
        # watches told.
        # Whoever asks meanwhile waits, and is served: nothing is refused.
        forwarder.hold()
        self.plane.restore(backup)
        # It comes as far as it was when the agent asked.
        self.turn(200)
        forwarder.release()
        after = self.jail("after")
        self.assertLess(int(after["metadata"]["resourceVersion"]), int(last["metadata"]["resourceVersion"]))
        agent.wait(lambda: f"{self.mail}/after" in agent.http("/metrics")[1], 150)
        agent.wait(lambda: f"{self.mail}/last" not in agent.http("/metrics")[1])

    def turn(self, times):
        """Lets the storage's version grow by as much."""
        for turn in range(times):
            self.plane.api.patch(f"/api/v1/namespaces/{self.mail}", {"metadata": {"annotations": {"turn": str(turn)}}})


class Reports(NodeCase):
    """What an agent writes about itself, and what it is told to do."""

    AGENTS = "/apis/gaoler.dev/v1alpha1/nodeagents"

    def status(self, node):
        return self.plane.api.get(f"{self.AGENTS}/{node.name}")["status"]

    def condition(self, node, kind, jail=None):
        """The status of a condition of the node, or of a jail on it; None when it is not said."""
        try:
            status = self.status(node)
        except (Refused, KeyError):
            return None
        if jail:
            status = next((j for j in status["jails"] if j["name"] == jail), {})
        return next((c for c in status.get("conditions", ()) if c["type"] == kind), None)

    def test_a_node_says_what_it_reads_and_holds(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail(enforce={"services": ["smtp"]})
        agent = self.agent(node)
        self.fails(pod.log, "45.0.7.1")
        self.banned(agent, "45.0.7.1")
        name = f"{self.mail}/james"
        agent.wait(lambda: self.condition(node, "Ready") and self.status(node)["bans"] == 1)
        status = self.status(node)
        self.assertEqual(self.condition(node, "Ready")["status"], "True")
        self.assertEqual((status["pods"], status["lostBytes"], status["clockAheadMillis"]), (1, 0, 0))
        said = next(jail for jail in status["jails"] if jail["name"] == name)
        self.assertEqual((said["pods"], said["banned"], said["failures"], said["bans"]), (1, 1, 2, 1), said)
        missing = self.condition(node, "ServiceMissing", name)
        self.assertIn("smtp", missing["message"])
        service(self.plane, "smtp", {25: 25}, namespace=self.mail)
        agent.wait(lambda: not self.condition(node, "ServiceMissing", name))
        # It goes with its node.
        owner = self.plane.api.get(f"{self.AGENTS}/{node.name}")["metadata"]["ownerReferences"][0]
        self.assertEqual((owner["kind"], owner["uid"]), ("Node", node.object["metadata"]["uid"]))
        # Somebody deletes it: it is written again.
        self.plane.api.delete(f"{self.AGENTS}/{node.name}")
        agent.wait(lambda: self.condition(node, "Ready"))

    def test_clients_behind_a_node_are_told_and_nobody_is_banned(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        made = service(self.plane, "smtp", {25: 25}, namespace=self.mail, kind="NodePort", policy="Cluster")
        self.jail(banPrivate=True)
        agent = self.agent(node)
        agent.wait(lambda: f"{made['spec']['clusterIP']} . 25" in node.kernel())
        name = f"{self.mail}/james"
        # What kube-proxy makes of a stranger: the node's own address.
        self.fails(pod.log, node.api4, times=3)
        agent.wait(lambda: self.condition(node, "SourceAddressLost", name))
        said = self.condition(node, "SourceAddressLost", name)
        self.assertEqual((said["status"], said["reason"]), ("True", "ExternalTrafficPolicyCluster"))
        for word in (node.api4, "externalTrafficPolicy: Local", "smtp"):
            self.assertIn(word, said["message"])
        self.assertEqual(agent.kernel_bans(), set())

    def test_a_node_that_is_asked_to_clean_up_guards_no_longer_until_it_is_asked_to(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail()
        agent = self.agent(node)
        self.fails(pod.log, "45.0.8.1")
        self.banned(agent, "45.0.8.1")
        agent.wait(lambda: self.condition(node, "Ready"))
        ask = lambda wanted: self.plane.api.patch(f"{self.AGENTS}/{node.name}", {"spec": {"cleanUp": wanted}})  # noqa: E731
        ask(True)
        agent.wait(lambda: (self.condition(node, "CleanedUp") or {}).get("status") == "True")
        agent.wait(lambda: (self.condition(node, "Ready", f"{self.mail}/james") or {}).get("reason") == "CleanedUp")
        self.assertEqual(node.kernel(), "")
        self.assertEqual((agent.http("/readyz")[0], agent.http("/healthz")[0]), (503, 200))
        # Also after a restart, and whatever is written.
        agent.kill()
        agent.start()
        agent.wait(lambda: agent.http("/healthz")[0] == 200)
        self.fails(pod.log, "45.0.8.2")
        agent.wait(lambda: "nothing is guarded" in agent.told(400))
        self.assertEqual(node.kernel(), "")
        ask(False)
        self.assertEqual(agent.process.wait(60), 0, agent.told())
        # The kubelet would start it again.
        agent.start()
        self.banned(agent, "45.0.8.1", "45.0.8.2")

    def test_of_a_cleaned_up_node_nothing_stays_when_its_agent_ends(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail()
        agent = self.agent(node)
        self.fails(pod.log, "45.0.8.3")
        self.banned(agent, "45.0.8.3")
        kept = lambda: [path.name for path in agent.state.parent.glob("state*")]  # noqa: E731
        agent.wait(lambda: "state-cluster" in kept() and "state" in kept())
        self.plane.api.patch(f"{self.AGENTS}/{node.name}", {"spec": {"cleanUp": True}})
        agent.wait(lambda: (self.condition(node, "CleanedUp") or {}).get("status") == "True")
        self.assertEqual(agent.stop(), 0)
        self.assertEqual((kept(), node.kernel()), ([], ""))
