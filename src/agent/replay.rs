//! What a jail would have done with a log.
//!
//! The daemon's own court reads it, so that a replay and a daemon cannot differ; only there are no sources, no kernel
//! and no state file, and the clock is that of the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use memchr::memchr_iter;
use serde::Serialize;

use super::court::Court;
use super::heard::Heard;
use super::intake::envelope_of;
use super::interfaces::Interfaces;
use super::pipeline::{Filters, Pipeline};
use super::report::{BanReport, EventKind, Moment, Tallies};
use crate::bans::{Ledger, LedgerLimits};
use crate::config::{AllowEntry, Allowed, Config, JailConfig};
use crate::engine::house::{NeverBan, Why};
use crate::engine::scanner::{Hints, ScanError, ScanState, Survey, layout_name};
use crate::engine::{FilterName, JailName, KeyedMap, Match, Outcome, ReadClock, Subject, Timestamp};

/// Why a jail cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// One of its filters cannot be used.
    #[error("{0}")]
    Filter(String),
    /// Its filters and its layout make no scanner.
    #[error("the jail cannot read lines: {0}")]
    Scanner(#[from] ScanError),
}

/// What would have happened. This is `-o json`: fields are added, never renamed or removed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayReport {
    /// The jail.
    pub jail: JailName,
    /// Lines read.
    pub lines: u64,
    /// Matches of the jail's filters, successes included.
    pub matched: u64,
    /// The time of the earliest match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Moment>,
    /// The time of the latest match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Moment>,
    /// What became of the matches.
    pub tallies: Tallies,
    /// Whom each filter accused or cleared, and how often.
    pub addresses: Vec<AddressReport>,
    /// What filters saw besides.
    pub blind: Vec<BlindReport>,
    /// Where the log has another layout than before; the lines from there on were read so.
    pub layouts: Vec<LayoutReport>,
    /// Lines of another layout that were not understood, being too few for a change, or with a layout declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<UnreadReport>,
    /// Every ban that would have fallen, each with the end that later failures gave it; by its beginning.
    pub bans: Vec<BanReport>,
}

/// What one filter said of one address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddressReport {
    /// The address.
    pub address: IpAddr,
    /// The filter.
    pub filter: FilterName,
    /// Failures.
    pub failures: u64,
    /// What they weigh together.
    pub weight: u64,
    /// Successful logins.
    pub successes: u64,
}

/// Failures that one filter understood but could blame on nobody, or only through a proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlindReport {
    /// The filter.
    pub filter: FilterName,
    /// Lines without an address.
    pub unaddressed: u64,
    /// Failures of clients behind a proxy.
    pub proxied: u64,
}

/// A change of layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutReport {
    /// The log; empty where it has no name.
    pub log: String,
    /// The first line of the new layout, from 1.
    pub line: u64,
    /// The layout.
    pub layout: String,
}

/// Lines of another layout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadReport {
    /// How many.
    pub lines: u64,
    /// The log that holds the first; empty where it has no name.
    pub log: String,
    /// The first, from 1.
    pub line: u64,
}

/// A jail that reads a log from beginning to end.
pub struct Replay {
    jail: Arc<JailConfig>,
    court: Court,
    filters: Filters,
    zone: TimeZone,
    /// Made for the envelope that the first line shows.
    pipelines: Vec<(Pipeline, ScanState, Survey)>,
    told: Told,
    /// The log that is read, and how many lines of it were.
    log: (String, u64),
    layouts: Vec<LayoutReport>,
    unread: Option<UnreadReport>,
}

/// What the court told.
#[derive(Default)]
struct Told {
    lines: u64,
    matched: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    bans: BTreeMap<(Timestamp, Subject), BanReport>,
    /// By address, as the subject of its own, and filter.
    addresses: KeyedMap<(Subject, u16), Said>,
    hints: BTreeMap<u16, Hints>,
}

/// What a filter said of an address.
#[derive(Clone, Copy, Default)]
struct Said {
    failures: u64,
    weight: u64,
    successes: u64,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay").field("jail", self.jail.name()).finish_non_exhaustive()
    }
}

impl Replay {
    /// A jail that has seen nothing. Never banned are the prefixes of `allowed` (host names in it are not resolved:
    /// the log is older than today's answers), this machine's addresses, and what is never banned anywhere.
    ///
    /// # Errors
    /// When one of its filters cannot be used.
    pub fn new(jail: &Arc<JailConfig>, allowed: &[AllowEntry]) -> Result<Self, ReplayError> {
        let mut filters = Filters::default();
        if let Some((_, reason)) = filters.compile(std::slice::from_ref(jail)).pop() {
            return Err(ReplayError::Filter(reason));
        }
        // The ledger's limits come with the configuration.
        let mut court = Court::new(false, Ledger::new(LedgerLimits::default()), BTreeMap::new());
        let config = Config { jails: vec![Arc::clone(jail)], ..Config::default() };
        court.configure(&config, Timestamp::MIN);
        court.furnish(never_banned(allowed));
        let zone = TimeZone::system();
        let jail = Arc::clone(jail);
        Ok(Self {
            jail,
            court,
            filters,
            zone,
            pipelines: Vec::new(),
            told: Told::default(),
            log: Default::default(),
            layouts: Vec::new(),
            unread: None,
        })
    }

    /// Another log begins; its name is what places in it are told by.
    pub fn begin(&mut self, log: &str) {
        self.log = (log.to_owned(), 0);
    }

    /// Reads whole lines, each with its newline. `written` is when the last line of the log was written, at the
    /// latest: times of day without a date are the last ones before it, and lines without any time happened then.
    ///
    /// # Errors
    /// When filters and layout make no scanner; found with the first lines.
    pub fn read(&mut self, lines: &[u8], written: Timestamp) -> Result<(), ReplayError> {
        if self.pipelines.is_empty() {
            let jails = [(0, Arc::clone(&self.jail))];
            for built in Pipeline::build(&jails, envelope_of(lines).unwrap_or_default(), &mut self.filters) {
                let pipeline = built.map_err(|(_, error)| error)?;
                self.pipelines.push((pipeline, ScanState::default(), Survey::default()));
            }
        }
        let Self { court, zone, pipelines, told, log, layouts, unread, .. } = self;
        let clock = ReadClock { now: written, live: false, zone };
        let mut count = 0;
        for (pipeline, state, survey) in pipelines {
            let place = |at: usize| {
                let before = lines.get(..at).unwrap_or_default();
                log.1 + memchr_iter(b'\n', before).count() as u64 + 1
            };
            let mut from = 0;
            let mut read = 0;
            while from < lines.len() {
                let rest = lines.get(from..).unwrap_or_default();
                let stretch = survey.stretch(&pipeline.scanner, state, rest, clock);
                let (of_it, next) = rest.split_at_checked(stretch.end).unwrap_or((rest, &[]));
                if let Some((at, strange)) = stretch.strange {
                    let report = || UnreadReport { lines: 0, log: log.0.clone(), line: place(from + at) };
                    unread.get_or_insert_with(report).lines += strange;
                }
                read += told.hear(court, (&*pipeline, &mut *state), of_it, clock);
                from += of_it.len();
                if let Some(layout) = stretch.change {
                    pipeline.scanner.adopt(state, &layout, next);
                    layouts.push(LayoutReport {
                        log: log.0.clone(),
                        line: place(from),
                        layout: layout_name(&layout),
                    });
                }
            }
            count = read.max(count);
        }
        log.1 += count;
        told.lines += count;
        if let Some(last) = told.last {
            court.expire(last);
            told.listen(court);
        }
        Ok(())
    }

    /// What would have happened.
    #[must_use]
    pub fn finish(mut self) -> ReplayReport {
        self.told.listen(&mut self.court);
        let mut tallies = self.court.seats.first().map(|seat| seat.tallies).unwrap_or_default();
        tallies.evicted = self.court.seats.first().map_or(0, |seat| seat.jail.evicted());
        let Self { jail, layouts, unread, told, .. } = self;
        let Told { lines, matched, first, last, bans, addresses, hints } = told;
        let name = |place: u16| match jail.filters.get(usize::from(place)) {
            Some(filter) => filter.name.clone(),
            None => FilterName::new(""),
        };
        let mut addresses: Vec<_> = addresses.into_iter().collect();
        addresses.sort_unstable_by_key(|((subject, filter), _)| (in_order(*subject), *filter));
        let addresses = addresses.into_iter().map(|((subject, filter), said)| {
            let address = subject.addr();
            let Said { failures, weight, successes } = said;
            AddressReport { address, filter: name(filter), failures, weight, successes }
        });
        let blind = hints.into_iter().map(|(filter, Hints { unaddressed, proxied, .. })| BlindReport {
            filter: name(filter),
            unaddressed,
            proxied,
        });
        ReplayReport {
            jail: jail.name().clone(),
            lines,
            matched,
            first: first.map(Moment),
            last: last.map(Moment),
            tallies,
            addresses: addresses.collect(),
            blind: blind.filter(|blind| blind.unaddressed + blind.proxied > 0).collect(),
            layouts,
            unread,
            bans: bans.into_values().collect(),
        }
    }
}

/// Sorts as the subject itself does, by numbers: addresses are compared byte by byte.
fn in_order(subject: Subject) -> (bool, u128, u8) {
    let (v6, bits) = match subject.addr() {
        IpAddr::V4(address) => (false, u128::from(address.to_bits())),
        IpAddr::V6(address) => (true, address.to_bits()),
    };
    (v6, bits, subject.prefix_len())
}

impl Told {
    /// Reads lines of one layout; gives how many they are.
    fn hear(
        &mut self,
        court: &mut Court,
        (pipeline, state): (&Pipeline, &mut ScanState),
        lines: &[u8],
        clock: ReadClock<'_>,
    ) -> u64 {
        let routes = pipeline.routes();
        let mut heard = Heard::default();
        let stats = pipeline.scanner.scan(state, lines, clock, &mut |m| {
            Pipeline::deliver(routes, &m, &mut heard, &mut |seat, m| {
                let last = self.last.map_or(m.time, |last| last.max(m.time));
                self.first = Some(self.first.map_or(m.time, |first| first.min(m.time)));
                self.last = Some(last);
                self.count(m);
                let counted = court.hear(seat, m, last);
                self.listen(court);
                counted
            });
        });
        self.matched += stats.matches;
        for (filter, hints) in state.take_hints() {
            for (_, place) in routes.get(usize::from(filter)).into_iter().flatten() {
                *self.hints.entry(*place).or_default() += hints;
            }
        }
        stats.lines
    }

    fn count(&mut self, m: &Match) {
        let said = self.addresses.entry((Subject::host(m.address), m.rule.filter)).or_default();
        match m.outcome {
            Outcome::Failure => {
                said.failures += 1;
                said.weight += u64::from(m.weight);
            }
            Outcome::Success => said.successes += 1,
        }
    }

    fn listen(&mut self, court: &mut Court) {
        court.outcome.changes.clear();
        for event in court.outcome.events.drain(..) {
            if matches!(event.event, EventKind::Ban | EventKind::Prolong) {
                self.bans.insert((event.ban.since.0, event.ban.subject), event.ban);
            }
        }
    }
}

/// Who is never banned, as far as it is known without a daemon: the prefixes of `allowed`, this machine's addresses,
/// and health checks.
pub(crate) fn never_banned(allowed: &[AllowEntry]) -> NeverBan {
    let own = Interfaces::addresses().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot list this host's own addresses");
        Vec::new()
    });
    let own = own.into_iter().map(|a| (IpNet::from(a), Why::OwnAddress("of an interface".into())));
    let lists = allowed.iter().filter_map(|entry| match &entry.who {
        Allowed::Prefix(net) => Some((*net, Why::AllowList(entry.list.clone()))),
        Allowed::Host(_) => None,
    });
    NeverBan::new(own.chain(lists).chain(NeverBan::health_checks()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    #[test]
    fn addresses_are_told_in_the_order_of_subjects() {
        let texts = [
            "192.0.2.1/32",
            "10.0.0.0/8",
            "10.0.0.0/9",
            "2.0.0.0/32",
            "::/0",
            "2001:db8::/64",
            "255.0.0.0/8",
        ];
        let mut subjects = texts.map(|text| Subject::new(text.parse().unwrap()));
        subjects.sort_unstable_by_key(|subject| in_order(*subject));
        assert!(subjects.is_sorted(), "{subjects:?}");
    }

    const MANIFESTS: &str = r"
kind: Filter
apiVersion: gaoler.dev/v1alpha1
metadata: {name: logins}
spec:
  failRegex: ['^ login failed from <HOST>$']
  examples: [{line: '2023-06-17 11:11:50 +0000 login failed from 203.0.113.7', match: true, address: 203.0.113.7}]
---
kind: Jail
apiVersion: gaoler.dev/v1alpha1
metadata: {name: mail}
spec:
  filters: [logins]
  source: {files: [/nowhere.log], layout: {type: Text}}
  maxRetry: 2
  findTime: 10m
  banTime: 1h
  enforce: {ports: [25]}
---
kind: AllowList
apiVersion: gaoler.dev/v1alpha1
metadata: {name: office}
spec: {entries: [{prefix: 198.51.100.0/24}]}
";

    fn replay(lines: &[&str]) -> ReplayReport {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("all.yaml");
        std::fs::write(&file, MANIFESTS).unwrap();
        let loaded = load(&[file], None);
        assert_eq!(loaded.all_problems().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
        let jail = loaded.config.jails.first().unwrap();
        let mut replay = Replay::new(jail, &loaded.config.allowed).unwrap();
        for line in lines {
            replay
                .read(format!("2023-06-17 {line}\n").as_bytes(), Timestamp::from_secs(1_700_000_000))
                .unwrap();
        }
        replay.finish()
    }

    fn shown(report: &ReplayReport) -> Vec<String> {
        let ban = |ban: &BanReport| {
            format!(
                "{} {} {} {}",
                ban.subject,
                ban.n,
                ban.since,
                ban.until.map_or("-".into(), |u| u.to_string())
            )
        };
        report.bans.iter().map(ban).collect()
    }

    #[test]
    fn an_old_log_shows_every_ban_with_its_last_end() {
        let report = replay(&[
            "11:00:00 +0000 login failed from 203.0.113.7",
            "11:05:00 +0000 hello",
            "11:10:00 +0000 login failed from 203.0.113.7",
            "11:20:00 +0000 login failed from 203.0.113.7",
            "11:20:00 +0000 login failed from 203.0.113.8",
            "14:00:00 +0000 login failed from 203.0.113.7",
            "14:00:01 +0000 login failed from 203.0.113.7",
        ]);
        assert_eq!(
            shown(&report),
            [
                "203.0.113.7 1 2023-06-17T11:10:00Z 2023-06-17T12:20:00Z",
                "203.0.113.7 2 2023-06-17T14:00:01Z 2023-06-17T15:00:01Z",
            ]
        );
        assert_eq!((report.lines, report.matched, report.tallies.bans), (7, 6, 2));
    }

    #[test]
    fn a_line_that_two_filters_of_a_jail_understand_counts_once() {
        let manifest = r"
kind: Jail
apiVersion: gaoler.dev/v1alpha1
metadata: {name: james}
spec:
  filters: [james-log4j2, james-smtp-auth, james-smtp-recipient]
  source: {files: [/nowhere.log]}
  maxRetry: 3
  enforce: {ports: [25]}
";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jail.yaml");
        std::fs::write(&file, manifest).unwrap();
        let loaded = load(&[file], None);
        assert_eq!(loaded.errors(), 0, "{loaded:?}");
        let mut replay = Replay::new(&loaded.config.jails[0], &[]).unwrap();
        let smtp = "org.apache.james.protocols.smtp.core";
        let guess = |second: u8| {
            format!(
                "2023-06-17 11:11:0{second}.000 +0000 - {smtp}.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN \
                 failed from Username{{localPart=bob, domainPart=x}}@203.0.113.7\n"
            )
        };
        let rejected = format!(
            "2023-06-17 11:11:05.000 +0000 - {smtp}.fastfail.AbstractValidRcptHandler [ip=203.0.113.8] - Rejected \
             message. Unknown user: nobody@x\n"
        );
        let lines = [guess(1), guess(2), rejected].concat();
        replay.read(lines.as_bytes(), Timestamp::from_secs(1_700_000_000)).unwrap();
        let report = replay.finish();
        assert_eq!((report.matched, report.tallies.failures, report.bans.len()), (6, 3, 0), "{report:?}");
    }

    #[test]
    fn who_is_never_banned_by_the_daemon_is_not_banned_in_a_replay() {
        let lines: Vec<String> =
            (0..9).map(|s| format!("11:00:0{s} +0000 login failed from 198.51.100.9")).collect();
        let report = replay(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!((report.bans.len(), report.tallies.never_banned), (0, 9));
    }
}
