"""The repository's manifests as the API server takes them."""

import json
import re

from .case import REPOSITORY


def documents(path):
    """The YAML documents of a file, as text, without the empty ones."""
    for text in re.split(r"(?m)^---\s*$", path.read_text()):
        if any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
            yield text


def as_json(plane, text):
    """One YAML document as JSON; kubectl reads it, nothing is sent."""
    done = plane.kubectl("label", "--local", "-f", "-", "gaoler-test=sample", "-o", "json", input=text)
    read = json.loads(done.stdout)
    del read["metadata"]["labels"]
    return read


def definitions():
    """The definitions in crds/, as the program prints them: name of the file to content."""
    return {path.name: path for path in sorted((REPOSITORY / "crds").glob("*.yaml"))}


def samples():
    """Every document of ours that is meant for people to apply, and every built-in filter: (file, text)."""
    for path in sorted([*(REPOSITORY / "deploy").rglob("*.yaml"), *(REPOSITORY / "filters").glob("*.yaml")]):
        for text in documents(path):
            if re.search(r"(?m)^apiVersion: *gaoler\.dev/", text):
                yield str(path.relative_to(REPOSITORY)), text


def rules(schema, path=""):
    """Every CEL rule of a schema: (path, message)."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, rule["message"]
    for name, field in schema.get("properties", {}).items():
        yield from rules(field, f"{path}.{name}")
    if isinstance(schema.get("items"), dict):
        yield from rules(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from rules(schema["additionalProperties"], f"{path}[*]")
