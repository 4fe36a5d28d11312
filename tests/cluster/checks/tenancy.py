"""What tenants write into their own Services and pods closes nothing of their neighbours', by real packets."""

from cluster.api import Refused
from cluster.services import endpoint_slices, service
from harness.daemon import wait_until
from nodes import NodeCase

AGENTS = "/apis/gaoler.dev/v1alpha1/nodeagents"


class Tenancy(NodeCase):
    """The jail's namespace is a hostile tenant's; `self.victims` is his neighbour's."""

    def setUp(self):
        super().setUp()
        self.victims = self.plane.namespace(f"{self.mail}-neighbour")
        self.one = self.node(1)
        self.servers = []

    def victim(self):
        """A neighbour's pod that listens."""
        pod = self.one.pod("james-0", namespace=self.victims, ports=[{"containerPort": 25}])
        self.servers.append(pod.listen([25]))
        return pod

    def own(self, address, port=25):
        """An address that ends at this node, where somebody listens."""
        self.one.own(address)
        self.servers.append(self.one.listen([port], address))
        return address

    def reaches(self, client, server, port=25):
        return self.one.client(client, server).reaches([port], timeout=2) == [port]

    def left_out(self):
        """What the jail's condition on this node says."""
        try:
            jails = self.plane.api.get(f"{AGENTS}/{self.one.name}")["status"]["jails"]
        except (Refused, KeyError):
            return ""
        said = [c for jail in jails if jail["name"] == f"{self.mail}/james" for c in jail.get("conditions", ())]
        return next((c["message"] for c in said if c["type"] == "AddressesLeftOut" and c["status"] == "True"), "")

    def test_an_address_that_a_service_claims_closes_nobody_elses(self):
        one, victim = self.one, self.victim()
        pod = one.pod("james-0", namespace=self.mail, ports=[{"containerPort": 25}])
        self.servers.append(pod.listen([25]))
        balanced, contested, free = (self.own(a) for a in ("198.51.100.27", "203.0.113.80", "203.0.113.81"))
        self.servers.append(one.listen([25]))
        theirs = service(
            self.plane, "smtp", {25: 25}, namespace=self.victims, kind="LoadBalancer", ingress=[balanced], policy="Local", externalIPs=[contested]
        )
        grabbed = [balanced, theirs["spec"]["clusterIP"], one.wan4, one.api4, victim.ip, contested, free]
        service(self.plane, "smtp", {25: 25}, namespace=self.mail, externalIPs=grabbed)
        self.jail()
        agent = self.agent(one)
        evil, good = "45.20.0.1", "45.20.0.2"
        agent.wait(lambda: f"{free} . 25" in one.kernel())
        for server in (balanced, contested, free, one.wan4, victim.ip, pod.ip):
            wait_until(lambda server=server: self.reaches(evil, server), 60, agent.told)
        self.fails(pod.log, evil)
        self.banned(agent, evil)
        for server in (free, pod.ip):
            self.assertFalse(self.reaches(evil, server), f"{server}\n{one.kernel()}")
            self.assertTrue(self.reaches(good, server), server)
        for server in (balanced, contested, one.wan4, victim.ip):
            self.assertTrue(self.reaches(evil, server), f"{server}\n{one.kernel()}")
        for address in set(grabbed) - {free}:
            self.assertNotIn(f"{address} . 25", one.kernel())
        # The tenant is told, and not who his neighbour is.
        agent.wait(self.left_out)
        said = self.left_out()
        for words in (f"{one.wan4} of `externalIPs` of Service smtp: it is a node's", "a Service of another namespace", "fix: "):
            self.assertIn(words, said)
        self.assertNotIn(self.victims, said)
        # The neighbour gives it up: now it is the tenant's.
        self.plane.api.delete(f"/api/v1/namespaces/{self.victims}/services/smtp")
        agent.wait(lambda: f"{contested} . 25" in one.kernel())
        self.assertFalse(self.reaches(evil, contested))
        # A neighbour gets an address that was claimed: it goes before the claim.
        service(self.plane, "late", {25: 25}, namespace=self.victims, kind="LoadBalancer", ingress=[free], policy="Local")
        agent.wait(lambda: f"{free} . 25" not in one.kernel())
        self.assertTrue(self.reaches(evil, free))

    def test_a_host_port_at_an_address_that_is_not_the_nodes_closes_nothing(self):
        one, victim = self.one, self.victim()
        balanced = self.own("198.51.100.27")
        self.servers.append(one.listen([2525]))
        pods = [
            one.pod(f"james-{n}", namespace=self.mail, ports=[{"containerPort": 2500 + n, "hostPort": port, "hostIP": address}])
            for n, (address, port) in enumerate(((victim.ip, 25), (balanced, 25), (one.wan4, 2525)))
        ]
        self.jail()
        agent = self.agent(one)
        evil, good = "45.20.1.1", "45.20.1.2"
        agent.wait(lambda: f"{one.wan4} . 2525" in one.kernel())
        self.fails(pods[0].log, evil)
        self.banned(agent, evil)
        self.assertFalse(self.reaches(evil, one.wan4, 2525), one.kernel())
        self.assertTrue(self.reaches(good, one.wan4, 2525))
        for server in (victim.ip, balanced):
            self.assertTrue(self.reaches(evil, server), f"{server}\n{one.kernel()}")
        agent.wait(self.left_out)
        for address in (victim.ip, balanced):
            self.assertIn(f"{address} of `hostIP` of pod", self.left_out())
        self.assertNotIn(one.wan4, self.left_out())

    def test_a_service_that_is_led_to_a_neighbours_pod_closes_nothing_of_it(self):
        one, victim = self.one, self.victim()
        pod = one.pod("james-0", namespace=self.mail, ports=[{"containerPort": 25}])
        self.servers.append(pod.listen([25]))
        ports = [{"name": "smtp", "port": 25, "targetPort": 25}]
        path = f"/api/v1/namespaces/{self.mail}/services"
        by_hand = self.plane.api.create(path, {"metadata": {"name": "by-hand"}, "spec": {"ports": ports}})
        endpoint_slices(self.plane, by_hand, [victim])
        named = {"metadata": {"name": "named"}, "spec": {"type": "ExternalName", "externalName": f"smtp.{self.victims}.svc", "ports": ports}}
        self.plane.api.create(path, named)
        self.jail(enforce={"services": ["by-hand", "named"]})
        agent = self.agent(one)
        evil = "45.20.2.1"
        agent.wait(lambda: f"{by_hand['spec']['clusterIP']} . 25" in one.kernel())
        self.fails(pod.log, evil)
        self.banned(agent, evil)
        self.assertFalse(self.reaches(evil, pod.ip), one.kernel())
        self.assertTrue(self.reaches(evil, victim.ip), one.kernel())

    def test_a_jail_that_names_a_neighbours_pods_and_services_finds_none(self):
        one, victim = self.one, self.victim()
        theirs = service(self.plane, "smtp", {25: 25}, namespace=self.victims)
        # A node knows the Services of namespaces with jails only: the neighbour has one, of other pods and ports.
        self.jail("theirs", namespace=self.victims, pods={"selector": {"matchLabels": {"app": "shop"}}}, enforce={"services": ["shop"]})
        self.jail(enforce={"services": ["smtp"]})
        agent = self.agent(one)
        self.fails(victim.log, "45.20.3.1")
        # A sign that what was written before was read or never will be.
        pod = one.pod("james-0", namespace=self.mail)
        self.fails(pod.log, "45.20.3.2")
        self.banned(agent, "45.20.3.2")
        self.assertEqual(agent.kernel_bans(), {"45.20.3.2"})
        for address in (theirs["spec"]["clusterIP"], victim.ip):
            self.assertNotIn(f"{address} . 25", one.kernel())
            self.assertTrue(self.reaches("45.20.3.2", victim.ip))
