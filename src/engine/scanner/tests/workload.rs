//! Lines as James writes them, for tests of more than a few.

/// How lines are dressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Dress {
    Default,
    Json,
    Seed,
}

/// `count` lines, one in `every` a failure of one of `attackers` addresses.
pub(in super::super) fn lines(dress: Dress, count: usize, every: usize, attackers: usize) -> String {
    let mut out = String::new();
    for i in 0..count {
        let (h, m, s) = (i / 3600 % 24, i / 60 % 60, i % 60);
        let failure = i % every == every / 2;
        let who = i / every % attackers;
        let ip = format!("10.{}.{}.{}", who >> 16 & 255, who >> 8 & 255, who & 255);
        let (logger, message) = match (failure, i % 4) {
            (true, _) => (
                "org.apache.james.protocols.smtp.AUTHENTICATION",
                format!(
                    "AUTH method PLAIN failed from Optional[Username{{localPart=u{i}, domainPart=Optional[Domain : example.test]}}]@{ip}"
                ),
            ),
            (_, 0) => (
                "org.apache.james.protocols.netty.BasicChannelInboundHandler",
                format!("Connection established from {ip}"),
            ),
            (_, 1) => (
                "org.apache.james.protocols.netty.BasicChannelInboundHandler",
                format!("Connection closed for {ip}/{ip}:{i}"),
            ),
            (_, 2) => ("org.apache.james.util.AuditTrail", "SMTP mail spooled.".to_owned()),
            _ => (
                "org.apache.james.smtpserver.SendMailHandler",
                format!(
                    "Successfully spooled mail Mail{i} with messageId null from bob@example.test on {ip}/{ip} for [alice@example.test]"
                ),
            ),
        };
        let short =
            logger.replace("org.apache.james.protocols.", "o.a.j.p.").replace("org.apache.james.", "o.a.j.");
        match dress {
            Dress::Default => out.push_str(&format!("{h:02}:{m:02}:{s:02}.206 \x1b[34m[INFO ]\x1b[0;39m {short} - {message}\n")),
            Dress::Seed => out.push_str(&format!("2026-11-22 {h:02}:{m:02}:{s:02}.206 +0000 - {logger} [ip=] - {message}\n")),
            Dress::Json => out.push_str(&format!("{{\"sequenceNumber\":0,\"timestamp\":1795355350654,\"nanoseconds\":654104898,\"level\":\"INFO\",\"threadName\":\"smtp-2-1\",\"loggerName\":\"{logger}\",\"context\":{{\"name\":\"default\",\"birthdate\":1795355348074,\"properties\":{{}}}},\"mdc\": {{\"host\":\"localhost\",\"ehlo\":\"client.example.com\",\"protocol\":\"SMTP\",\"sessionId\":\"s{i}\",\"ip\":\"{ip}\"}},\"message\":\"{{}}\",\"formattedMessage\":\"{}\",\"throwable\":null}}\n", message.replace('/', "\\/"))),
        }
    }
    out
}
