"""Gaoler set up the way the peers are: one jail, James' pattern, mail ports."""

import json

from .daemon import Daemon
from .mailserver import MAIL_PORTS
from .peers import patterns


def manifest(log, *, count=1, max_retry=5, find_time="10m", ports=MAIL_PORTS, filters=None, extra=""):
    """A Jail named james on one log; its Filter holds the peers' patterns unless `filters` names built-in ones."""
    text = ""
    if filters is None:
        filters = ["guessing"]
        regexes = "".join(f"    - {json.dumps(p)}\n" for p in patterns(count))
        text = f"apiVersion: gaoler.dev/v1alpha1\nkind: Filter\nmetadata: {{name: guessing}}\nspec:\n  failRegex:\n{regexes}---\n"
    return text + (
        f"apiVersion: gaoler.dev/v1alpha1\nkind: Jail\nmetadata: {{name: james}}\nspec:\n"
        f"  filters: {json.dumps(filters)}\n  source: {{files: [{json.dumps(str(log))}]}}\n"
        f"  maxRetry: {max_retry}\n  findTime: {find_time}\n  banTime: 2h\n"
        f"  brake: {{bansPerMinute: 1000000}}\n"
        f"  enforce: {{ports: {list(ports)}}}\n{extra}"
    )


class Guard(Daemon):
    """Gaoler with one jail, with the peers' verbs: start, banned, stop."""

    name = "gaoler"

    def __init__(self, namespace, root, log, *, binary, arguments=(), environment=None, state=None, **jail):
        super().__init__(namespace, binary, root, arguments=arguments, environment=environment, state=state)
        self.log = log
        self.manifest("james.yaml", manifest(log, **jail))

    def banned(self):
        return self.bans("james")
