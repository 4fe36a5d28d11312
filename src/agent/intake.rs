//! Sources to matches: files and journals, and what scanners remember of each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::feed::Feed;
use super::heard::Heard;
use super::pipeline::{Filters, Pipeline, SeatId};
use super::report::{Condition, FileReport, JournalReport};
use super::scans::{Parked, Scans};
use super::sights::Sights;
use super::situation::Situation;
use crate::config::{Config, JailConfig, Source};
use crate::engine::scanner::Envelope;
use crate::engine::{Duration, LayoutSpec, Match, ReadClock, Timestamp, cri};
use crate::logs::{Checkpoint, Chunk, FileId, FileState, Files, FilesOptions, GroupId, Progress};

/// How much is read before commands and timers get their turn, in bytes.
const BUDGET: u64 = 1 << 20;

/// Who hears of matches.
pub(super) type Sink<'a> = dyn FnMut(SeatId, &Match, Timestamp) -> bool + 'a;

/// The files of all jails.
pub(super) struct FilesReport {
    /// Each file of each jail.
    pub(super) files: Vec<(SeatId, FileReport)>,
    /// Globs that match nothing yet.
    pub(super) awaited: Vec<(SeatId, PathBuf)>,
    /// A degradation of the whole.
    pub(super) notice: Option<String>,
}

/// All sources.
pub(super) struct Intake {
    pub(super) files: Files,
    desk: Desk,
    pub(super) feeds: Vec<Feed>,
    /// Journal cursors of units that nobody reads now.
    cursors: BTreeMap<String, String>,
    next_poll: Duration,
}

/// What is done with lines of files.
struct Desk {
    jails: Vec<Arc<JailConfig>>,
    filters: Filters,
    pipelines: HashMap<(Vec<GroupId>, bool), Arc<Vec<Pipeline>>>,
    sources: HashMap<FileId, FileScan>,
    zone: TimeZone,
    /// Jails whose scanner cannot be made, found when the first line came.
    unusable: Vec<(SeatId, String)>,
    sights: Sights,
    /// What an earlier run remembered of files that were not read yet.
    parked: Parked,
}

/// What is remembered of one file.
#[derive(Default)]
struct FileScan {
    envelope: Option<Envelope>,
    name: String,
    scans: Scans,
    lines: u64,
    matched: u64,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("feeds", &self.feeds).finish_non_exhaustive()
    }
}

impl Intake {
    /// Sources that go on where the checkpoints left off. Reads nothing before [`Self::configure`].
    pub(super) fn new(
        checkpoints: Vec<Checkpoint>,
        cursors: BTreeMap<String, String>,
        parked: Parked,
    ) -> Self {
        let desk = Desk {
            jails: Vec::new(),
            filters: Filters::default(),
            pipelines: HashMap::new(),
            sources: HashMap::new(),
            zone: TimeZone::system(),
            unusable: Vec::new(),
            sights: Sights::default(),
            parked,
        };
        let files = Files::new(checkpoints, FilesOptions::default());
        Self { files, desk, feeds: Vec::new(), cursors, next_poll: Duration::ZERO }
    }

    /// Takes another configuration; tells which jail cannot use what.
    pub(super) fn configure(&mut self, config: &Config, situation: &Situation) -> Vec<(SeatId, String)> {
        let mut unusable = self.desk.configure(&config.jails);
        let mut journals: BTreeMap<Vec<String>, Vec<(SeatId, Arc<JailConfig>)>> = BTreeMap::new();
        for (seat, jail) in config.jails.iter().enumerate() {
            match &jail.source {
                Source::Journal(units) => {
                    let mut units = units.clone();
                    units.sort_unstable();
                    units.dedup();
                    journals.entry(units).or_default().push((seat, Arc::clone(jail)));
                }
                Source::Files(_) | Source::Pods { .. } => {}
            }
        }
        self.place(config, situation);
        let longest = config.jails.iter().map(|jail| jail.spec.find_time).max();
        self.files.set_horizon(longest.unwrap_or(Duration::ZERO));
        self.configure_journals(journals, longest.unwrap_or(Duration::ZERO), &mut unusable);
        unusable
    }

    /// Follows the files of these jails: those they name, and those their surroundings say their pods write.
    pub(super) fn place(&mut self, config: &Config, situation: &Situation) {
        let mut watched: Vec<(GroupId, Vec<PathBuf>)> = Vec::new();
        for (seat, jail) in config.jails.iter().enumerate() {
            let globs = match &jail.source {
                Source::Files(globs) => globs.clone(),
                Source::Pods { .. } => situation.logs(jail.name()).to_vec(),
                Source::Journal(_) => continue,
            };
            if let Ok(group) = u32::try_from(seat) {
                watched.push((GroupId(group), globs));
            }
        }
        self.files.watch(&watched);
    }

    fn configure_journals(
        &mut self,
        journals: BTreeMap<Vec<String>, Vec<(SeatId, Arc<JailConfig>)>>,
        horizon: Duration,
        unusable: &mut Vec<(SeatId, String)>,
    ) {
        let mut before = std::mem::take(&mut self.feeds);
        for (units, jails) in journals {
            let kept = before.iter().position(|feed| feed.units() == units).map(|at| before.swap_remove(at));
            let mut feed = kept.unwrap_or_else(|| {
                let cursor = self.cursors.remove(&Feed::key(&units));
                Feed::new(units, cursor, horizon, &mut self.desk.parked)
            });
            unusable.extend(feed.configure(&jails, &mut self.desk.filters));
            self.feeds.push(feed);
        }
        for feed in before {
            self.cursors.extend(feed.place());
        }
    }

    /// Reads what is there, about a megabyte at most.
    pub(super) fn poll(&mut self, now: Timestamp, sink: &mut Sink<'_>) -> Progress {
        let desk = &mut self.desk;
        let mut progress = self.files.poll(now, BUDGET, &mut |chunk| desk.read(&chunk, now, sink));
        self.next_poll = progress.next_poll;
        for feed in &mut self.feeds {
            progress.bytes += feed.poll(now, &self.desk.zone, &mut self.desk.sights, sink);
        }
        progress
    }

    /// Poll again after this long at the latest.
    pub(super) fn next_poll(&self) -> Duration {
        self.feeds.iter().map(Feed::next_poll).fold(self.next_poll, Duration::min)
    }

    /// Readable when there is something to read.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.wake_fd().into_iter().chain(self.feeds.iter().filter_map(Feed::fd))
    }

    /// Jails whose scanner turned out to be impossible since the last call.
    pub(super) fn unusable(&mut self) -> Vec<(SeatId, String)> {
        std::mem::take(&mut self.desk.unusable)
    }

    /// Where the journals stand.
    pub(super) fn cursors(&self) -> BTreeMap<String, String> {
        let mut cursors = self.cursors.clone();
        cursors.extend(self.feeds.iter().filter_map(Feed::place));
        cursors
    }

    /// What scanners remember, by source:
    /// of the files that these checkpoints name; what was read of others will not be read on.
    pub(super) fn scans(&self, files: &[Checkpoint]) -> Parked {
        let mut scans = self.desk.parked.clone();
        scans.extend(self.desk.sources.values().map(|source| (source.name.clone(), source.scans.save())));
        let names: BTreeSet<_> = files.iter().map(|file| file.path.to_string_lossy()).collect();
        scans.retain(|name, _| names.contains(name.as_str()));
        scans.extend(self.feeds.iter().map(Feed::scans));
        scans
    }

    /// The files of each jail, and globs that match nothing yet.
    pub(super) fn files_report(&self) -> FilesReport {
        let status = self.files.status();
        let mut reports = Vec::new();
        for file in &status.files {
            let scan = self.desk.sources.get(&file.file);
            for group in &file.groups {
                let seat = group.0 as SeatId;
                let Some(jail) = self.desk.jails.get(seat) else { continue };
                let layout = match (&jail.layout, scan) {
                    (LayoutSpec::Auto, Some(scan)) => scan.scans.settled().cloned(),
                    (LayoutSpec::Auto, None) => None,
                    (declared, _) => Some(declared.clone()),
                };
                let report = FileReport {
                    path: file.path.clone(),
                    offset: file.offset,
                    lag_bytes: file.lag,
                    lost_bytes: file.lost,
                    layout: layout.as_ref().map(layout_name),
                    lines: scan.map_or(0, |scan| scan.lines),
                    matched: scan.map_or(0, |scan| scan.matched),
                    problem: match &file.state {
                        FileState::Refused(why) => Some(why.clone()),
                        FileState::Missing => Some("not there (yet)".into()),
                        FileState::Following | FileState::Reading | FileState::SameAs(_) => None,
                    },
                };
                reports.push((seat, report));
            }
        }
        let awaited = status.awaited.into_iter().map(|(group, glob)| (group.0 as SeatId, glob)).collect();
        FilesReport { files: reports, awaited, notice: status.notice }
    }

    /// What a person should know about the lines of a jail.
    pub(super) fn sights(&self, seat: SeatId, jail: &JailConfig, enforces: bool) -> Vec<Condition> {
        self.desk.sights.conditions(seat, jail, enforces)
    }

    /// The journal of a jail.
    pub(super) fn journal_report(&self, seat: SeatId) -> Option<JournalReport> {
        self.feeds.iter().find(|feed| feed.serves(seat)).map(Feed::report)
    }
}

impl Desk {
    fn configure(&mut self, jails: &[Arc<JailConfig>]) -> Vec<(SeatId, String)> {
        self.jails = jails.to_vec();
        self.pipelines.clear();
        self.unusable.clear();
        self.sights.clear();
        self.zone = TimeZone::system();
        for source in self.sources.values_mut() {
            source.scans.renew();
        }
        self.filters.compile(jails)
    }

    fn read(&mut self, chunk: &Chunk<'_>, now: Timestamp, sink: &mut Sink<'_>) {
        let source = self.sources.entry(chunk.file).or_insert_with(|| {
            let name = chunk.path.to_string_lossy().into_owned();
            FileScan { scans: Scans::unpark(&name, &mut self.parked), name, ..FileScan::default() }
        });
        let envelope = envelope_of(chunk.bytes).or(source.envelope).unwrap_or_default();
        source.envelope = Some(envelope);
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
        let clock = ReadClock { now, live: chunk.live, zone: &self.zone };
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

/// The name of a layout, as manifests write it.
fn layout_name(layout: &LayoutSpec) -> String {
    match layout {
        LayoutSpec::Auto => "Auto".into(),
        LayoutSpec::JamesDefault => "JamesDefault".into(),
        LayoutSpec::JsonEncoder => "JsonEncoder".into(),
        LayoutSpec::JsonLayout => "JsonLayout".into(),
        LayoutSpec::Logstash => "Logstash".into(),
        LayoutSpec::Text => "Text".into(),
        LayoutSpec::Pattern(pattern) => format!("Pattern {pattern}"),
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
