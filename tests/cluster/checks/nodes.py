"""What one node's agent makes of the cluster: pods to logs, Services to closed ports."""

import time

from cluster.case import BINARY, REPOSITORY, ClusterCase
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

    def test_a_jail_that_is_made_again_knows_what_a_new_one_would(self):
        node = self.node(1)
        pod = node.pod("james-0", namespace=self.mail)
        self.jail()
        name = f"{self.mail}/james"
        agent = self.agent(node)
        self.fails(pod.log, "45.0.9.1", times=1)
        pod.log.rotate()
        self.fails(pod.log, "45.0.9.2", times=1)
        agent.wait(lambda: agent.metric("gaoler_failures_total", jail=name) == 2)
        self.plane.api.delete(f"{JAILS.format(self.mail)}/james")
        agent.wait(lambda: name not in agent.http("/metrics")[1])
        self.fails(pod.log, "45.0.9.3", times=1)
        self.jail()
        # As on logs that nobody read before: all of the last `findTime`, each line once.
        agent.wait(lambda: agent.metric("gaoler_failures_total", jail=name) == 3)
        self.assertEqual(agent.kernel_bans(), set())
        for last in ("45.0.9.1", "45.0.9.2", "45.0.9.3"):
            self.fails(pod.log, last, times=1)
        self.banned(agent, "45.0.9.1", "45.0.9.2", "45.0.9.3")
        self.assertEqual(agent.metric("gaoler_failures_total", jail=name), 6)


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
