//! What a jail would have done with a log.
//!
//! The daemon's own court reads it, so that a replay and a daemon cannot differ; only there are no sources, no kernel
//! and no state file, and the clock is that of the log.

mod layouts;
mod report;
#[cfg(test)]
pub(crate) mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::tz::TimeZone;

use super::court::Court;
use super::desk::envelope_of;
use super::heard::Heard;
use super::interfaces::Interfaces;
use super::pipeline::{Filters, Pipeline};
use crate::bans::{Ledger, LedgerLimits};
use crate::config::{AllowEntry, Allowed, Config, JailConfig};
use crate::engine::house::{NeverBan, Why};
use crate::engine::scanner::{ScanError, ScanState, Survey};
use crate::engine::{LayoutSpec, ReadClock, Timestamp};
use layouts::Layouts;
pub use layouts::{LayoutReport, UnreadReport};
use report::Told;
pub use report::{AddressReport, BlindReport, ReplayReport, UnjudgedReport};

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

/// A jail that reads a log from beginning to end.
pub struct Replay {
    jail: Arc<JailConfig>,
    court: Court,
    filters: Filters,
    zone: TimeZone,
    /// Made for the envelope that the first line shows.
    pipelines: Vec<(Pipeline, ScanState, Survey)>,
    told: Told,
    layouts: Layouts,
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
        let (told, layouts) = (Told::default(), Layouts::default());
        Ok(Self { jail, court, filters, zone, pipelines: Vec::new(), told, layouts })
    }

    /// Another log begins; places in it are told by its name.
    pub fn begin(&mut self, log: &str) {
        for (pipeline, state, survey) in &mut self.pipelines {
            pipeline.scanner.begin(state);
            *survey = Survey::default();
        }
        self.layouts.begin(log);
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
        let Self { court, zone, pipelines, told, layouts, .. } = self;
        let clock = ReadClock { now: written, live: false, newest: written, zone };
        let mut count = 0;
        for (pipeline, state, survey) in pipelines {
            let (mut from, mut read) = (0, 0);
            while from < lines.len() {
                let rest = lines.get(from..).unwrap_or_default();
                let stretch = survey.stretch(&pipeline.scanner, state, rest, clock);
                let (stretch_lines, next) = rest.split_at_checked(stretch.end).unwrap_or((rest, &[]));
                if let Some((at, strange)) = stretch.strange {
                    layouts.leave(lines, from + at, strange);
                }
                read += hear(pipeline, state, stretch_lines, clock, court, told);
                from += stretch_lines.len();
                if let Some(layout) = stretch.change {
                    pipeline.scanner.adopt(state, &layout, next);
                    layouts.change(lines, from, &layout);
                }
                if let Some(layout) = stretch.taken {
                    if state.layout() != Some(&layout) {
                        pipeline.scanner.adopt(state, &layout, next);
                    }
                    layouts.change(lines, from, &layout);
                }
            }
            count = read.max(count);
        }
        layouts.read(count);
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
        self.told.report(&self.jail, tallies, self.layouts)
    }
}

/// Reads lines of one layout; gives how many they are.
fn hear(
    pipeline: &Pipeline,
    state: &mut ScanState,
    lines: &[u8],
    clock: ReadClock<'_>,
    court: &mut Court,
    told: &mut Told,
) -> u64 {
    let routes = pipeline.routes();
    let mut heard = Heard::default();
    let unknown = pipeline.layout == LayoutSpec::Auto && state.layout().is_none();
    let stats = pipeline.scanner.scan(state, lines, clock, &mut |m| {
        Pipeline::deliver(routes, &m, &mut heard, &mut |seat, m| {
            let last = told.last.map_or(m.time, |last| last.max(m.time));
            told.first = Some(told.first.map_or(m.time, |first| first.min(m.time)));
            told.last = Some(last);
            told.count(m);
            let counted = court.hear(seat, m, last);
            told.listen(court);
            counted
        });
    });
    told.matched += stats.matches;
    told.misfits += stats.misfits;
    if unknown {
        told.undecided += stats.undecided;
    }
    for (filter, hints) in state.take_hints() {
        for (_, place) in routes.get(usize::from(filter)).into_iter().flatten() {
            *told.hints.entry(*place).or_default() += hints;
        }
    }
    stats.lines
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
    use crate::agent::report::BanReport;
    use crate::config::load;

    fn replay(lines: &[&str]) -> ReplayReport {
        let loaded = sample::logins();
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
                ban.since.unwrap(),
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
