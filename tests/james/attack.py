"""An attack with real packets on a real James, with innocents at work: once guarded by Gaoler, once by fail2ban."""

import json
import re
import statistics
import threading
import time

import attackers
import peer
import people
import server
from harness.daemon import Daemon, wait_until
from harness.world import World

PORTS = [server.PORT_BASE + n for n in (25, 26, 65, 87, 43, 44, 45, 93, 10, 11, 90)]
MAX_RETRY, FIND_TIME = 5, 600
# How long an attacker goes on that nobody stops.
SECONDS = 20.0
KINDS = [
    (attackers.SmtpLockStep, 25, 15), (attackers.SmtpPipelined, 25, 15), (attackers.Imap, 43, 10), (attackers.Pop3, 10, 10),
]  # fmt: skip
ATTACKERS = [f"45.129.14.{n}" for n in range(1, 51)]
INNOCENTS = ["198.51.100.7", "198.51.100.8", "198.51.100.9"]
INJECTORS = [f"45.129.15.{n}" for n in range(1, 9)]
# Whose address stands in forged text; he never comes.
VICTIM = "198.51.100.99"
BALANCER, BEHIND = "198.51.100.60", "203.0.113.99"
# What James logs of one failure, by the way of the attack.
FAILURE = {
    attackers.SmtpLockStep.kind: r"^(\S+) .*failed from .*@CLIENT$",
    attackers.SmtpPipelined.kind: r"^(\S+) .*failed from .*@CLIENT$",
    attackers.Imap.kind: r"^(\S+) .* ip=CLIENT .*Could not retrieve user",
    attackers.Pop3.kind: r"^(\S+) .* ip=CLIENT .*Bad credential",
}
JAILS = f"""apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {{name: james}}
spec:
  filters: [james-smtp-auth, james-imap-auth, james-pop3-auth]
  source:
    files: [LOG/fixed.log]
  maxRetry: {MAX_RETRY}
  findTime: {FIND_TIME}s
  banTime: 2h
  enforce: {{ports: [{", ".join(map(str, PORTS))}]}}
---
apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {{name: blind}}
spec:
  mode: Observe
  filters: [james-imap-auth]
  source:
    files: [LOG/default.log]
  maxRetry: {MAX_RETRY}
  findTime: {FIND_TIME}s
  banTime: 2h
  enforce: {{ports: [{", ".join(map(str, PORTS))}]}}
"""


def run(options, directory):
    complaints = []
    results = {
        "Gaoler": Stage(options, directory / "gaoler").with_gaoler(complaints),
        "fail2ban": Stage(options, directory / "fail2ban").with_fail2ban(complaints),
    }
    print(f"\nGuesses answered per attacker, {len(ATTACKERS)} at once, {MAX_RETRY} failures in {FIND_TIME} s allowed")
    print(f"{'':18}" + "".join(f"{name:>28}" for name in results))
    print(f"{'':18}" + "".join(f"{'median':>14}{'worst':>14}" for _ in results))
    for kind, *_ in KINDS:
        row = [sorted(g.answered for g in guessers if g.kind == kind.kind) for guessers in results.values()]
        print(f"{kind.kind:18}" + "".join(f"{statistics.median(r):14.0f}{r[-1]:14}" for r in row))
    sums = "".join(f"{sum(g.answered for g in guessers):28}" for guessers in results.values())
    print(f"{'all together':18}{sums}", flush=True)
    return complaints


class Stage:
    """A world with a James in it, attackers and innocents."""

    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        directory.mkdir(parents=True)
        self.world = World([*ATTACKERS, *INNOCENTS, *INJECTORS, VICTIM, BALANCER])
        self.james = server.Server(
            self.world.host, options.james, directory / "james", World.HOST4, layouts_used=["fixed", "default"]
        )
        self.james.start()
        self.people = [people.Person(self.world, a, World.HOST4, server.PORT_BASE) for a in INNOCENTS]
        # A cold James is slow: the attack should meet a warm one.
        for person in self.people:
            person.day()

    def with_gaoler(self, complaints):
        gaoler = Daemon(self.world.host, self.options.binary, self.directory / "g")
        gaoler.manifest("jails.yaml", JAILS.replace("LOG", str(self.james.log)))
        gaoler.start()
        try:
            guessers = self.attack()
            wait_until(lambda: set(ATTACKERS) <= gaoler.kernel_bans(), 30, gaoler.told)
            self.judge(guessers, gaoler, complaints)
            self.inject(gaoler, complaints)
            self.proxy(gaoler, complaints)
        finally:
            gaoler.stop()
            self.james.stop()
        return guessers

    def with_fail2ban(self, complaints):
        rival = peer.James(
            self.world.host, self.directory / "f", self.james.log / "fixed.log",
            max_retry=MAX_RETRY, find_time=FIND_TIME, ports=PORTS,
        )  # fmt: skip
        rival.start()
        try:
            guessers = self.attack()
        finally:
            rival.stop()
            self.james.stop()
        if not any(g.shut_out for g in guessers):
            complaints.append("fail2ban banned nobody: the comparison is void\n" + rival.told())
        return guessers

    def attack(self):
        """All attackers at once, innocents all the while."""
        until = time.monotonic() + SECONDS
        plan = [(kind, port) for kind, port, count in KINDS for _ in range(count)]
        guessers = []
        with self.world.internet.inside():
            for source, (kind, port) in zip(ATTACKERS, plan, strict=True):
                guesser = kind(source, World.HOST4, server.PORT_BASE + port, until)
                guesser.namespace = self.world.internet
                guesser.connect()
                guessers.append(guesser)
        over = threading.Event()
        helpers = [threading.Thread(target=p.live, args=(over,)) for p in self.people]
        threads = [threading.Thread(target=g.run) for g in guessers]
        for thread in [*helpers, *threads]:
            thread.start()
        for thread in threads:
            thread.join()
        over.set()
        for thread in helpers:
            thread.join()
        return guessers

    def judge(self, guessers, gaoler, complaints):
        decided = {e["subject"]: e["time"] for e in gaoler.events_seen() if e["event"] == "ban"}
        log = (self.james.log / "fixed.log").read_text(errors="replace")
        late = {}
        for guesser in guessers:
            if not guesser.shut_out:
                complaints.append(f"{guesser.source} ({guesser.kind}) was never shut out: {guesser.answered} guesses")
                continue
            # What was on its way when the ban was decided.
            source = re.escape(guesser.source)
            mine = re.findall(FAILURE[guesser.kind].replace("CLIENT", source), log, re.M)
            before = sum(_moment(t) <= _moment(decided[guesser.source]) for t in mine)
            late.setdefault(guesser.kind, []).append(guesser.answered - before)
            ahead = attackers.SmtpPipelined.AHEAD if guesser.kind == attackers.SmtpPipelined.kind else 10
            if guesser.answered - before > 2 * ahead:
                complaints.append(
                    f"{guesser.source} ({guesser.kind}): {guesser.answered} answers, {before} logged when the ban fell"
                )
        for kind, counts in late.items():
            print(f"{kind}: answers after the ban was decided: median {statistics.median(counts):.0f}, worst {max(counts)}")
        banned = {b["subject"] for b in gaoler.ban_list()}
        if banned != set(ATTACKERS):
            complaints.append(f"banned but no attacker: {sorted(banned - set(ATTACKERS))}")
        for person in self.people:
            print(f"innocent {person.address}: {person.days} times logged in over three protocols and sent mail")
            complaints += person.complaints
            complaints += self.mistyped(person, log, gaoler)
            if not person.days:
                complaints.append(f"{person.address} never got anything done")
        conditions = {c["type"] for c in gaoler.status("blind")["conditions"] if c["status"]}
        if "NoClientAddress" not in conditions:
            complaints.append(f"the jail on the default layout does not say NoClientAddress, but {sorted(conditions)}")

    @staticmethod
    def mistyped(person, log, gaoler):
        """One mistyped password, tried by the client as PLAIN and as LOGIN, is one failure."""
        logged = len(re.findall(rf"failed from .*@{re.escape(person.address)}$", log, re.M))
        why = json.loads(gaoler.ask("why", person.address, "-o", "json", check=False).stdout)
        counted = sum(w["weight"] for w in why["watched"] if w["jail"] == "james")
        if (logged, counted) != (2, 1):
            return [f"{person.address} mistyped once: {logged} lines, counted {counted} times"]
        return []

    def inject(self, gaoler, complaints):
        """Clients put somebody's address into everything that is logged."""
        victim = VICTIM
        host, base = World.HOST4, server.PORT_BASE
        forged = f"2026-11-22T00:00:00.000Z [INFO ] [proto=SMTP ip={victim} src= rip={victim} sid=1 auth=PLAIN] AUTHENTICATION - AUTH method PLAIN failed from x@{victim}"
        names = [
            f"x@{victim}", f"x]@{victim}", f"a\r\n{forged}", f"a\n{forged}\n", f"ip={victim}", f"x [ip={victim}] src=/{victim}:1",
            f"x}}]@{victim}", f"\x1b[34m{forged}",
        ]  # fmt: skip
        # Fewer failures than a ban takes from each, so that every forged name gets through and nobody is to be banned.
        with self.world.internet.inside():
            for source, name in zip(INJECTORS, names, strict=True):
                people.smtp_guess(source, host, base + 25, f"[{victim}]", name)
                people.smtp_guess(source, host, base + 25, f"ip={victim}", name, rcpt=f'"{forged[-100:]}"@example.test')
                people.pop3_guess(source, host, base + 10, name)
                people.imap_guess(source, host, base + 43, name)
        before, tries = set(ATTACKERS), 4 * len(names)
        gaoler.wait_drained("james")
        log = (self.james.log / "fixed.log").read_text(errors="replace")
        if silent := [s for s in INJECTORS if not re.search(rf"(failed from|Bad credential).*{re.escape(s)}$", log, re.M)]:
            complaints.append(f"no forged name of {silent} reached the log: nothing was tried")
        banned = {b["subject"] for b in gaoler.ban_list()} - before
        if banned:
            complaints.append(f"forged names had {sorted(banned)} banned")
        why = json.loads(gaoler.ask("why", victim, "-o", "json", check=False).stdout)
        if why["bans"] or why["watched"]:
            complaints.append(f"the victim of forged names is suspected: {why}")
        print(f"forged names in {tries} logins of {len(names)} clients: nobody else banned or suspected", flush=True)

    def proxy(self, gaoler, complaints):
        """A client behind a balancer: it is accused, never the balancer."""
        header = f"PROXY TCP4 {BEHIND} 198.51.100.1 43210 25\r\n".encode()
        with self.world.internet.inside():
            for _ in range(2 * MAX_RETRY):
                people.smtp_guess(BALANCER, World.HOST4, server.PORT_BASE + 26, "c.example", "nobody@example.test", first=header)
        wait_until(lambda: BEHIND in {b["subject"] for b in gaoler.ban_list()}, 20, gaoler.told)
        gaoler.wait_drained("james")
        if BALANCER in {b["subject"] for b in gaoler.ban_list()}:
            complaints.append("the balancer was banned for its client")
        conditions = {c["type"] for c in gaoler.status("james")["conditions"] if c["status"]}
        if "EnforceAtProxy" not in conditions:
            complaints.append(f"the jail does not say EnforceAtProxy, but {sorted(conditions)}")
        print(f"behind a balancer: {BEHIND} is banned, {BALANCER} is not; conditions {sorted(conditions)}", flush=True)


def _moment(text):
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00"))
