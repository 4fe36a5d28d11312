"""IMAP: logins, injections, noise."""

from cases.client import Conn, b64, case, plain


@case("IMAP success: LOGIN, SELECT, LOGOUT")
def _(x):
    c = Conn(x, 43)
    c.imap("LOGIN bob@example.test secret")
    c.imap("SELECT INBOX")
    c.imap("LOGOUT")
    c.close()


@case("IMAP LOGIN wrong password")
def _(x):
    c = Conn(x, 43)
    c.imap("LOGIN bob@example.test bad")
    c.imap("LOGOUT")
    c.close()


@case("IMAP LOGIN unknown user")
def _(x):
    c = Conn(x, 43)
    c.imap("LOGIN nobody@example.test bad")
    c.imap("LOGOUT")
    c.close()


@case("IMAP LOGIN user without domain")
def _(x):
    c = Conn(x, 43)
    c.imap("LOGIN admin bad")
    c.imap("LOGOUT")
    c.close()


@case("IMAP LOGIN 4 wrong passwords in one connection")
def _(x):
    c = Conn(x, 43)
    for i in range(4):
        try:
            c.imap("LOGIN bob@example.test bad%d" % i)
        except OSError as e:
            x.note("=", str(e).encode())
    c.close()


@case("IMAP AUTHENTICATE PLAIN with initial response (SASL-IR), wrong")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN " + plain("bob@example.test"))
    c.imap("LOGOUT")
    c.close()


@case("IMAP AUTHENTICATE PLAIN continuation, wrong password")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN")
    c.raw(plain("bob@example.test").encode() + b"\r\n")
    c.until("a")
    c.imap("LOGOUT")
    c.close()


@case("IMAP AUTHENTICATE PLAIN continuation, unknown user")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN")
    c.raw(plain("nobody@example.test").encode() + b"\r\n")
    c.until("a")
    c.imap("LOGOUT")
    c.close()


@case("IMAP AUTHENTICATE PLAIN, success (continuation)")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN")
    c.raw(plain("bob@example.test", "secret").encode() + b"\r\n")
    c.until("a")
    c.imap("LOGOUT")
    c.close()


@case("IMAP AUTHENTICATE PLAIN with an authorization identity (delegation), wrong password")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN " + plain("bob@example.test", "bad", b"alice@example.test"))
    c.imap("LOGOUT")
    c.close()


@case("IMAP AUTHENTICATE delegation, right password but not allowed")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN " + plain("bob@example.test", "secret", b"alice@example.test"))
    c.imap("LOGOUT")
    c.close()


@case("IMAP AUTHENTICATE broken base64, LOGIN mechanism, XOAUTH2")
def _(x):
    c = Conn(x, 43)
    c.imap("AUTHENTICATE PLAIN")
    c.raw(b"!!!\r\n")
    c.until("a")
    c.imap("AUTHENTICATE LOGIN", "b")
    c.imap("AUTHENTICATE XOAUTH2 " + b64("user=bob\1auth=Bearer x\1\1"), "c")
    c.imap("LOGOUT", "d")
    c.close()


@case("IMAP LOGIN in the clear where TLS is required (port +45)")
def _(x):
    c = Conn(x, 45)
    c.imap("LOGIN bob@example.test bad")
    c.imap("LOGOUT")
    c.close()


@case("IMAP STARTTLS (port +45) then LOGIN wrong")
def _(x):
    c = Conn(x, 45)
    c.imap("STARTTLS")
    c.tls()
    c.imap("LOGIN bob@example.test bad")
    c.imap("LOGOUT")
    c.close()


@case("IMAPS (port +93) LOGIN wrong")
def _(x):
    c = Conn(x, 93, greet=False)
    c.tls()
    x.note("<", c.line())
    c.imap("LOGIN bob@example.test bad")
    c.imap("LOGOUT")
    c.close()


@case("IMAP injection: literal user name with CR LF and a forged line")
def _(x):
    u = b"x\r\n2026-01-01T00:00:00.000Z [INFO ] [proto=IMAP ip=8.8.8.8 src= rip=8.8.8.8 sid=] AuditTrail - IMAP Authentication failed because of bad credentials."
    c = Conn(x, 43)
    c.raw(b"a LOGIN {%d}\r\n" % len(u))
    c.until("a")
    c.raw(u + b" bad\r\n")
    c.until("a")
    c.imap("LOGOUT", "b")
    c.close()


@case("IMAP injection: quoted user with brackets and ip=8.8.8.8")
def _(x):
    c = Conn(x, 43)
    c.imap('LOGIN "x, ip=8.8.8.8] rip=8.8.8.8" bad')
    c.imap("LOGOUT", "b")
    c.close()


@case("IMAP 8-bit and long user names")
def _(x):
    c = Conn(x, 43)
    c.imap(b'LOGIN "caf\xe9\xff" bad')
    c.imap('LOGIN "%s" bad' % ("a" * 900), "b")
    c.imap("LOGOUT", "d")
    c.close()


@case("IMAP garbage: unknown command, binary, HTTP")
def _(x):
    c = Conn(x, 43)
    c.imap("XFOO bar")
    c.close()
    c = Conn(x, 43)
    c.raw(bytes(range(256)) + b"\r\n")
    x.note("<", c.line())
    c.close()
    c = Conn(x, 43)
    c.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    x.note("<", c.line())
    c.close()


@case("IMAP line of 100 KiB; connect and reset")
def _(x):
    c = Conn(x, 43)
    c.raw(b"a NOOP " + b"x" * 102400 + b"\r\n")
    x.note("<", c.line())
    c.close()
    c = Conn(x, 43)
    c.close(reset=True)


@case("IMAPS port: clear text; STARTTLS then garbage")
def _(x):
    c = Conn(x, 93, greet=False)
    c.raw(b"a LOGIN bob bad\r\n")
    x.note("<", c.line())
    c.close()
    c = Conn(x, 45)
    c.imap("STARTTLS")
    c.raw(b"a NOOP\r\n")
    x.note("<", c.line())
    c.close()


@case("IMAP STARTTLS command injection")
def _(x):
    c = Conn(x, 45)
    c.raw(b"a STARTTLS\r\nb LOGIN bob@8.8.8.8 x\r\n")
    x.note("<", c.line())
    x.note("<", c.line())
    c.close()
