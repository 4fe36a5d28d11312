"""What the other checks stand on does what it says."""

import json
import socket

from cluster.agent import metric
from cluster.api import Refused
from cluster.case import BINARY, ClusterCase
from cluster.crilog import LONGEST
from cluster.services import endpoint_slices, service
from harness.daemon import Daemon, wait_until
from harness.jameslog import failure

NODE_NAME = "authentication.kubernetes.io/node-name"
METRICS = "127.0.0.1:9417"
POD_NAME = "authentication.kubernetes.io/pod-name"


def who(api):
    """How the API server knows the one who asks."""
    answer = api.create(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    )
    return answer["status"]["userInfo"]


class Identities(ClusterCase):
    def test_a_token_bound_to_a_node_carries_the_nodes_name(self):
        node = self.node(1)
        self.plane.service_account("gaoler-agent", "gaoler-system")
        seen = who(self.plane.as_account("gaoler-agent", "gaoler-system", node.object))
        self.assertEqual(seen["username"], "system:serviceaccount:gaoler-system:gaoler-agent")
        self.assertEqual(seen["extra"][NODE_NAME], ["n1"])

    def test_a_token_bound_to_a_pod_carries_pod_and_node(self):
        pod = self.node(1).pod("agent-1", namespace="gaoler-system", spec={"serviceAccountName": "default"})
        seen = who(self.plane.as_account("default", "gaoler-system", pod.object))
        self.assertEqual((seen["extra"][NODE_NAME], seen["extra"][POD_NAME]), (["n1"], ["agent-1"]))

    def test_an_agent_asks_from_its_node_with_its_own_kubeconfig(self):
        node = self.node(1)
        done = node.net.run(self.plane.programs["kubectl"], "--kubeconfig", node.kubeconfig(), "auth", "whoami", "-o", "json")
        self.assertEqual(json.loads(done.stdout)["status"]["userInfo"]["extra"][NODE_NAME], ["n1"])

    def test_nobody_has_rights_that_were_not_given(self):
        person = self.plane.user("jane", "mail-team")
        asks = ("auth", "can-i", "list", "pods")
        self.assertEqual(self.plane.kubectl(*asks, kubeconfig=person, check=False).stdout.strip(), "no")
        self.plane.kubectl("create", "clusterrole", "pod-reader", "--verb=list", "--resource=pods")
        self.plane.kubectl("create", "clusterrolebinding", "mail-team", "--clusterrole=pod-reader", "--group=mail-team")
        # The server learns of it by a watch of its own.
        wait_until(lambda: self.plane.kubectl(*asks, kubeconfig=person, check=False).stdout.strip() == "yes", 60)

    def test_an_admission_policy_can_hold_an_agent_to_its_own_node(self):
        rule = f"object.metadata.name == request.userInfo.extra['{NODE_NAME}'][0]"
        policy = {"name": "own-node"}
        self.plane.kubectl("create", "clusterrole", "own-node", "--verb=create", "--resource=configmaps")
        self.plane.apply(
            [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": policy,
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **policy},
                    "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts:gaoler-system"}],
                },
                {
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": policy,
                    "spec": {
                        "matchConstraints": {"resourceRules": [
                            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}]},
                        "matchConditions": [
                            {"name": "agents", "expression": "'system:serviceaccounts:gaoler-system' in request.userInfo.groups"}],
                        "validations": [{"expression": rule, "message": "an agent writes what is its own"}],
                    },
                },
                {
                    "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": policy,
                    "spec": {"policyName": "own-node", "validationActions": ["Deny"]},
                },
            ]
        )  # fmt: skip
        node = self.node(1)
        self.plane.service_account("gaoler-agent", "gaoler-system")
        agent = self.plane.as_account("gaoler-agent", "gaoler-system", node.object)
        maps = "/api/v1/namespaces/default/configmaps?dryRun=All"

        def refused():
            try:
                agent.create(maps, {"metadata": {"name": "n2"}})
            except Refused as why:
                return why.message
            return None

        # A new policy, and new rights, take the server a moment.
        wait_until(lambda: "an agent writes what is its own" in (refused() or ""), 60, refused)
        agent.create(maps, {"metadata": {"name": "n1"}})


    def test_every_request_for_an_object_is_on_record_with_its_author(self):
        self.plane.service_account("gaoler-agent", "gaoler-system")
        agent = self.plane.as_account("gaoler-agent", "gaoler-system", self.node(1).object)
        path = "/apis/coordination.k8s.io/v1/namespaces/gaoler-system/leases"
        watched = self.plane.api.watch(path, since="0")
        self.plane.api.create(path, {"metadata": {"name": "ours"}})
        self.assertEqual(next((kind, o["metadata"]["name"]) for kind, o in watched if o["metadata"]["name"] == "ours"), ("ADDED", "ours"))
        with self.assertRaises(Refused):
            agent.delete(f"{path}/ours")
        seen = [entry[:4] for entry in self.plane.audited("coordination.k8s.io")]
        self.assertIn(("admin", "create", "leases/", 201), seen)
        self.assertIn(("system:serviceaccount:gaoler-system:gaoler-agent", "delete", "leases/ours", 403), seen)


class Absence(ClusterCase):
    def reaches(self, node):
        """Whether the API server answers that node."""
        url = f"{self.plane.url}/readyz"
        done = node.net.run("curl", "-s", "-m", "3", "--cacert", self.plane.authority.certificate, "-o", "/dev/null", url, check=False)
        return done.returncode == 0

    def test_a_node_can_be_cut_off_alone(self):
        one, two = self.node(1), self.node(2)
        server = one.listen([25])
        with one.cut_off():
            self.assertFalse(self.reaches(one))
            self.assertTrue(self.reaches(two))
            # The internet knows nothing of it.
            self.assertEqual(one.client("45.129.14.30").reaches([25]), [25])
        wait_until(lambda: self.reaches(one), 60)
        del server

    def test_a_frozen_server_keeps_its_callers_waiting_and_one_that_is_down_refuses(self):
        node = self.node(1)
        with self.plane.frozen():
            with self.assertRaises(TimeoutError):
                self.plane.api.request("GET", "/readyz", timeout=1)
        self.assertEqual(self.plane.api.get("/readyz"), "ok")
        with self.plane.down():
            with self.assertRaises(ConnectionRefusedError):
                self.plane.api.get("/readyz")
        self.assertEqual(self.plane.api.get("/api/v1/nodes/n1")["metadata"]["uid"], node.object["metadata"]["uid"])

    def test_an_emptied_storage_knows_neither_objects_nor_tokens(self):
        node = self.node(1)
        node.kubeconfig()
        agent = self.plane.as_account("gaoler-agent", "gaoler-system", node.object)
        who(agent)
        self.plane.empty()
        self.assertEqual(self.plane.api.get("/api/v1/nodes")["items"], [])
        with self.assertRaises(Refused) as caught:
            who(agent)
        self.assertEqual(caught.exception.status, 401)
        node.register_again()
        self.plane.namespace("gaoler-system")
        kubeconfig = node.kubeconfig()
        self.assertIn("n1", node.net.run(self.plane.programs["kubectl"], "--kubeconfig", kubeconfig, "auth", "whoami").stdout)


class Controllers(ClusterCase):
    controllers = True

    def test_the_controller_manager_fills_a_service_with_the_pods_of_three_nodes(self):
        pods = [self.node(number).pod(f"james-{number}", labels={"app": "james"}) for number in (1, 2, 3)]
        service(self.plane, "james-smtp", {25: 25}, kind="NodePort")

        def nodes():
            slices = self.plane.api.get("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices")["items"]
            ours = [s for s in slices if s["metadata"]["labels"]["kubernetes.io/service-name"] == "james-smtp"]
            return sorted(e["nodeName"] for s in ours for e in s["endpoints"] or () if e["conditions"]["ready"])

        wait_until(lambda: nodes() == ["n1", "n1", "n2", "n2", "n3", "n3"], 60, lambda: f"{nodes()}\n{self.plane.why()}")
        pods[1].says(ready=False)
        wait_until(lambda: nodes() == ["n1", "n1", "n3", "n3"], 60, nodes)
        self.nodes[3].says(ready=False)
        conditions = self.plane.api.get("/api/v1/nodes/n3")["status"]["conditions"]
        self.assertEqual([c["status"] for c in conditions if c["type"] == "Ready"], ["False"])

    def test_a_deleted_namespace_ends_with_all_that_is_in_it(self):
        self.plane.namespace("short-lived")
        self.plane.kubectl("create", "configmap", "left", "-n", "short-lived")
        self.plane.kubectl("delete", "namespace", "short-lived", "--timeout=60s")
        with self.assertRaises(Refused) as caught:
            self.plane.api.get("/api/v1/namespaces/short-lived")
        self.assertEqual(caught.exception.status, 404)


class Roads(ClusterCase):
    programs = ("kube-proxy",)

    def test_attackers_reach_the_pods_of_a_load_balancer_with_their_own_addresses(self):
        one, two = self.node(1), self.node(2)
        pods = [one.pod("james-0", ports=[{"containerPort": 25}]), two.pod("james-1", ports=[{"containerPort": 25}])]
        servers = [pod.listen([25]) for pod in pods]
        made = service(
            self.plane, "james-smtp", {25: 25}, kind="LoadBalancer", ingress=["198.51.100.25", "2001:db8:77::25"], policy="Local"
        )
        endpoint_slices(self.plane, made, pods)
        for node in (one, two):
            node.start_kube_proxy()
        self.fabric.lead("198.51.100.25", two)
        attacker = two.client("45.129.14.30", "198.51.100.25")
        wait_until(lambda: attacker.reaches([25], timeout=1), 60)
        connection = attacker.connect(25)
        connection.sendall(b"EHLO there\r\n")
        wait_until(lambda: servers[1].lines_from("45.129.14.30"), 30)
        self.assertEqual(servers[0].heard, {})
        # The pods themselves, from the internet and from another node.
        self.assertEqual(one.client("45.129.14.31", pods[0].ip).reaches([25]), [25])
        with two.net.inside():
            socket.create_connection((pods[0].ip, 25), timeout=10).close()

    def test_attackers_reach_nodes_and_pods_over_ipv6(self):
        node = self.node(3)
        pod = node.pod("james-6", ports=[{"containerPort": 25}])
        servers = [node.listen([143], node.wan6), pod.listen([25], family=6)]
        self.assertEqual(node.client("2001:db8:bad::7").reaches([143]), [143])
        self.assertEqual(node.client("2001:db8:bad::7", pod.ips[1]).reaches([25]), [25])
        del servers


class Logs(ClusterCase):
    """What ContainerLog writes is what Gaoler reads from disk."""

    def setUp(self):
        super().setUp()
        self.place = self.node(1)
        self.gaoler = Daemon(self.place.net, BINARY, self.directory / "gaoler")
        self.gaoler.metrics = METRICS
        self.gaoler.manifest(
            "james.yaml",
            "apiVersion: gaoler.dev/v1alpha1\nkind: Jail\nmetadata: {name: james}\nspec:\n  filters: [james-smtp-auth]\n"
            f"  source: {{files: ['{self.place.pod_logs}/*/james/*.log*']}}\n"
            "  maxRetry: 2\n  findTime: 10m\n  banTime: 2h\n  enforce: {ports: [25]}\n",
        )
        self.addCleanup(lambda: self.gaoler.process and self.gaoler.kill())

    @staticmethod
    def fails(log, address, **more):
        log.write(failure(address, 1_700_000_000_000, "default"), **more)

    def wait_banned(self, *addresses):
        wait_until(lambda: set(addresses) <= self.gaoler.bans("james"), 60, lambda: f"{self.gaoler.told()}\n{self.gaoler.ban_list()}")

    def test_failures_are_counted_across_rotations_compression_and_restarts(self):
        pod = self.place.pod("james-0")
        log = pod.log
        self.gaoler.start()
        self.fails(log, "45.0.0.1")
        self.fails(log, "45.0.0.2")
        log.rotate()
        self.fails(log, "45.0.0.1")
        self.wait_banned("45.0.0.1")
        log.rotate()
        self.assertEqual(len(list(log.directory.glob("*.gz"))), 1)
        pod.restart()
        self.fails(log, "45.0.0.2")
        self.wait_banned("45.0.0.2")
        self.assertEqual(sorted(p.name for p in log.directory.glob("*.log")), ["0.log", "1.log"])
        self.assertEqual(pod.object["status"]["containerStatuses"][0]["restartCount"], 1)
        self.assertEqual(self.gaoler.bans("james"), {"45.0.0.1", "45.0.0.2"})
        # In this node's kernel, and in no other's.
        wait_until(lambda: self.place.kernel_bans() == {"45.0.0.1", "45.0.0.2"}, 60, self.place.kernel)
        self.assertEqual(self.node(2).kernel(), "")

    def test_a_node_is_asked_for_metrics_from_within(self):
        self.assertEqual(self.place.http(f"http://{METRICS}/metrics"), (0, ""))
        log = self.place.pod("james-0").log
        self.gaoler.start()
        for _ in range(2):
            self.fails(log, "45.0.0.6")
        self.wait_banned("45.0.0.6")
        status, text = self.place.http(f"http://{METRICS}/metrics")
        self.assertEqual((status, metric(text, "gaoler_bans_total", jail="james")), (200, 1.0), text)
        self.assertIsNone(metric(text, "gaoler_bans_total", jail="unheard-of"))

    def test_lines_that_reach_the_old_file_after_the_new_one_exists_are_read(self):
        log = self.place.pod("james-0").log
        self.gaoler.start()
        self.fails(log, "45.0.0.3")
        renamed = log.rename_away()
        self.fails(log, "45.0.0.4")
        log.reopen(late=[failure("45.0.0.3", 0, "default"), failure("45.0.0.4", 0, "default")])
        self.assertEqual(len(renamed.read_bytes().splitlines()), 4)
        self.wait_banned("45.0.0.3", "45.0.0.4")

    def test_a_line_longer_than_a_record_arrives_whole(self):
        log = self.place.pod("james-0").log
        self.gaoler.start()
        # The address stands behind the first record's end.
        for _ in range(2):
            log.write(failure("45.0.0.5", 0, "default", user="x" * (2 * LONGEST)))
        self.assertEqual(log.path.read_bytes().split(b"\n")[0].split(b" ")[2], b"P")
        self.wait_banned("45.0.0.5")
