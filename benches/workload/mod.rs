//! Lines as James writes them, seven in a hundred of them failed logins.

use std::fmt::Write;

/// How lines are dressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dress {
    /// James' console, with colours.
    Default,
    /// logback's JSON.
    Json,
    /// The file layout of the fail2ban guide for James.
    Seed,
}

/// `count` lines; failures come from 10,000 addresses.
#[must_use]
pub(crate) fn lines(dress: Dress, count: usize) -> String {
    let mut out = String::with_capacity(count * 512);
    for i in 0..count {
        line(&mut out, dress, i);
    }
    out
}

/// The same in a container's envelope.
#[must_use]
pub(crate) fn in_envelope(lines: &str) -> String {
    let mut out = String::with_capacity(lines.len() * 2);
    for line in lines.lines() {
        let _ = writeln!(out, "2026-11-22T16:45:34.815123456Z stdout F {line}");
    }
    out
}

fn line(out: &mut String, dress: Dress, i: usize) {
    let (h, m, s, ms) = (i / 3_600_000 % 24, i / 60_000 % 60, i / 1000 % 60, i % 1000);
    let who = i.wrapping_mul(7919) % 10_000;
    let ip = format!("203.0.{}.{}", who / 100, who % 100);
    let user = format!("Username{{localPart=user{}, domainPart=Optional[Domain : example.test]}}", i % 997);
    let failure = i % 100 < 7;
    let (logger, message) = match (failure, dress, i % 6) {
        (true, Dress::Seed, 0 | 1 | 2) => (
            "protocols.smtp.core.fastfail.AbstractValidRcptHandler",
            format!("Rejected message. Unknown user: user{i}@example.test"),
        ),
        (true, Dress::Seed, _) => {
            ("protocols.smtp.core.esmtp.AuthCmdHandler", format!("AUTH method LOGIN failed from {user}@{ip}"))
        }
        (true, ..) => {
            ("protocols.smtp.AUTHENTICATION", format!("AUTH method PLAIN failed from Optional[{user}]@{ip}"))
        }
        (_, _, 0) => {
            ("protocols.netty.BasicChannelInboundHandler", format!("Connection established from {ip}"))
        }
        (_, _, 1) => (
            "protocols.netty.BasicChannelInboundHandler",
            format!("Connection closed for {ip}/{ip}:{}", 1024 + i % 60000),
        ),
        (_, _, 2) => ("util.AuditTrail", "SMTP mail spooled.".to_owned()),
        (_, _, 3) => (
            "smtpserver.SendMailHandler",
            format!(
                "Successfully spooled mail Mail17953659{i:05} with messageId null from bob@example.test on {ip}/{ip} for [alice@example.test]"
            ),
        ),
        (_, _, 4) => {
            ("imapserver.netty.ImapChannelUpstreamHandler", format!("Connection established from {ip}"))
        }
        _ => (
            "transport.mailets.delivery.SimpleMailStore",
            format!(
                "Local delivered mail Mail17953659{i:05} with messageId null successfully from bob@example.test to <alice@example.test> in folder INBOX"
            ),
        ),
    };
    let short = logger.rsplit('.').next().unwrap_or_default();
    let _ = match dress {
        Dress::Default => writeln!(
            out,
            "{h:02}:{m:02}:{s:02}.{ms:03} \x1b[34m[INFO ]\x1b[0;39m o.a.j.{}{short} - {message}",
            if logger.starts_with("util") { "u." } else { "p.s." }
        ),
        Dress::Seed => writeln!(
            out,
            "2026-11-22 {h:02}:{m:02}:{s:02}.{ms:03} +0000 - org.apache.james.{logger} [ip={}] - {message}",
            if short == "AbstractValidRcptHandler" { ip.as_str() } else { "" }
        ),
        Dress::Json => writeln!(
            out,
            "{{\"sequenceNumber\":0,\"timestamp\":1795365934{ms:03},\"nanoseconds\":654104898,\"level\":\"INFO\",\"threadName\":\"smtp-2-1\",\"loggerName\":\"org.apache.james.{logger}\",\"context\":{{\"name\":\"default\",\"birthdate\":1795355348074,\"properties\":{{}}}},\"mdc\": {{\"host\":\"localhost\",\"ehlo\":\"client.example.com\",\"protocol\":\"SMTP\",\"sessionId\":\"{i:08x}\",\"ip\":\"{ip}\"}},\"message\":\"template\",\"formattedMessage\":\"{}\",\"throwable\":null}}",
            message.replace('/', "\\/")
        ),
    };
}
