"""Everything a client can do to a James, case by case: attacks, mistakes, noise and honest use.

Each case runs from a source address of its own, so that every logged line can be told apart. What each case must lead
to stands in `expected.py`. Only the server under test is addressed; 203.0.113.99 and 2001:db8::99 appear only inside
PROXY headers, 8.8.8.8 only in forged text.
"""

import base64
import socket
import ssl
import struct

CASES = []  # (name, function), in order
PROXIED = "203.0.113.99"


def case(name):
    return lambda f: CASES.append((name, f)) or f


def b64(s):
    return base64.b64encode(s if isinstance(s, bytes) else s.encode()).decode()


def plain(user, pw="bad", authz=b""):
    u = user if isinstance(user, bytes) else user.encode()
    return b64(authz + b"\0" + u + b"\0" + pw.encode())


class Client:
    """Who acts in one case: the server's address and port base, the own source address, an administrator's token."""

    def __init__(self, server, base, source, token):
        self.server, self.base, self.source, self.token = server, base, source, token
        self.talk = []

    def note(self, direction, data):
        text = (data or b"").decode("utf-8", "backslashreplace").replace("\r", "\\r").replace("\n", "\\n")
        self.talk.append(f"{direction} " + "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:160]))


class Conn:
    """A line client bound to its own source address; keeps a transcript."""

    def __init__(self, ctx, port, greet=True, first=b""):
        self.ctx = ctx
        self.s = socket.create_connection((ctx.server, ctx.base + port), timeout=8, source_address=(ctx.source, 0))
        if first:
            self.s.sendall(first)
        self.buf = b""
        if greet:
            ctx.note("<", self.line())

    def raw(self, data):
        self.s.sendall(data)
        shown = data if len(data) < 120 else data[:60] + b"...(%d bytes)" % len(data)
        self.ctx.note(">", shown)

    def line(self):
        while b"\n" not in self.buf:
            try:
                d = self.s.recv(65536)
            except (socket.timeout, OSError) as e:
                return b"(%s)" % type(e).__name__.encode()
            if not d:
                return b"(closed)"
            self.buf += d
        l, self.buf = self.buf.split(b"\n", 1)
        return l.rstrip(b"\r")

    def smtp(self, cmd):
        """Send a line, read one (multi-line) SMTP/POP3 answer."""
        self.raw((cmd if isinstance(cmd, bytes) else cmd.encode()) + b"\r\n")
        l = self.line()
        while len(l) > 3 and l[3:4] == b"-" and l[:3].isdigit():
            l = self.line()
        self.ctx.note("<", l)
        return l

    def imap(self, cmd, tag="a"):
        self.raw((tag + " ").encode() + (cmd if isinstance(cmd, bytes) else cmd.encode()) + b"\r\n")
        return self.until(tag)

    def until(self, tag):
        while True:
            l = self.line()
            if l.startswith(tag.encode()) or l.startswith((b"+", b"(", b"* BYE")):
                self.ctx.note("<", l)
                return l

    def tls(self):
        c = ssl.create_default_context()
        c.check_hostname = False
        c.verify_mode = ssl.CERT_NONE
        self.s = c.wrap_socket(self.s, server_hostname="mail.example.test")
        self.ctx.note("=", b"TLS handshake done")

    def close(self, reset=False):
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            self.s.close()
        except OSError:
            pass


def smtp(ctx, port=25, ehlo="client.example.com", **kw):
    c = Conn(ctx, port, **kw)
    c.smtp("EHLO " + ehlo)
    return c
