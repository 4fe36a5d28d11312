"""Rate limits on the nodes of a cluster: real packets at every way to a Service, and what is told of them."""

import contextlib
import os
import socket
import time

from cluster.case import BINARY, REPOSITORY
from cluster.installed import GROUP, InstalledCase
from cluster.manifests import as_json, documents
from cluster.services import endpoint_slices, service
from harness.daemon import wait_until
from nodes import BINDING, NodeCase

LIMITS = "/apis/gaoler.dev/v1alpha1/namespaces/{}/ratelimits"


def limits(agent, name):
    """Packets over a limit, as this node's metrics tell."""
    return agent.metric("gaoler_ratelimit_packets_total", ratelimit=name)


class LimitCase(NodeCase):
    def limit(self, name="smtp", namespace=None, **spec):
        """Two connections pass and the third is refused, for longer than a test takes."""
        namespace = namespace or self.mail
        body = {
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "RateLimit", "metadata": {"name": name},
            "spec": {"protocol": "TCP", "hits": 3, "window": "1h", "penalty": "Excess", **spec},
        }  # fmt: skip
        path = LIMITS.format(namespace)
        self.addCleanup(lambda: self.gone(f"{path}/{name}"))
        return self.plane.api.create(path, body)

    # Sources that asked whether a way is there: each asks once, as it is counted.
    asked = 0

    def opened(self, node, way):
        """Whether a stranger gets in there."""
        LimitCase.asked += 1
        n = LimitCase.asked
        source = f"2001:db8:bad:9{n:03}::1" if ":" in way[0] else f"45.9.{n // 250}.{n % 250 + 1}"
        return self.opens(node, source, way, 1) == "y"

    def house(self, *nodes):
        """What the controller would gather of these nodes."""
        members = [{"prefix": a, "role": "Node", "name": n.name} for n in nodes for a in (n.wan4, n.wan6, n.api4, n.api6)]
        members += [{"prefix": p, "role": "Pods", "name": n.name} for n in nodes for p in (n.pods4, n.pods6)]
        self.addCleanup(lambda: self.gone(f"{GROUP}/houses/cluster"))
        body = {"apiVersion": "gaoler.dev/v1alpha1", "kind": "House", "metadata": {"name": "cluster"}, "spec": {"members": members}}
        self.plane.api.create(f"{GROUP}/houses", body)

    def opens(self, node, source, way, tries=4):
        """Connections one after the other from the internet: `y` for each that was greeted, `n` for each that was not."""
        client = node.client(source, way[0])
        return "".join("y" if client.reaches([way[1]], timeout=1.5) else "n" for _ in range(tries))

    @staticmethod
    def from_within(net, way, tries=6, source=None):
        """The same from a node's or pod's own network."""
        told = ""
        for _ in range(tries):
            with net.inside(), contextlib.suppress(OSError):
                family = socket.AF_INET6 if ":" in way[0] else socket.AF_INET
                with socket.socket(family) as connection:
                    connection.settimeout(3)
                    if source:
                        connection.bind((source, 0))
                    connection.connect(way)
                    told += "y" if connection.recv(64) else "n"
                    continue
            told += "n"
        return told

    def mailserver(self, one, namespace, ingress, **ports):
        """A pod that listens on 2525 behind a Service of port 25 at a load balancer's addresses: (Service, pod, servers)."""
        pod = one.pod("james-0", namespace=namespace, ports=[{"containerPort": 2525, **ports}])
        servers = [pod.listen([2525]), pod.listen([2525], family=6)]
        made = service(self.plane, "smtp", {25: 2525}, namespace=namespace, kind="LoadBalancer", ingress=ingress, policy="Local")
        endpoint_slices(self.plane, made, [pod])
        for address in ingress:
            self.fabric.lead(address, one)
        return made, pod, servers


class Limited(LimitCase):
    takes = 130

    def test_every_way_to_a_service_is_limited_and_neither_pods_nor_nodes_nor_a_neighbour(self):
        one, two = self.node(1), self.node(2)
        tenant = self.plane.namespace(f"{self.mail}-tenant")
        made, pod, servers = self.mailserver(one, self.mail, ["198.51.100.25", "2001:db8:77::25"], hostPort=2526)
        theirs, neighbour, others = self.mailserver(one, tenant, ["198.51.100.26", "2001:db8:77::26"])
        node_port = made["spec"]["ports"][0]["nodePort"]
        # kube-proxy opens node ports at the node's inner address alone, and no plugin leads a hostPort anywhere.
        for address in (one.wan4, one.wan6):
            servers.append(one.listen([2526, node_port], address))
        one.start_kube_proxy()
        visitor = one.pod("visitor", namespace=self.mail, labels={"app": "web"})
        self.limit(services=["smtp"], ports=[25])
        self.house(one, two)
        agent = self.agent(one)
        name = f"{self.mail}/smtp"
        agent.wait(lambda: "198.51.100.25 . 25" in one.kernel() and limits(agent, name) is not None)
        cluster_ip = made["spec"]["clusterIP"]
        ways = {
            "load balancer": (("198.51.100.25", 25), ("2001:db8:77::25", 25)),
            "node port": ((one.wan4, node_port), (one.wan6, node_port)),
            "host port": ((one.wan4, 2526), (one.wan6, 2526)),
            "pod": ((pod.ips[0], 2525), (pod.ips[1], 2525)),
        }
        # kube-proxy takes a moment to make them.
        for way in (way for pair in ways.values() for way in pair):
            wait_until(lambda way=way: self.opened(one, way), 60, agent.told)
        for number, (what, (four, six)) in enumerate(ways.items()):
            with self.subTest(way=what):
                self.assertEqual(self.opens(one, f"45.1.0.{number + 1}", four), "yynn", one.kernel())
                self.assertEqual(self.opens(one, f"2001:db8:bad:{number + 1}::1", six), "yynn", one.kernel())
        # One source, whichever way it takes: the pair was spent at the load balancer.
        self.assertEqual(self.opens(one, "45.1.0.1", ways["node port"][0], 2), "nn")
        # From a pod to the pod and to the Service; from the node itself, and from another one.
        net = visitor.connect()
        for way in ((pod.ips[0], 2525), (pod.ips[1], 2525), (cluster_ip, 25), ("198.51.100.25", 25)):
            self.assertEqual(self.from_within(net, way), "yyyyyy", way)
        for way in ((pod.ips[0], 2525), (cluster_ip, 25)):
            self.assertEqual(self.from_within(one.net, way), "yyyyyy", way)
        self.assertEqual(self.from_within(two.net, (pod.ips[0], 2525)), "yyyyyy")
        self.assertEqual(self.from_within(two.net, (one.wan4, node_port)), "yyyyyy")
        # A neighbour's Service of the same port, its pod, and the node's own port.
        servers.append(one.listen([25, 2525]))
        for way in (("198.51.100.26", 25), ("2001:db8:77::26", 25), (neighbour.ips[0], 2525), (one.wan4, 25), (one.wan4, 2525)):
            source = "2001:db8:bad:1::1" if ":" in way[0] else "45.1.0.1"
            self.assertEqual(self.opens(one, source, way), "yyyy", way)
        self.assertNotIn(f"{theirs['spec']['clusterIP']} . 25", one.kernel())
        # Two of each family at each way, and two more by another; SYNs are repeated while nobody answers.
        self.assertGreaterEqual(limits(agent, name), 18)
        self.assertEqual(agent.metric("gaoler_ratelimit_uncounted_packets_total", ratelimit=name), 0)
        del servers, others

    def test_a_limit_of_ports_is_that_of_every_nodes_own_addresses(self):
        one = self.node(1)
        _, pod, servers = self.mailserver(one, self.mail, ["198.51.100.27"])
        servers.append(one.listen([25]))
        servers.append(one.listen([25], one.wan6))
        one.start_kube_proxy()
        self.limit(ports=[25])
        agent = self.agent(one)
        agent.wait(lambda: f"l_{self.mail.replace('-', '_')}_smtp" in one.kernel())
        wait_until(lambda: self.opened(one, ("198.51.100.27", 25)), 60, agent.told)
        self.assertEqual(self.opens(one, "45.2.0.1", (one.wan4, 25)), "yynn")
        self.assertEqual(self.opens(one, "2001:db8:bad:2::1", (one.wan6, 25)), "yynn")
        for way in (("198.51.100.27", 25), (pod.ips[0], 2525)):
            self.assertEqual(self.opens(one, "45.2.0.1", way), "yyyy", way)
        del servers

    def datagrams(self, node, source, address, times=6):
        """What comes of datagrams to port 53 of the node, `y` or `n` for each."""
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        with node.net.inside():
            server = socket.socket(family, socket.SOCK_DGRAM)
            server.bind((address, 53))
        with node.fabric.internet.inside():
            client = socket.socket(family, socket.SOCK_DGRAM)
            client.bind((source, 0))
        with server, client:
            server.settimeout(2)
            for n in range(times):
                client.sendto(bytes([n]), (address, 53))
            came = set()
            with contextlib.suppress(TimeoutError):
                while True:
                    came.add(server.recv(16)[0])
        return "".join("y" if n in came else "n" for n in range(times))

    @staticmethod
    def pings(node, source, address, times=6):
        """The same of echo requests."""
        one = ("ping", "-n", "-c", "1", "-W", "1", "-I", source, address)
        return "".join("y" if node.fabric.internet.run(*one, check=False).returncode == 0 else "n" for _ in range(times))

    def test_datagrams_and_pings_to_every_nodes_own_addresses_are_limited(self):
        one, two = self.node(1), self.node(2)
        self.limit("dns", protocol="UDP", ports=[53])
        self.limit("ping", protocol="ICMP")
        agent = self.agent(one)
        names = [f"{self.mail}/{name}" for name in ("dns", "ping")]
        agent.wait(lambda: all(limits(agent, name) is not None for name in names) and "limits_echo" in one.kernel())
        for family, (source, here, there) in {
            4: ("45.6.0.1", one.wan4, two.wan4),
            6: ("2001:db8:bad:6::1", one.wan6, two.wan6),
        }.items():
            with self.subTest(family=family):
                self.assertEqual(self.datagrams(one, source, here), "yynnnn", one.kernel())
                self.assertEqual(self.pings(one, source, here), "yynnnn", one.kernel())
                # Where no agent runs nothing is limited: it is the limit that refuses.
                self.assertEqual(self.datagrams(two, source, there), "yyyyyy")
                self.assertEqual(self.pings(two, source, there), "yyyyyy")
        self.assertEqual([limits(agent, name) for name in names], [8, 8])
        self.assertEqual([agent.metric("gaoler_ratelimit_offenders", ratelimit=name) for name in names], [2, 2])

    def test_a_pardon_ends_penalties_on_every_node_also_where_it_is_heard_of_late(self):
        one, two, three = (self.node(n) for n in (1, 2, 3))
        servers = [node.listen([4190], address) for node in (one, two, three) for address in (node.wan4, node.wan6)]
        self.limit("sieve", ports=[4190], penalty="168h")
        name = f"{self.mail}/sieve"
        agents = [self.agent(node) for node in (one, two, three)]
        for agent in agents:
            agent.wait(lambda agent=agent: limits(agent, name) is not None)
        four, six, other = "45.7.0.1", "2001:db8:bad:7::1", "45.7.0.2"

        def knock(node, source):
            return self.opens(node, source, (node.wan6 if ":" in source else node.wan4, 4190), 1)

        for node in (one, two, three):
            for source in (four, six, other):
                address = node.wan6 if ":" in source else node.wan4
                self.assertEqual(self.opens(node, source, (address, 4190)), "yynn", node.name)
        agents[2].kill()
        given = time.monotonic()
        pardons = f"{GROUP}/pardons"
        for prefix in (f"{four}/32", "2001:db8:bad:7::/64"):
            body = {"apiVersion": "gaoler.dev/v1alpha1", "kind": "Pardon", "metadata": {"generateName": "unban-"}, "spec": {"prefix": prefix}}
            made = self.plane.api.create(pardons, body)["metadata"]["name"]
            self.addCleanup(lambda made=made: self.gone(f"{pardons}/{made}"))
        for node, agent in ((one, agents[0]), (two, agents[1])):
            for source in (four, six):
                agent.wait(lambda node=node, source=source: knock(node, source) == "y", 60)
            self.assertEqual(knock(node, other), "n", "nobody pardoned it")
        # A node whose agent was away obeys when it comes back.
        self.assertEqual(knock(three, four), "n")
        agents[2].start()
        for source in (four, six):
            agents[2].wait(lambda source=source: knock(three, source) == "y", 60)
        self.assertEqual(knock(three, other), "n")
        # Who goes on is refused again, and that the Pardon still lies there helps nobody, also after a restart. (For ten
        # seconds a Pardon ends also what began since: who waits for one goes on trying.)
        wait_until(lambda: time.monotonic() > given + 11, 30, agents[0].told)
        self.assertEqual(self.opens(one, four, (one.wan4, 4190), 3)[-1], "n")
        agents[0].stop()
        agents[0].start()
        agents[0].wait(lambda: agents[0].http("/readyz")[0] == 200)
        agents[0].wait(lambda: limits(agents[0], name) is not None)
        self.assertEqual(knock(one, four), "n")
        del servers

    def test_a_limit_follows_its_service_and_other_limits_keep_their_counts(self):
        one = self.node(1)
        made, pod, servers = self.mailserver(one, self.mail, ["198.51.100.28"])
        service(self.plane, "other", {143: 1143}, namespace=self.mail, selector={"app": "other"})
        one.start_kube_proxy()
        self.limit(services=["smtp", "late"])
        servers.append(one.listen([4190]))
        self.limit("sieve", ports=[4190])
        agent = self.agent(one)
        agent.wait(lambda: "198.51.100.28 . 25" in one.kernel())
        wait_until(lambda: self.opened(one, ("198.51.100.28", 25)), 60, agent.told)
        self.assertEqual(self.opens(one, "45.3.0.1", ("198.51.100.28", 25)), "yynn")
        self.assertEqual(self.opens(one, "45.3.0.1", (one.wan4, 4190), 1), "y")
        # Another port, and an address more.
        path = f"/api/v1/namespaces/{self.mail}/services/smtp"
        self.plane.api.patch(path, {"spec": {"ports": [{"name": "p25", "port": 587, "targetPort": 2525}]}})
        ingress = [{"ip": address, "ipMode": "VIP"} for address in ("198.51.100.28", "198.51.100.29")]
        self.plane.api.patch(f"{path}/status", {"status": {"loadBalancer": {"ingress": ingress}}})
        self.fabric.lead("198.51.100.29", one)
        agent.wait(lambda: "198.51.100.29 . 587" in one.kernel() and "198.51.100.28 . 25" not in one.kernel())
        wait_until(lambda: self.opened(one, ("198.51.100.29", 587)), 60, agent.told)
        # It is the same limit: who had spent it has spent it, and a new source has two.
        self.assertEqual(self.opens(one, "45.3.0.1", ("198.51.100.29", 587), 2), "nn")
        self.assertEqual(self.opens(one, "45.3.0.2", ("198.51.100.29", 587)), "yynn")
        self.assertEqual(self.opens(one, "45.3.0.1", (one.wan4, 4190), 3), "ynn")
        # One that it names comes, another goes.
        late = service(self.plane, "late", {110: 2525}, namespace=self.mail)
        guarded = lambda made, port: f"{made['spec']['clusterIP']} . {port}" in one.kernel()  # noqa: E731
        agent.wait(lambda: guarded(late, 110))
        self.plane.api.delete(path)
        agent.wait(lambda: not guarded(made, 587) and "198.51.100.29 . 587" not in one.kernel())
        del servers, pod

    def test_a_flooder_with_real_connections_is_banned_by_the_jail_that_the_limit_names(self):
        one, two = self.node(1), self.node(2)
        _, pod, servers = self.mailserver(one, self.mail, ["198.51.100.30", "2001:db8:77::30"])
        one.start_kube_proxy()
        self.jail(enforce={"services": ["smtp"]})
        self.limit(services=["smtp"], escalateTo="james")
        agents = [self.agent(one), self.agent(two)]
        agents[0].wait(lambda: "198.51.100.30 . 25" in one.kernel())
        for way in (("198.51.100.30", 25), ("2001:db8:77::30", 25), (pod.ip, 2525)):
            wait_until(lambda way=way: self.opened(one, way), 60, agents[0].told)
        self.assertEqual(self.opens(one, "45.4.0.1", ("198.51.100.30", 25), 2), "yy")
        self.assertEqual(self.opens(one, "2001:db8:bad:4::1", ("2001:db8:77::30", 25), 2), "yy")
        self.assertEqual(agents[0].kernel_bans(), set(), "nobody went over the limit")
        self.opens(one, "45.4.0.1", ("198.51.100.30", 25), 1)
        self.opens(one, "2001:db8:bad:4::1", ("2001:db8:77::30", 25), 1)
        for agent in agents:
            self.banned(agent, "45.4.0.1", "2001:db8:bad:4::")
        # It is the jail's ban: every way to the Service is closed.
        self.assertEqual(self.opens(one, "45.4.0.1", (pod.ip, 2525), 1), "n")
        del servers


class Told(LimitCase, InstalledCase):
    """What people see: the controller adds up what the nodes say."""

    @classmethod
    def prepare(cls):
        # The rest is installed.
        cls.plane.apply(BINDING)

    def status(self, name):
        return self.plane.api.get(f"{LIMITS.format(self.mail)}/{name}").get("status", {})

    def ready(self, name):
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == "Ready"), {})

    def plugin(self, *words):
        """What `kubectl gaoler` says."""
        plugin = self.directory / "kubectl-gaoler"
        if not plugin.exists():
            plugin.symlink_to(BINARY)
        environment = {**os.environ, "KUBECONFIG": str(self.plane.admin), "TZ": "UTC"}
        done = self.plane.net.run(str(plugin), *words, check=False, env=environment)
        return done.stdout + done.stderr

    def test_offenders_and_dropped_packets_of_all_nodes_are_shown(self):
        one, two = self.node(1), self.node(2)
        self.limit("sieve", ports=[4190], penalty="Silence")
        self.limit("lost", services=["nowhere"])
        servers = [one.listen([4190]), two.listen([4190])]
        agents = [self.agent(node) for node in (one, two)]
        controller = self.controller("teller")
        controller.wait(lambda: self.status("sieve").get("nodes") == 2, 90)
        self.assertEqual((self.ready("sieve")["status"], self.ready("sieve")["reason"]), ("True", "Enforcing"))
        controller.wait(lambda: self.ready("lost").get("status") == "False", 90)
        self.assertEqual(self.ready("lost")["reason"], "ServiceMissing")
        self.assertEqual(self.opens(one, "45.5.0.1", (one.wan4, 4190)), "yynn")
        self.assertEqual(self.opens(two, "45.5.0.2", (two.wan4, 4190)), "yynn")
        agents[0].wait(lambda: self.status("sieve").get("offenders") == 2, 150)
        # Each refused connection sent its first packet at least once.
        agents[0].wait(lambda: self.status("sieve").get("droppedPackets", 0) >= 4, 150)
        # Who it is, on which node, and until when.
        agents[0].wait(lambda: len(self.status("sieve").get("latestOffenders", ())) == 2, 150)
        named = {one["source"]: one["node"] for one in self.status("sieve")["latestOffenders"]}
        self.assertEqual(named, {"45.5.0.1": one.name, "45.5.0.2": two.name})
        self.assertRegex(self.plugin("status"), rf"45\.5\.0\.1 on {one.name} \((59m|1h)")
        self.assertIn(f"under the penalty of rate limit {self.mail}/sieve", self.plugin("why", "45.5.0.2"))
        table = self.plane.kubectl("get", "ratelimits", "-n", self.mail).stdout.splitlines()
        head, row = table[0].split(), next(line for line in table if line.startswith("sieve")).split()
        shown = dict(zip(head, row, strict=True))
        self.assertEqual((shown["READY"], shown["OFFENDERS"], shown["NODES"]), ("True", "2", "2"), table)
        self.assertEqual(int(shown["DROPPED"]), self.status("sieve")["droppedPackets"])
        for node, agent in ((one, agents[0]), (two, agents[1])):
            self.assertEqual(agent.metric("gaoler_ratelimit_offenders", ratelimit=f"{self.mail}/sieve"), 1, node.name)
        del servers


class Samples(LimitCase):
    def test_the_sample_for_a_mail_server_is_accepted_and_limits_what_its_services_offer(self):
        one = self.node(1)
        self.plane.namespace("mail")
        ports = [{"name": f"p{port}", "port": port, "targetPort": port} for port in (25, 465, 587, 143, 993, 110, 995, 4190)]
        james = service(self.plane, "james", ports, namespace="mail")
        sample = REPOSITORY / "deploy" / "kubernetes" / "examples" / "ratelimits.yaml"
        self.plane.kubectl("apply", "-f", sample)
        self.addCleanup(lambda: self.plane.kubectl("delete", "-f", sample, check=False))
        agent = self.agent(one)
        pairs = [f"{james['spec']['clusterIP']} . {port['port']} : goto limits_tcp" for port in ports]
        agent.wait(lambda: all(pair in one.kernel() for pair in pairs))
        declared = [as_json(self.plane, text)["metadata"]["name"] for text in documents(sample)]
        for name in declared:
            self.assertEqual(limits(agent, f"mail/{name}"), 0, name)
