//! Lines of files to matches, and what scanners remember of each file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::heard::Heard;
use super::intake::Sink;
use super::pipeline::{Filters, Pipeline, SeatId};
use super::readers::Readers;
use super::scans::{Parked, Scans};
use super::sights::Sights;
use crate::config::JailConfig;
use crate::engine::scanner::Envelope;
use crate::engine::{ReadClock, Timestamp, cri};
use crate::logs::{Chunk, FileId, GroupId};

/// What is done with lines of files.
pub(super) struct Desk {
    pub(super) jails: Vec<Arc<JailConfig>>,
    pub(super) filters: Filters,
    pipelines: HashMap<(Vec<GroupId>, bool), Arc<Vec<Pipeline>>>,
    pub(super) sources: HashMap<FileId, FileScan>,
    pub(super) zone: TimeZone,
    /// Jails whose scanner cannot be made, found when the first line came.
    pub(super) unusable: Vec<(SeatId, String)>,
    pub(super) sights: Sights,
    /// What was remembered of sources that nobody follows now, or has not read yet since the start.
    pub(super) parked: Parked,
    pub(super) readers: Readers,
}

/// What is remembered of one file.
#[derive(Default)]
pub(super) struct FileScan {
    envelope: Option<Envelope>,
    pub(super) name: String,
    /// The groups that are noted as its readers.
    noted: Vec<GroupId>,
    pub(super) scans: Scans,
    pub(super) lines: u64,
    pub(super) matched: u64,
}

impl Desk {
    /// One without jails, that remembers what an earlier run did.
    pub(super) fn new(parked: Parked, readers: Readers) -> Self {
        Self {
            jails: Vec::new(),
            filters: Filters::default(),
            pipelines: HashMap::new(),
            sources: HashMap::new(),
            zone: TimeZone::system(),
            unusable: Vec::new(),
            sights: Sights::default(),
            parked,
            readers,
        }
    }

    pub(super) fn configure(&mut self, jails: &[Arc<JailConfig>]) -> Vec<(SeatId, String)> {
        self.jails = jails.to_vec();
        self.pipelines.clear();
        self.unusable.clear();
        self.sights.clear();
        self.zone = TimeZone::system();
        for source in self.sources.values_mut() {
            source.noted.clear();
            source.scans.renew();
        }
        self.filters.compile(jails)
    }

    /// Puts aside what is remembered of a file that is no longer followed.
    pub(super) fn park(&mut self, file: FileId) {
        if let Some(FileScan { name, scans, .. }) = self.sources.remove(&file) {
            self.parked.insert(name, scans.save());
        }
    }

    /// The jails of these groups are given what is read of this path.
    pub(super) fn note(&mut self, path: &Path, groups: &[GroupId]) {
        let jails = groups.iter().filter_map(|group| self.jails.get(group.0 as SeatId));
        let mut jails = jails.map(|jail| jail.name().clone()).peekable();
        if jails.peek().is_some() {
            self.readers.note(&path.to_string_lossy(), jails);
        }
    }

    pub(super) fn read(&mut self, chunk: &Chunk<'_>, now: Timestamp, sink: &mut Sink<'_>) {
        let source = self.sources.entry(chunk.file).or_insert_with(|| {
            let name = chunk.path.to_string_lossy().into_owned();
            FileScan { scans: Scans::unpark(&name, &mut self.parked), name, ..FileScan::default() }
        });
        let envelope = envelope_of(chunk.bytes).or(source.envelope).unwrap_or_default();
        source.envelope = Some(envelope);
        if source.noted != chunk.groups {
            source.noted = chunk.groups.to_vec();
            let jails = chunk.groups.iter().filter_map(|group| self.jails.get(group.0 as SeatId));
            self.readers.note(&source.name, jails.map(|jail| jail.name().clone()));
        }
        let key = (chunk.groups.to_vec(), envelope == Envelope::Cri);
        let pipelines = match self.pipelines.get(&key) {
            Some(pipelines) => Arc::clone(pipelines),
            None => {
                let pipelines = self.build(chunk.groups, envelope);
                self.pipelines.insert(key, Arc::clone(&pipelines));
                pipelines
            }
        };
        let Some(source) = self.sources.get_mut(&chunk.file) else { return };
        // What was there before the reader came may be old, and was not written after the file was.
        let newest = if chunk.live { now } else { chunk.modified.min(now) };
        let clock = ReadClock { now, live: chunk.live, newest, zone: &self.zone };
        let mut lines = 0;
        for pipeline in pipelines.iter() {
            let Some(state) = source.scans.state(pipeline) else { continue };
            let routes = pipeline.routes();
            let mut heard = Heard::default();
            let stats = pipeline.scanner.scan(state, chunk.bytes, clock, &mut |m| {
                Pipeline::deliver(routes, &m, &mut heard, &mut |seat, m| sink(seat, m, now));
            });
            lines = lines.max(stats.lines);
            source.matched += stats.matches;
            self.sights.take(state, routes);
        }
        source.lines += lines;
    }

    fn build(&mut self, groups: &[GroupId], envelope: Envelope) -> Arc<Vec<Pipeline>> {
        let seat =
            |group: &GroupId| Some((group.0 as SeatId, Arc::clone(self.jails.get(group.0 as SeatId)?)));
        let jails: Vec<_> = groups.iter().filter_map(seat).collect();
        let mut pipelines = Vec::new();
        for built in Pipeline::build(&jails, envelope, &mut self.filters) {
            match built {
                Ok(pipeline) => pipelines.push(pipeline),
                Err((seats, error)) => {
                    tracing::error!(%error, "a scanner cannot be made; its jails are blind");
                    self.unusable.extend(seats.into_iter().map(|seat| (seat, error.to_string())));
                }
            }
        }
        Arc::new(pipelines)
    }
}

/// A container runtime wraps every line it writes. So the first and the last line of a block tell, when they agree:
/// one line alone may be a forged or a torn one.
pub(super) fn envelope_of(bytes: &[u8]) -> Option<Envelope> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let last = bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    match (cri::parse(first).is_some(), cri::parse(last).is_some()) {
        (true, true) => Some(Envelope::Cri),
        (false, false) => Some(Envelope::None),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRI: &str = "2026-11-22T16:45:43.701000000Z stdout F hello\n";

    #[test]
    fn first_and_last_line_tell_the_envelope_only_together() {
        let text = "16:45:43.701 [INFO ] o.a.j.X - hello\n";
        for (bytes, expected) in [
            (format!("{CRI}{CRI}"), Some(Envelope::Cri)),
            (CRI.to_owned(), Some(Envelope::Cri)),
            (text.to_owned(), Some(Envelope::None)),
            (format!("{text}{CRI}{text}"), Some(Envelope::None)),
            (format!("{CRI}{text}"), None),
            (format!("{text}{CRI}"), None),
        ] {
            assert_eq!(envelope_of(bytes.as_bytes()), expected, "{bytes}");
        }
    }
}
