//! What the detector tells, as a SightingList, and back.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::agent::colleagues::{Account, Seen, Told};
use crate::api::v1alpha1::{
    JailSightings, NodeName, Prefix, QualifiedName, RuleName, SeenFailure, SeenSuccess, Sighting,
    SightingListSpec, Time, explain,
};
use crate::engine::{Duration, JailName, Subject, Timestamp};

/// Subjects in one list at most.
pub(super) const MOST_SUBJECTS: usize = 4096;
/// Failures in one list at most: the list stays below 1 MB, where the API server takes 1.5 MB.
const MOST_FAILURES: usize = 12_288;
/// Failures of one subject at most, as the schema says. A window keeps no more.
const MOST_EACH: usize = 1024;
/// Spans of logins of one subject at most, as the schema says.
const MOST_SPANS: usize = 16;
/// Rules of one jail at most, as the schema says; those beyond are not named.
const MOST_RULES: usize = 256;
/// Characters in the name of a rule at most, as the schema says.
const RULE: usize = 160;
/// Jails in one list at most, as the schema says.
pub(super) const MOST_JAILS: usize = 512;
/// The largest number the schema allows.
const MOST: u32 = 2_147_483_647;
/// How far ahead another node's clock may be. Many minutes, as a node that is cut off from its time server drifts, and
/// much less than what would make a failure stand for ever.
const AHEAD: Duration = Duration::from_secs(600);
/// The last moment of the year 9999: what a text can say.
const LAST: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

/// The list of a node that counts for these jails. Subjects that find no place are counted; those with the least
/// weight go first, of equals those seen longest ago.
pub(super) fn write(node: &NodeName, jails: &[JailName], mut told: Vec<Told>) -> SightingListSpec {
    let last = |told: &Told| told.account.failures.last().map(|seen| seen.at);
    told.sort_by_key(|told| Reverse((told.weight, last(told), told.account.subject)));
    let (mut subjects, mut failures, mut left_out) = (0, 0, 0);
    told.retain(|told| {
        let own = told.account.failures.len().min(MOST_EACH);
        let fits = subjects < MOST_SUBJECTS && failures + own <= MOST_FAILURES;
        subjects += usize::from(fits);
        failures += if fits { own } else { 0 };
        left_out += u32::from(!fits);
        fits
    });
    let jails = jails.iter().take(MOST_JAILS).map(|jail| {
        let accounts: Vec<&Account> =
            told.iter().map(|told| &told.account).filter(|account| account.jail == *jail).collect();
        let rules: BTreeSet<&Arc<str>> =
            accounts.iter().flat_map(|account| &account.failures).map(|seen| &seen.rule).collect();
        let rules: Vec<&Arc<str>> = rules.into_iter().filter(|rule| !rule.is_empty()).collect();
        let mut subjects: Vec<Sighting> = accounts.iter().map(|account| sighting(account, &rules)).collect();
        subjects.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        let named = rules.iter().take(MOST_RULES);
        JailSightings {
            jail: QualifiedName(jail.as_str().into()),
            rules: named.map(|rule| RuleName(rule.chars().take(RULE).collect())).collect(),
            subjects,
        }
    });
    SightingListSpec { node: node.clone(), jails: jails.collect(), left_out }
}

fn sighting(account: &Account, rules: &[&Arc<str>]) -> Sighting {
    // Beyond the last place it is the last one's: rules are for people, nothing is decided by them.
    let place = |rule: &Arc<str>| rules.partition_point(|known| *known < rule).min(MOST_RULES - 1) as u32;
    let writable = |time: Timestamp| (Timestamp::from_secs(0)..=LAST).contains(&time);
    let skipped = account.failures.len().saturating_sub(MOST_EACH);
    let failures = account.failures.iter().skip(skipped).filter(|seen| writable(seen.at));
    let failures = failures.map(|seen| SeenFailure {
        at: Time(seen.at.to_string()),
        weight: seen.weight.clamp(1, MOST),
        rule: place(&seen.rule),
    });
    let spans = account.successes.iter().filter(|(first, last)| writable(*first) && writable(*last));
    let span = |(first, last): &(Timestamp, Timestamp)| SeenSuccess {
        from: Time(first.to_string()),
        to: Time(last.to_string()),
    };
    Sighting {
        prefix: Prefix(account.subject.to_string()),
        failures: failures.collect(),
        successes: spans.take(MOST_SPANS).map(span).collect(),
    }
}

/// Reads one sighting. What cannot be read in it is left out, and so is what lies in the future, which would stand in
/// every window until its time has come: other versions and people with too many rights write such lists too.
pub(super) fn account(jail: &JailSightings, sighting: &Sighting, now: Timestamp) -> Option<Account> {
    let subject: Subject = sighting.prefix.as_str().parse().ok()?;
    let time = |time: &Time| {
        explain(Time::PATTERN, time.as_str()).ok()?;
        let time: jiff::Timestamp = time.as_str().parse().ok()?;
        Some(Timestamp::from(time)).filter(|time| *time <= now + AHEAD)
    };
    let names: Vec<Arc<str>> = jail.rules.iter().map(|rule| rule.as_str().into()).collect();
    let name = |rule: u32| names.get(rule as usize).cloned().unwrap_or_default();
    let seen = |failure: &SeenFailure| {
        Some(Seen { at: time(&failure.at)?, weight: failure.weight, rule: name(failure.rule) })
    };
    let span = |span: &SeenSuccess| Some((time(&span.from)?, time(&span.to)?));
    Some(Account {
        jail: JailName::new(jail.jail.as_str()),
        subject,
        failures: sighting.failures.iter().filter_map(seen).collect(),
        successes: sighting.successes.iter().filter_map(span).collect(),
    })
}

/// An account that takes back what was told of a subject.
pub(super) fn withdrawn(jail: &QualifiedName, prefix: &Prefix) -> Option<Account> {
    let subject = prefix.as_str().parse().ok()?;
    Some(Account { jail: JailName::new(jail.as_str()), subject, failures: Vec::new(), successes: Vec::new() })
}

#[cfg(test)]
#[path = "tests/form.rs"]
mod tests;
