"""What an agent writes about itself, and what it is told to do."""

from cluster.api import Refused
from cluster.services import service
from nodes import NodeCase


class Reports(NodeCase):
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
