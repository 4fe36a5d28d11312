#!/usr/bin/env python3
"""Writes charts/gaoler/README.md: its head (charts/gaoler/README.head.md) and a table of every value, from the comments
in values.yaml.

    chart_readme.py             writes it
    chart_readme.py --check     fails where it is stale, or where a value has no comment
"""

import json
import re
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[1] / "charts" / "gaoler"
KEY = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")


def comments(text):
    """Path of a value to the comment above it that begins with `--`."""
    found, path, said = {}, [], None
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            said = [stripped[5:]]
        elif stripped.startswith("#"):
            if said is not None:
                said.append(stripped[1:].strip())
        elif match := KEY.match(line):
            depth = len(match[1]) // 2
            path = [*path[:depth], match[2]]
            if said is not None:
                found[".".join(path)] = " ".join(said)
            said = None
        elif not stripped:
            said = None
    return found


def leaves(value, path=""):
    """Every value that is no mapping, or an empty one."""
    for name, it in value.items():
        where = f"{path}.{name}" if path else name
        if isinstance(it, dict) and it:
            yield from leaves(it, where)
        else:
            yield where, it


def at(values, path):
    for name in path.split("."):
        values = values[name]
    return values


def table():
    text = (CHART / "values.yaml").read_text()
    values, said = yaml.safe_load(text), comments(text)
    rows, missing = [], []
    covered = lambda path: next((known for known in said if path == known or path.startswith(f"{known}.")), None)  # noqa: E731
    for path, _ in leaves(values):
        known = covered(path)
        if known is None:
            missing.append(path)
        elif not rows or rows[-1] != known:
            rows.append(known)
    if missing:
        raise SystemExit(f"values.yaml: no comment that begins with `# --` above {', '.join(missing)}")
    lines = ["| value | default | what it does |", "|---|---|---|"]
    for path in dict.fromkeys(rows):
        default = json.dumps(at(values, path)).replace("|", "\\|")
        lines.append(f"| `{path}` | `{default}` | {said[path].replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def main():
    readme = CHART / "README.md"
    text = (CHART / "README.head.md").read_text() + "\n## Values\n\n" + table() + "\n"
    if sys.argv[1:] == ["--check"]:
        if not readme.exists() or readme.read_text() != text:
            raise SystemExit("charts/gaoler/README.md is stale: run scripts/chart_readme.py")
    else:
        readme.write_text(text)


if __name__ == "__main__":
    main()
