"""ManageSieve: James logs no failure here."""

import time

from cases.client import Conn, case, plain


def sieve(x, *cmds):
    c = Conn(x, 90, greet=False)

    def answer():
        while True:
            l = c.line()
            if l[:2] in (b"OK", b"NO") or l[:3] == b"BYE" or l[:1] in (b"(", b"+") or l == b'""':
                x.note("<", l)
                return

    answer()
    for m in cmds:
        c.raw(m.encode() + b"\r\n")
        answer()
    c.close()


@case("ManageSieve success: AUTHENTICATE PLAIN, LISTSCRIPTS")
def _(x):
    sieve(x, 'AUTHENTICATE "PLAIN" "%s"' % plain("bob@example.test", "secret"), "LISTSCRIPTS")


@case("ManageSieve LOGOUT (a polite client)")
def _(x):
    sieve(x, "LOGOUT")


@case("ManageSieve AUTHENTICATE PLAIN wrong password x3")
def _(x):
    sieve(x, *['AUTHENTICATE "PLAIN" "%s"' % plain("bob@example.test")] * 3)


@case("ManageSieve AUTHENTICATE PLAIN continuation wrong; unknown user")
def _(x):
    c = Conn(x, 90, greet=False)
    time.sleep(0.3)
    c.raw(b'AUTHENTICATE "PLAIN"\r\n')
    time.sleep(0.3)
    c.raw(b'"%s"\r\n' % plain("bob@example.test").encode())
    time.sleep(0.6)
    x.note("<", c.s.recv(4096)[-120:])
    c.close()
    sieve(x, 'AUTHENTICATE "PLAIN" "%s"' % plain("nobody@example.test"))


@case("ManageSieve garbage; command before login")
def _(x):
    sieve(x, "LISTSCRIPTS", "XFOO", 'AUTHENTICATE "PLAIN" "!!!"')
