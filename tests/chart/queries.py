"""What the alerts and the dashboard ask Prometheus for."""

import json
import re

import yaml

from .chart import CHART

RULES = CHART / "rules" / "gaoler.yaml"
DASHBOARD = CHART / "dashboards" / "gaoler.json"
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


def served(text):
    """The names of series in a scrape."""
    return set(re.findall(r"(?m)^([a-z_]+)[{ ]", re.sub(r"(?m)^#.*$", "", text)))
