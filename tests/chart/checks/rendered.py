"""What the chart makes of its values."""

import re
import subprocess
import sys
import unittest
from pathlib import Path

import yaml

from chart.chart import CHART, REPOSITORY, Helm, by_name, combinations, hook, plain, which

PLAIN = REPOSITORY / "deploy" / "kubernetes"


def rules_of(objects, name):
    return [rule for it in objects if it["kind"] in ("Role", "ClusterRole") and it["metadata"]["name"] == name for rule in it["rules"]]


def pods(objects):
    """Every pod that is made, with what makes it."""
    for it in objects:
        if it["kind"] == "Pod":
            yield which(it), it["spec"]
        elif it["kind"] in ("DaemonSet", "Deployment", "Job"):
            yield which(it), it["spec"]["template"]["spec"]


class Rendered(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.helm = Helm()
        cls.default = cls.helm.objects()

    def one(self, objects, what):
        return by_name(objects)[what]

    def command(self, objects, job):
        return self.one(objects, f"Job gaoler/{job}")["spec"]["template"]["spec"]["containers"][0]["command"]

    def declared(self, **values):
        texts = [it["data"]["declared.yaml"] for it in self.helm.objects(values=values) if which(it) == "ConfigMap gaoler/gaoler-declared"]
        return by_name([it for text in texts for it in yaml.safe_load_all(text) if it])

    # The whole.

    def test_the_plain_manifests_are_the_charts_default_output(self):
        listed = yaml.safe_load((PLAIN / "kustomization.yaml").read_text())["resources"]
        self.assertEqual(sorted([*listed, "kustomization.yaml"]), sorted(path.name for path in PLAIN.glob("*.yaml")))
        manifests = [it for name in listed for it in yaml.safe_load_all((PLAIN / name).read_text()) if it]
        # Helm makes the namespace.
        manifests = [it for it in manifests if it["kind"] != "Namespace"]
        rendered = [it for it in self.default if hook(it) is None]
        ours, theirs = by_name([plain(it) for it in manifests]), by_name([plain(it) for it in rendered])
        self.assertEqual(sorted(ours), sorted(theirs))
        for name in ours:
            with self.subTest(object=name):
                self.assertEqual(ours[name], theirs[name], "deploy/kubernetes and charts/gaoler/templates are changed together")

    def test_another_namespace_is_meant_everywhere(self):
        for file in combinations():
            text = self.helm.template("--values", file, namespace="elsewhere").stdout
            self.assertNotRegex(text, r"namespace: \"?gaoler\b(?!.*ssh)" if file.name != "james-values.yaml" else r"serviceaccount:gaoler:")
            for it in yaml.safe_load_all(text):
                for subject in (it or {}).get("subjects", ()):
                    self.assertEqual(subject["namespace"], "elsewhere")
        policy = [it for it in self.helm.objects(namespace="elsewhere") if which(it) == "ValidatingAdmissionPolicy /gaoler-own-node"]
        self.assertIn("system:serviceaccount:elsewhere:gaoler-agent", str(policy))

    def test_labels_say_what_belongs_to_the_release(self):
        for file in combinations():
            for it in self.helm.objects("--values", file, release="mine"):
                with self.subTest(values=file.name, object=which(it)):
                    labels = it["metadata"]["labels"]
                    self.assertEqual((labels["app.kubernetes.io/name"], labels["app.kubernetes.io/instance"]), ("gaoler", "mine"))

    # Rights.

    def test_no_role_knows_a_wildcard_that_writes_or_a_secret(self):
        for file in combinations():
            for it in self.helm.objects("--values", file):
                for rule in it.get("rules") or [] if it["kind"] in ("Role", "ClusterRole") else []:
                    with self.subTest(values=file.name, role=which(it), rule=rule):
                        self.assertNotIn("*", rule["verbs"])
                        self.assertNotIn("secrets", rule["resources"])
                        if "*" in rule["resources"]:
                            self.assertEqual((rule["apiGroups"], set(rule["verbs"]) - {"get", "list", "watch"}), (["gaoler.dev"], set()))

    def test_every_pod_has_an_account_of_its_own_with_rights_only_while_it_runs(self):
        whole = self.helm.objects("--values", CHART / "ci" / "thorough-uninstall-values.yaml")
        accounts = {it["metadata"]["name"]: it for it in whole if it["kind"] == "ServiceAccount"}
        seen = set()
        for name, pod in pods(whole):
            account = pod["serviceAccountName"]
            self.assertNotIn(account, seen)
            seen.add(account)
            maker = self.one(whole, name)
            self.assertEqual(hook(accounts[account]), hook(maker))
        self.assertEqual(seen, set(accounts))

    def test_the_definitions_job_may_write_only_our_definitions(self):
        names = {it["metadata"]["name"] for it in map(yaml.safe_load, (p.read_text() for p in (REPOSITORY / "crds").glob("*.yaml")))}
        named, new = rules_of(self.default, "gaoler-definitions")
        self.assertEqual((set(named["resourceNames"]), named["verbs"]), (names, ["get", "patch"]))
        self.assertEqual((new["resources"], new["verbs"]), (["customresourcedefinitions"], ["create"]))

    def test_only_the_agent_is_root_and_with_net_admin_alone(self):
        for name, pod in pods(self.helm.objects("--values", CHART / "ci" / "james-values.yaml")):
            for container in pod["containers"]:
                with self.subTest(pod=name):
                    confined = container["securityContext"]
                    self.assertIs(confined["allowPrivilegeEscalation"], False)
                    self.assertIs(confined["readOnlyRootFilesystem"], True)
                    self.assertEqual(confined["capabilities"]["drop"], ["ALL"])
                    self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    agent = name == "DaemonSet gaoler/gaoler-agent"
                    self.assertEqual(confined["capabilities"].get("add", []), ["NET_ADMIN"] if agent else [])
                    self.assertEqual(pod.get("hostNetwork", False), agent)
                    self.assertEqual(pod["securityContext"].get("runAsNonRoot", False), not agent)

    def test_pods_go_to_linux_and_tell_why_they_ended(self):
        for name, pod in pods(self.helm.objects(values={"agent": {"nodeSelector": {"mail": "yes"}}})):
            with self.subTest(pod=name):
                self.assertEqual(pod["nodeSelector"]["kubernetes.io/os"], "linux")
                self.assertEqual({it["terminationMessagePolicy"] for it in pod["containers"]}, {"FallbackToLogsOnError"})
        agent = self.one(self.helm.objects(values={"agent": {"nodeSelector": {"mail": "yes"}}}), "DaemonSet gaoler/gaoler-agent")
        self.assertEqual(agent["spec"]["template"]["spec"]["nodeSelector"], {"kubernetes.io/os": "linux", "mail": "yes"})

    def test_what_is_said_of_pods_stands_in_each_of_them(self):
        [file] = [file for file in combinations() if file.name == "every-value-values.yaml"]
        said = yaml.safe_load(file.read_text())
        for name, pod in pods(self.helm.objects("--values", file)):
            whose = {"gaoler-agent": "agent", "gaoler-controller": "controller"}.get(name.partition("/")[2], "hooks")
            with self.subTest(pod=name):
                self.assertEqual(pod["imagePullSecrets"], said["imagePullSecrets"])
                self.assertEqual(pod["tolerations"], said[whose]["tolerations"])
                self.assertEqual(pod["containers"][0].get("imagePullPolicy"), "Always")
                for kind, wanted in (said[whose].get("resources") or {}).items():
                    self.assertEqual(pod["containers"][0]["resources"][kind], {**pod["containers"][0]["resources"][kind], **wanted})
                if whose != "hooks":
                    self.assertEqual(pod["affinity"], said[whose]["affinity"])
                    self.assertEqual(pod["terminationGracePeriodSeconds"], said[whose]["terminationGracePeriodSeconds"])

    # The agent.

    def test_the_address_of_the_agents_metrics_is_where_probes_ask(self):
        for host, listen, asked in (
            ("127.0.0.1", "127.0.0.1:9417", "127.0.0.1"), ("0.0.0.0", "0.0.0.0:9417", "127.0.0.1"), ("::", "[::]:9417", "::1"),
            ("10.0.0.5", "10.0.0.5:9417", "10.0.0.5"),
        ):  # fmt: skip
            it = self.one(self.helm.objects(values={"agent": {"metrics": {"host": host}}}), "DaemonSet gaoler/gaoler-agent")
            [container] = it["spec"]["template"]["spec"]["containers"]
            self.assertIn(f"--metrics={listen}", container["args"])
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.assertEqual((container[probe]["httpGet"]["host"], container[probe]["httpGet"]["port"]), (asked, 9417))
            self.assertEqual("ports" in container, host != "127.0.0.1")

    def test_the_agent_is_on_every_node_and_has_of_it_what_it_works_with(self):
        daemons = self.one(self.default, "DaemonSet gaoler/gaoler-agent")["spec"]
        # Two agents of one node would fight for the state file, and for the port on the node's network.
        self.assertEqual(daemons["updateStrategy"], {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}})
        pod = daemons["template"]["spec"]
        self.assertEqual(pod["tolerations"], [{"operator": "Exists"}], "whatever a node is reserved for")
        self.assertEqual(pod["nodeSelector"], {"kubernetes.io/os": "linux"})
        self.assertEqual(pod["priorityClassName"], "system-node-critical")
        # On the node's network names of the cluster are found only when that is asked for.
        self.assertEqual((pod["hostNetwork"], pod["dnsPolicy"]), (True, "ClusterFirstWithHostNet"))
        [container] = pod["containers"]
        self.assertEqual(container["command"], ["gaoler", "agent"])
        self.assertIn({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, container["env"])
        given = dict(argument.removeprefix("--").split("=", 1) for argument in container["args"])
        self.assertEqual(given["node-name"], "$(NODE_NAME)")
        # Where the kubelet writes logs, and where state is that a pod's end does not take along.
        volumes = {volume["name"]: volume["hostPath"] for volume in pod["volumes"]}
        held = {mount["mountPath"]: (volumes[mount["name"]], mount.get("readOnly", False)) for mount in container["volumeMounts"]}
        self.assertEqual(held, {
            given["pod-logs"]: ({"path": "/var/log/pods", "type": "Directory"}, True),
            str(Path(given["state"]).parent): ({"path": "/var/lib/gaoler", "type": "DirectoryOrCreate"}, False),
        })  # fmt: skip

    def test_probes_ask_for_what_the_program_answers(self):
        served = set(re.findall(r'\.route\("(/\w+)"', (REPOSITORY / "src" / "http.rs").read_text()))
        self.assertEqual(served, {"/healthz", "/readyz", "/metrics"})
        wanted = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
        probed = {"DaemonSet gaoler/gaoler-agent": set(wanted), "Deployment gaoler/gaoler-controller": {"livenessProbe", "readinessProbe"}}
        for name, pod in pods(self.default):
            with self.subTest(pod=name):
                [container] = pod["containers"]
                asked = {probe: container[probe]["httpGet"]["path"] for probe in wanted if probe in container}
                self.assertEqual(asked, {probe: wanted[probe] for probe in probed.get(name, ())})
                for probe in asked:
                    port = container[probe]["httpGet"]["port"]
                    ports = {it["name"]: it["containerPort"] for it in container.get("ports", ())}
                    self.assertIn(f":{ports.get(port, port)}", " ".join(container["args"]))

    def test_the_policies_refuse_and_nothing_gets_past_them_when_they_cannot_be_asked(self):
        policies = {it["metadata"]["name"]: it["spec"] for it in self.default if it["kind"] == "ValidatingAdmissionPolicy"}
        bindings = [it["spec"] for it in self.default if it["kind"] == "ValidatingAdmissionPolicyBinding"]
        self.assertEqual(set(policies), {"gaoler-own-node", "gaoler-enforce-anywhere"})
        self.assertEqual({it["failurePolicy"] for it in policies.values()}, {"Fail"})
        self.assertEqual(sorted(bindings, key=str), [{"policyName": name, "validationActions": ["Deny"]} for name in sorted(policies)])

    # One controller may be lost.

    def test_a_drained_node_leaves_a_controller(self):
        deployment = self.one(self.default, "Deployment gaoler/gaoler-controller")["spec"]
        budget = self.one(self.default, "PodDisruptionBudget gaoler/gaoler-controller")["spec"]
        self.assertEqual((deployment["replicas"], budget["maxUnavailable"]), (2, 1))
        selected = deployment["selector"]["matchLabels"]
        self.assertEqual(budget["selector"]["matchLabels"], selected)
        [spread] = deployment["template"]["spec"]["topologySpreadConstraints"]
        self.assertEqual((spread["topologyKey"], spread["labelSelector"]["matchLabels"]), ("kubernetes.io/hostname", selected))

    def test_further_directories_of_logs_are_mounted_read_only(self):
        whole = self.helm.objects("--values", CHART / "ci" / "every-value-values.yaml")
        pod = self.one(whole, "DaemonSet gaoler/gaoler-agent")["spec"]["template"]["spec"]
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        self.assertEqual({path for path, mount in mounts.items() if not mount.get("readOnly")}, {"/var/lib/gaoler"})
        self.assertIn("/var/lib/docker/containers", mounts)
        paths = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"]}
        self.assertEqual(paths[mounts["/var/lib/gaoler"]["name"]], "/srv/gaoler")

    def test_a_digest_goes_before_a_tag(self):
        digest = "sha256:" + "0" * 64
        for image, wanted in (
            ({}, "gaoler:0.1.0"), ({"tag": "x"}, "gaoler:x"), ({"tag": "x", "digest": digest}, f"gaoler@{digest}"),
            ({"repository": "r.example:5000/g"}, "r.example:5000/g:0.1.0"),
        ):  # fmt: skip
            found = {c["image"] for _, pod in pods(self.helm.objects(values={"image": image})) for c in pod["containers"]}
            self.assertEqual(found, {wanted})

    # What is declared.

    def test_jails_for_james_are_those_of_one_host_without_what_is_of_the_host(self):
        jails = self.declared(james={"enabled": True, "namespace": "mail", "mode": "Enforce"})
        sample = [it for it in yaml.safe_load_all((REPOSITORY / "deploy/james/jails.yaml").read_text()) if it["kind"] == "Jail"]
        self.assertEqual(len(sample), len(jails))
        for one in sample:
            ours = jails[f"Jail mail/{one['metadata']['name']}"]["spec"]
            self.assertEqual(ours.pop("source"), {"layout": {"type": "Auto"}, "pods": {"selector": {"matchLabels": {"app": "james"}}}})
            theirs = {k: v for k, v in one["spec"].items() if k not in ("source", "enforce")}
            self.assertEqual(ours, {"mode": "Enforce", **theirs})

    def test_rate_limits_are_those_of_one_host(self):
        limits = self.declared(mailRateLimits={"enabled": True, "mode": "Enforce"})
        sample = list(yaml.safe_load_all((REPOSITORY / "deploy/standalone/ratelimits.yaml").read_text()))
        theirs = {f"RateLimit gaoler/{it['metadata']['name']}": {"mode": "Enforce", **it["spec"]} for it in sample}
        self.assertEqual({name: it["spec"] for name, it in limits.items()}, theirs)

    def test_rate_limits_at_services_are_those_of_the_sample(self):
        limits = self.declared(mailRateLimits={"enabled": True, "mode": "Enforce", "namespace": "mail", "services": ["james"]})
        sample = by_name(list(yaml.safe_load_all((PLAIN / "examples" / "ratelimits.yaml").read_text())))
        self.assertEqual(sorted(limits), sorted(sample))
        for name, it in sample.items():
            self.assertEqual(limits[name]["spec"], {"mode": "Enforce", **it["spec"]}, name)

    def test_a_preset_observes_unless_told_otherwise_and_takes_changes(self):
        jails = self.declared(james={"enabled": True, "namespace": "mail", "services": ["smtp"], "jails": {"james-logins": {"maxRetry": 2}, "james-abuse": None}})
        self.assertEqual({it["spec"]["mode"] for it in jails.values()}, {"Observe"})
        self.assertNotIn("Jail mail/james-abuse", jails)
        changed = jails["Jail mail/james-logins"]["spec"]
        self.assertEqual((changed["maxRetry"], changed["findTime"], changed["enforce"]), (2, "10m", {"services": ["smtp"]}))

    def test_which_pods_are_james_is_what_was_said_and_nothing_of_the_default(self):
        """Helm merges mappings: of a default there, `app: james` would be wanted beside what was said."""
        for labels, wanted in (({}, {"app": "james"}), ({"app.kubernetes.io/name": "james"}, {"app.kubernetes.io/name": "james"})):
            jails = self.declared(james={"enabled": True, "namespace": "mail", "podLabels": labels})
            self.assertEqual([it["spec"]["source"]["pods"]["selector"] for it in jails.values()], [{"matchLabels": wanted}] * 4)

    def test_what_is_declared_by_hand_is_passed_on_as_it_is(self):
        spec = {"filters": ["x"], "source": {"pods": {"selector": {"matchLabels": {"a": "b"}}}}, "maxRetry": 3, "escalation": {"factor": 1.5}}
        found = self.declared(jails={"j": {"namespace": "web", "spec": spec}}, allowLists={"a": {"entries": [{"prefix": "192.0.2.0/24"}]}})
        self.assertEqual(found["Jail web/j"]["spec"], spec)
        self.assertEqual(found["AllowList /a"]["spec"], {"entries": [{"prefix": "192.0.2.0/24"}]})

    def test_after_an_install_nothing_runs_that_has_nothing_to_do(self):
        job = self.one(self.default, "Job gaoler/gaoler-declared")
        # An upgrade may have to remove what was declared before.
        self.assertEqual(hook(job), "post-upgrade,post-rollback")
        some = self.helm.objects(values={"allowLists": {"a": {"entries": [{"prefix": "192.0.2.0/24"}]}}})
        self.assertEqual(hook(self.one(some, "Job gaoler/gaoler-declared")), "post-install,post-upgrade,post-rollback")
        self.assertEqual([hook(it) for it in self.default if "post-install" in (hook(it) or "")], [])

    def test_what_is_of_our_kinds_is_never_part_of_the_release(self):
        """Else Helm would look for the kinds before the definitions are upgraded."""
        for file in combinations():
            kinds = {it["apiVersion"] for it in self.helm.objects("--values", file)}
            self.assertNotIn("gaoler.dev/v1alpha1", kinds)

    # The end.

    def test_before_the_end_nodes_are_asked_and_after_it_what_machines_wrote_goes(self):
        self.assertEqual(self.command(self.default, "gaoler-uninstall-nodes"), ["gaoler", "uninstall", "nodes", "--wait", "2m"])
        self.assertEqual(hook(self.one(self.default, "Job gaoler/gaoler-uninstall-nodes")), "pre-delete")
        objects = self.one(self.default, "Job gaoler/gaoler-uninstall-objects")
        self.assertEqual(hook(objects), "post-delete")
        command = self.command(self.default, "gaoler-uninstall-objects")
        self.assertIn("--records", command)
        self.assertNotIn("--definitions", command)
        # Where agents ran, and whose declared objects go.
        other = self.helm.objects(release="mine", namespace="elsewhere")
        command = by_name(other)["Job elsewhere/gaoler-uninstall-objects"]["spec"]["template"]["spec"]["containers"][0]["command"]
        self.assertEqual(command[1:7], ["uninstall", "objects", "--namespace", "elsewhere", "--owner", "mine"])

    def test_what_helm_template_prints_undoes_nothing_when_it_is_applied(self):
        """Whoever applies it does so with the hooks, which are objects like others then."""
        for file in [None, *combinations()]:
            printed = self.helm.objects(*(["--values", file] if file else []), connected=False)
            with self.subTest(values=file and file.name):
                self.assertEqual([which(it) for it in printed if "delete" in (hook(it) or "")], [])
                commands = [container["command"] for _, pod in pods(printed) for container in pod["containers"]]
                self.assertNotIn("uninstall", [word for command in commands for word in command])

    def test_bans_may_be_kept_and_definitions_may_go(self):
        kept = self.helm.objects(values={"uninstall": {"keepBans": True}})
        self.assertNotIn("Job gaoler/gaoler-uninstall-nodes", by_name(kept))
        self.assertNotIn("--records", self.command(kept, "gaoler-uninstall-objects"))
        gone = self.helm.objects(values={"uninstall": {"removeDefinitions": True}})
        self.assertIn("--definitions", self.command(gone, "gaoler-uninstall-objects"))
        may = [rule for rule in rules_of(gone, "gaoler-uninstall-objects") if rule["resources"] == ["customresourcedefinitions"]]
        self.assertEqual(len(may[0]["resourceNames"]), len(list((REPOSITORY / "crds").glob("*.yaml"))))

    def test_what_a_job_said_is_shown_and_a_failed_one_stays(self):
        for it in self.default:
            if it["kind"] == "Job":
                annotations = it["metadata"]["annotations"]
                self.assertEqual(annotations["helm.sh/hook-output-log-policy"], "hook-succeeded,hook-failed")
                self.assertNotIn("hook-failed", annotations["helm.sh/hook-delete-policy"])

    # What people read.

    def test_the_notes_warn_of_lost_addresses_and_tell_the_next_step(self):
        done = self.helm.run("install", "gaoler", CHART, "--namespace", "gaoler", "--dry-run=client")
        notes = done.stdout.partition("NOTES:")[2]
        for part in ("externalTrafficPolicy", "kubectl rollout status daemonset/gaoler-agent", "james.enabled=true", "AllowList"):
            self.assertIn(part, notes)
        # With --create-namespace nobody knows yet what the namespace will allow.
        self.assertIn("pod-security.kubernetes.io/enforce=privileged", notes)
        self.assertIn("--set image.repository=", notes)
        done = self.helm.run("install", "gaoler", CHART, "--namespace", "gaoler", "--dry-run=client", "--set", "image.repository=registry.example/gaoler")
        self.assertNotIn("--set image.repository=", done.stdout.partition("NOTES:")[2])
        done = self.helm.run("install", "gaoler", CHART, "--namespace", "gaoler", "--dry-run=client", "--values", CHART / "ci" / "james-values.yaml")
        self.assertIn("mail/james-logins (Enforce)", done.stdout.partition("NOTES:")[2])

    def test_the_charts_definitions_are_the_repositorys(self):
        read = lambda where: {path.name: path.read_text() for path in where.glob("*")}  # noqa: E731
        self.assertEqual(read(CHART / "crds"), read(REPOSITORY / "crds"), "run `make chart`")

    def test_what_has_its_source_elsewhere_is_up_to_date(self):
        done = subprocess.run([sys.executable, REPOSITORY / "scripts" / "chart_copies.py", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_nothing_is_rendered_of_what_is_missing(self):
        for file in [None, *combinations()]:
            text = self.helm.template(*(["--values", file] if file else [])).stdout
            self.assertIsNone(re.search(r"<no value>|%!|: *null\b", text))
