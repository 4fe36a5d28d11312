"""Which values the chart takes, and what it says of those it does not."""

import subprocess
import sys
import unittest

import yaml

from chart.chart import CHART, REPOSITORY, Helm, combinations

# A good Jail.
JAIL = {"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}}}
# A wrong value, and what Helm must say of it: where it stands, and what is wrong.
WRONG = [
    ({"agnet": {}}, ["additional properties 'agnet' not allowed"]),
    ({"agent": {"metrics": {"port": "9417"}}}, ["/agent/metrics/port", "got string, want integer"]),
    ({"agent": {"metrics": {"port": 70000}}}, ["/agent/metrics/port", "maximum", "65"]),
    ({"agent": {"metrics": {"host": "localhost"}}}, ["/agent/metrics/host", "'localhost' does not match pattern"]),
    ({"agent": {"podLogs": "var/log/pods"}}, ["/agent/podLogs", "does not match pattern '^/"]),
    ({"agent": {"updateStrategy": {"type": "Recreate"}}}, ["/agent/updateStrategy/type", "'RollingUpdate', 'OnDelete'"]),
    ({"agent": {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}}}, ["/agent/updateStrategy/rollingUpdate/maxSurge", "value must be 0"]),
    ({"agent": {"resources": {"limits": {"memory": "lots"}}}}, ["/agent/resources/limits/memory", "'lots' does not match"]),
    ({"agent": {"extraCapabilities": ["CAP_DAC_READ_SEARCH"]}}, ["/agent/extraCapabilities/0", "'DAC_READ_SEARCH'"]),
    ({"agent": {"extraEnv": [{"name": "A", "value": 1}]}}, ["/agent/extraEnv/0/value", "got number, want string"]),
    ({"controller": {"replicas": -1}}, ["/controller/replicas", "minimum: got -1, want 0"]),
    ({"image": {"digest": "sha256:abc"}}, ["/image/digest", "'sha256:abc' does not match"]),
    ({"image": {"pullPolicy": "Sometimes"}}, ["/image/pullPolicy", "'Always', 'IfNotPresent', 'Never'"]),
    ({"image": {"repository": "gaoler:0.1.0"}}, ["/image/repository", "'gaoler:0.1.0' does not match"]),
    ({"james": {"enabled": True}}, ["/james/namespace", "minLength"]),
    ({"james": {"mode": "enforce"}}, ["/james/mode", "'Enforce', 'Observe'"]),
    ({"james": {"layout": {"type": "Log4j"}}}, ["/james/layout/type", "'Auto'"]),
    ({"jails": {"james": {"spec": JAIL}}}, ["/jails/james", "missing property 'namespace'"]),
    ({"jails": [{"name": "james"}]}, ["/jails", "got array, want object"]),
    ({"jails": {"James_1": {"namespace": "mail", "spec": JAIL}}}, ["invalid propertyName 'James_1'"]),
    ({"allowLists": {"office": {"entries": [{"comment": "nobody"}]}}}, ["/allowLists/office/entries/0", "'prefix'", "'host'"]),
    ({"uninstall": {"wait": "2 minutes"}}, ["/uninstall/wait", "'2 minutes' does not match"]),
    ({"policies": {"ownNode": "no"}}, ["/policies/ownNode", "got string, want boolean"]),
    # What the definitions of custom resources say: in Helm's answer, not first in that of a Job after the install.
    ({"jails": {"james": {"namespace": "mail", "spec": {**JAIL, "maxRetries": 5}}}}, ["/jails/james/spec", "'maxRetries' not allowed"]),
    ({"jails": {"james": {"namespace": "mail", "spec": {**JAIL, "maxRetry": "five"}}}}, ["/jails/james/spec/maxRetry", "got string"]),
    ({"jails": {"james": {"namespace": "mail", "spec": {**JAIL, "banTime": "2 hours"}}}}, ["/jails/james/spec/banTime", "'2 hours' does not match"]),
    ({"jails": {"james": {"namespace": "mail", "spec": {**JAIL, "enforce": {"action": "drop"}}}}}, ["/jails/james/spec/enforce/action", "'Drop'"]),
    ({"jails": {"james": {"namespace": "mail", "spec": {"source": JAIL["source"]}}}}, ["/jails/james/spec", "missing property 'filters'"]),
    ({"filters": {"mine": {"namespace": "mail", "spec": {"failregex": ["<HOST>"]}}}}, ["/filters/mine/spec", "'failregex' not allowed"]),
    ({"rateLimits": {"ssh": {"namespace": "mail", "spec": {"protocol": "tcp", "hits": 6}}}}, ["/rateLimits/ssh/spec/protocol", "'TCP'"]),
    ({"allowLists": {"office": {"entries": [{"prefix": "the office"}]}}}, ["/allowLists/office/entries/0/prefix", "'the office' does not match"]),
    ({"james": {"jails": {"james-logins": {"maxretry": 4}}}}, ["/james/jails/james-logins", "'maxretry' not allowed"]),
    # What no schema can say.
    ({"james": {"enabled": True, "namespace": "mail", "jails": {"james-login": {}}}}, ["james.jails.james-login: there is no such Jail", "james-logins"]),
    ({"controller": {"podDisruptionBudget": {"minAvailable": 1}}}, ["controller.podDisruptionBudget", "set maxUnavailable to null"]),
    ({"monitoring": {"podMonitors": {"enabled": True}}}, ["set agent.metrics.host to 0.0.0.0"]),
    (
        {"james": {"enabled": True, "namespace": "mail"}, "jails": {"james-logins": {"namespace": "mail", "spec": JAIL}}},
        ["Jail mail/james-logins is declared twice"],
    ),
]


class Values(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.helm = Helm()

    def test_helm_finds_nothing_to_complain_about(self):
        for file in [None, *combinations()]:
            with self.subTest(values=file and file.name):
                done = self.helm.run("lint", "--strict", CHART, *(["--values", file] if file else []))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotIn("[WARNING]", done.stdout)

    def test_every_combination_is_rendered(self):
        self.assertGreaterEqual(len(combinations()), 5)
        for file in combinations():
            with self.subTest(values=file.name):
                objects = self.helm.objects("--values", file)
                self.assertIn("DaemonSet", [it["kind"] for it in objects])

    def test_a_wrong_value_is_refused_with_its_place_and_what_is_wrong(self):
        for values, said in WRONG:
            with self.subTest(values=values):
                done = self.helm.template(values=values)
                self.assertNotEqual(done.returncode, 0, "was accepted")
                for part in said:
                    self.assertIn(part, done.stderr)

    def test_what_the_definitions_leave_open_the_schema_leaves_open(self):
        changed = {"james-logins": {"maxRetry": 4, "escalation": {"factor": 3}, "trusted": None, "source": {"layout": {"type": "Text"}}}}
        for values in (
            {"jails": {"j": {"namespace": "mail", "spec": {**JAIL, "banTime": "Permanent", "brake": None, "prefix": {"ipv6": 56}}}}},
            {"jails": {"j": {"namespace": "mail", "spec": {**JAIL, "source": {"pods": {"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}}}}}},
            {"james": {"enabled": True, "namespace": "mail", "jails": changed}},
        ):
            with self.subTest(values=values):
                done = self.helm.template(values=values)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_schema_says_of_specs_what_the_definitions_say(self):
        done = subprocess.run([sys.executable, REPOSITORY / "scripts" / "chart_schema.py", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_value_is_documented_and_in_the_schema(self):
        done = subprocess.run([sys.executable, REPOSITORY / "scripts" / "chart_readme.py", "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_value_is_read_by_a_template(self):
        """A value that changes nothing is a promise not kept: with every value changed, something else is rendered."""
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())

        def names(value):
            for name, it in value.items():
                yield name
                # The insides of Kubernetes' own structures are passed on as they are.
                if isinstance(it, dict) and name not in ("resources", "updateStrategy", "podDisruptionBudget", "labels", "podLabels", "nodeSelector"):
                    yield from names(it)

        for name in set(names(values)):
            with self.subTest(value=name):
                self.assertRegex(templates, rf'[.]{name}\b|"{name}"')

    def test_the_versions_are_the_programs(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        cargo = (REPOSITORY / "Cargo.toml").read_text()
        self.assertIn(f'\nversion = "{chart["appVersion"]}"\n', cargo)
