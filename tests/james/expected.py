"""What each case is, how often it truly failed, and where no filter can see it.

The numbers are those of `cases.CASES`; two tries of one password as PLAIN and LOGIN are one failure.
"""

SMTP, IMAP, POP3 = "james-smtp-auth", "james-imap-auth", "james-pop3-auth"
RECIPIENT, RELAY, ABUSE = "james-smtp-recipient", "james-smtp-relay", "james-smtp-abuse"
JMAP, WEBADMIN, SIEVE = "james-jmap", "james-webadmin", "ManageSieve"
# A user's filter for one layout of one version: it is held to never accuse anybody wrongly, not to see everything.
NOT_COUNTED = {"james-log4j2", "sshd"}

VERSIONS = ("3.8.1", "3.9.0")
V4, V6 = "203.0.113.99", "2001:db8::99"
# Clients that come through a balancer: who must be accused. The balancer is the case's own address.
PROXIED = {106: V4, 107: V6, 108: V4, 112: V4, 113: V6, 114: V4}

# Who uses the server as it is meant, and what is no guess: none of it may ever count.
INNOCENT = {1, 2, 3, 13, 43, 44, 60, 68, 82, 89, 90, 94, 102, 105}
NOISE = {20, 45, 46, 48, 49, 51, 52, 53, 54, 55, 56, 57, 58, 71, 72, 77, 78, 79, 80, 81, 86, 88, 93, 109, 110}

# Case: how many failures of what.
ATTACKS = {
    4: {SMTP: 1}, 5: {SMTP: 1}, 6: {SMTP: 1}, 7: {SMTP: 1}, 8: {SMTP: 5}, 9: {SMTP: 1}, 10: {SMTP: 1}, 11: {SMTP: 1},
    12: {SMTP: 1}, 14: {SMTP: 1, ABUSE: 1}, 15: {ABUSE: 3}, 16: {ABUSE: 3}, 17: {SMTP: 1}, 18: {SMTP: 1},
    19: {SMTP: 1}, 21: {ABUSE: 1}, 22: {SMTP: 1}, 23: {SMTP: 1}, 24: {SMTP: 1}, 25: {SMTP: 1}, 26: {ABUSE: 1},
    27: {SMTP: 1}, 28: {SMTP: 1}, 29: {SMTP: 1}, 30: {SMTP: 1}, 31: {ABUSE: 1}, 32: {SMTP: 1}, 33: {SMTP: 1},
    34: {SMTP: 2, ABUSE: 2}, 35: {SMTP: 1, ABUSE: 2}, 36: {SMTP: 1, ABUSE: 1}, 37: {RECIPIENT: 2, RELAY: 1},
    38: {RECIPIENT: 3}, 39: {RECIPIENT: 1}, 40: {RECIPIENT: 3}, 41: {RELAY: 2}, 42: {RELAY: 1}, 47: {ABUSE: 1},
    50: {ABUSE: 1}, 59: {RECIPIENT: 1}, 61: {IMAP: 1}, 62: {IMAP: 1}, 63: {IMAP: 1}, 64: {IMAP: 3}, 65: {IMAP: 1},
    66: {IMAP: 1}, 67: {IMAP: 1}, 69: {IMAP: 1}, 70: {IMAP: 1}, 73: {IMAP: 1}, 74: {IMAP: 1}, 75: {IMAP: 1},
    76: {IMAP: 1}, 83: {POP3: 1}, 84: {POP3: 2}, 85: {POP3: 4}, 87: {POP3: 4}, 91: {SIEVE: 3}, 92: {SIEVE: 2},
    95: {JMAP: 2}, 96: {JMAP: 1}, 97: {JMAP: 1}, 98: {JMAP: 1}, 99: {JMAP: 2}, 100: {JMAP: 1}, 101: {JMAP: 1},
    103: {WEBADMIN: 2}, 104: {WEBADMIN: 2}, 106: {SMTP: 1, RECIPIENT: 1, RELAY: 1},
    107: {SMTP: 1, RECIPIENT: 1, RELAY: 1}, 108: {SMTP: 1, RECIPIENT: 1, RELAY: 1}, 111: {SMTP: 1}, 112: {IMAP: 2},
    113: {IMAP: 3}, 114: {POP3: 1}, 115: {SMTP: 10},
}  # fmt: skip
ALL = ("default", "fixed", "mdc", "seed", "json")
CONTEXT = ("fixed", "mdc", "seed", "json")
OLD, NEW = ("3.8.1",), ("3.9.0",)

# Why less is seen than was tried.
NO_CONTEXT = "the layout prints no diagnostic context, and the message holds no address"
DUMP = "`%X` behind the message: a client could have written it, so it is not believed"
BROKEN = "the client's line break cuts the line in two (no account has such a name)"
SOFT = "James answers *try later* and logs a fault of its own, which never counts"
BALANCER = "the layout prints `ip` without `proxy.source`: it is the balancer's, and the balancer is accused"
UNSAID = "James logs nothing"
ANY_GREETING = "3.8 takes any greeting"
LOST = "James logs it with an empty context"
SILENT = "3.8 is silent about a wrong password of an existing user"
THIRD = "3.8 speaks of the third failure of a connection only, and not always with an address"
CONTINUATION = "credentials on a line of their own: James logs them without address and session"
CLASS = "the layout prints the class that called the logger, and no protocol"
LINES = "the message runs over several lines"
HTTP = "James logs no address over HTTP, or one that the client chose"
BOTH_WAYS = (
    "one password as LOGIN and as PLAIN counts twice: the line with the client's address shows no way of logging in "
    "(without `auth=`, or behind a client's text)"
)

# (versions, layouts, cases, filter, seen, reason)
_ROWS = [
    (VERSIONS, ("default",), (37, 38, 39, 40, 59, 106, 107, 108), RECIPIENT, 0, NO_CONTEXT),
    (VERSIONS, ("default",), (37, 41, 42, 106, 107, 108), RELAY, 0, NO_CONTEXT),
    (VERSIONS, ("default",), (16, 50), ABUSE, 0, NO_CONTEXT),
    (NEW, ("default",), (14, 15, 21, 26, 31, 34, 35, 36, 47), ABUSE, 0, NO_CONTEXT),
    (OLD, ("default",), (62, 63, 64, 70, 75, 76, 113), IMAP, 0, NO_CONTEXT),
    (NEW, ("default",), (61, 62, 63, 64, 65, 69, 70, 73, 74, 75, 76, 112, 113), IMAP, 0, NO_CONTEXT),
    (VERSIONS, ("default",), (22, 34), SMTP, 0, BROKEN),
    (OLD, ("mdc", "seed"), (22, 34), SMTP, 0, BROKEN),
    (OLD, ("fixed", "seed", "json"), (37,), RECIPIENT, 1, SOFT),
    (OLD, ("mdc",), (37, 38, 39, 40, 59), RECIPIENT, 0, DUMP),
    (NEW, ("mdc",), (37,), RECIPIENT, 1, DUMP),
    (VERSIONS, ("mdc",), (37, 41, 42), RELAY, 0, DUMP),
    (NEW, ("mdc",), (14, 15, 16, 21, 26, 31, 34, 47, 50), ABUSE, 0, DUMP),
    (NEW, ("mdc",), (35,), ABUSE, 1, DUMP),
    (VERSIONS, ("seed",), (106, 107, 108), RECIPIENT, 0, BALANCER),
    (VERSIONS, ("seed",), (106, 107, 108), RELAY, 0, BALANCER),
    (OLD, ALL, (14, 15, 21, 26, 31, 34), ABUSE, 0, UNSAID),
    (OLD, ALL, (35, 36), ABUSE, 0, ANY_GREETING),
    (OLD, ALL, (47,), ABUSE, 0, LOST),
    (OLD, ALL, (61, 65, 69, 73, 74), IMAP, 0, SILENT),
    (OLD, CONTEXT, (64, 113), IMAP, (0, 3), THIRD),
    (OLD, ("seed",), (62, 63, 70, 75, 76), IMAP, 0, CLASS),
    (OLD, ("mdc",), (75,), IMAP, 0, BROKEN),
    (OLD, ALL, (112,), IMAP, 0, SILENT),
    (NEW, CONTEXT, (112,), IMAP, 1, CONTINUATION),
    (VERSIONS, ALL, (66, 67), IMAP, 0, CONTINUATION),
    (VERSIONS, ALL, (91, 92), SIEVE, 0, UNSAID),
    (VERSIONS, ALL, (95, 96, 97, 98, 99, 100), JMAP, 0, HTTP),
    (VERSIONS, ("mdc",), (101,), JMAP, 0, LINES),
    (VERSIONS, ("seed",), (101,), JMAP, 0, CLASS),
    (VERSIONS, ALL, (103, 104), WEBADMIN, 0, HTTP),
]  # fmt: skip
# 3.8 logs these with an address or without; layouts that print every address show what was logged.
THRICE_IN_ONE_CONNECTION = (64, 113)
ANY_ADDRESS = ("fixed", "json", "mdc")
# In this layout a balancer is taken for the client, by whatever reads it.
ACCUSES_BALANCER = ("seed",)
# (version, layout, case, filter): (counted, why more than was tried). One password was tried as LOGIN and as PLAIN.
TWICE = {
    (version, layout, case, SMTP): (2, BOTH_WAYS) for version in NEW for layout in ("fixed", "mdc") for case in (106, 107, 108)
}


def _blind():
    blind = {}
    for versions, layouts, cases, name, seen, reason in _ROWS:
        low, high = seen if isinstance(seen, tuple) else (seen, seen)
        for key in ((v, l, c, name) for v in versions for l in layouts for c in cases):
            assert key not in blind, key
            blind[key] = (low, high, reason)
    return blind


# (version, layout, case, filter): (seen at least, at most, why not all).
BLIND = _blind()
