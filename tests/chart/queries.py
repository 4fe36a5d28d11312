"""What the alerts and the dashboard ask Prometheus for."""

import json
import re

import yaml

from .chart import CHART, REPOSITORY

RULES = CHART / "rules" / "gaoler.yaml"
DASHBOARD = CHART / "dashboards" / "gaoler.json"
TESTS = REPOSITORY / "tests" / "chart" / "alerts.yaml"
# Labels that the Prometheus operator gives each target of a PodMonitor, and `node`, which the chart's PodMonitors add.
OF_THE_TARGET = {"job", "instance", "namespace", "pod", "container", "endpoint", "node"}
# Grafana puts these in before it asks.
VARIABLES = {"$__rate_interval": "5m", "$node": ".*", "$jail": ".*"}


def rules():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def dashboard():
    """Title of the panel and expression, with values in place of variables."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


def metrics():
    """The metrics of ours that somebody asks for, with where."""
    found = {}
    asked = [(f"alert {rule['alert']}", rule["expr"]) for rule in rules()] + [(f"panel {title}", it) for title, it in dashboard()]
    variables = json.loads(DASHBOARD.read_text())["templating"]["list"]
    asked += [(f"variable {it['name']}", it["query"]["query"]) for it in variables if it["type"] == "query"]
    for where, expression in asked:
        # Not what stands in quotes.
        for name in re.findall(r"\bgaoler_[a-z_]+", re.sub(r'"[^"]*"', '""', expression)):
            found.setdefault(name, where)
    return found


def asked():
    """What alerts and panels ask for, with the labels by which they choose, add up and name: (where, metric, labels)."""
    expressions = [(f"alert {it['alert']}", it["expr"], " ".join(it["annotations"].values())) for it in rules()]
    for panel in panels():
        expressions += [(f"panel {panel['title']}", target["expr"], target.get("legendFormat") or "") for target in panel["targets"]]
    for where, expression, said in expressions:
        everywhere = {label for by in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r"[, ]+", by)}
        everywhere |= set(re.findall(r"\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}", said))
        for metric, chosen in re.findall(r"\b(gaoler_[a-z_]+)(?:\{([^}]*)\})?", expression):
            yield where, metric, everywhere | labels(chosen)
    for it in json.loads(DASHBOARD.read_text())["templating"]["list"]:
        for metric, label in re.findall(r"label_values\((\w+), *(\w+)\)", it["query"]["query"] if it["type"] == "query" else ""):
            yield f"variable {it['name']}", metric, {label}


def told():
    """The series that the alerts' tests make up: (name of the test, metric, labels)."""
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for it in test["input_series"]:
            metric, chosen = re.fullmatch(r"(\w+)(?:\{(.*)\})?", it["series"]).groups()
            yield f"test: {test['name']}", metric, labels(chosen)


def labels(chosen):
    """The names of labels between the braces of a selector or a series."""
    return set(re.findall(r'([a-z_]+) *(?:=~|!~|!=|=) *"', chosen or ""))


def served(text):
    """Names of series in a scrape, with all labels that any series of the name has."""
    found = {}
    for name, chosen in re.findall(r"(?m)^([a-z_]+)(?:\{(.*)\})? ", text):
        found.setdefault(name, set()).update(labels(chosen))
    return found
