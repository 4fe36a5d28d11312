"""README's quickstart for one host, word by word, on a host with a real systemd and a real James."""

import os
import shlex
from pathlib import Path

import server
from harness.daemon import banned_in, wait_until
from harness.mailserver import Client

from ..attack import guess
from ..host import Host
from ..mail import IMAP, POP3, SMTP, TARGETS
from ..quickstart import Command, steps
from ..story import Story
from ..tools import JAMES, REPOSITORY

# Whom README asks about; and somebody who did nothing.
ATTACKER, INNOCENT = "203.0.113.7", "198.51.100.7"
LOG = "/opt/james/log/james.log"
# The words are README's; how long the compiler may take to make the program quicker is ours.
QUICKER = {
    "CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16", "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
    "CARGO_PROFILE_RELEASE_INCREMENTAL": "true", "CARGO_NET_OFFLINE": "true",
}  # fmt: skip


def tell(story: Story):
    story.title("One host: README's quickstart, word by word, under a real systemd")
    # Its memory is wanted for another James.
    story.cluster.stop()
    directory = story.cluster.root / "host"
    directory.mkdir()
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    target = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target")
    kept = {REPOSITORY: REPOSITORY, home: home, REPOSITORY / "target": target}
    host = Host(directory, f"{story.cluster.cgroup}-host", kept)
    try:
        host.boot()
        james = start_james(host, directory)
        tries = guess(host.world.internet, ATTACKER, host.world.HOST4, times=8)
        story.say(f"{ATTACKER} guesses {tries} passwords of a James that nobody guards.")
        walk(story, host)
        james.stop()
    finally:
        host.stop()


def start_james(host, directory):
    """A James whose log is where README has it; its ports are led to from the usual ones, as it is no root's program."""
    log = host.root / LOG[1:]
    log.parent.mkdir(parents=True, exist_ok=True)
    # Of a James of this machine; seen through the overlay, so it stays.
    log.unlink(missing_ok=True)
    text = (REPOSITORY / "deploy/james/logback-text.xml").read_text()
    console, file = "ch.qos.logback.core.ConsoleAppender", "ch.qos.logback.core.FileAppender"
    logback = directory / "logback.xml"
    logback.write_text(text.replace(f'class="{console}">', f'class="{file}"><file>{host.root}{LOG}</file>'))
    rules = "\n".join(f"tcp dport {port} redirect to :{TARGETS[port]}" for port in (SMTP, IMAP, POP3))
    rules = f"table ip james {{\nchain ports {{\ntype nat hook prerouting priority dstnat;\n{rules}\n}}\n}}"
    host.world.host.run("nft", "-f", "-", input=rules)
    james = server.Server(host.world.host, JAMES, directory / "james", host.world.HOST4, logback=logback)
    james.start()
    return james


def walk(story, host):
    """Types every command; what an editor is opened for, it finds in the block that follows."""
    todo = steps("host")
    said = {}
    for number, step in enumerate(todo):
        if not isinstance(step, Command):
            continue
        environment = {key: value for key, value in os.environ.items() if key != "CARGO_TARGET_DIR"} | QUICKER
        follows = todo[number + 1] if number + 1 < len(todo) else None
        if follows and not isinstance(follows, Command):
            content = host.root / "root" / "content"
            content.write_text(follows.text)
            environment["SUDO_EDITOR"] = "/usr/bin/cp /root/content"
        story.narrator.command(step.text)
        if "enable --now gaoler" in step.text:
            # Making the program may have taken longer than a Jail looks back.
            guess(host.world.internet, ATTACKER, host.world.HOST4, times=8)
        code, text = host.shell(step.text, environment, directory=shlex.quote(str(REPOSITORY)))
        story.narrator.output("\n".join(line[:180] for line in text.splitlines()[-8:]))
        story.check(f"`{step.first_line.partition('#')[0].strip()}` does what it says", code == 0, f"exit {code}\n{text}")
        said[step.first_line.partition("#")[0].strip()] = text
        if "enable --now gaoler" in step.text:
            judge(story, host)
    story.check("the last of them let the attacker out", answers(host, ATTACKER), said)


def judge(story, host):
    """The service runs and guards."""
    def banned():
        listed = host.world.host.run("nft", "list", "table", "inet", "gaoler", check=False).stdout
        return ATTACKER in banned_in(listed)

    try:
        held = wait_until(banned, 30)
    except TimeoutError:
        held = False
    shut = held and not answers(host, ATTACKER)
    story.check("the attacker's packets are dropped", shut, lambda: host.shell("journalctl -u gaoler --no-pager -n 30")[1])
    story.check("others are served", answers(host, INNOCENT))


def answers(host, address):
    """Whether James greets that address."""
    return Client(host.world.internet, address, host.world.HOST4).reaches([SMTP], 1.0) == [SMTP]
