"""Nodes whose API server goes away, comes back, and comes back with another past."""

from cluster.agent import Agent
from cluster.case import BINARY
from cluster.controlplane import PORT
from cluster.forwarder import Forwarder
from cluster.services import service
from nodes import JAILS, NodeCase


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
