"""People who use the server, and single guesses with chosen words."""

import base64
import contextlib
import imaplib
import poplib
import smtplib
import socket
import time


class Person:
    """Logs in over SMTP, IMAP and POP3, sends and reads mail, over and over. Mistypes the password at the very first."""

    def __init__(self, world, address, server, base):
        self.world, self.address, self.server, self.base = world, address, server, base
        self.days, self.complaints, self.doing = 0, [], ""

    def live(self, over):
        with self.world.internet.inside():
            self.mistype()
        while not over.is_set():
            try:
                self.day()
                self.days += 1
            except Exception as error:  # whatever it is, an innocent was hindered
                now = time.strftime("%H:%M:%S", time.gmtime())
                self.complaints.append(f"innocent {self.address} was hindered at {now} {self.doing}: {error!r}")
                return
            time.sleep(0.2)

    def mistype(self):
        """Python's library tries a wrong password as PLAIN, then as LOGIN."""
        with smtplib.SMTP(self.server, self.base + 25, timeout=30, source_address=(self.address, 0)) as c:
            with contextlib.suppress(smtplib.SMTPAuthenticationError):
                c.login("bob@example.test", "secert")

    def day(self):
        with self.world.internet.inside():
            self.doing = "over SMTP"
            with smtplib.SMTP(self.server, self.base + 25, timeout=30, source_address=(self.address, 0)) as c:
                c.login("bob@example.test", "secret")
                c.sendmail("bob@example.test", ["alice@example.test"], "Subject: hello\r\n\r\nhello\r\n")
            self.doing = "over IMAP"
            c = imaplib.IMAP4.__new__(_Imap)
            c.source = (self.address, 0)
            c.__init__(self.server, self.base + 43, 30)
            c.login("bob@example.test", "secret")
            c.select("INBOX")
            # Once in some 16,000 sessions James 3.8.1 hangs up on LOGOUT without its BYE, guarded or not. Whoever is
            # shut out shows at the next connection.
            with contextlib.suppress(imaplib.IMAP4.abort):
                c.logout()
            self.doing = "over POP3"
            c = _pop(self.server, self.base + 10, self.address)
            c.user("alice@example.test")
            c.pass_("secret")
            c.stat()
            c.quit()


class _Imap(imaplib.IMAP4):
    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout, source_address=self.source)


class _Pop(poplib.POP3):
    source = None

    def _create_socket(self, timeout):
        return socket.create_connection((self.host, self.port), timeout, source_address=self.source)


def _pop(server, port, address):
    kind = type("Pop", (_Pop,), {"source": (address, 0)})
    return kind(server, port, timeout=30)


def _talk(script, source, server, port, first=b""):
    """A conversation of `script(say)`; ends quietly when the door is shut."""
    with contextlib.suppress(OSError), socket.create_connection((server, port), 5.0, source_address=(source, 0)) as s:
        s.settimeout(5.0)
        if first:
            s.sendall(first)
        file = s.makefile("rb")
        file.readline()

        def say(line):
            s.sendall(line if isinstance(line, bytes) else line.encode())
            while (answer := file.readline())[:3].isdigit() and answer[3:4] == b"-":
                pass
            return answer

        script(say)


def smtp_guess(source, server, port, ehlo, name, rcpt=None, first=b""):
    def script(say):
        answer = say(f"EHLO {ehlo}\r\n")
        if answer[:1] != b"2":
            say("HELO client.example\r\n")
        token = base64.b64encode(f"\0{name}\0wrong".encode()).decode()
        say(f"AUTH PLAIN {token}\r\n")
        if rcpt:
            say("MAIL FROM:<a@remote.example>\r\n")
            say(f"RCPT TO:<{rcpt}>\r\n")
        say("QUIT\r\n")

    _talk(script, source, server, port, first)


def pop3_guess(source, server, port, name):
    def script(say):
        say("USER " + name.replace("\r", " ").replace("\n", " ") + "\r\n")
        say("PASS wrong\r\n")

    _talk(script, source, server, port)


def imap_guess(source, server, port, name):
    data = name.encode()

    def script(say):
        say(b"a LOGIN {%d}\r\n" % len(data))
        say(data + b" wrong\r\n")

    _talk(script, source, server, port)
