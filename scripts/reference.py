#!/usr/bin/env python3
"""Writes docs/reference from the binary itself: resources from the definitions, verbs from their help, metrics
from what is served.

    reference.py BINARY             writes
    reference.py BINARY --check     ends with 1 when a page is not what the binary says
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

PAGES = Path(__file__).resolve().parent.parent / "docs" / "reference"
HEAD = "<!-- Written by `make reference` from the program itself; do not edit. -->\n"


def ask(binary, *arguments):
    # Help is wrapped to the terminal's width.
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
    return subprocess.run([binary, *arguments], check=True, capture_output=True, text=True, env=environment).stdout


def number(value):
    return f"{value:,.0f}" if float(value).is_integer() else str(value)


def words(text):
    """One line, safe inside a table."""
    return " ".join(text.split()).replace("|", "\\|")


def shape(schema):
    """The type in words."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        return "integer or string"
    if kind == "array":
        items = schema["items"]
        return "list" if items.get("type") == "object" else f"list of {shape(items)}s"
    if kind == "object" and "additionalProperties" in schema:
        inner = schema["additionalProperties"]
        return f"map of {shape(inner)}s" if isinstance(inner, dict) else "map"
    return kind or "any"


def limits(schema):
    """What the schema demands, in words."""
    said = []
    choices = [value for value in schema.get("enum", []) if value is not None]
    if choices:
        said.append("one of " + ", ".join(f"`{value}`" for value in choices))
    if "minimum" in schema or "maximum" in schema:
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is None or high is None:
            said.append(f"at least {number(low)}" if high is None else f"at most {number(high)}")
        else:
            said.append(f"{number(low)} to {number(high)}")
    if "maxItems" in schema:
        said.append(f"at most {number(schema['maxItems'])} entries")
    if "maxLength" in schema and "pattern" not in schema and not choices:
        said.append(f"at most {number(schema['maxLength'])} characters")
    said += [words(rule["message"]) for rule in schema.get("x-kubernetes-validations", []) if "message" in rule]
    return said


def fields(schema, prefix=""):
    """A row for each field, depth first: (path, schema, required)."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        path = f"{prefix}{name}"
        yield path, field, name in required
        if field.get("type") == "array":
            yield from fields(field["items"], f"{path}[].")
        elif isinstance(field.get("additionalProperties"), dict):
            yield from fields(field["additionalProperties"], f"{path}.*.")
        else:
            yield from fields(field, f"{path}.")


def whole(sentence):
    begun = sentence[0].upper() + sentence[1:] if sentence.startswith(("at ", "one ")) else sentence
    return begun if begun.endswith((".", "!")) else f"{begun}."


def table(schema):
    lines = ["| field | type | default | what it is |", "|---|---|---|---|"]
    for path, field, required in fields(schema):
        default = "required" if required else f"`{json.dumps(field['default'])}`" if "default" in field else ""
        said = [words(field.get("description", "")), *limits(field)]
        about = " ".join(whole(sentence) for sentence in said if sentence)
        lines.append(f"| `{path}` | {shape(field)} | {default} | {about} |")
    return "\n".join(lines)


def resources(binary):
    crds = json.loads(ask(binary, "crds", "-o", "json"))
    # What people write first, then what Gaoler writes.
    written = ["Jail", "Filter", "RateLimit", "AllowList", "BanList", "Pardon"]
    crds.sort(key=lambda crd: (crd["spec"]["names"]["kind"] not in written, crd["metadata"]["name"]))
    parts = [
        HEAD,
        "# Resources\n",
        "`apiVersion: gaoler.dev/v1alpha1`. The same manifests are read from files on a plain host (`gaoler run`) and from",
        "the API server in a cluster. `kubectl explain jail.spec` and `gaoler schema jail` tell the same. Durations carry",
        "units: `90s`, `10m`, `2h`, `1h30m`.\n",
        "| kind | written by | scope | short |",
        "|---|---|---|---|",
    ]
    for crd in crds:
        names = crd["spec"]["names"]
        by = "people" if names["kind"] in written else "Gaoler"
        short = ", ".join(f"`{name}`" for name in names.get("shortNames", []))
        parts.append(f"| [{names['kind']}](#{names['kind'].lower()}) | {by} | {crd['spec']['scope']} | {short} |")
    for crd in crds:
        version = crd["spec"]["versions"][0]
        schema = version["schema"]["openAPIV3Schema"]
        parts += [f"\n## {crd['spec']['names']['kind']}\n", words(schema["properties"]["spec"].get("description", schema["description"])) + "\n"]
        parts += [f"- {rule}" for rule in limits(schema) + limits(schema["properties"]["spec"])]
        parts += ["\n### spec\n", table(schema["properties"]["spec"])]
        if "status" in schema["properties"]:
            parts += ["\n### status\n", table(schema["properties"]["status"])]
        columns = version.get("additionalPrinterColumns", [])
        if columns:
            told = ", ".join(f"{column['name']} (`{column['jsonPath']}`)" for column in columns)
            parts.append(f"\nColumns of `kubectl get`: {told}.")
    return "\n".join(parts) + "\n"


def verbs(binary, *path):
    """(path, help) of a verb and those below it."""
    text = ask(binary, *path, "--help")
    yield path, text
    names, inside = [], False
    for line in text.splitlines():
        if line.startswith("Commands:"):
            inside = True
        elif inside and line.startswith("  ") and not line.startswith("   "):
            names.append(line.split()[0])
        elif inside and not line.startswith("  "):
            inside = False
    for name in names:
        if name != "help":
            yield from verbs(binary, *path, name)


def command_line(binary):
    parts = [
        HEAD,
        "# Command line\n",
        "One binary: `gaoler`, and called `kubectl-gaoler` the plugin of kubectl. Exit codes of all verbs: 0 done, or yes;",
        "1 no, or problems were found; 2 wrong usage, or an error; 3 no answer on the control socket or from the API server.",
    ]
    found = [("gaoler", binary)]
    plugin = Path(binary).resolve().parent / "reference" / "kubectl-gaoler"
    plugin.parent.mkdir(exist_ok=True)
    plugin.unlink(missing_ok=True)
    plugin.symlink_to(Path(binary).resolve())
    found.append(("kubectl gaoler", str(plugin)))
    for name, program in found:
        for path, text in verbs(program):
            title = " ".join([name, *path])
            general = text.find("\nGlobal options:")
            if path and general >= 0:
                text = text[:general]
            parts.append(f"\n{'##' if not path else '###'} {title}\n\n```text\n{text.strip()}\n```")
    plugin.unlink()
    plugin.parent.rmdir()
    return "\n".join(parts) + "\n"


def metrics(binary):
    parts = [
        HEAD,
        "# Metrics\n",
        "OpenMetrics on `/metrics`: `gaoler run --metrics` and `gaoler agent --metrics` on loopback unless told otherwise, the",
        "controller on its pod's address. No label holds an address: the number of series is bounded by what is declared.",
        "`gaoler_ban_slices_…`, `gaoler_sightings_…` and what follows them are the agent's in a cluster alone.\n",
        "| metric | type | labels | what it is |",
        "|---|---|---|---|",
    ]
    kinds, helps, labels = {}, {}, {}
    for line in ask(binary, "man", "--metrics").splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            kinds[name] = kind
        elif line.startswith("# HELP "):
            name, text = line.removeprefix("# HELP ").split(" ", 1)
            helps[name] = text.rstrip(".")
        elif not line.startswith("#"):
            sample, _, inside = line.partition("{")
            family = max((name for name in kinds if sample.split()[0].startswith(name)), key=len)
            found = re.findall(r'(\w+)="', inside)
            labels.setdefault(family, [label for label in found if label != "le"])
    suffix = {"counter": "_total", "info": "_info"}
    for name, kind in kinds.items():
        told = ", ".join(f"`{label}`" for label in labels.get(name, []))
        parts.append(f"| `{name}{suffix.get(kind, '')}` | {kind} | {told} | {words(helps.get(name, ''))} |")
    return "\n".join(parts) + "\n"


def main():
    binary = sys.argv[1]
    stale = []
    for name, text in {"resources.md": resources, "cli.md": command_line, "metrics.md": metrics}.items():
        page, wanted = PAGES / name, text(binary)
        if "--check" in sys.argv[2:]:
            if not page.exists() or page.read_text() != wanted:
                stale.append(name)
        else:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(wanted)
    if stale:
        print(f"docs/reference: not what the program says: {', '.join(stale)}; run `make reference` and commit", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
