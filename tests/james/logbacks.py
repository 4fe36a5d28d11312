"""The log configurations of deploy/james: they load in a real James, and at full speed no failed login is lost.

A real James answers some 5,000 guesses a second on two cores, which is no more than its log can take. So the same
configurations also get a storm: James' logger and its logback, without the server before them.
"""

import re
import subprocess
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
    return complaints + storm(options, directory)


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


# The appender that James ships since 3.9: a queue of 256, and from 80 % on INFO is dropped.
AS_SHIPPED = """<configuration>
  <appender name="CONSOLE" class="ch.qos.logback.core.ConsoleAppender"><encoder>
    <pattern>%d{HH:mm:ss.SSS} [%-5level] %logger{15} - %msg%n</pattern></encoder></appender>
  <appender name="ASYNC" class="ch.qos.logback.classic.AsyncAppender">
    <queueSize>256</queueSize><appender-ref ref="CONSOLE"/></appender>
  <root level="INFO"><appender-ref ref="ASYNC"/></root>
</configuration>
"""
THREADS, EACH = 8, 25_000


def storm(options, directory):
    """Every line is written, at any speed; the appender that James ships loses some, else this would show nothing."""
    lib = server.fetch(options.james)
    directory.mkdir(parents=True, exist_ok=True)
    shipped = directory / "as-shipped.xml"
    shipped.write_text(AS_SHIPPED)
    print(f"{'storm':20} {'lines logged':>12} {'written':>8} {'lines/s':>8}")
    complaints = []
    for configuration in (shipped, *(DEPLOY / f"logback-{name}.xml" for name in ("3.8", "text", "3.9"))):
        before = f"{server.newer_logback()}/*:" if configuration.name == "logback-3.9.xml" else ""
        console = directory / f"storm-{configuration.stem}.log"
        with open(console, "wb") as out:
            ended = subprocess.run(
                ["java", f"-Dlogback.configurationFile={configuration}", "-cp", f"{before}{lib}/*",
                 Path(__file__).with_name("Storm.java"), str(THREADS), str(EACH)],
                stdout=out, stderr=subprocess.PIPE, text=True, check=True,
            )  # fmt: skip
        took = int(re.search(r"took (\d+) ms", ended.stderr)[1])
        written = len(FAILED.findall(console.read_bytes()))
        logged = THREADS * EACH
        print(f"{configuration.name:20} {logged:12} {written:8} {logged * 1000 // max(took, 1):8}", flush=True)
        if configuration == shipped and written == logged:
            complaints.append("storm: the shipped appender lost nothing: this storm is none")
        if configuration != shipped and written != logged:
            complaints.append(f"storm: {configuration.name} lost {logged - written} of {logged} lines")
        console.unlink()
    return complaints
