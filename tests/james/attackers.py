"""Password guessers at full speed. Each counts the guesses that were answered, until nothing comes back any more."""

import base64
import socket
import time

# After so long without an answer the door is shut.
PATIENCE = 8.0


def _plain(user, word):
    return base64.b64encode(f"\0{user}\0{word}".encode())


class Guesser:
    """One address that guesses until it is shut out or its time is up."""

    kind = "?"

    def __init__(self, source, server, port, until):
        self.source, self.server, self.port, self.until = source, server, port, until
        self.answered = 0
        self.shut_out = False
        self.last = None
        self.socket, self.file = None, None

    def connect(self):
        self.socket = socket.create_connection((self.server, self.port), timeout=PATIENCE, source_address=(self.source, 0))
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile("rb")

    def line(self):
        line = self.file.readline()
        if not line:
            raise OSError("closed")
        return line

    def say(self, data):
        self.socket.sendall(data + b"\r\n")

    def count(self):
        self.answered += 1
        self.last = time.time()

    def run(self):
        try:
            self.guess()
        except OSError:
            self.shut_out = time.monotonic() < self.until
        finally:
            self.close()

    def close(self):
        for thing in (self.file, self.socket):
            if thing is not None:
                thing.close()

    def greeted(self):
        self.line()
        self.say(b"EHLO client.example.com")
        while self.line()[3:4] == b"-":
            pass


class SmtpLockStep(Guesser):
    kind = "SMTP lock-step"

    def guess(self):
        self.greeted()
        n = 0
        while time.monotonic() < self.until:
            n += 1
            self.say(b"AUTH PLAIN " + _plain("nobody@example.test", f"guess{n}"))
            if self.line().startswith(b"535"):
                self.count()


class SmtpPipelined(Guesser):
    kind = "SMTP pipelined"
    AHEAD = 50

    def guess(self):
        self.greeted()
        n = 0
        while time.monotonic() < self.until:
            block = b"".join(
                b"AUTH PLAIN " + _plain("nobody@example.test", f"guess{n + i}") + b"\r\n" for i in range(self.AHEAD)
            )
            n += self.AHEAD
            self.socket.sendall(block)
            for _ in range(self.AHEAD):
                if self.line().startswith(b"535"):
                    self.count()


class Imap(Guesser):
    kind = "IMAP"

    def guess(self):
        n = 0
        while time.monotonic() < self.until:
            self.line()
            for _ in range(3):
                n += 1
                self.say(b"a LOGIN nobody@example.test guess%d" % n)
                answer = self.file.readline()
                self.count()
                # James hangs up after the third, with or without a word.
                if not answer or answer.startswith(b"* BYE"):
                    break
            self.close()
            self.reconnect()

    def reconnect(self):
        with self.namespace.inside():
            self.connect()


class Pop3(Guesser):
    kind = "POP3"

    def guess(self):
        self.line()
        n = 0
        while time.monotonic() < self.until:
            n += 1
            self.say(b"USER nobody@example.test")
            self.line()
            self.say(b"PASS guess%d" % n)
            if self.line().startswith(b"-ERR"):
                self.count()
