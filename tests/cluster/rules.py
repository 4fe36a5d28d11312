"""For every CEL rule of every kind: specs that keep it and specs that break it.

KEPT[kind] are accepted. BROKEN[kind][message] are refused with that message, each for this reason alone. CHANGES[kind]
[message] are pairs: the first is accepted, the change to the second refused. checks/definitions.py demands an entry
for every rule there is.
"""


def jail(**change):
    return {"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}}, **change}


def limit(**change):
    return {"protocol": "TCP", "ports": [25], "hits": 4, "window": "60s", **change}


def structured(**change):
    return {"rules": [{"logger": "org.apache.james.util.AuditTrail", "message": "^failed$", **change}]}


def example(**example):
    return {**structured(), "examples": [{"line": "2026-11-22 failed", **example}]}


PODS = jail()["source"]["pods"]

BATCH = {
    "node": "n1",
    "bans": [
        {
            "jail": "mail/james", "prefix": "2001:db8::/64", "nth": 2, "since": "2026-11-22T20:00:00.123Z", "until": "2026-11-22T21:00:00Z",
            "weight": 5, "first": "2026-11-22T19:55:00Z", "rules": [{"rule": "james-smtp-auth/rules[0]", "times": 5}], "with": ["n2"],
            "reason": "asked for",
        }
    ],
}  # fmt: skip

KEPT = {
    "AllowList": [
        {"entries": []},
        {"entries": [{"prefix": "192.0.2.0/24", "comment": "the office", "until": "2027-01-31T00:00:00Z"}, {"host": "vpn.example.org"}]},
        # Null is absence, for the rules too.
        {"entries": [{"prefix": "2001:db8::/32", "host": None}]},
    ],
    "BanList": [
        {"entries": [{"prefix": "198.51.100.0/24", "until": "2027-01-31T00:00:00+01:00", "reason": "spam", "scope": "All"}]},
        {"entries": [{"prefix": "198.51.100.7", "scope": "mail/james"}]},
    ],
    "BanSlice": [
        {"node": "n1", "bans": [{"prefix": "45.129.14.30", "nth": 1, "since": "2026-11-22T20:00:00Z"}]},
        BATCH,
    ],
    "Filter": [
        structured(),
        {"successes": structured()["rules"]},
        {"rules": [{"message": "^failed from <HOST>$"}]},
        {"failRegex": ["^failed from <HOST>$"], "prefRegex": "^<F-CONTENT>.*</F-CONTENT>$", "ignoreRegex": ["bob"], "datePatterns": ["%Y"]},
        {"rules": None, "failRegex": ["^failed from <HOST>$"]},
        example(match=True, address="192.0.2.1", count=2, outcome="Failure"),
        example(match=False),
    ],
    "House": [{"members": []}, {"members": [{"prefix": "10.89.0.11", "role": "Node", "name": "n1"}, {"prefix": "10.88.0.0/16", "role": "Pods"}]}],
    "Jail": [
        jail(),
        jail(findTime="8760h", banTime="87600h"),
        jail(findTime="1s", banTime="1s"),
        jail(banTime="Permanent"),
        jail(findTime="1h30m", banTime="1.5h"),
        jail(enforce={"allPorts": True, "action": "Reject"}),
        jail(enforce={"ports": [25, 587], "services": ["james-smtp"], "allPorts": False}),
        jail(source={"pods": PODS, "files": None, "journal": None, "layout": {"type": "Pattern", "pattern": "%d - %m%n"}}),
        jail(source={"pods": PODS, "layout": {"type": "JsonEncoder"}}),
        jail(
            escalation={"factor": 2, "maxBanTime": "168h", "jitter": "10m", "forgetAfter": "720h"}, trusted={"factor": 3}, count="Node",
            prefix={"ipv4": 24, "ipv6": 56}, ignore=["203.0.113.0/24"], banPrivate=True, brake={"bansPerMinute": 600}, mode="Observe",
        ),
    ],
    "NodeAgent": [{}, {"cleanUp": True}],
    "Pardon": [
        {"prefix": "198.51.100.0/24"},
        {"prefix": "2001:db8::1", "jail": {"namespace": "mail", "name": "james"}, "reason": "called us"},
    ],
    "RateLimit": [
        limit(),
        limit(protocol="UDP", window="24h", penalty="Excess"),
        limit(window="1s", penalty="168h"),
        limit(window="1500ms500ms", penalty="1s"),
        {"protocol": "ICMP", "hits": 6, "window": "5s", "penalty": "Silence"},
        {"protocol": "ICMP", "ports": None, "hits": 6, "window": "5s"},
        limit(services=["james-smtp", "james-imap"], escalateTo="james"),
        limit(services=["james-smtp"], ports=None),
    ],
    "SightingList": [
        {"node": "n1", "jails": []},
        {
            "node": "n1.example.org", "leftOut": 3,
            "jails": [
                {"jail": "mail/james", "subjects": [
                    {"prefix": "2001:db8::/64", "failures": [{"at": "2026-11-22T20:00:00.123Z", "weight": 2}],
                     "successes": [{"from": "2026-11-22T20:00:00Z", "to": "2026-11-22T20:01:00Z"}]}]},
            ],
        },
    ],
}  # fmt: skip

# What an agent says of itself, for the columns.
STATUS = {
    "NodeAgent": {
        "version": "0.1.0", "kernel": "6.1.0", "reported": "2026-11-22T20:00:00Z", "pods": 2, "bans": 1, "lagBytes": 0, "lostBytes": 0,
        "clockAheadMillis": 0, "jails": [{"name": "mail/james", "pods": 1}],
    },
}  # fmt: skip

BROKEN = {
    "AllowList": {
        "an entry is a `prefix` or a `host`, not both": [
            {"entries": [{"prefix": "192.0.2.0/24", "host": "vpn.example.org"}]},
            {"entries": [{"comment": "nobody"}]},
            {"entries": [{"prefix": None, "host": None}]},
        ],
    },
    "Filter": {
        "a filter needs `rules` or `failRegex`": [{"description": "nothing"}, {"maxLines": 2}, {"rules": None}],
        "`prefRegex`, `ignoreRegex` and `datePatterns` need `failRegex`": [
            {**structured(), "prefRegex": "x"},
            {**structured(), "ignoreRegex": ["x"]},
            {**structured(), "datePatterns": ["x"]},
        ],
        "a rule needs `logger` or `message`": [
            {"rules": [{"context": {"protocol": "SMTP"}}]},
            {**structured(), "successes": [{"weight": 2}]},
            {"rules": [{"logger": None, "message": None}]},
        ],
        "an example that matches needs the `address` it accuses": [example(match=True), example(match=True, address=None)],
        "an example that does not match has no `address`, `count` or `outcome`": [
            example(match=False, address="192.0.2.1"),
            example(match=False, count=1),
            example(match=False, outcome="Success"),
        ],
    },
    "Jail": {
        "`findTime` is from 1s to 8760h": [jail(findTime="999ms"), jail(findTime="0s"), jail(findTime="8760h1s")],
        "`banTime` is `Permanent`, or from 1s to 87600h": [jail(banTime="999ms"), jail(banTime="87600h1s")],
        "`allPorts` already closes everything: give it or `ports` and `services`, not both": [
            jail(enforce={"allPorts": True, "ports": [25]}),
            jail(enforce={"allPorts": True, "services": ["james-smtp"]}),
        ],
        "`pattern` is needed with type `Pattern`, and only there": [
            jail(source={"pods": PODS, "layout": {"type": "Pattern"}}),
            jail(source={"pods": PODS, "layout": {"type": "JsonEncoder", "pattern": "%m"}}),
        ],
        "in Kubernetes a jail reads `pods`; `files` and `journal` exist only on a plain host": [
            jail(source={"files": ["/var/log/james.log"]}),
            jail(source={"journal": {"units": ["ssh.service"]}}),
            jail(source={"pods": PODS, "files": ["/var/log/james.log"]}),
            jail(source={}),
        ],
    },
    "RateLimit": {
        "`ports` are needed with UDP, `ports` or `services` with TCP; ICMP has no ports": [
            {"protocol": "TCP", "hits": 4, "window": "60s"},
            limit(protocol="UDP", ports=None),
            limit(protocol="ICMP"),
        ],
        "`services` exist only with TCP": [
            limit(protocol="UDP", services=["dns"]),
            {"protocol": "ICMP", "services": ["james-smtp"], "hits": 6, "window": "5s"},
        ],
        "`escalateTo` exists only with TCP: nothing shows that the sender of a datagram or a ping is who it says": [
            limit(protocol="UDP", escalateTo="james"),
            {"protocol": "ICMP", "hits": 6, "window": "5s", "escalateTo": "james"},
        ],
        "`window` is from 1s to 24h, in whole seconds": [limit(window="0s"), limit(window="24h1s"), limit(window="1.5s")],
        "`penalty` is `Silence`, `Excess`, or from 1s to 168h in whole seconds": [
            limit(penalty="0s"), limit(penalty="168h1s"), limit(penalty="1.5s"),
        ],
    },
}  # fmt: skip

CHANGES = {
    "BanSlice": {
        "a BanSlice does not change: its node writes another": [(BATCH, {**BATCH, "node": "n2"}), (BATCH, {**BATCH, "bans": BATCH["bans"] * 2})],
    },
    "Pardon": {
        "a Pardon does not change: delete it and make another": [
            ({"prefix": "198.51.100.0/24"}, {"prefix": "198.51.100.0/25"}),
            ({"prefix": "198.51.100.0/24", "reason": "called us"}, {"prefix": "198.51.100.0/24", "reason": "wrote to us"}),
        ],
    },
}
