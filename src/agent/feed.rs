//! One journal and the jails that read it.

use std::os::fd::BorrowedFd;

use jiff::tz::TimeZone;

use super::heard::Heard;
use super::intake::Sink;
use super::pipeline::{Filters, Pipeline, Reader, SeatId};
use super::report::JournalReport;
use super::scans::{Parked, SavedScan, Scans};
use super::sights::Sights;
use crate::engine::scanner::Envelope;
use crate::engine::{Duration, ReadClock, Timestamp};
use crate::logs::{Journal, JournalOptions};

/// How much is read before others get their turn, in bytes.
const BUDGET: u64 = 256 << 10;

/// The journal of some units.
pub(super) struct Feed {
    units: Vec<String>,
    journal: Journal,
    jails: Vec<SeatId>,
    pipelines: Vec<Pipeline>,
    scans: Scans,
    matched: u64,
    next_poll: Duration,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("units", &self.units).field("jails", &self.jails).finish_non_exhaustive()
    }
}

impl Feed {
    /// The journal of these units, from `cursor` on or else from `horizon` ago.
    pub(super) fn new(
        units: Vec<String>,
        cursor: Option<String>,
        horizon: Duration,
        parked: &mut Parked,
    ) -> Self {
        let scans = Scans::unpark(&Self::source_of(&Self::key(&units)), parked);
        let since = Timestamp::from(jiff::Timestamp::now()) - horizon;
        let options =
            JournalOptions { units: units.clone(), cursor, since: Some(since), ..JournalOptions::default() };
        Self {
            units,
            journal: Journal::new(options),
            jails: Vec::new(),
            pipelines: Vec::new(),
            scans,
            matched: 0,
            next_poll: Duration::ZERO,
        }
    }

    /// Takes other jails; tells which cannot use what.
    pub(super) fn configure(&mut self, jails: &[Reader], filters: &mut Filters) -> Vec<(SeatId, String)> {
        self.jails = jails.iter().map(|(seat, _)| *seat).collect();
        if !self.pipelines.is_empty() {
            self.scans.renew();
        }
        self.pipelines.clear();
        let mut unusable = Vec::new();
        for built in Pipeline::build(jails, Envelope::None, filters) {
            match built {
                Ok(pipeline) => self.pipelines.push(pipeline),
                Err((seats, error)) => {
                    unusable.extend(seats.into_iter().map(|seat| (seat, error.to_string())));
                }
            }
        }
        unusable
    }

    /// Hands over what is there; how many bytes that was.
    pub(super) fn poll(
        &mut self,
        now: Timestamp,
        zone: &TimeZone,
        sights: &mut Sights,
        sink: &mut Sink<'_>,
    ) -> u64 {
        let Self { journal, pipelines, scans, matched, .. } = self;
        let progress = journal.poll(now, BUDGET, &mut |record| {
            let clock = ReadClock { now, live: false, newest: now, zone };
            for pipeline in pipelines.iter() {
                let Some(state) = scans.state(pipeline) else { continue };
                let routes = pipeline.routes();
                let mut heard = Heard::default();
                let stats = pipeline.scanner.record(state, record.text, Some(record.time), clock, &mut |m| {
                    Pipeline::deliver(routes, &m, &mut heard, &mut |seat, m| sink(seat, m, now));
                });
                *matched += stats.matches;
                sights.take(state, routes);
            }
        });
        self.next_poll = if progress.more { Duration::ZERO } else { progress.next_poll };
        progress.bytes
    }

    /// The units, sorted.
    pub(super) fn units(&self) -> &[String] {
        &self.units
    }

    /// What its cursor is kept under.
    pub(super) fn key(units: &[String]) -> String {
        units.join(" ")
    }

    /// What the scans of a journal are kept under whose cursor has this key: no path is like it.
    pub(super) fn source_of(key: &str) -> String {
        format!("journal: {key}")
    }

    /// What its scans are kept under.
    pub(super) fn source(&self) -> String {
        Self::source_of(&Self::key(&self.units))
    }

    /// What its scanners remember.
    pub(super) fn scans(&self) -> (String, Vec<SavedScan>) {
        (self.source(), self.scans.save())
    }

    /// Its key and cursor, once there is one.
    pub(super) fn place(&self) -> Option<(String, String)> {
        Some((Self::key(&self.units), self.journal.cursor()?.to_owned()))
    }

    /// Readable when there are entries.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.journal.fd()
    }

    /// Poll again after this long at the latest.
    pub(super) fn next_poll(&self) -> Duration {
        self.next_poll
    }

    /// Whether this jail reads it.
    pub(super) fn serves(&self, seat: SeatId) -> bool {
        self.jails.contains(&seat)
    }

    /// What `status` tells.
    pub(super) fn report(&self) -> JournalReport {
        let status = self.journal.status();
        JournalReport {
            units: self.units.clone(),
            running: status.running,
            records: status.records,
            matched: self.matched,
            problem: status.problem,
        }
    }
}
