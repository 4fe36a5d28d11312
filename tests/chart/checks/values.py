"""Which values the chart takes, and what it says of those it does not."""

import subprocess
import sys
import unittest
from copy import deepcopy

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
    ({"agent": {"metrics": {"host": "300.1.1.1"}}}, ["/agent/metrics/host", "'300.1.1.1' does not match pattern"]),
    ({"agent": {"podLabels": {"app.kubernetes.io/name": "mine"}}}, ["/agent/podLabels/app.kubernetes.io~1name", "false schema"]),
    ({"agent": {"extraEnv": [{"name": "NODE_NAME", "value": "n2"}]}}, ["/agent/extraEnv/0/name", "'not' failed"]),
    ({"image": {"repository": "registry.example/Gaoler"}}, ["/image/repository", "'registry.example/Gaoler' does not match"]),
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


# With all that is optional, so that each value has something to change.
EVERYTHING = {
    "agent": {"metrics": {"host": "0.0.0.0"}},
    "james": {"enabled": True, "namespace": "mail"},
    "mailRateLimits": {"enabled": True},
    "monitoring": {name: {"enabled": True} for name in ("podMonitors", "rules", "dashboard")},
}
POD = {
    "priorityClassName": "mine", "tolerations": [{"key": "mail", "operator": "Exists"}], "nodeSelector/kubernetes.io~os": "plan9",
    "affinity": {"podAffinity": {}}, "terminationGracePeriodSeconds": 7, "resources/requests/cpu": "1m", "resources/requests/memory": "1Mi",
    "resources/limits/memory": "2Mi", "logFormat": "json", "extraArgs": ["--verbose"], "extraEnv": [{"name": "A", "value": "b"}],
    "podAnnotations": {"a": "b"}, "podLabels": {"a": "b"}, "serviceAccount/annotations": {"a": "b"}, "metrics/port": 1234,
}  # fmt: skip
# For every value another one than the default.
OTHERS = {
    "image/repository": "other", "image/tag": "other", "image/digest": "sha256:" + "0" * 64, "image/pullPolicy": "Always",
    "imagePullSecrets": [{"name": "secret"}],
    **{f"{who}/{path}": value for who in ("agent", "controller") for path, value in POD.items()},
    "agent/observe": True, "agent/updateStrategy/type": "OnDelete", "agent/updateStrategy/rollingUpdate/maxUnavailable": 1,
    "agent/podLogs": "/logs", "agent/linkedLogs": ["/linked"], "agent/stateDirectory": "/srv/gaoler", "agent/extraCapabilities": ["SYSLOG"],
    "agent/seLinuxOptions": {"type": "spc_t"}, "agent/metrics/host": "::",
    "controller/replicas": 3, "controller/podDisruptionBudget/maxUnavailable": 2,
    "rbac/create": False, "rbac/people": False, "policies/ownNode": False, "policies/enforceAnywhere": False, "definitions/upgrade": False,
    "james/enabled": False, "james/namespace": "elsewhere", "james/podLabels": {"a": "b"}, "james/containers": ["c"], "james/mode": "Enforce",
    "james/layout/type": "Text", "james/services": ["smtp"], "james/jails": {"james-abuse": None},
    "jails": {"j": {"namespace": "mail", "spec": JAIL}}, "filters": {"f": {"namespace": "mail", "spec": {"failRegex": ["^<HOST>$"]}}},
    "allowLists": {"a": {"entries": [{"prefix": "192.0.2.0/24"}]}}, "rateLimits": {"r": {"namespace": "mail", "spec": {"protocol": "TCP", "hits": 6, "window": "1m", "ports": [22]}}},
    "mailRateLimits/enabled": False, "mailRateLimits/namespace": "mail", "mailRateLimits/services": ["smtp"], "mailRateLimits/mode": "Enforce",
    "uninstall/keepBans": True, "uninstall/wait": "3m", "uninstall/removeDefinitions": True,
    **{f"hooks/{path}": POD[path] for path in ("tolerations", "nodeSelector/kubernetes.io~os", *(it for it in POD if it.startswith("resources")))},
    "monitoring/podMonitors/enabled": False, "monitoring/podMonitors/labels": {"a": "b"}, "monitoring/podMonitors/interval": "7s",
    "monitoring/rules/enabled": False, "monitoring/rules/labels": {"a": "b"},
    "monitoring/dashboard/enabled": False, "monitoring/dashboard/labels/grafana_dashboard": "2", "monitoring/dashboard/annotations": {"a": "b"},
}  # fmt: skip


def leaves(values, above=()):
    """Every value that is no mapping, or an empty one, by its path; `~` stands for a slash in a name."""
    for name, it in values.items():
        path = (*above, name.replace("/", "~"))
        if isinstance(it, dict) and it:
            yield from leaves(it, path)
        else:
            yield "/".join(path), it


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
            {"jails": None, "filters": None, "rateLimits": None, "allowLists": None, "james": {"enabled": True, "namespace": "mail", "jails": None}},
            {"image": {"repository": "Registry.example:5000/a-b/c_d.e/gaoler"}},
            {"agent": {"podLabels": {"app.kubernetes.io/part-of": "mail", "team": "a"}, "metrics": {"host": "255.0.199.249"}}},
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

    def test_every_value_changes_what_is_rendered(self):
        """A value that changes nothing is a promise not kept."""
        values = yaml.safe_load((CHART / "values.yaml").read_text())
        before = self.helm.template(values=EVERYTHING)
        self.assertEqual(before.returncode, 0, before.stderr)
        paths = dict(leaves(values))
        self.assertEqual(set(OTHERS) - set(paths), set(), "values that are gone")
        for path in paths:
            with self.subTest(value=path):
                self.assertIn(path, OTHERS, "give it another value here")
                keys, changed = [key.replace("~", "/") for key in path.split("/")], deepcopy(EVERYTHING)
                inner = changed
                for key in keys[:-1]:
                    inner = inner.setdefault(key, {})
                inner[keys[-1]] = OTHERS[path]
                after = self.helm.template(values=changed)
                self.assertEqual(after.returncode, 0, after.stderr)
                self.assertNotEqual(after.stdout, before.stdout)

    def test_the_versions_are_the_programs(self):
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        cargo = (REPOSITORY / "Cargo.toml").read_text()
        self.assertIn(f'\nversion = "{chart["appVersion"]}"\n', cargo)
