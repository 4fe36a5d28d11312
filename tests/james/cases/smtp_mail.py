"""Recipients, relaying, syntax, noise and garbage over SMTP."""

import ssl
import time

from cases.client import Conn, case, plain, smtp


@case("SMTP unknown recipient x3 in one connection")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<spam@remote.example>")
    for u in ("darek", "info", "sales"):
        c.smtp("RCPT TO:<%s@example.test>" % u)
    c.smtp("QUIT")
    c.close()


@case("SMTP unknown recipient with MAIL FROM:<> (bounce)")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<>")
    c.smtp("RCPT TO:<gone@example.test>")
    c.smtp("QUIT")
    c.close()


@case("SMTP unknown recipient, one per connection x3")
def _(x):
    for i in range(3):
        c = smtp(x)
        c.smtp("MAIL FROM:<spam@remote.example>")
        c.smtp("RCPT TO:<u%d@example.test>" % i)
        c.close()


@case("SMTP relay denied x2 (not authenticated)")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<spam@remote.example>")
    c.smtp("RCPT TO:<victim@elsewhere.example>")
    c.smtp("RCPT TO:<v2@elsewhere.example>")
    c.smtp("QUIT")
    c.close()


@case("SMTP relay denied on submission (TLS, not authenticated)")
def _(x):
    c = smtp(x, 87)
    c.smtp("STARTTLS")
    c.tls()
    c.smtp("EHLO client.example.com")
    c.smtp("MAIL FROM:<bob@example.test>")
    c.smtp("RCPT TO:<victim@elsewhere.example>")
    c.smtp("QUIT")
    c.close()


@case("SMTP local sender without authentication to a local recipient (spoof)")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<bob@example.test>")
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("RSET")
    c.smtp("QUIT")
    c.close()


@case("SMTP logged in as bob, MAIL FROM alice (verifyIdentity=false)")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN " + plain("bob@example.test", "secret"))
    c.smtp("MAIL FROM:<alice@example.test>")
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("RSET")
    c.smtp("QUIT")
    c.close()


@case("SMTP syntax: bad sender, bad recipient, no brackets, RCPT before MAIL")
def _(x):
    c = smtp(x)
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("MAIL FROM:bob@example.test")
    c.smtp("MAIL FROM:<@@@>")
    c.smtp("MAIL FROM:<ok@remote.example>")
    c.smtp("RCPT TO:alice@example.test")
    c.smtp("RCPT TO:<@@>")
    c.smtp("QUIT")
    c.close()


@case("SMTP message over maxmessagesize (64 KiB): SIZE= and real")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<a@remote.example> SIZE=9999999")
    c.smtp("MAIL FROM:<a@remote.example>")
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("DATA")
    c.smtp(b"Subject: big\r\n\r\n" + (b"x" * 70 + b"\r\n") * 1200 + b".")
    c.smtp("QUIT")
    c.close()


@case("SMTP smuggling: LF . LF inside DATA")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<a@remote.example>")
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("DATA")
    c.smtp(b"Subject: s\r\n\r\nx\n.\nMAIL FROM:<b@remote.example>\nRCPT TO:<alice@example.test>\r\n.")
    c.smtp("QUIT")
    c.close()
    time.sleep(1)


@case("SMTP VRFY, EXPN, HELP, ETRN")
def _(x):
    c = smtp(x)
    for q in ("VRFY bob", "EXPN list", "HELP", "ETRN x"):
        c.smtp(q)
    c.smtp("QUIT")
    c.close()


@case("SMTP 6 unknown commands (port +25, default chain)")
def _(x):
    c = smtp(x)
    for i in range(6):
        c.smtp("XFOO%d bar" % i)
    c.smtp("QUIT")
    c.close()


@case("SMTP unknown commands with MaxUnknownCmdHandler (port +27, limit 3)")
def _(x):
    c = smtp(x, 27)
    for i in range(5):
        try:
            c.smtp("XFOO%d bar" % i)
        except OSError as e:
            x.note("=", str(e).encode())
    c.close()


@case("SMTP garbage: binary bytes")
def _(x):
    c = Conn(x, 25)
    c.raw(bytes(range(256)) + b"\r\n")
    x.note("<", c.line())
    c.close()


@case("SMTP garbage: an HTTP request")
def _(x):
    c = Conn(x, 25)
    c.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    x.note("<", c.line())
    c.close()


@case("SMTP garbage: a TLS hello on the clear port")
def _(x):
    c = Conn(x, 25)
    try:
        c.tls()
    except (OSError, ssl.SSLError) as e:
        x.note("=", type(e).__name__.encode())
    c.close()


@case("SMTP line of 5000 bytes, then 100 KiB without an end of line")
def _(x):
    c = smtp(x)
    c.smtp("NOOP " + "x" * 5000)
    c.raw(b"y" * 102400)
    x.note("<", c.line())
    c.close()


@case("SMTP connect and close at once x3; EHLO then reset")
def _(x):
    for _ in range(3):
        Conn(x, 25, greet=False).close()
    c = smtp(x)
    c.close(reset=True)


@case("SMTP STARTTLS then garbage; STARTTLS then close")
def _(x):
    c = smtp(x, 87)
    c.smtp("STARTTLS")
    c.raw(b"EHLO plain.example\r\n")
    x.note("<", c.line())
    c.close()
    c = smtp(x, 87)
    c.smtp("STARTTLS")
    c.close()


@case("SMTP STARTTLS command injection (second command in one packet)")
def _(x):
    c = smtp(x, 87)
    c.raw(b"STARTTLS\r\nMAIL FROM:<evil@8.8.8.8>\r\n")
    x.note("<", c.line())
    x.note("<", c.line())
    c.close()


@case("SMTPS port: clear text, then a TLS 1.0 hello without common ciphers")
def _(x):
    c = Conn(x, 65, greet=False)
    c.raw(b"EHLO plain.example\r\n")
    x.note("<", c.line())
    c.close()
    c = Conn(x, 65, greet=False)
    c.raw(bytes.fromhex("16030100320100002e0301") + b"\0" * 32 + bytes.fromhex("000002000501000003000000")[:12])
    x.note("<", c.line())
    c.close()


@case("LMTP unknown recipient")
def _(x):
    c = Conn(x, 24)
    c.smtp("LHLO mx.example.com")
    c.smtp("MAIL FROM:<a@remote.example>")
    c.smtp("RCPT TO:<nobody@example.test>")
    c.smtp("QUIT")
    c.close()
