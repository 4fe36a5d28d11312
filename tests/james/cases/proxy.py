"""Clients behind a PROXY protocol balancer, and many connections."""

import socket
import struct

from cases.client import PROXIED, Conn, b64, case, plain, smtp

V1 = b"PROXY TCP4 203.0.113.99 198.51.100.1 43210 25\r\n"
V6 = b"PROXY TCP6 2001:db8::99 2001:db8::1 43211 25\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c"
    + socket.inet_aton(PROXIED)
    + socket.inet_aton("198.51.100.1")
    + struct.pack(">HH", 43212, 25)
)


def proxied(name, first):
    @case("PROXY %s on SMTP (port +26): AUTH LOGIN wrong, AUTH PLAIN wrong, unknown recipient, relay" % name)
    def _(x):
        c = smtp(x, 26, first=first)
        c.smtp("AUTH LOGIN")
        c.smtp(b64("bob@example.test"))
        c.smtp(b64("bad"))
        c.smtp("AUTH PLAIN " + plain("bob@example.test"))
        c.smtp("MAIL FROM:<a@remote.example>")
        c.smtp("RCPT TO:<nobody@example.test>")
        c.smtp("RCPT TO:<v@elsewhere.example>")
        c.smtp("QUIT")
        c.close()


proxied("v1 TCP4", V1)
proxied("v1 TCP6", V6)
proxied("v2", V2)


@case("PROXY v1 UNKNOWN on SMTP (as a health check sends)")
def _(x):
    c = smtp(x, 26, first=b"PROXY UNKNOWN\r\n")
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.smtp("QUIT")
    c.close()


@case("PROXY expected but missing on SMTP; connect and close")
def _(x):
    c = Conn(x, 26, greet=False)
    c.raw(b"EHLO client.example.com\r\n")
    x.note("<", c.line())
    c.close()
    Conn(x, 26, greet=False).close()


@case("PROXY header sent to a port that does not expect it (port +25)")
def _(x):
    c = Conn(x, 25, greet=False, first=V1)
    x.note("<", c.line())
    x.note("<", c.line())
    c.smtp("EHLO a.example")
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.close()


@case("PROXY v1 on IMAP (port +44): LOGIN wrong, AUTHENTICATE continuation wrong, success")
def _(x):
    c = Conn(x, 44, first=V1)
    c.imap("LOGIN bob@example.test bad")
    c.imap("AUTHENTICATE PLAIN")
    c.raw(plain("bob@example.test").encode() + b"\r\n")
    c.until("a")
    c.imap("LOGIN bob@example.test secret", "b")
    c.imap("LOGOUT", "c")
    c.close()


@case("PROXY v1 TCP6 on IMAP: 4 LOGIN wrong")
def _(x):
    c = Conn(x, 44, first=V6)
    for i in range(4):
        try:
            c.imap("LOGIN nobody@example.test bad%d" % i)
        except OSError as e:
            x.note("=", str(e).encode())
    c.close()


@case("PROXY v1 on POP3 (port +11): wrong password")
def _(x):
    c = Conn(x, 11, first=V1)
    c.smtp("USER bob@example.test")
    c.smtp("PASS bad")
    c.smtp("QUIT")
    c.close()


@case("many connections: 10 connects, AUTH PLAIN wrong, one try each")
def _(x):
    for i in range(10):
        c = smtp(x)
        c.smtp("AUTH PLAIN " + plain("bob@example.test", "p%d" % i))
        c.close()
