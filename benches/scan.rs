//! Lines through the scanner: bytes in memory to matches.
//!
//! `cargo bench --no-default-features --features standalone --bench scan`

mod workload;

use std::sync::Arc;

use divan::counter::ItemsCount;
use gaoler::engine::filter::Filter;
use gaoler::engine::scanner::{Envelope, ScanState, Scanner};
use gaoler::engine::{
    AddressPolicy, AddressSource, FilterSpec, LayoutSpec, ReadClock, RuleSpec, TextSpec, Timestamp,
};
use jiff::tz::TimeZone;
use workload::{Dress, in_envelope, lines};

const LINES: usize = 200_000;
const BLOCK: usize = 256 * 1024;

fn main() {
    divan::main();
}

fn rule(logger: &str, message: &str, address: &[&str]) -> RuleSpec {
    let source = |key: &&str| match *key {
        "message" => AddressSource::Message,
        key => AddressSource::Context(key.to_owned()),
    };
    RuleSpec {
        logger: Some(logger.to_owned()),
        message: Some(message.to_owned()),
        address: address.iter().map(source).collect(),
        weight: 1,
        ..RuleSpec::default()
    }
}

/// Failed logins of SMTP and POP3.
fn structured() -> FilterSpec {
    let keys = ["proxy.source", "remoteIP", "ip"];
    FilterSpec {
        name: "structured".into(),
        rules: vec![
            rule("org.apache.james.util.AuditTrail", r"^SMTP Authentication failed\.$", &keys),
            rule(
                "org.apache.james.protocols.smtp.AUTHENTICATION",
                r"^AUTH method (\S{1,20}) failed from (?:Optional\[)?Username\{.*\}\]?@<HOST>$",
                &["message"],
            ),
            rule(
                "org.apache.james.pop3server.core.PassCmdHandler",
                r"^Bad credential supplied for .* with remote address (?:\S*/)?<HOST>$",
                &["message"],
            ),
        ],
        successes: vec![rule(
            "org.apache.james.util.AuditTrail",
            r"^SMTP Authentication succeeded\.$",
            &keys,
        )],
        text: None,
        one_per: None,
    }
}

fn text(fail_regex: Vec<String>) -> FilterSpec {
    FilterSpec {
        name: "text".into(),
        rules: vec![],
        successes: vec![],
        text: Some(TextSpec { fail_regex, max_lines: 1, ..TextSpec::default() }),
        one_per: None,
    }
}

/// The two regexes of the fail2ban guide for James, after `others`.
fn seed(others: usize) -> FilterSpec {
    let start = "^.-.org.apache.james.protocols.smtp.core";
    let mut regexes: Vec<String> = (0..others)
        .map(|i| {
            format!(r"{start}.esmtp.AuthCmdHandler.\[ip=\].-.Mechanism X{i} refused for Username.*\@<HOST>$")
        })
        .collect();
    regexes.push(format!(
        r"{start}.fastfail.AbstractValidRcptHandler.\[ip=<HOST>\].-.Rejected message. Unknown user.*$"
    ));
    regexes.push(format!(
        r"{start}.esmtp.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from Username.*\@<HOST>$"
    ));
    text(regexes)
}

/// Two regexes for the console's layout, after `others`.
fn console(others: usize) -> FilterSpec {
    let mut regexes: Vec<String> = (0..others)
        .map(|i| format!(r"^.*AUTHENTICATION - Mechanism X{i} refused for Username.*@<HOST>$"))
        .collect();
    regexes.push(
        r"^.*AUTHENTICATION - AUTH method \S+ failed from (?:Optional\[)?Username.*@<HOST>$".to_owned(),
    );
    regexes
        .push(r"^.*PassCmdHandler - Bad credential supplied for .* with remote address <HOST>$".to_owned());
    text(regexes)
}

fn run(bencher: divan::Bencher<'_, '_>, filter: &FilterSpec, envelope: Envelope, text: &str, matches: u64) {
    let filter = Arc::new(Filter::compile(filter).expect("a good filter"));
    let policy = AddressPolicy::default();
    let scanner = Scanner::new(&[filter], &LayoutSpec::Auto, envelope, &policy).expect("a scanner");
    let now = Timestamp::from_secs(1_795_366_800);
    let clock = ReadClock { now, live: false, newest: now, zone: &TimeZone::UTC };
    let blocks = blocks(text.as_bytes());
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let (mut state, mut sum) = (ScanState::default(), 0);
        for block in &blocks {
            sum += scanner
                .scan(&mut state, block, clock, &mut |m| {
                    divan::black_box(m);
                })
                .matches;
        }
        assert_eq!(sum, matches);
    });
}

/// Whole lines, some 256 KiB at a time.
fn blocks(mut text: &[u8]) -> Vec<&[u8]> {
    let mut blocks = Vec::new();
    while !text.is_empty() {
        let end = text.len().min(BLOCK);
        let end = text[..end].iter().rposition(|b| *b == b'\n').map_or(end, |i| i + 1);
        let (block, rest) = text.split_at(end);
        blocks.push(block);
        text = rest;
    }
    blocks
}

const FAILURES: u64 = LINES as u64 * 7 / 100;

#[divan::bench]
fn console_structured(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &structured(), Envelope::None, &lines(Dress::Default, LINES), FAILURES);
}

#[divan::bench]
fn console_structured_cri(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &structured(), Envelope::Cri, &in_envelope(&lines(Dress::Default, LINES)), FAILURES);
}

#[divan::bench]
fn json_structured(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &structured(), Envelope::None, &lines(Dress::Json, LINES), FAILURES);
}

#[divan::bench]
fn json_structured_cri(bencher: divan::Bencher<'_, '_>) {
    run(bencher, &structured(), Envelope::Cri, &in_envelope(&lines(Dress::Json, LINES)), FAILURES);
}

#[divan::bench(args = [0, 8, 28])]
fn seed_regexes(bencher: divan::Bencher<'_, '_>, others: usize) {
    run(bencher, &seed(others), Envelope::None, &lines(Dress::Seed, LINES), FAILURES);
}

#[divan::bench(args = [0, 28])]
fn console_regexes(bencher: divan::Bencher<'_, '_>, others: usize) {
    run(bencher, &console(others), Envelope::None, &lines(Dress::Default, LINES), FAILURES);
}

#[divan::bench]
fn count_newlines(bencher: divan::Bencher<'_, '_>) {
    let text = lines(Dress::Default, LINES);
    bencher
        .counter(ItemsCount::new(LINES))
        .bench_local(|| memchr::memchr_iter(b'\n', divan::black_box(text.as_bytes())).count());
}
