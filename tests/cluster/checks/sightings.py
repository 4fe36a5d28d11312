"""Failures counted across replicas: the verdicts of several nodes are those of one central log."""

import random
import time

from cluster.api import Refused
from cluster.services import service
from harness.jameslog import failure
from harness.oracle import banned
from nodes import NodeCase

LISTS = "/apis/gaoler.dev/v1alpha1/sightinglists"


class Sightings(NodeCase):
    takes = 100

    def replicas(self, count=3):
        """Nodes with a replica each, and their agents once all know of each other."""
        nodes = [self.node(number) for number in range(1, count + 1)]
        pods = [node.pod(f"james-{node.number}", namespace=self.mail, ports=[{"containerPort": 25}]) for node in nodes]
        return nodes, pods

    def agents(self, nodes, jail="james"):
        agents = [self.agent(node) for node in nodes]
        agents[0].wait(lambda: self.counting(jail) == {node.name for node in nodes})
        return agents

    def lists(self):
        return self.plane.api.get(LISTS)["items"]

    def counting(self, jail):
        """The nodes that say they count for a jail."""
        name = f"{self.mail}/{jail}"
        return {one["spec"]["node"] for one in self.lists() if any(j["jail"] == name for j in one["spec"]["jails"])}

    def writes(self):
        return {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in self.lists()}

    def test_an_attacker_spread_over_three_nodes_is_dropped_on_all_of_them_and_counting_per_node_would_not_have_banned(self):
        nodes, pods = self.replicas()
        servers = [pod.listen([25]) for pod in pods]
        service(self.plane, "james-smtp", {25: 25}, namespace=self.mail)
        self.jail("james", maxRetry=5, enforce={"services": ["james-smtp"]})
        self.jail("alone", maxRetry=5, count="Node", enforce={"services": ["james-smtp"]})
        agents = self.agents(nodes)
        attacker, innocent = "45.1.0.1", "45.1.0.2"
        for node, pod in zip(nodes, pods):
            self.assertEqual(node.client(attacker, pod.ip).reaches([25]), [25])
        for pod, times in zip(pods, (2, 2, 1)):
            self.fails(pod.log, attacker, times)
        for agent in agents:
            self.banned(agent, attacker)
        for node, pod, agent in zip(nodes, pods, agents):
            agent.wait(lambda node=node, pod=pod: node.client(attacker, pod.ip).reaches([25]) == [])
            self.assertEqual(node.client(innocent, pod.ip).reaches([25]), [25])
        # The other jail read the same lines and counted each node for itself.
        name = {"jail": f"{self.mail}/alone"}
        for agent, times in zip(agents, (2, 2, 1)):
            agent.wait(lambda agent=agent, times=times: agent.metric("gaoler_failures_total", **name) == times)
        self.assertEqual(sum(agent.metric("gaoler_bans_total", **name) or 0 for agent in agents), 0)
        slices = self.plane.api.get("/apis/gaoler.dev/v1alpha1/banslices")["items"]
        entries = [ban for one in slices for ban in one["spec"]["bans"] if ban["prefix"] == attacker]
        self.assertTrue(entries)
        self.assertEqual({(ban["jail"], ban.get("n", 1), ban["weight"]) for ban in entries}, {(f"{self.mail}/james", 1, 5)})
        self.assertEqual(len({(ban["since"], ban["until"]) for ban in entries}), 1, entries)
        for one in slices:
            for ban in one["spec"]["bans"]:
                self.assertEqual({one["spec"]["node"], *ban["with"]}, {"n1", "n2", "n3"})
        del servers

    def test_an_idle_cluster_writes_nothing(self):
        nodes, pods = self.replicas(2)
        self.jail("james", maxRetry=9)
        agents = self.agents(nodes)
        self.fails(pods[0].log, "45.1.1.1", 5)
        self.fails(pods[1].log, "45.1.1.1", 1)
        agents[0].wait(lambda: sum(len(j.get("subjects", [])) for one in self.lists() for j in one["spec"]["jails"]) == 2)
        before = self.writes()
        time.sleep(5)
        self.assertEqual(self.writes(), before)

    def test_verdicts_over_three_nodes_equal_one_central_log_also_when_agents_are_killed(self):
        """1,000 attackers for a minute, each try at any node; every agent is killed once and started again."""
        nodes, pods = self.replicas()
        self.jail("james", maxRetry=5, findTime="20s", brake={"bansPerMinute": 100000})
        agents = self.agents(nodes)
        chance = random.Random(7)
        begin, span = time.time() + 1, 60
        tries = []
        for number in range(1000):
            address = f"45.2.{number // 250}.{number % 250 + 1}"
            # Some hurry, some take their time: the window decides.
            length = chance.choice((10, 20, 25, 40, 60))
            start = chance.uniform(0, span - length)
            for _ in range(chance.randint(3, 8)):
                tries.append((round((begin + start + chance.uniform(0, length)) * 1000), address, chance.randrange(3)))
        tries.sort()
        merged = [(when, address) for when, address, _ in tries]
        wanted = banned(merged, 5, 20_000)
        alone = set().union(*(banned([(w, a) for w, a, at in tries if at == node], 5, 20_000) for node in range(3)))
        # Kills the agent of a node at so many seconds, and starts it again so much later.
        plan = [(12, 0, 0.0), (28, 1, 3.0), (44, 2, 0.0)]
        plan = sorted([(at, node, "kill") for at, node, _ in plan] + [(at + wait, node, "start") for at, node, wait in plan])
        for when, address, at in tries:
            while plan and time.time() >= begin + plan[0][0]:
                _, node, what = plan.pop(0)
                getattr(agents[node], what)()
            time.sleep(max(0.0, when / 1000 - time.time()))
            pods[at].log.write(failure(address, when, "default"), at=when * 1_000_000)
        self.assertEqual(plan, [])
        print(f"{len(tries)} failures, {len(wanted)} to be banned, {len(alone)} by counting per node ", end="", flush=True)
        self.assertGreater(len(wanted - alone), 300)
        self.assertGreater(len({address for _, address in merged} - wanted), 200)
        for agent in agents:
            agent.wait(lambda agent=agent: wanted <= agent.kernel_bans(), timeout=30)
        # Nothing can come any more: what they saw has slid out of every window.
        time.sleep(5)
        for agent in agents:
            self.assertEqual(agent.kernel_bans(), wanted)

    def gone(self, path):
        super().gone(path)
        for one in self.lists():
            self.plane.kubectl("delete", "--raw", f"{LISTS}/{one['metadata']['name']}", check=False)


class EmptiedSightings(NodeCase):
    """The storage is emptied: tests of other classes would miss what was in it."""

    takes = 75

    def test_a_list_is_written_again_though_nothing_new_was_seen(self):
        nodes = [self.node(number) for number in (1, 2)]
        pods = [node.pod(f"james-{node.number}", namespace=self.mail) for node in nodes]
        self.jail()
        one, two = (self.agent(node) for node in nodes)
        wanted = [(node.name, [f"{self.mail}/james"]) for node in nodes]
        one.wait(lambda: self.told() == wanted)
        # What the other node was told, this one's own watch has told it too.
        self.fails(pods[0].log, "45.1.9.1", times=1)
        two.wait(lambda: two.metric("gaoler_sightings_received_total"))
        self.empty()
        one.wait(lambda: self.told() == wanted, 180)

    def told(self):
        """The nodes that have a list, and the jails in it."""
        try:
            lists = [one["spec"] for one in self.plane.api.get(LISTS)["items"]]
        except Refused:
            # A new kind's storage begins.
            return []
        return [(one["node"], [jail["jail"] for jail in one["jails"]]) for one in lists]
