"""What Gaoler reads in the logs of one James: per case and filter, by the real binary, against what is true."""

import gzip
import ipaddress
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import expected
import layouts

HERE = Path(__file__).resolve().parent
# The captures' clients were on loopback, where nobody can be accused.
CAPTURED, OWN = b"127.0.1.", b"198.51.100."
JAIL = """apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {name: everything}
spec:
  mode: Observe
  source:
    files: [/nonexistent]
%s  filters: [%s]
  maxRetry: 10000
  findTime: 10m
  banTime: 10m
  enforce: {ports: [1]}
"""


def filters():
    """The names of all built-in filters."""
    return sorted(path.stem for path in (HERE.parents[1] / "filters").glob("*.yaml"))


def layout_lines(layout):
    """The jail's `layout`: what `Auto` cannot know must be said."""
    if layout != "mdc":
        return ""
    pattern = layouts.PATTERNS[layout].replace("'", "''")
    return f"    layout: {{type: Pattern, pattern: '{pattern}'}}\n"


def of_case(n):
    return f"198.51.100.{n}"


def captured(version, into):
    """The logs of a real server of that version, kept as data; gives the directory they are unpacked in."""
    into.mkdir(parents=True, exist_ok=True)
    for source in (HERE / "captures" / version).glob("*.log.gz"):
        text = gzip.decompress(source.read_bytes())
        (into / source.stem).write_bytes(re.sub(re.escape(CAPTURED) + rb"(?=\d)", OWN, text))
    return into


def measure(binary, log, layout, scratch, manifests=()):
    """What `gaoler replay` says of a log under a jail with every built-in filter. Those that understand the same lines are
    asked apart: in one jail a line counts for one of them."""
    together = [name for name in filters() if name != "james-log4j2"]
    reports = [replay(binary, log, layout, scratch, manifests, names) for names in (together, ["james-log4j2"])]
    return {**reports[0], "addresses": [said for report in reports for said in report["addresses"]]}


def replay(binary, log, layout, scratch, manifests, names):
    manifest = scratch / f"{layout}.yaml"
    manifest.write_text(JAIL % (layout_lines(layout), ", ".join(names)))
    command = [binary, "replay", log, "--jail", "everything", "-o", "json", "--config", manifest]
    for more in manifests:
        command += ["--config", more]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"gaoler replay: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def written_thrice(log):
    """{case: weight} of three failures in one IMAP connection, as far as 3.8 wrote them with an address, read from its
    JSON log by this function alone. Now and then James logs one without its context, and then nobody can count it.
    The third is said apart, with all its weight; both lines of one event are within the second that counts once."""
    singles, thirds = defaultdict(int), defaultdict(int)
    for line in log.read_bytes().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        context, message = record.get("mdc") or {}, record.get("message", "")
        client = re.fullmatch(r"/?\[?([0-9a-f.:]+?)\]?(:\d+)?", context.get("proxy.source") or context.get("ip") or "")
        if client and message.startswith("Too many authentication failures."):
            thirds[str(ipaddress.ip_address(client[1]))] += 3
        elif client and message.startswith("Could not retrieve user ") and context.get("protocol") == "IMAP":
            singles[str(ipaddress.ip_address(client[1]))] += 1
    clients = {n: expected.PROXIED.get(n, of_case(n)) for n in expected.THRICE_IN_ONE_CONNECTION}
    return {n: max(singles[client], thirds[client]) for n, client in clients.items()}


class Verdict:
    """One log against the truth: what each case's cell of the table says, and every complaint."""

    def __init__(self, version, layout, report, written=None):
        """`written`: what this very run logged of cases of which James does not always log the same."""
        self.version, self.layout, self.complaints = version, layout, []
        self.written = written or {}
        self.seen = defaultdict(int)  # (address, filter) -> weight or failures
        for said in report["addresses"]:
            # Three failures of one IMAP connection may be one line of their weight.
            weighs = "weight" if said["filter"] == expected.IMAP else "failures"
            self.seen[said["address"], said["filter"]] = said[weighs]
        self.cells = {}
        self._wrong()
        for n in sorted(expected.ATTACKS):
            self.cells[n] = self._case(n)

    def complain(self, text):
        self.complaints.append(f"{self.version} {self.layout}: {text}")

    def _wrong(self):
        """Nobody is accused who did not do it."""
        for (address, name), count in self.seen.items():
            if not count:
                continue
            n = int(address.rsplit(".", 1)[1]) if ipaddress.ip_address(address) in ipaddress.ip_network("198.51.100.0/24") else None
            if n is None and address not in (expected.V4, expected.V6):
                self.complain(f"{name} accuses {address}, a third party")
            elif n in expected.INNOCENT | expected.NOISE:
                self.complain(f"{name} accuses the client of case {n}, who did nothing wrong")
            elif n in expected.PROXIED and self.layout not in expected.ACCUSES_BALANCER:
                self.complain(f"{name} accuses the balancer of case {n}")
            elif n is not None and n not in expected.PROXIED and name not in expected.NOT_COUNTED and name not in expected.ATTACKS[n]:
                self.complain(f"{name} counts {count} in case {n}, where there was nothing of the kind")

    def _counts(self, n, name):
        """What is counted where nothing is hidden: one for each failure, but for what cannot be told apart."""
        twice = expected.TWICE.get((self.version, self.layout, n, name))
        return twice[0] if twice else expected.ATTACKS[n][name]

    def _blind(self, n, name):
        blind = expected.BLIND.get((self.version, self.layout, n, name))
        if blind and n in self.written and self.layout in expected.ANY_ADDRESS:
            return (self.written[n], self.written[n], blind[2])
        return blind

    def _case(self, n):
        """Per filter: (seen, tried, reason). Cases of one proxied client are judged together."""
        out = {}
        for name, tried in expected.ATTACKS[n].items():
            client = expected.PROXIED.get(n, of_case(n))
            together = [c for c in expected.ATTACKS if expected.PROXIED.get(c, of_case(c)) == client and name in expected.ATTACKS[c]]
            seen = self.seen.get((client, name), 0)
            blind = [self._blind(c, name) for c in together]
            low = sum(b[0] if b else self._counts(c, name) for b, c in zip(blind, together))
            high = sum(b[1] if b else self._counts(c, name) for b, c in zip(blind, together))
            most = sum(self._counts(c, name) for c in together)
            if seen > most:
                self.complain(f"case {n}: {name} counts {seen}, but only {most} were tried")
            elif seen < low:
                self.complain(f"case {n}: {name} sees {seen} of {tried}, and no blind spot is named that explains it")
            elif seen > high:
                self.complain(f"case {n}: {name} sees {seen}: more than its blind spot says ({high}); the entry is stale")
            mine = expected.BLIND.get((self.version, self.layout, n, name))
            twice = expected.TWICE.get((self.version, self.layout, n, name))
            share = seen * self._counts(n, name) // most if len(together) > 1 else seen
            out[name] = (share, tried, mine[2] if mine else twice and twice[1])
        return out
