//! Sources to matches: files and journals, and what scanners remember of each.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use super::desk::Desk;
use super::feed::Feed;
use super::pipeline::SeatId;
use super::readers::Readers;
use super::report::{Condition, FileReport, JournalReport};
use super::scans::Parked;
use super::situation::Situation;
use crate::config::{Config, JailConfig, Source};
use crate::engine::{Duration, JailName, LayoutSpec, Match, Timestamp};
use crate::logs::{Checkpoint, FileState, Files, FilesOptions, GroupId, Progress};

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
        readers: Readers,
    ) -> Self {
        let desk = Desk::new(parked, readers);
        let files = Files::new(checkpoints, FilesOptions::default());
        Self { files, desk, feeds: Vec::new(), cursors, next_poll: Duration::ZERO }
    }

    /// Only these jails remember what they were given. A source of which nobody does is read as if for the first time.
    pub(super) fn remembered_by(&mut self, remembers: impl Fn(&JailName) -> bool) {
        let unread = self.desk.readers.forget(remembers);
        if unread.is_empty() {
            return;
        }
        self.files.forget(|path| unread.contains(&*path.to_string_lossy()));
        self.park();
        self.desk.parked.retain(|source, _| !unread.contains(source));
        self.feeds.retain(|feed| !unread.contains(&feed.source()));
        self.cursors.retain(|key, _| !unread.contains(&Feed::source_of(key)));
    }

    /// Puts aside what is remembered of files that are no longer followed.
    fn park(&mut self) {
        for file in self.files.take_unfollowed() {
            self.desk.park(file);
        }
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
        // At once, and not when there is something to read: who has a place in a quiet log keeps or loses it as well.
        for (path, groups) in self.files.known() {
            self.desk.note(path, &groups);
        }
        let longest = config.jails.iter().map(|jail| jail.spec.find_time).max();
        self.files.set_horizon(longest.unwrap_or(Duration::ZERO));
        // A jail that is mended goes on where it was, however long its `findTime` is.
        self.files.keep_all_places(config.may_lack_any());
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
            let names: Vec<JailName> = jails.iter().map(|(_, jail)| jail.name().clone()).collect();
            let kept = before.iter().position(|feed| feed.units() == units).map(|at| before.swap_remove(at));
            let mut feed = kept.unwrap_or_else(|| {
                let known = self.cursors.remove(&Feed::key(&units));
                let cursor = known.or_else(|| self.moved_from(&names, &mut before));
                Feed::new(units, cursor, horizon, &mut self.desk.parked)
            });
            unusable.extend(feed.configure(&jails, &mut self.desk.filters));
            self.desk.readers.note(&feed.source(), names);
            self.feeds.push(feed);
        }
        for feed in before {
            self.cursors.extend(feed.place());
        }
    }

    /// Where jails stand that read the journal of other units before. A place in the journal is one whatever the units,
    /// and what is before it was counted.
    fn moved_from(&mut self, jails: &[JailName], before: &mut Vec<Feed>) -> Option<String> {
        let readers = &mut self.desk.readers;
        if let Some(at) = before.iter().position(|feed| readers.any_of(&feed.source(), jails)) {
            let feed = before.get(at)?;
            let (_, cursor) = feed.place()?;
            if readers.release(&feed.source(), jails) {
                before.swap_remove(at);
            }
            return Some(cursor);
        }
        let key = self.cursors.keys().find(|key| readers.any_of(&Feed::source_of(key), jails))?.clone();
        let cursor = self.cursors.get(&key).cloned();
        if readers.release(&Feed::source_of(&key), jails) {
            self.cursors.remove(&key);
        }
        cursor
    }

    /// Reads what is there, about a megabyte at most.
    pub(super) fn poll(&mut self, now: Timestamp, sink: &mut Sink<'_>) -> Progress {
        let desk = &mut self.desk;
        let mut progress = self.files.poll(now, BUDGET, &mut |chunk| desk.read(&chunk, now, sink));
        self.next_poll = progress.next_poll;
        for (path, groups) in self.files.regrouped() {
            desk.note(path, groups);
        }
        self.park();
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

    /// What scanners remember, and for which jails, by source: of the files that these checkpoints name and the journals
    /// of these cursors. What was read of others will not be read on, and is forgotten.
    pub(super) fn scans(
        &mut self,
        files: &[Checkpoint],
        cursors: &BTreeMap<String, String>,
    ) -> (Parked, Readers) {
        let Desk { parked, sources, readers, .. } = &mut self.desk;
        let mut names: BTreeSet<String> =
            files.iter().map(|file| file.path.to_string_lossy().into()).collect();
        names.extend(cursors.keys().map(|key| Feed::source_of(key)));
        parked.retain(|name, _| names.contains(name));
        let mut scans = parked.clone();
        let read = sources.values().filter(|source| names.contains(&source.name));
        scans.extend(read.map(|source| (source.name.clone(), source.scans.save())));
        scans.extend(self.feeds.iter().map(Feed::scans));
        // These have no place just now, and will have one again.
        names.extend(sources.values().map(|source| source.name.clone()));
        names.extend(self.feeds.iter().map(Feed::source));
        readers.retain(|name| names.contains(name));
        (scans, readers.clone())
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
