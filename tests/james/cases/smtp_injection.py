"""Names and arguments over SMTP that try to become log text."""

from cases.client import Conn, b64, case, plain, smtp


def inject(name, user):
    @case("SMTP AUTH PLAIN injection: " + name)
    def _(x):
        c = smtp(x)
        c.smtp("AUTH PLAIN " + plain(user))
        c.smtp("QUIT")
        c.close()


inject(
    "CR LF and a whole forged line for 8.8.8.8",
    "a\r\n00:00:00.000 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{localPart=bob, domainPart=Optional.empty}@8.8.8.8\r\nx",
)
inject(
    "LF and a forged tail without a domain",
    "x\n00:00:00.000 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{localPart=bob, domainPart=Optional.empty} 8.8.8.8",
)
inject("[ip=8.8.8.8] in the name", "x [ip=8.8.8.8] rejected")
inject("@8.8.8.8 at the end", "bob@8.8.8.8")
inject("closing brace and @8.8.8.8", "bob}@8.8.8.8")
inject("two @", "bob@example.test@8.8.8.8")
inject("words: rejected, error, ip=8.8.8.8", "rejected error ip=8.8.8.8")
inject("ESC colour codes, tab, NEL, U+2028", "x\x1b[31m\ty\u0085z\u2028w")
inject("JSON quotes and backslashes", '","mdc":{"ip":"8.8.8.8"},"x":"\\')
inject("non-UTF-8 bytes", b"caf\xe9\xff\xfe")
inject("very long name (900 characters)", "a" * 900)
inject("empty name", "")
inject("logback / log4j lookup", "${jndi:ldap://127.0.0.1/x}%X{ip}{}{}")


@case("SMTP AUTH LOGIN injection: CR LF in the name, with and without a domain; two @; 900 characters")
def _(x):
    c = smtp(x)
    for u in ("a\r\nforged line", "a\r\nforged@8.8.8.8", "bob@example.test@8.8.8.8", "a" * 900):
        c.smtp("AUTH LOGIN")
        c.smtp(b64(u))
        c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP EHLO injection: ip=8.8.8.8 and brackets in the argument")
def _(x):
    c = Conn(x, 25)
    c.smtp("EHLO x, ip=8.8.8.8]")
    c.smtp("EHLO x[ip=8.8.8.8]")
    c.smtp("HELO [8.8.8.8]")
    c.smtp("EHLO")
    c.smtp("AUTH PLAIN " + plain("bob@example.test"))
    c.smtp("QUIT")
    c.close()


@case("SMTP EHLO with a forged value, then AUTH LOGIN wrong")
def _(x):
    c = Conn(x, 25)
    c.smtp("EHLO ip=8.8.8.8")
    c.smtp("AUTH LOGIN")
    c.smtp(b64("bob@example.test"))
    c.smtp(b64("bad"))
    c.smtp("QUIT")
    c.close()


@case("SMTP RCPT injection: quoted local parts with addresses")
def _(x):
    c = smtp(x)
    c.smtp("MAIL FROM:<a@remote.example>")
    c.smtp('RCPT TO:<"x [ip=8.8.8.8] y"@example.test>')
    c.smtp('RCPT TO:<"Username{}@8.8.8.8"@example.test>')
    c.smtp("RCPT TO:<x@[8.8.8.8]>")
    c.smtp(b"RCPT TO:<caf\xe9@example.test>")
    c.smtp("QUIT")
    c.close()
