#!/usr/bin/env python3
"""A small mail server under attack, played with real packets in private network namespaces.

Tells what is done and what is seen, checks all of it, and ends with 1 where something was not as it should be.
Nothing on this machine's own network or firewall is read or changed, and nothing is left behind.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from harness import world  # noqa: E402
from harness.daemon import Daemon, wait_until  # noqa: E402
from harness.jameslog import ATTACKERS, append, seed_lines  # noqa: E402
from harness.journal import Journal  # noqa: E402
from harness.mailserver import MAIL_PORTS, SSH_PORT, Client, Mailserver, talks  # noqa: E402
from harness.narrate import Narrator  # noqa: E402

# The two jails as they are shipped for a host like this one.
MANIFEST = Path(__file__).resolve().parents[2] / "deploy/examples/mission.yaml"
INNOCENT = "198.51.100.7"
SSH_GUESSER = "45.129.14.50"
ALL_PORTS = (SSH_PORT, *MAIL_PORTS)
# How long a client waits for an answer that a dropped packet never gets.
PATIENCE = 1.5


class Scenario:
    """The stage: a host with a mail server and Gaoler, an internet with attackers and one innocent."""

    def __init__(self, binary, narrator, directory):
        self.tell = narrator
        self.world = world.World(remote=[*ATTACKERS, SSH_GUESSER, INNOCENT])
        self.server = Mailserver(self.world.host, world.World.HOST4)
        self.log = Path(directory) / "james.log"
        self.log.touch()
        self.journal = Journal(directory)
        self.gaoler = Daemon(self.world.host, binary, directory, environment=self.journal.environment())
        self.innocent = self.client(INNOCENT)

    def client(self, address):
        return Client(self.world.internet, address, world.World.HOST4)

    def play(self):
        """All acts, in order."""
        self.before()
        self.attack()
        self.what_gaoler_says()
        self.crash()
        self.restart()
        self.pardon()
        self.ssh()
        self.house()
        self.end()

    def before(self):
        tell = self.tell
        tell.title("1. A small mail server on 22, 25, 110, 143, 465, 587, 993, and Gaoler with the seed's two jails")
        self.gaoler.manifest(MANIFEST.name, MANIFEST.read_text().replace("/opt/james/log/james.log", str(self.log)))
        tell.command("gaoler check /etc/gaoler")
        check = self.gaoler.ask("check", self.gaoler.config, check=False)
        tell.output(check.stdout.replace(str(self.gaoler.config), "/etc/gaoler"))
        tell.check("both jails are accepted", check.returncode == 0, check.stderr)
        tell.command("gaoler run --config /etc/gaoler")
        self.gaoler.start()
        for address in (*ATTACKERS, INNOCENT):
            reached = self.client(address).reaches(ALL_PORTS)
            tell.check(f"{address} reaches every port", reached == sorted(ALL_PORTS), f"only {reached}")
        self.open_connection = self.client(ATTACKERS[0]).connect(25)
        tell.check(f"{ATTACKERS[0]} holds a connection to port 25 open", talks(self.open_connection, b"NOOP before\r\n"))
        self.innocent_connection = self.innocent.connect(993)

    def attack(self):
        tell = self.tell
        tell.title("2. James writes eight lines: four addresses fail twice each")
        lines = seed_lines(time.time())
        tell.output("\n".join(line[:110] + "…" for line in lines))
        append(self.log, *lines)
        appended = time.monotonic()
        wait_until(lambda: set(ATTACKERS) <= self.gaoler.kernel_bans(), 10, self.gaoler.told)
        tell.explain(f"All four stood in the kernel {(time.monotonic() - appended) * 1000:.0f} ms later (as seen by running nft).")
        for address in ATTACKERS:
            reached = self.client(address).reaches(MAIL_PORTS, PATIENCE)
            tell.check(f"{address} no longer reaches any mail port", reached == [], f"reaches {reached}")
        before = self.gaoler.dropped_packets()
        answered = talks(self.open_connection, b"NOOP after\r\n", PATIENCE)
        tell.check("its open connection is dead too", not answered)
        tell.check("what it said there never arrived", b"after" not in self.server.lines_from(ATTACKERS[0]))
        tell.check("the kernel counts the dropped packets", self.gaoler.dropped_packets() > before)
        reached = self.client(ATTACKERS[0]).reaches([SSH_PORT])
        tell.check("ssh, which this jail does not guard, still answers it", reached == [SSH_PORT])
        tell.check(f"{INNOCENT} never noticed: every port answers", self.innocent.reaches(ALL_PORTS) == sorted(ALL_PORTS))
        tell.check("and its open connection lives", talks(self.innocent_connection, b"NOOP\r\n"))

    def what_gaoler_says(self):
        tell = self.tell
        tell.title("3. What Gaoler says")
        for verb in (["status", "james"], ["bans"], ["why", ATTACKERS[0]]):
            tell.command("gaoler " + " ".join(verb))
            tell.output(self.gaoler.ask(*verb, check=False).stdout)
        tell.check("it holds exactly these four bans", self.gaoler.bans() == set(ATTACKERS), self.gaoler.bans())
        self.ends = self.sentences()

    def sentences(self):
        """What may not change by a restart: which time, since, until, and how many failures."""
        return {(b["subject"], b["jail"], b["n"], b["since"], b["until"], b["weight"]) for b in self.gaoler.ban_list()}

    def crash(self):
        tell = self.tell
        tell.title("4. The daemon dies")
        tell.command(f"kill -9 {self.gaoler.process.pid}")
        self.gaoler.kill()
        for address in ATTACKERS[:2]:
            tell.check(f"{address} is still shut out", self.client(address).reaches(MAIL_PORTS, PATIENCE) == [])
        tell.check("the innocent still gets in", self.innocent.reaches(ALL_PORTS) == sorted(ALL_PORTS))

    def restart(self):
        tell = self.tell
        tell.title("5. It starts again")
        ends = self.ends
        tell.command("gaoler run --config /etc/gaoler")
        self.gaoler.start()
        tell.check("it knows its four bans", self.gaoler.bans() == set(ATTACKERS), self.gaoler.bans())
        tell.check("no line counted twice: each is the same ban with the same end", ends == self.sentences())
        tell.check("and all are in the kernel", set(ATTACKERS) <= self.gaoler.kernel_bans())

    def pardon(self):
        tell = self.tell
        tell.title("6. A pardon")
        address = ATTACKERS[0]
        tell.command(f"gaoler unban {address}")
        began = time.monotonic()
        tell.output(self.gaoler.ask("unban", address).stdout)
        reached = self.client(address).reaches(ALL_PORTS)
        took = time.monotonic() - began
        tell.check(f"{address} gets in again, {took * 1000:.0f} ms after the command", reached == sorted(ALL_PORTS), reached)
        tell.check("the others do not", self.client(ATTACKERS[1]).reaches(MAIL_PORTS, PATIENCE) == [])
        tell.check("and Gaoler holds three bans", self.gaoler.bans() == set(ATTACKERS[1:]), self.gaoler.bans())

    def ssh(self):
        tell = self.tell
        tell.title("7. The same for sshd, out of the systemd journal")
        guesser = self.client(SSH_GUESSER)
        tell.check(f"{SSH_GUESSER} reaches ssh", guesser.reaches([SSH_PORT]) == [SSH_PORT])
        for name in ("root", "admin"):
            message = f"Failed password for invalid user {name} from {SSH_GUESSER} port 50122 ssh2"
            tell.output(f"sshd[4242]: {message}")
            self.journal.entry(message)
        wait_until(lambda: SSH_GUESSER in self.gaoler.kernel_bans(), 10, self.gaoler.told)
        tell.check("two failed passwords shut it out of ssh", guesser.reaches([SSH_PORT], PATIENCE) == [])
        tell.check("but not of mail: that is another jail", guesser.reaches(MAIL_PORTS) == sorted(MAIL_PORTS))
        tell.check("the jail sshd holds that one ban", self.gaoler.bans("sshd") == {SSH_GUESSER})

    def house(self):
        tell = self.tell
        tell.title("8. A log that accuses the house")
        own = world.World.HOST4
        before = self.end_of(ATTACKERS[1])
        append(self.log, *(line.replace(ATTACKERS[0], own).replace(ATTACKERS[2], "127.0.0.1") for line in seed_lines(time.time())))
        # Among them are lines that prolong another's ban: once they are counted, the house's were, too.
        wait_until(lambda: self.end_of(ATTACKERS[1]) > before, 10, self.gaoler.told)
        tell.check("its own addresses are not banned", not {own, "127.0.0.1"} & (self.gaoler.bans() | self.gaoler.kernel_bans()))
        tell.check("the innocent still gets in", self.innocent.reaches(ALL_PORTS) == sorted(ALL_PORTS))

    def end_of(self, address):
        """When its ban ends, as text that sorts."""
        return next(ban["until"] for ban in self.gaoler.ban_list() if ban["subject"] == address)

    def end(self):
        tell = self.tell
        tell.title("9. The end")
        tell.command("systemctl stop gaoler")
        tell.check("it stops in order", self.gaoler.stop() == 0, self.gaoler.told())
        tell.check("its bans stay in the kernel", ATTACKERS[1] in self.gaoler.kernel_bans())
        tell.command("gaoler cleanup")
        self.gaoler.ask("cleanup", check=False)
        tell.check("now the table is gone, and only it", self.gaoler.kernel() == "")
        tell.check("everyone gets in", self.client(ATTACKERS[1]).reaches(ALL_PORTS) == sorted(ALL_PORTS))
        self.journal.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True, help="the gaoler binary")
    arguments = parser.parse_args()
    world.enter()
    narrator = Narrator()
    directory = tempfile.mkdtemp(prefix="gaoler-scenario-")
    try:
        Scenario(arguments.binary, narrator, directory).play()
    except KeyboardInterrupt:
        narrator.say("\nstopped; nothing is left behind")
        return 130
    except Exception as error:  # what was seen so far is worth more than a stack trace
        narrator.check("the scenario plays to its end", False, error)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return narrator.close("scenario")


if __name__ == "__main__":
    sys.exit(main())
