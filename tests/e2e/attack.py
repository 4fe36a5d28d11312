"""Guessers and innocents on the internet, all at once."""

import base64
import socket
import statistics
import threading
import time

import attackers
import people

from .mail import IMAP, NODE_PORT_BASE, NODE_PORTS, POP3, SMTP

# How they guess, and on which port of the node: host port and node port in turn.
KINDS = [
    (attackers.SmtpLockStep, SMTP), (attackers.SmtpPipelined, NODE_PORTS[SMTP]), (attackers.Imap, IMAP), (attackers.Pop3, NODE_PORTS[POP3]),
]  # fmt: skip
INNOCENTS = ["198.51.100.7", "198.51.100.8"]


class Attack:
    """Every kind of guesser `each` times, on the nodes with a James in turn; innocents meanwhile."""

    def __init__(self, story, seconds, each=2):
        self.story, self.guessers = story, []
        self.until = time.monotonic() + seconds
        machines = story.cluster.machines[:2]
        internet = story.cluster.fabric.internet
        self.over = threading.Event()
        self.people = [
            people.Person(story.cluster.fabric, address, machine.wan4, NODE_PORT_BASE) for address, machine in zip(INNOCENTS, machines)
        ]
        for kind, port in KINDS:
            for number, source in enumerate(story.attackers(each)):
                guesser = kind(source, machines[number % 2].wan4, port, self.until)
                guesser.namespace = internet
                self.guessers.append(guesser)
        with internet.inside():
            for guesser in self.guessers:
                guesser.connect()

    def run(self):
        """Until every guesser is shut out or its time is up."""
        helpers = [threading.Thread(target=person.live, args=(self.over,), daemon=True) for person in self.people]
        threads = [threading.Thread(target=guesser.run, daemon=True) for guesser in self.guessers]
        for thread in [*helpers, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        self.over.set()
        for thread in helpers:
            thread.join()
        return self

    @property
    def sources(self):
        return [guesser.source for guesser in self.guessers]

    def answered(self):
        """Guesses that James answered, by kind: (median, worst) per attacker."""
        found = {}
        for kind, _ in KINDS:
            counts = [g.answered for g in self.guessers if g.kind == kind.kind]
            found[kind.kind] = (statistics.median(counts), max(counts))
        return found

    def judge_innocents(self):
        """Says whether anybody innocent was hindered."""
        days = sum(person.days for person in self.people)
        complaints = [complaint for person in self.people for complaint in person.complaints]
        self.story.check(
            f"innocents logged in and sent and read mail all the while ({days} times over SMTP, IMAP and POP3)",
            days > 0 and not complaints, complaints,
        )  # fmt: skip


def guess(internet, address, server, port=SMTP, times=6):
    """Wrong passwords over SMTP, all in one connection, until `times` or until nothing comes back."""
    with internet.inside():
        link = socket.create_connection((server, port), 10.0, source_address=(address, 0))
    link.settimeout(1.0)
    answered = 0
    with link, link.makefile("rb") as file:
        try:
            file.readline()
            link.sendall(b"EHLO client.example.com\r\n")
            while file.readline()[3:4] == b"-":
                pass
            for number in range(times):
                token = base64.b64encode(f"\0nobody@example.test\0guess{number}".encode())
                link.sendall(b"AUTH PLAIN " + token + b"\r\n")
                answered += file.readline().startswith(b"535")
        except OSError:
            pass
    return answered
