#!/usr/bin/env python3
"""Writes into charts/gaoler/values.schema.json what the definitions of custom resources (crds/) say of the specs that
values declare, so that Helm itself refuses a mistake in a Jail with its place, before anything is installed. What only
rules between fields tell (CEL), the API server says later. `make chart` runs it.

    chart_schema.py             writes
    chart_schema.py --check     fails where it is stale
"""

import json
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "charts" / "gaoler" / "values.schema.json"
# Name below `$defs` to the definition of the kind whose spec it is.
SPECS = {"jailSpec": "jails", "filterSpec": "filters", "rateLimitSpec": "ratelimits"}
# What both languages have. Of the rest, `default` and `format` refuse nothing, and CEL is none of JSON Schema's.
KEPT = (
    "description", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "uniqueItems",
    "minProperties", "maxProperties",
)  # fmt: skip
KNOWN = {*KEPT, "type", "enum", "nullable", "properties", "required", "items", "additionalProperties", "default", "format", "x-kubernetes-validations"}


def of(definition, whole=True, optional=False):
    """The JSON Schema of a part of a definition; with `whole` false, of a change to it, which need not name everything.

    What is `optional` may be taken back by `null`, in a later file of values or in a change to a preset.
    """
    strange = set(definition) - KNOWN
    if strange:
        raise SystemExit(f"crds/ use {', '.join(sorted(strange))}, which this does not translate")
    found = {}
    for key in KEPT:
        if key in definition:
            value = definition[key]
            # One line; and no bound with a fraction that is none.
            value = " ".join(value.split()) if key == "description" else value
            found[key] = int(value) if isinstance(value, float) and value.is_integer() else value
    optional = optional or definition.get("nullable", False)
    found["type"] = [definition["type"], "null"] if optional else definition["type"]
    if "enum" in definition:
        found["enum"] = [*definition["enum"], *([None] if optional and None not in definition["enum"] else [])]
    if "items" in definition:
        found["items"] = of(definition["items"], whole)
    if "properties" in definition:
        needed = definition.get("required", []) if whole else []
        found["properties"] = {name: of(it, whole, name not in needed) for name, it in definition["properties"].items()}
        found["additionalProperties"] = False
    if isinstance(definition.get("additionalProperties"), dict):
        found["additionalProperties"] = of(definition["additionalProperties"], whole)
    if whole and "required" in definition:
        found["required"] = definition["required"]
    return found


def spec(plural):
    definition = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    [version] = definition["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]


def wanted():
    schema = json.loads(SCHEMA.read_text())
    for name, plural in SPECS.items():
        schema["$defs"][name] = of(spec(plural))
    schema["$defs"]["jailChange"] = of(spec("jails"), whole=False, optional=True)
    schema["$defs"]["allowListEntry"] = of(spec("allowlists")["properties"]["entries"]["items"])
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main():
    text = wanted()
    if sys.argv[1:] == ["--check"]:
        if SCHEMA.read_text() != text:
            raise SystemExit("charts/gaoler/values.schema.json does not say what crds/ say: run `make chart`")
    else:
        SCHEMA.write_text(text)


if __name__ == "__main__":
    main()
