"""The shipped log configurations in a real James: they load, and at full speed no failed login is lost."""

import re
import threading
import time
from pathlib import Path

import attackers
import server
import table
from harness.world import World

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "james"
SECONDS, CONNECTIONS = 3.0, 8
FAILED = re.compile(rb"AUTH method PLAIN failed from ")


def run(options, directory):
    complaints = []
    print(f"{'configuration':20} {'guesses answered':>17} {'lines':>8} {'guesses/s':>10} {'read by Gaoler':>15}")
    for name, before in (("logback-3.8.xml", None), ("logback-text.xml", None), ("logback-3.9.xml", server.newer_logback())):
        if before is None and name == "logback-3.8.xml" and not options.james.startswith("3.8"):
            continue
        complaints += one(options, directory / name, name, before)
    return complaints


def one(options, directory, name, before):
    sources = [f"198.51.100.{n}" for n in range(1, CONNECTIONS + 1)]
    w = World(sources)
    james = server.Server(w.host, options.james, directory, w.HOST4, logback=DEPLOY / name, before=before)
    james.start()
    guessers = [attackers.SmtpPipelined(s, w.HOST4, server.PORT_BASE + 25, time.monotonic() + SECONDS) for s in sources]
    with w.internet.inside():
        for guesser in guessers:
            guesser.connect()
    threads = [threading.Thread(target=g.run) for g in guessers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    james.stop()
    console = (directory / "console.log").read_bytes()
    answered, lines = sum(g.answered for g in guessers), len(FAILED.findall(console))
    layout = "fixed" if name == "logback-text.xml" else "json"
    report = table.measure(options.binary, directory / "console.log", layout, directory)
    read = sum(a["failures"] for a in report["addresses"] if a["filter"] == "james-smtp-auth")
    print(f"{name:20} {answered:17} {lines:8} {answered / SECONDS:10.0f} {read:15}", flush=True)
    complaints = []
    if b"ERROR in ch.qos.logback" in console or b"|-ERROR" in console:
        complaints.append(f"{name} does not load cleanly")
    if answered < 100:
        complaints.append(f"{name}: only {answered} guesses were answered, that is no attack")
    # A guess may be logged whose answer the client did not wait for.
    if lines < answered:
        complaints.append(f"{name}: {answered} guesses were answered, but {lines} lines written")
    if read != lines:
        complaints.append(f"{name}: {lines} failures in the log, {read} read")
    return complaints
