"""The chart, by a real Helm, on a real API server; nodes' agents and the controller run with the rights it gives them."""

import json
import os
import subprocess
import time

import yaml

from chart.chart import CHART, REPOSITORY, Helm, combinations, which
from chart.queries import OF_THE_TARGET, asked, metrics, served, told
from cluster.case import BINARY, ClusterCase
from cluster.hooks import Hooks
from cluster.node import Node
from cluster.programs import monitoring_definitions
from cluster.services import service
from harness.daemon import wait_until
from harness.jameslog import failure

OURS = "/apis/gaoler.dev/v1alpha1"
# The Prometheus operator's, with the operator's own definitions.
MONITORING = "monitoring.coreos.com/v1"
RELEASE, NAMESPACE = "mine", Node.ACCOUNT_NAMESPACE


class ChartCase(ClusterCase):
    controllers = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.helm_program = Helm().program
        for name in ("mail", "web"):
            cls.plane.namespace(name)

    def helm(self, *arguments, expect=0):
        environment = {**os.environ, "KUBECONFIG": str(self.plane.admin), "HOME": str(self.directory)}
        done = self.plane.net.run(self.helm_program, *arguments, "--namespace", NAMESPACE, check=False, env=environment)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, expect, f"helm {' '.join(map(str, arguments))}\n{said}")
        return said

    def names(self, kind, namespace=None):
        where = f"{OURS}/namespaces/{namespace}/{kind}" if namespace else f"{OURS}/{kind}"
        return {it["metadata"]["name"] for it in self.plane.api.get(where)["items"]}


class Objects(ChartCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for definitions in (CHART / "crds", *monitoring_definitions()):
            cls.plane.kubectl("apply", "--server-side", "-f", str(definitions))
        cls.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        cls.plane.namespace("gaoler")
        # A Pod is taken only where its account is; of what is tried here nothing is stored.
        cls.plane.service_account("gaoler-test", "gaoler")

    def dry(self, objects):
        """What the API server says of them; nothing is stored."""
        text = yaml.safe_dump_all(objects)
        return self.plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", input=text, check=False, stderr=subprocess.STDOUT)

    def test_the_server_takes_every_object_of_every_combination(self):
        for file in [None, *combinations()]:
            rendered = Helm().objects(*(["--values", file] if file else []))
            declared = [text for it in rendered if it["metadata"]["name"] == "gaoler-declared" for text in [it.get("data", {}).get("declared.yaml")] if text]
            rendered += [it for text in declared for it in yaml.safe_load_all(text) if it]
            with self.subTest(values=file and file.name):
                done = self.dry(rendered)
                self.assertEqual(done.returncode, 0, done.stdout)
                self.assertEqual(done.stdout.count("serverside-applied"), len(rendered), done.stdout)
                self.assertNotIn("Warning", done.stdout)

    def test_a_misspelt_field_would_be_noticed(self):
        [agent] = [it for it in Helm().objects() if it["kind"] == "DaemonSet"]
        agent["spec"]["template"]["spec"]["hostNetworks"] = True
        self.assertIn("hostNetworks", self.dry([agent]).stdout)
        for it in self.for_prometheus():
            it["spec"]["intervall"] = "30s"
            with self.subTest(object=which(it)):
                self.assertIn("intervall", self.dry([it]).stdout)

    def for_prometheus(self):
        [values] = [file for file in combinations() if file.name == "monitoring-values.yaml"]
        return [it for it in Helm().objects("--values", values) if it["apiVersion"] == MONITORING]

    def test_what_is_for_the_prometheus_operator_is_stored_as_it_was_sent(self):
        """With defaults it may add; it drops nothing and changes nothing."""
        objects = self.for_prometheus()
        self.assertEqual(sorted(it["kind"] for it in objects), ["PodMonitor", "PodMonitor", "PrometheusRule"])
        self.plane.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=yaml.safe_dump_all(objects))
        for it in objects:
            path = f"/apis/{MONITORING}/namespaces/gaoler/{it['kind'].lower()}s/{it['metadata']['name']}"
            self.addCleanup(self.plane.api.delete, path)
            with self.subTest(object=which(it)):
                self.assertLeaves(it["spec"], self.plane.api.get(path)["spec"])

    def assertLeaves(self, sent, stored, where="spec"):
        """Every value that was sent is in what is stored."""
        if isinstance(sent, dict):
            for key, value in sent.items():
                self.assertIn(key, stored, where)
                self.assertLeaves(value, stored[key], f"{where}.{key}")
        elif isinstance(sent, list):
            self.assertEqual(len(sent), len(stored), where)
            for number, (one, other) in enumerate(zip(sent, stored)):
                self.assertLeaves(one, other, f"{where}[{number}]")
        else:
            self.assertEqual(sent, stored, where)

    def test_all_but_the_agent_keeps_to_the_level_restricted(self):
        label = "pod-security.kubernetes.io/warn"
        self.plane.kubectl("label", "namespace", "gaoler", f"{label}=restricted", "--overwrite")
        self.addCleanup(self.plane.kubectl, "label", "namespace", "gaoler", f"{label}-")
        for it in Helm().objects("--values", CHART / "ci" / "james-values.yaml"):
            if it["kind"] in ("DaemonSet", "Deployment", "Job", "Pod"):
                with self.subTest(pod=which(it)):
                    said = self.dry([it]).stdout
                    self.assertEqual("would violate PodSecurity" in said, it["kind"] == "DaemonSet", said)

    def test_the_samples_are_taken(self):
        """What deploy/kubernetes has beside the chart's objects, and samples for Kubernetes."""
        done = self.plane.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", REPOSITORY / "deploy" / "kubernetes")
        self.assertNotIn("Warning", done.stdout + done.stderr)


class Story(ChartCase):
    takes = 90
    VALUES = {
        "james": {"enabled": True, "namespace": "mail", "mode": "Enforce", "jails": {"james-logins": {"maxRetry": 2}}},
        "allowLists": {"office": {"entries": [{"prefix": "192.0.2.0/24"}]}},
        "uninstall": {"wait": "8s"},
    }

    def values(self, **more):
        path = self.directory / "values.yaml"
        path.write_text(yaml.safe_dump({**self.VALUES, **more}))
        return "--values", path

    def fails(self, pod, address):
        for _ in range(2):
            pod.log.write(failure(address, int(time.time() * 1000), "default"))

    def banned(self, agents, address):
        for agent in agents:
            agent.wait(lambda a=agent: address in a.kernel_bans())

    def start_controller(self):
        config = self.plane.account(self.directory / "controller.kubeconfig", "gaoler-controller", NAMESPACE)
        self.controller_log = self.directory / "controller.log"
        with self.controller_log.open("ab") as log:
            self.controller = self.plane.net.popen(
                BINARY, "controller", "--kubeconfig", config, "--namespace", NAMESPACE, "--identity", "one", "--metrics", "127.0.0.1:9418",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self.addCleanup(self.controller.wait)
        self.addCleanup(self.controller.kill)

    def test_a_release_is_installed_upgraded_tried_and_removed(self):
        one, two = nodes = [self.node(number) for number in (1, 2)]
        pod = one.pod("james-0", namespace="mail", ports=[{"containerPort": 25}])
        service(self.plane, "james-smtp", {25: 25}, namespace="mail")
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            said = self.helm("install", RELEASE, CHART, *self.values())
        # The kinds are new, and the Jails are there.
        self.assertEqual(hooks.codes, {"gaoler-declared": 0}, hooks.said)
        self.assertEqual(self.names("jails", "mail"), {"james-logins", "james-logins-slow", "james-recipients", "james-abuse"})
        self.assertIn("mail/james-logins (Enforce)", said)
        # One that somebody applied himself.
        own = self.plane.api.get(f"{OURS}/namespaces/mail/jails/james-logins")
        own = {"apiVersion": own["apiVersion"], "kind": "Jail", "metadata": {"name": "own"}, "spec": {**own["spec"], "mode": "Observe"}}
        self.plane.api.create(f"{OURS}/namespaces/mail/jails", own)

        agents = [node.start_agent(BINARY) for node in nodes]
        self.start_controller()
        for agent in agents:
            agent.wait(lambda a=agent: a.http("/readyz")[0] == 200)
        self.fails(pod, "45.129.14.30")
        self.banned(agents, "45.129.14.30")

        # A second release is refused, and hurts nothing.
        said = self.helm("install", "second", CHART, expect=1)
        self.assertIn(f"Gaoler is installed in this cluster already, as release {RELEASE} in namespace {NAMESPACE}", said)
        # Nothing is there that somebody could uninstall, and the first one's nodes with it.
        self.assertNotIn("second", self.helm("list", "--all-namespaces"))

        # As if the version before had not known this kind; and of another a name less, a field and a rule more.
        self.plane.kubectl("delete", "crd", "ratelimits.gaoler.dev")
        pardons = self.plane.json("get", "crd", "pardons.gaoler.dev")["spec"]
        spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec"
        before = [
            {"op": "remove", "path": "/spec/names/shortNames"},
            {"op": "add", "path": f"{spec}/properties/motive", "value": {"type": "string"}},
            {"op": "add", "path": f"{spec}/x-kubernetes-validations/-", "value": {"rule": "has(self.motive)", "message": "a motive is wanted"}},
        ]
        self.plane.kubectl("patch", "crd", "pardons.gaoler.dev", "--type=json", "-p", json.dumps(before))
        fewer = {"james": {**self.VALUES["james"], "jails": {"james-logins": {"maxRetry": 3}, "james-abuse": None}}, "allowLists": {"office": None}}
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            self.helm("upgrade", RELEASE, CHART, *self.values(**fewer, mailRateLimits={"enabled": True}))
        self.assertEqual(hooks.codes, {"gaoler-definitions": 0, "gaoler-declared": 0}, hooks.said)
        self.assertEqual(self.plane.json("get", "crd", "pardons.gaoler.dev")["spec"], pardons)
        self.assertEqual(self.names("jails", "mail"), {"james-logins", "james-logins-slow", "james-recipients", "own"})
        self.assertEqual(self.plane.api.get(f"{OURS}/namespaces/mail/jails/james-logins")["spec"]["maxRetry"], 3)
        self.assertEqual((len(self.names("ratelimits")), self.names("allowlists")), (6, set()))
        self.banned(agents, "45.129.14.30")

        # The test names what needs a look, or nothing.
        wait_until(lambda: "Ready" in str(self.plane.api.get(f"{OURS}/namespaces/mail/jails/own").get("status")), 60)
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            self.helm("test", RELEASE)
        self.assertIn("mail/james-logins", hooks.said["gaoler-test"])
        self.assertRegex(hooks.said["gaoler-test"], r"n1 +yes")

        # A node that does not answer is named, and Helm stops.
        agents[1].kill()
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            self.helm("uninstall", RELEASE, expect=1)
        self.assertEqual(hooks.codes, {"gaoler-uninstall-nodes": 1}, hooks.said)
        self.assertIn("no answer: n2: its agent reported last at", hooks.said["gaoler-uninstall-nodes"])
        self.assertIn("1 of 2 nodes clean", hooks.said["gaoler-uninstall-nodes"])
        self.assertEqual((one.kernel(), "45.129.14.30" in two.kernel_bans()), ("", True))
        self.assertEqual(self.plane.json("get", "daemonset", "gaoler-agent", "-n", NAMESPACE)["metadata"]["name"], "gaoler-agent")

        # It comes back, and all of it goes.
        agents[1].start()
        agents[1].wait(lambda: agents[1].http("/healthz")[0] == 200)

        def pods_end():
            for agent in agents:
                self.assertEqual(agent.stop(), 0)
            self.controller.terminate()
            self.controller.wait(30)

        with Hooks(self.plane, NAMESPACE, self.directory, {"gaoler-uninstall-objects": pods_end}) as hooks:
            self.helm("uninstall", RELEASE)
        self.assertEqual(hooks.codes, {"gaoler-uninstall-nodes": 0, "gaoler-uninstall-objects": 0}, hooks.said)
        for node in nodes:
            self.assertEqual((node.kernel(), list(node.directory.glob("state*"))), ("", []))
        for kind in ("banslices", "sightinglists", "nodeagents", "houses", "pardons", "ratelimits"):
            self.assertEqual(self.names(kind), set(), kind)
        self.assertEqual(self.names("jails"), {"own"})
        kinds = "daemonset,deployment,job,pod,configmap,serviceaccount,role,rolebinding,pdb,lease"
        left = self.plane.kubectl("get", kinds, "-n", NAMESPACE, "-o", "name").stdout.split()
        self.assertEqual([name for name in left if "gaoler" in name], [])
        kinds = "clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding"
        left = self.plane.kubectl("get", kinds, "-o", "name").stdout.split()
        self.assertEqual([name for name in left if "gaoler" in name], [])

    def test_a_mistake_that_only_the_server_knows_is_told_and_mended_by_an_upgrade(self):
        spec = {"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}}}
        jail = lambda **more: {"wrong": {"namespace": "mail", "spec": {**spec, **more}}}  # noqa: E731
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            said = self.helm("install", RELEASE, CHART, *self.values(jails=jail(enforce={"ports": [25], "allPorts": True})), expect=1)
        self.addCleanup(self.helm, "uninstall", RELEASE, "--no-hooks")
        self.assertEqual(hooks.codes, {"gaoler-declared": 1}, hooks.said)
        self.assertIn("refused: Jail mail/wrong: ", hooks.said["gaoler-declared"])
        self.assertIn("allPorts", hooks.said["gaoler-declared"])
        self.assertIn("gaoler-declared", said)
        # What is right of it stands already.
        self.assertIn("james-logins", self.names("jails", "mail"))
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            self.helm("upgrade", RELEASE, CHART, *self.values(jails=jail()))
        self.assertEqual(set(hooks.codes.values()), {0}, hooks.said)
        self.assertIn("wrong", self.names("jails", "mail"))

        # Back to what was declared before, also with a value taken back by null.
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            self.helm("upgrade", RELEASE, CHART, *self.values(jails=jail(maxRetry=None, brake=None, banTime="3h"), james={"enabled": False}))
        self.assertEqual(set(hooks.codes.values()), {0}, hooks.said)
        self.assertEqual((self.names("jails", "mail"), self.wrong()["banTime"], self.wrong()["maxRetry"]), ({"wrong"}, "3h", 5))
        with Hooks(self.plane, NAMESPACE, self.directory) as hooks:
            self.helm("rollback", RELEASE, "2")
        self.assertEqual(hooks.codes, {"gaoler-declared": 0}, hooks.said)
        self.assertEqual((self.wrong()["banTime"], "james-logins" in self.names("jails", "mail")), ("10m", True))

    def wrong(self):
        return self.plane.api.get(f"{OURS}/namespaces/mail/jails/wrong")["spec"]

    def test_every_metric_of_alerts_and_dashboard_is_served(self):
        self.plane.kubectl("apply", "--server-side", "-f", str(CHART / "crds"))
        self.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
        with Hooks(self.plane, NAMESPACE, self.directory):
            self.helm("install", RELEASE, CHART, *self.values(mailRateLimits={"enabled": True}))
        self.addCleanup(self.helm, "uninstall", RELEASE, "--no-hooks")
        node = self.node(1)
        pod = node.pod("james-0", namespace="mail")
        service(self.plane, "smtp-metrics", {25: 25}, namespace="mail")
        agent = node.start_agent(BINARY)
        self.start_controller()
        agent.wait(lambda: agent.http("/readyz")[0] == 200)
        self.fails(pod, "45.129.14.31")
        self.banned([agent], "45.129.14.31")

        # What only a bad moment counts, and another node's ban.
        other = {"jail": "mail/james-logins", "prefix": "45.129.14.33", "nth": 1, "weight": 2, "rules": [{"rule": "james-smtp-auth/rules[0]", "times": 2}]}
        since, until = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + ahead)) for ahead in (0, 3600))
        epoch = {"gaoler.dev/epoch": str(int(time.time()) // 600)}
        body = {"apiVersion": "gaoler.dev/v1alpha1", "kind": "BanSlice", "metadata": {"name": "n9-1", "labels": epoch}, "spec": {"node": "n9", "bans": [{**other, "since": since, "until": until}]}}
        self.plane.api.create(f"{OURS}/banslices", body)
        self.addCleanup(self.plane.api.delete, f"{OURS}/banslices")
        self.banned([agent], "45.129.14.33")
        with self.plane.down():
            self.fails(pod, "45.129.14.32")
            self.banned([agent], "45.129.14.32")
            agent.wait(lambda: agent.metric("gaoler_publication_failures_total"))

        def there():
            controller = self.plane.net.run("curl", "-s", "-m", "5", "http://127.0.0.1:9418/metrics", check=False).stdout
            return {**served(agent.http()[1]), **served(controller)}

        def missing():
            return {name: where for name, where in metrics().items() if name not in there()}

        wait_until(lambda: not missing(), 60, lambda: f"nobody serves {missing()}")
        # And with the labels by which they are asked for; what the alerts' tests make up is what is served, too.
        labels = there()
        for where, metric, wanted in [*asked(), *told()]:
            with self.subTest(where=where, metric=metric):
                self.assertLessEqual(wanted, OF_THE_TARGET | (set() if metric == "up" else labels[metric]))
