"""James' log: the seed's eight lines with current times, and single lines of every layout, as James prints them."""

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

SEED = Path(__file__).resolve().parent.parent / "seed"
ATTACKERS = ("45.129.14.30", "45.129.14.31", "45.129.14.40", "45.129.14.41")
LAYOUTS = ("seed", "default", "json", "cri")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [+-]\d{4}")


def _utc(milliseconds, form):
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime(form).replace("@", f"{rest:03d}")


def seed_stamp(milliseconds, hours=0):
    """A moment as the seed's layout prints it, in a zone `hours` east of Greenwich."""
    seconds, rest = divmod(milliseconds, 1000)
    moment = datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours)))
    return moment.strftime(f"%Y-%m-%d %H:%M:%S.{rest:03d} %z")


def seed_lines(seconds):
    """The seed's eight lines, shifted so that the last happened at `seconds`."""
    lines = (SEED / "james.log").read_text().splitlines()
    times = [datetime.strptime(_STAMP.match(line)[0], "%Y-%m-%d %H:%M:%S.%f %z").timestamp() for line in lines]
    shift = seconds - max(times)
    return [_STAMP.sub(seed_stamp(round((t + shift) * 1000), hours=2), line) for t, line in zip(times, lines)]


def _json_event(milliseconds, logger, text, mdc):
    return json.dumps(
        {
            "sequenceNumber": 0, "timestamp": milliseconds, "nanoseconds": milliseconds % 1000 * 1_000_000,
            "level": "INFO", "threadName": "smtp-1", "loggerName": logger,
            "context": {"name": "default", "birthdate": 1795355348074, "properties": {}}, "mdc": mdc,
            "message": text, "formattedMessage": text, "throwable": None,
        }, separators=(",", ":"),
    ).replace('"mdc":{', '"mdc": {')  # fmt: skip


def _event(milliseconds, layout, logger, text, mdc):
    """One event in a layout. `logger` is the full name."""
    if layout == "json":
        return _json_event(milliseconds, logger, text, mdc)
    if layout == "seed":
        return f"{seed_stamp(milliseconds)} - {logger} [ip={mdc['ip']}] - {text}"
    *packages, name = logger.split(".")
    short = ".".join([*(p[0] for p in packages), name])
    line = f"{_utc(milliseconds, '%H:%M:%S.@')} \033[34m[INFO ]\033[0;39m {short} - {text}"
    if layout == "cri":
        return f"{_utc(milliseconds, '%Y-%m-%dT%H:%M:%S.@')}000000Z stdout F {line}"
    return line


def failure(address, milliseconds, layout="seed", user="bob"):
    """One failed login of `address`, without a newline."""
    mdc = {
        "protocol": "SMTP", "remoteIP": address, "ip": address, "host": address, "ehlo": "client.example.com",
        "action": "AUTH", "sessionId": "fbade068", "authType": "PLAIN", "username": f"{user}@example.test",
    }  # fmt: skip
    if layout == "json":
        return _event(milliseconds, layout, "org.apache.james.util.AuditTrail", "SMTP Authentication failed.", mdc)
    if layout == "seed":
        logger = "org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler"
        name = f"Username{{localPart={user}, domainPart=Optional[Domain :example.test]}}"
        return _event(milliseconds, layout, logger, f"AUTH method LOGIN failed from {name}@{address}", {"ip": ""})
    name = f"Optional[Username{{localPart={user}, domainPart=Optional[Domain : example.test]}}]"
    text = f"AUTH method PLAIN failed from {name}@{address}"
    return _event(milliseconds, layout, "org.apache.james.protocols.smtp.AUTHENTICATION", text, mdc)


def success(address, milliseconds, user="alice"):
    """One successful login of `address`, as JSON."""
    mdc = {
        "protocol": "SMTP", "remoteIP": address, "ip": address, "host": address, "ehlo": "client.example.com",
        "action": "AUTH", "sessionId": f"{milliseconds:08x}", "authType": "PLAIN", "username": f"{user}@example.test",
    }  # fmt: skip
    return _event(milliseconds, "json", "org.apache.james.util.AuditTrail", "SMTP Authentication succeeded.", mdc)


# What else James says, as often as in a captured session: (logger, text, weight).
_NOISE = (
    ("org.apache.james.protocols.netty.BasicChannelInboundHandler", "Connection established from {ip}", 4),
    ("org.apache.james.protocols.netty.BasicChannelInboundHandler", "Connection closed for {ip}/{ip}:{port}", 4),
    ("org.apache.james.util.AuditTrail", "SMTP Authentication succeeded.", 1),
    ("org.apache.james.smtpserver.SendMailHandler", "Successfully spooled mail Mail{port}-rvARkKaEIv1yUmFQqGDj with "
     "messageId null from bob@example.test on {ip}/{ip} for [alice@example.test]", 2),
    ("org.apache.james.util.AuditTrail", "SMTP mail spooled.", 1),
    ("org.apache.james.protocols.smtp.core.log.HookResultLogger", "org.apache.james.smtpserver.fastfail.ValidRcptHandler: "
     "result= (DECLINED CONNECTED)", 2),
    ("org.apache.james.transport.mailets.LocalDelivery", "Local delivered mail Mail{port} successfully from "
     "bob@example.test to alice@example.test in folder INBOX with composedMessageId 1234", 1),
    ("org.apache.james.webadmin.mdc.LoggingRequestFilter", "WebAdmin request received", 1),
)  # fmt: skip


def noise(random, milliseconds, layout):
    """One line that is nobody's failure."""
    logger, text, _ = random.choices(_NOISE, weights=[n[2] for n in _NOISE])[0]
    ip = f"100.{random.randrange(64, 128)}.{random.randrange(256)}.{random.randrange(1, 255)}"
    text = text.format(ip=ip, port=random.randrange(1024, 65536))
    mdc = {"host": ip, "ehlo": "client.example.com", "protocol": "SMTP", "sessionId": "36859ca9", "ip": ip}
    return _event(milliseconds, layout, logger, text, mdc)


def append(path, *lines):
    """Appends whole lines in one write."""
    with open(path, "ab", buffering=0) as log:
        log.write("".join(line + "\n" for line in lines).encode())
