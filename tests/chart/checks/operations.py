"""Alerts and dashboard. That each metric they name is there is checked on a real agent, in tests/cluster."""

import json
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

import yaml

from chart.chart import CHART, REPOSITORY, Helm
from chart.queries import DASHBOARD, RULES, TESTS, asked, dashboard, metrics, panels, rules, told


class Operations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = subprocess.run([REPOSITORY / "scripts" / "promtool.sh"], stdout=subprocess.PIPE, text=True, check=True)
        cls.promtool = done.stdout.strip()
        work = tempfile.TemporaryDirectory(prefix="gaoler-chart-")
        cls.addClassCleanup(work.cleanup)
        cls.work = Path(work.name)

    def ask(self, *arguments):
        done = subprocess.run([self.promtool, *map(str, arguments)], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_each_alert_falls_due_when_it_shall_and_not_else(self):
        file = self.work / "alerts.yaml"
        file.write_text(TESTS.read_text().replace("RULES", str(RULES)))
        code, said = self.ask("test", "rules", file)
        self.assertEqual(code, 0, said)
        untested = [rule["alert"] for rule in rules() if rule["alert"] not in TESTS.read_text()]
        self.assertEqual(untested, [])

    def test_each_alert_says_what_is_wrong_and_what_to_do(self):
        for rule in rules():
            with self.subTest(alert=rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
                self.assertGreater(len(rule["annotations"]["description"]), 60)
                self.assertLess(len(rule["annotations"]["summary"]), 100)

    def test_the_charts_rules_are_these(self):
        [rendered] = Helm().objects("--values", CHART / "ci" / "monitoring-values.yaml", "--show-only", "templates/monitoring/rules.yaml")
        self.assertEqual(rendered["spec"], yaml.safe_load(RULES.read_text()))
        file = self.work / "rendered.yaml"
        file.write_text(yaml.safe_dump(rendered["spec"]))
        code, said = self.ask("check", "rules", file)
        self.assertEqual(code, 0, said)

    def test_prometheus_finds_the_pods_and_knows_their_nodes(self):
        whole = Helm().objects("--values", CHART / "ci" / "monitoring-values.yaml")
        made = {it["metadata"]["name"]: it["spec"]["template"] for it in whole if it["kind"] in ("DaemonSet", "Deployment")}
        monitors = [it for it in whole if it["kind"] == "PodMonitor"]
        self.assertEqual({it["metadata"]["name"] for it in monitors}, set(made))
        for it in monitors:
            with self.subTest(monitor=it["metadata"]["name"]):
                template = made[it["metadata"]["name"]]
                wanted = it["spec"]["selector"]["matchLabels"].items()
                self.assertLessEqual(wanted, template["metadata"]["labels"].items())
                others = [other for name, other in made.items() if name != it["metadata"]["name"]]
                self.assertEqual([other for other in others if wanted <= other["metadata"]["labels"].items()], [])
                [endpoint] = it["spec"]["podMetricsEndpoints"]
                self.assertIn(endpoint["port"], [port["name"] for port in template["spec"]["containers"][0]["ports"]])
                self.assertIn({"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}, endpoint["relabelings"])

    def test_prometheus_understands_every_panel(self):
        found = list(dashboard())
        self.assertGreater(len(found), 20)
        self.assertEqual([it for _, it in found if "$" in it], [])
        recorded = [{"record": f"panel:{i}", "expr": expression} for i, (_, expression) in enumerate(found)]
        file = self.work / "panels.yaml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
        code, said = self.ask("check", "rules", file)
        self.assertEqual(code, 0, said)

    def test_the_dashboard_is_one_that_grafana_can_read(self):
        whole = json.loads(DASHBOARD.read_text())
        self.assertGreaterEqual(whole["schemaVersion"], 36)
        every = whole["panels"]
        self.assertEqual(len({panel["id"] for panel in every}), len(every))
        taken = set()
        for panel in every:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24)
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(taken & cells, f"{panel['title']} lies on another panel")
            taken |= cells
        for panel in panels():
            with self.subTest(panel=panel["title"]):
                self.assertTrue(panel["description"] and panel["fieldConfig"]["defaults"]["unit"])
                self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "${datasource}"})
        # Whoever imports it chooses the data source; a variable that is used is declared.
        used = set(re.findall(r"\$\{?([a-z]+)\b", DASHBOARD.read_text())) - {"__rate_interval"}
        self.assertLessEqual(used, {it["name"] for it in whole["templating"]["list"]})

    def test_the_charts_dashboard_is_this_one(self):
        [rendered] = Helm().objects("--values", CHART / "ci" / "monitoring-values.yaml", "--show-only", "templates/monitoring/dashboard.yaml")
        self.assertEqual(json.loads(rendered["data"]["gaoler.json"]), json.loads(DASHBOARD.read_text()))
        self.assertEqual(rendered["metadata"]["labels"]["grafana_dashboard"], "1")

    def test_alerts_and_panels_ask_for_metrics_of_ours(self):
        self.assertGreater(len(metrics()), 20)
        self.assertEqual({metric for _, metric, _ in asked()} - set(metrics()), set())
        # Their labels are held to a real scrape in tests/cluster; of the tests of alerts, too.
        self.assertGreater(sum(len(labels) for _, _, labels in asked()), 60)
        self.assertGreater(len(list(told())), 20)

    def test_conditions_and_kinds_that_somebody_asks_for_are_there(self):
        """In a scrape stand only those that hold or held."""
        source = (REPOSITORY / "src/agent/report/status.rs").read_text()
        known = set(re.findall(r"(?m)^    (\w+),$", source.split("pub enum ConditionType {")[1].split("}")[0]))
        texts = RULES.read_text() + TESTS.read_text() + json.dumps([it for _, it in dashboard()]).replace('\\"', '"')
        used = {name for names in re.findall(r'condition(?:=|!=|=~|!~)"([^"]*)"', texts) for name in names.split("|")}
        self.assertLessEqual({"BanIneffective", "Accepted"}, used)
        self.assertEqual(used - known, set())
        kinds = {it["spec"]["names"]["kind"] for it in map(yaml.safe_load, (p.read_text() for p in (CHART / "crds").glob("*.yaml")))}
        self.assertEqual(set(re.findall(r'\bkind="([^"]*)"', texts)) - kinds, set())
