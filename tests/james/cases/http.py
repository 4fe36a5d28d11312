"""JMAP and WebAdmin."""

import re
from http.client import HTTPConnection

from cases.client import PROXIED, Conn, b64, case


def http(x, port, method, path, body=None, **headers):
    c = http_client(x, port)
    c.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    r = c.getresponse()
    d = r.read()
    x.note(">", b"%s %s %s" % (method.encode(), path.encode(), repr({k: v[:60] for k, v in headers.items()}).encode()))
    x.note("<", b"%d %s" % (r.status, d[:100]))
    c.close()


def http_client(x, port):
    return HTTPConnection(x.server, x.base + port, timeout=30, source_address=(x.source, 0))


ACC = "application/json; jmapVersion=rfc-8621"


@case("JMAP success: session with basic credentials")
def _(x):
    http(x, 80, "GET", "/jmap/session", Accept=ACC, Authorization="Basic " + b64("bob@example.test:secret"))


@case("JMAP session: wrong password x2 (with X-Forwarded-For)")
def _(x):
    for _ in range(2):
        http(
            x,
            80,
            "GET",
            "/jmap/session",
            Accept=ACC,
            Authorization="Basic " + b64("bob@example.test:bad"),
            X_Forwarded_For=PROXIED,
        )


@case("JMAP session: unknown user")
def _(x):
    http(x, 80, "GET", "/jmap/session", Accept=ACC, Authorization="Basic " + b64("nobody@example.test:bad"))


@case("JMAP session: no credentials; broken bearer token")
def _(x):
    http(x, 80, "GET", "/jmap/session", Accept=ACC)
    http(x, 80, "GET", "/jmap/session", Accept=ACC, Authorization="Bearer a.b.c")


@case("JMAP POST /jmap wrong password")
def _(x):
    http(
        x,
        80,
        "POST",
        "/jmap",
        '{"using":[],"methodCalls":[]}',
        Accept=ACC,
        Content_Type="application/json",
        Authorization="Basic " + b64("bob@example.test:bad"),
        X_Forwarded_For=PROXIED,
    )


@case("JMAP upload and download, wrong password")
def _(x):
    http(
        x,
        80,
        "POST",
        "/upload/a",
        "x",
        Accept=ACC,
        Content_Type="text/plain",
        Authorization="Basic " + b64("bob@example.test:bad"),
    )
    http(x, 80, "GET", "/download/a/b", Accept=ACC, Authorization="Basic " + b64("bob@example.test:bad"))


@case("JMAP draft: POST /authentication, wrong password (3.8 and older)")
def _(x):
    c = http_client(x, 80)
    h = {"Accept": "application/json", "Content-Type": "application/json"}
    c.request(
        "POST",
        "/authentication",
        '{"username":"bob@example.test","clientName":"c","clientVersion":"1","deviceName":"d"}',
        h,
    )
    r = c.getresponse()
    d = r.read().decode(errors="replace")
    x.note("<", b"%d %s" % (r.status, d[:80].encode()))
    m = re.search(r'"continuationToken":"([^"]+)"', d)
    if m:
        c.request("POST", "/authentication", '{"token":"%s","method":"password","password":"bad"}' % m[1], h)
        r = c.getresponse()
        x.note("<", b"%d %s" % (r.status, r.read()[:80]))
    c.close()


@case("JMAP port: unknown path, garbage")
def _(x):
    http(x, 80, "GET", "/wp-login.php")
    c = Conn(x, 80, greet=False)
    c.raw(b"\x16\x03\x01garbage\r\n\r\n")
    x.note("<", c.line())
    c.close()


@case("WebAdmin success: list domains")
def _(x):
    http(x, 0, "GET", "/domains", Authorization="Bearer " + x.token)


@case("WebAdmin without token; with a broken token; unknown path")
def _(x):
    http(x, 0, "GET", "/domains")
    http(x, 0, "GET", "/domains", Authorization="Bearer a.b.c")
    http(x, 0, "GET", "/nothing")


@case("WebAdmin forged token; Password header; X-Real-IP")
def _(x):
    http(x, 0, "GET", "/users", Authorization="Bearer " + x.token[:-4] + "AAAA")
    http(x, 0, "GET", "/users", Password="guess", X_Real_IP=PROXIED, X_Forwarded_For=PROXIED)


@case("WebAdmin healthcheck (no token needed)")
def _(x):
    http(x, 0, "GET", "/healthcheck")
