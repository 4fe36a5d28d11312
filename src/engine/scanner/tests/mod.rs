//! The scanner as its callers see it.

mod cri;
mod gate;
mod hostile;
mod layouts;
mod oracle;
mod seed;
mod workload;

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::{Envelope, Hints, ScanState, ScanStats, Scanner};
use crate::engine::filter::Filter;
use crate::engine::{
    AddressPolicy, AddressSource, FilterSpec, LayoutSpec, Match, OnePer, ReadClock, RuleSpec, TextSpec,
    Timestamp,
};

/// 2026-11-22T17:00:00Z, some minutes after James' sample lines.
pub(super) fn clock() -> ReadClock<'static> {
    static ZONE: TimeZone = TimeZone::UTC;
    let now = Timestamp::from_secs(1_795_366_800);
    ReadClock { now, live: false, newest: now, zone: &ZONE }
}

/// The two regexes of the fail2ban guide for James.
pub(super) fn seed() -> FilterSpec {
    text(&[
        r"^.-.org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler.\[ip=<HOST>\].-.Rejected message. Unknown user.*$",
        r"^.-.org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from Username.*\@<HOST>$",
    ])
}

pub(super) fn text(fail: &[&str]) -> FilterSpec {
    FilterSpec {
        name: "text".into(),
        rules: vec![],
        successes: vec![],
        text: Some(TextSpec {
            fail_regex: fail.iter().map(|s| (*s).to_owned()).collect(),
            max_lines: 1,
            ..TextSpec::default()
        }),
        one_per: None,
    }
}

pub(super) fn rule(logger: &str, message: &str, address: &[&str]) -> RuleSpec {
    RuleSpec {
        logger: Some(logger.to_owned()).filter(|l| !l.is_empty()),
        message: Some(message.to_owned()).filter(|m| !m.is_empty()),
        context: vec![],
        address: address
            .iter()
            .map(|a| match *a {
                "message" => AddressSource::Message,
                key => AddressSource::Context(key.to_owned()),
            })
            .collect(),
        weight: 1,
    }
}

pub(super) fn structured(rules: Vec<RuleSpec>) -> FilterSpec {
    FilterSpec { name: "structured".into(), rules, successes: vec![], text: None, one_per: None }
}

/// Failed logins of SMTP and POP3 in any version of James.
pub(super) fn logins() -> FilterSpec {
    let context = ["proxy.source", "remoteIP", "ip"];
    FilterSpec {
        successes: vec![rule(
            "org.apache.james.util.AuditTrail",
            r"^SMTP Authentication succeeded\.$",
            &context,
        )],
        one_per: Some(OnePer { keys: vec!["sessionId".into()], within: std::time::Duration::from_secs(1) }),
        ..structured(vec![
            rule("org.apache.james.util.AuditTrail", r"^SMTP Authentication failed\.$", &context),
            rule(
                "org.apache.james.protocols.smtp.AUTHENTICATION",
                r"^AUTH method \S{1,20} failed from (?:Optional\[)?Username\{.*\}\]?@<HOST>$",
                &["message"],
            ),
            rule(
                "org.apache.james.pop3server.core.PassCmdHandler",
                r"^Bad credential supplied for .* with remote address (?:\S*/)?<ADDR>$",
                &["message"],
            ),
        ])
    }
}

pub(super) fn scanner(specs: &[FilterSpec], layout: &LayoutSpec, envelope: Envelope) -> Scanner {
    let filters: Vec<_> = specs.iter().map(|s| Arc::new(Filter::compile(s).unwrap())).collect();
    Scanner::new(&filters, layout, envelope, &AddressPolicy::default()).unwrap()
}

/// All matches of `block`, with a state of their own.
pub(super) fn scan(scanner: &Scanner, block: impl AsRef<[u8]>) -> (Vec<Match>, ScanStats) {
    let mut found = Vec::new();
    let stats = scanner.scan(&mut ScanState::default(), block.as_ref(), clock(), &mut |m| found.push(m));
    (found, stats)
}

/// The addresses of all matches.
pub(super) fn addresses(scanner: &Scanner, block: impl AsRef<[u8]>) -> Vec<String> {
    scan(scanner, block).0.iter().map(|m| m.address.to_string()).collect()
}
