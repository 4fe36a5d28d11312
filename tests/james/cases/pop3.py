"""POP3: logins, injections, noise."""

from cases.client import Conn, case, plain


@case("POP3 success: USER, PASS, STAT, QUIT")
def _(x):
    c = Conn(x, 10)
    c.smtp("USER bob@example.test")
    c.smtp("PASS secret")
    c.smtp("STAT")
    c.smtp("QUIT")
    c.close()


@case("POP3 USER/PASS wrong password")
def _(x):
    c = Conn(x, 10)
    c.smtp("USER bob@example.test")
    c.smtp("PASS bad")
    c.smtp("QUIT")
    c.close()


@case("POP3 unknown user; user without domain")
def _(x):
    c = Conn(x, 10)
    c.smtp("USER nobody@example.test")
    c.smtp("PASS bad")
    c.smtp("USER admin")
    c.smtp("PASS bad")
    c.smtp("QUIT")
    c.close()


@case("POP3 4 wrong passwords in one connection")
def _(x):
    c = Conn(x, 10)
    for i in range(4):
        c.smtp("USER bob@example.test")
        c.smtp("PASS bad%d" % i)
    c.smtp("QUIT")
    c.close()


@case("POP3 APOP, AUTH PLAIN, AUTH, CAPA, unknown command")
def _(x):
    c = Conn(x, 10)
    c.smtp("APOP bob@example.test 00112233445566778899aabbccddeeff")
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.smtp("XFOO")
    c.smtp("QUIT")
    c.close()


@case("POP3 injection: forged tail, brackets, 8-bit, long")
def _(x):
    c = Conn(x, 10)
    for u in (b"x with remote address 8.8.8.8", b"x [ip=8.8.8.8]", b"caf\xe9", b"bob@8.8.8.8", b"a" * 400):
        c.smtp(b"USER " + u)
        c.smtp("PASS bad")
    c.smtp("QUIT")
    c.close()


@case("POP3 garbage, HTTP, connect and close")
def _(x):
    c = Conn(x, 10)
    c.raw(bytes(range(256)) + b"\r\n")
    x.note("<", c.line())
    c.close()
    c = Conn(x, 10)
    c.raw(b"GET / HTTP/1.1\r\n\r\n")
    x.note("<", c.line())
    c.close()
    Conn(x, 10, greet=False).close()
