//! Runs the examples a filter carries.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::api::v1alpha1::{Example, ExpectedOutcome, Layout as DeclaredLayout};
use crate::engine::filter::Filter;
use crate::engine::scanner::{Envelope, Reason, ScanError, ScanState, Scanner};
use crate::engine::{AddressPolicy, LayoutSpec, Match, Outcome, ReadClock, Timestamp};

use super::jails;
use super::origin::Notes;

/// The moment examples are read: after all dates that stand in them, and the same in every run.
const NOW: Timestamp = Timestamp::from_secs(4_000_000_000);

/// Scanners of one filter, one for each layout its examples have.
pub(super) struct Scanners<'a> {
    filter: &'a Arc<Filter>,
    made: Vec<(LayoutSpec, Arc<Scanner>)>,
}

impl<'a> Scanners<'a> {
    pub(super) fn new(filter: &'a Arc<Filter>) -> Self {
        Self { filter, made: Vec::new() }
    }

    pub(super) fn of(&mut self, layout: &LayoutSpec) -> Result<Arc<Scanner>, ScanError> {
        if let Some((_, scanner)) = self.made.iter().find(|(known, _)| known == layout) {
            return Ok(Arc::clone(scanner));
        }
        let filters = [Arc::clone(self.filter)];
        let scanner = Arc::new(Scanner::new(&filters, layout, Envelope::None, &AddressPolicy::default())?);
        self.made.push((layout.clone(), Arc::clone(&scanner)));
        Ok(scanner)
    }
}

/// Runs `examples`; each that does not come out as it says is an error.
pub(super) fn run(scanners: &mut Scanners<'_>, examples: &[Example], notes: &mut Notes<'_>) {
    for (i, example) in examples.iter().enumerate() {
        let field = format!("spec.examples[{i}]");
        let Some(layout) = layout(example, &field, notes) else { continue };
        match scanners.of(&layout) {
            Ok(scanner) => judge(&scanner, example, &field, notes),
            Err(error) => {
                notes.error("spec", format!("the filter cannot be run: {error}"), "make its regexes simpler");
                return;
            }
        }
    }
}

/// The layout of an example; `None` when it is refused.
pub(super) fn layout(example: &Example, field: &str, notes: &mut Notes<'_>) -> Option<LayoutSpec> {
    let declared =
        DeclaredLayout { type_: example.layout.unwrap_or_default(), pattern: example.pattern.clone() };
    let before = notes.count();
    let layout = jails::layout(Some(&declared), field, notes);
    (notes.count() == before).then_some(layout)
}

/// What an example says must come out.
struct Wanted {
    outcome: Outcome,
    address: IpAddr,
    count: Option<u32>,
}

fn wanted(example: &Example, field: &str, notes: &mut Notes<'_>) -> Result<Option<Wanted>, ()> {
    if !example.matches {
        for (name, there) in [
            ("address", example.address.is_some()),
            ("count", example.count.is_some()),
            ("outcome", example.outcome.is_some()),
        ] {
            if there {
                notes.error(
                    &format!("{field}.{name}"),
                    format!("an example that must not match has no `{name}`"),
                    format!("remove `{name}`, or write `match: true`"),
                );
                return Err(());
            }
        }
        return Ok(None);
    }
    let Some(text) = &example.address else {
        notes.error(
            field,
            "an example that must match says whom it accuses",
            "add `address`, e.g. `address: 203.0.113.7`",
        );
        return Err(());
    };
    let Some(address) = text.parse().ok().and_then(|address| AddressPolicy::default().canonical(address))
    else {
        notes.error(
            &format!("{field}.address"),
            format!("`{text}` is not an address that could be banned"),
            "write an address such as `203.0.113.7`; loopback, link-local and multicast are never banned",
        );
        return Err(());
    };
    let outcome = match example.outcome.unwrap_or_default() {
        ExpectedOutcome::Failure => Outcome::Failure,
        ExpectedOutcome::Success => Outcome::Success,
    };
    Ok(Some(Wanted { outcome, address, count: example.count }))
}

fn judge(scanner: &Scanner, example: &Example, field: &str, notes: &mut Notes<'_>) {
    let Ok(wanted) = wanted(example, field, notes) else { return };
    let found = scan(scanner, &example.line);
    let Some(complaint) = complaint(wanted.as_ref(), &found) else { return };
    let why = why(scanner, &example.line, &found);
    let fix = if why.is_empty() {
        "correct the filter or the example; `gaoler explain` shows how a line is judged".into()
    } else {
        format!("correct the filter or the example:\n{why}")
    };
    notes.error(field, complaint, fix);
}

/// What is wrong with what was found, in words.
fn complaint(wanted: Option<&Wanted>, found: &[Match]) -> Option<String> {
    let name = |outcome: Outcome| match outcome {
        Outcome::Failure => "a failure",
        Outcome::Success => "a success",
    };
    let seen = |m: &Match| format!("{} of {}", name(m.outcome), m.address);
    let Some(wanted) = wanted else {
        return found.first().map(|m| format!("the example must not match, but {} is found", seen(m)));
    };
    let expected = format!("{} of {}", name(wanted.outcome), wanted.address);
    if let Some(other) = found.iter().find(|m| m.address != wanted.address) {
        return Some(format!("the example expects {expected}, but {} is found", seen(other)));
    }
    let fitting: Vec<&Match> = found.iter().filter(|m| m.outcome == wanted.outcome).collect();
    if fitting.is_empty() {
        let but = found.first().map_or_else(|| "nothing".into(), seen);
        return Some(format!("the example expects {expected}, but {but} is found"));
    }
    let weight: u32 = fitting.iter().map(|m| m.weight).sum();
    match wanted.count {
        Some(count) if count != weight => {
            Some(format!("the example expects {expected} that counts {count}, but it counts {weight}"))
        }
        _ => None,
    }
}

/// The reader's circumstances while examples run.
pub(super) fn clock() -> ReadClock<'static> {
    static ZONE: TimeZone = TimeZone::UTC;
    ReadClock { now: NOW, live: false, newest: NOW, zone: &ZONE }
}

/// What a scanner finds in lines of a source of their own.
pub(super) fn scan(scanner: &Scanner, lines: &str) -> Vec<Match> {
    let mut block = lines.as_bytes().to_vec();
    if block.last() != Some(&b'\n') {
        block.push(b'\n');
    }
    let mut found = Vec::new();
    scanner.scan(&mut ScanState::default(), &block, clock(), &mut |m| found.push(m));
    found
}

/// A reason without the time: most examples have none of their own.
fn in_words(reason: &Reason) -> String {
    match reason {
        Reason::Matched { key, address, success, weight, .. } => {
            let what = if *success { "success" } else { "failure" };
            let place = key.as_deref().map_or("the text".to_owned(), |key| format!("context {key}"));
            format!("a {what} of {address} from {place}, weight {weight}")
        }
        // A verdict is published, in a condition; what was taken for an address may be any part of the line.
        Reason::NotAnAddress { key, .. } => {
            Reason::NotAnAddress { key: key.clone(), text: String::new() }.to_string()
        }
        other => other.to_string(),
    }
}

/// Why each line of an example came out as it did, from the rule that came furthest.
fn why(scanner: &Scanner, lines: &str, found: &[Match]) -> String {
    let mut state = ScanState::default();
    let mut said: Vec<String> = Vec::new();
    let lines: Vec<&str> = lines.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let explanation = scanner.explain(&mut state, line.as_bytes(), clock());
        let line = if lines.len() > 1 { format!("line {}: ", i + 1) } else { String::new() };
        for account in &explanation.filters {
            for rule in account.rules.iter().take(8) {
                let field = rule.field.as_deref().unwrap_or("the filter");
                said.push(format!("{line}{field}: {}", in_words(&rule.reason)));
            }
        }
        if explanation.event.is_none() && found.is_empty() && explanation.layout.is_some() {
            said.push(format!("{line}it has not the layout {}", explanation.layout.unwrap_or_default()));
        }
    }
    said.truncate(12);
    said.join("\n")
}
