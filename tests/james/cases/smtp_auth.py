"""Guessing passwords over SMTP, and logging in honestly."""

import time

from cases.client import Conn, b64, case, plain, smtp


@case("SMTP success: AUTH PLAIN, mail bob -> alice delivered")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN " + plain("bob@example.test", "secret"))
    c.smtp("MAIL FROM:<bob@example.test>")
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("DATA")
    c.smtp("Subject: hi\r\n\r\nhello\r\n.")
    c.smtp("QUIT")
    c.close()
    time.sleep(1.5)


@case("SMTP success: unauthenticated mail from outside to a local user delivered")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<friend@remote.example>")
    c.smtp("RCPT TO:<alice@example.test>")
    c.smtp("DATA")
    c.smtp("Subject: hi\r\n\r\nhello\r\n.")
    c.smtp("QUIT")
    c.close()
    time.sleep(1.5)


@case("SMTP success: AUTH LOGIN")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN")
    c.smtp(b64("bob@example.test"))
    c.smtp(b64("secret"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN with initial response, wrong password")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN without initial response, wrong password")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN")
    c.smtp(plain("bob@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH LOGIN, wrong password")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN")
    c.smtp(b64("bob@example.test"))
    c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH LOGIN with initial user name, wrong password")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN " + b64("bob@example.test"))
    c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN, 5 wrong passwords in one connection")
def _(x):
    c = smtp(x)
    for i in range(5):
        c.smtp("AUTH PLAIN " + plain("bob@example.test", "bad%d" % i))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN, unknown user")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN " + plain("nobody@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH LOGIN, unknown user in an unknown domain")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN")
    c.smtp(b64("root@other.test"))
    c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH LOGIN, user name without domain (the usual bot)")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN")
    c.smtp(b64("admin"))
    c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN with an authorization identity (delegation), wrong password")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN " + plain("bob@example.test", "bad", b"alice@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN delegation with the right password but not allowed")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN " + plain("bob@example.test", "secret", b"alice@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH PLAIN, broken base64")
def _(x):
    c = smtp(x)
    c.smtp("AUTH PLAIN !!!not-base64!!!")
    c.smtp("AUTH PLAIN " + b64("nozeros"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH LOGIN, broken base64, empty answers, then cancelled with *")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN")
    c.smtp("%%%")
    c.smtp("%%%")
    c.smtp("AUTH LOGIN")
    c.smtp("")
    c.smtp("")
    c.smtp("AUTH LOGIN")
    c.smtp("*")
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH CRAM-MD5, XOAUTH2, OAUTHBEARER (not configured)")
def _(x):
    c = smtp(x)
    c.smtp("AUTH CRAM-MD5")
    c.smtp("AUTH XOAUTH2 " + b64("user=bob@example.test\1auth=Bearer x\1\1"))
    c.smtp("AUTH OAUTHBEARER abc")
    c.smtp("AUTH")
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH on submission (STARTTLS, port +87), wrong password")
def _(x):
    c = smtp(x, 87)
    c.smtp("STARTTLS")
    c.tls()
    c.smtp("EHLO client.example.com")
    c.smtp("AUTH LOGIN")
    c.smtp(b64("bob@example.test"))
    c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP AUTH on submission before STARTTLS (not offered)")
def _(x):
    c = smtp(x, 87)
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTPS (implicit TLS, port +65) AUTH PLAIN wrong password")
def _(x):
    c = Conn(x, 65, greet=False)
    c.tls()
    x.note("<", c.line())
    c.smtp("EHLO client.example.com")
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP disconnect in the middle of AUTH LOGIN")
def _(x):
    c = smtp(x)
    c.smtp("AUTH LOGIN")
    c.smtp(b64("bob@example.test"))
    c.close(reset=True)
