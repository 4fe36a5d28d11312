#!/usr/bin/env python3
"""Writes what the chart has in common with deploy/kubernetes and crds/: definitions, rights and policies, which have
one source there. `make chart` runs it.

    chart_copies.py             writes
    chart_copies.py --check     names what is stale
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLAIN, CHART = ROOT / "deploy" / "kubernetes", ROOT / "charts" / "gaoler"
LABELS = re.compile(r"( *)labels: \{app\.kubernetes\.io/name: gaoler(?:, app\.kubernetes\.io/component: (\w+))?\}\n")
# A label of ours among others.
LABEL = re.compile(r"( *)app\.kubernetes\.io/name: gaoler\n")
HEAD = "{{- /* Written by `make chart` from deploy/kubernetes/%s; change it there. */ -}}\n"


def template(text):
    """A plain manifest, with the release's labels and namespace."""

    def labels(match):
        component = f' "component" "{match[2]}"' if match[2] else ""
        return f'{match[1]}labels:\n{match[1]}  {{{{- include "gaoler.labels" (dict "root" ${component}) | nindent 4 }}}}\n'

    text = LABELS.sub(labels, text)
    text = LABEL.sub(r'\1{{- include "gaoler.labels" (dict "root" $) | nindent 4 }}' + "\n", text)
    text = re.sub(r"\bnamespace: gaoler\b", "namespace: {{ $.Release.Namespace }}", text)
    return text.replace("system:serviceaccount:gaoler:", "system:serviceaccount:{{ $.Release.Namespace }}:")


def without_account(text):
    """A manifest without its ServiceAccount, which the chart has apart: rights may be somebody else's to give."""
    first, _, rest = text.partition("---\n")
    if "kind: ServiceAccount" not in first:
        raise SystemExit("the first document is no ServiceAccount any more")
    return "".join(line for line in first.splitlines(keepends=True) if line.startswith("#")) + rest


def wanted():
    """Path in the chart to its text."""
    for path in sorted((ROOT / "crds").glob("*.yaml")):
        yield f"crds/{path.name}", path.read_text()
    for source, target, value in (
        ("agent-rbac.yaml", "agent/rbac.yaml", "rbac.create"),
        ("controller-rbac.yaml", "controller/rbac.yaml", "rbac.create"),
        ("people-rbac.yaml", "people/rbac.yaml", "rbac.people"),
        ("policy-own-node.yaml", "policies/own-node.yaml", "policies.ownNode"),
        ("policy-enforce-anywhere.yaml", "policies/enforce-anywhere.yaml", "policies.enforceAnywhere"),
    ):
        text = (PLAIN / source).read_text()
        text = without_account(text) if value == "rbac.create" else text
        yield f"templates/{target}", HEAD % source + f"{{{{- if .Values.{value} }}}}\n{template(text)}{{{{- end }}}}\n"


def main():
    texts = {CHART / name: text for name, text in wanted()}
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text() != text]
    gone = [path for path in (CHART / "crds").glob("*") if path not in texts]
    if sys.argv[1:] == ["--check"]:
        if stale or gone:
            names = ", ".join(str(path.relative_to(ROOT)) for path in stale + gone)
            raise SystemExit(f"not what deploy/kubernetes and crds/ have: {names}; run `make chart`")
        return
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[path])
    for path in gone:
        path.unlink()


if __name__ == "__main__":
    main()
