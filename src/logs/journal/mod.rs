//! The systemd journal, read through `journalctl --follow`.
//!
//! `journalctl` and not libsystemd: the format on disk is private to systemd, and linking its library would tie the
//! binary to one C library. The cursor makes up for every restart of the child.

mod child;
mod record;

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use child::{Child, Next};
use record::Entry;

use super::Progress;
use crate::engine::{Duration, Timestamp};

/// A longer message is passed over, like a line of a file.
const MESSAGE_CAP: usize = 64 * 1024;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Where the entries are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum JournalSource {
    /// This host's journal.
    #[default]
    System,
    /// The journal files in a directory.
    Directory(PathBuf),
    /// These journal files.
    Files(Vec<PathBuf>),
}

/// What to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalOptions {
    /// Units, with or without `.service`; empty means every entry. `ssh` and `sshd` are one, and also mean what root's
    /// sshd writes from the units of single sessions.
    pub units: Vec<String>,
    /// The last entry that was handled. Reading goes on behind it.
    pub cursor: Option<String>,
    /// Without a cursor: entries from then on. `None`: all.
    pub since: Option<Timestamp>,
    /// Where the entries are.
    pub source: JournalSource,
    /// The program; `None` is `journalctl` of `PATH`.
    pub program: Option<PathBuf>,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalRecord<'a> {
    /// When it was sent (`_SOURCE_REALTIME_TIMESTAMP`, which the kernel stamps and the sender cannot choose); when it
    /// was received if that is not known. fail2ban does the same.
    pub time: Timestamp,
    /// `host ident[pid]: MESSAGE`; newlines are the two characters `\n`.
    pub text: &'a [u8],
    /// The entry's cursor.
    pub cursor: &'a str,
}

/// The state of the journal reader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStatus {
    /// Whether `journalctl` runs.
    pub running: bool,
    /// Why it does not, or what it last complained of.
    pub problem: Option<String>,
    /// How often it ended by itself.
    pub restarts: u64,
    /// Entries handed over since the start.
    pub records: u64,
    /// Bytes of entries over the cap or not understood.
    pub lost: u64,
}

/// Follows the journal. The child is killed when this is dropped.
pub struct Journal {
    options: JournalOptions,
    child: Option<Child>,
    cursor: Option<String>,
    /// Entries up to this time were handled; only set while the cursor cannot be used.
    handled: Option<Timestamp>,
    /// `journalctl` refused the cursor.
    cursor_refused: bool,
    heard: bool,
    pause: Duration,
    retry_at: Option<Timestamp>,
    status: JournalStatus,
}

impl Journal {
    /// Starts `journalctl`. When that fails, [`Journal::status`] says why and [`Journal::poll`] tries again.
    #[must_use]
    pub fn new(options: JournalOptions) -> Self {
        let mut journal = Self {
            cursor: options.cursor.clone(),
            options,
            child: None,
            handled: None,
            cursor_refused: false,
            heard: false,
            pause: FIRST_PAUSE,
            retry_at: None,
            status: JournalStatus::default(),
        };
        journal.start();
        journal
    }

    /// Readable when there are entries; `None` while `journalctl` does not run.
    #[must_use]
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.child.as_ref().map(Child::fd)
    }

    /// The cursor of the last entry handed over. To be saved together with what was made of it.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// What is going on.
    #[must_use]
    pub fn status(&self) -> JournalStatus {
        JournalStatus { running: self.child.is_some(), ..self.status.clone() }
    }

    /// Hands over the entries that are there, at most about `budget` bytes. Never waits.
    pub fn poll(&mut self, now: Timestamp, budget: u64, sink: &mut dyn FnMut(JournalRecord<'_>)) -> Progress {
        if self.child.is_none() && self.retry_at.is_none_or(|at| now >= at || at.since(now) > LONGEST_PAUSE) {
            self.start();
            if self.child.is_none() {
                self.wait_before_retry(now);
            }
        }
        let mut bytes = 0;
        let mut text = Vec::new();
        while bytes < budget {
            let Some(child) = &mut self.child else { break };
            match child.next() {
                Next::Line(line) => {
                    bytes += line.len() as u64;
                    let Ok(entry) = serde_json::from_slice::<Entry>(line) else {
                        self.status.lost += line.len() as u64;
                        continue;
                    };
                    self.heard = true;
                    self.pause = FIRST_PAUSE;
                    if self.handled.is_some_and(|handled| entry.received() <= handled) {
                        continue;
                    }
                    self.handled = None;
                    self.cursor_refused = false;
                    if entry.message_len() <= MESSAGE_CAP {
                        entry.text(&mut text);
                        sink(JournalRecord { time: entry.time(), text: &text, cursor: &entry.cursor });
                        self.status.records += 1;
                    } else {
                        self.status.lost += entry.message_len() as u64;
                    }
                    self.cursor = Some(entry.cursor);
                }
                Next::TooLong(passed) => self.status.lost += passed,
                Next::Nothing => {
                    return Progress { bytes, more: false, next_poll: Duration::from_secs(1) };
                }
                Next::Ended(reason) => self.ended(reason, now),
            }
        }
        let pause = self.retry_at.filter(|_| self.child.is_none()).map(|at| at.since(now));
        Progress { bytes, more: self.child.is_some(), next_poll: pause.unwrap_or(Duration::ZERO) }
    }

    fn ended(&mut self, reason: String, now: Timestamp) {
        self.child = None;
        self.status.restarts += 1;
        self.status.problem = Some(reason);
        if !self.heard && self.cursor.is_some() && self.complains_of_cursor() {
            // A cursor it cannot find its way from (another machine's, a damaged one) still holds the time.
            self.cursor_refused = true;
        }
        self.wait_before_retry(now);
    }

    fn wait_before_retry(&mut self, now: Timestamp) {
        self.retry_at = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    fn complains_of_cursor(&self) -> bool {
        self.status.problem.as_ref().is_some_and(|problem| problem.contains("cursor"))
    }

    fn start(&mut self) {
        self.heard = false;
        self.retry_at = None;
        let program = self.options.program.clone().unwrap_or_else(|| PathBuf::from("journalctl"));
        match Child::spawn(&program, &self.arguments()) {
            Ok(child) => {
                self.child = Some(child);
                self.status.problem = None;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                self.status.problem = Some(format!("{} is not installed", program.display()));
                self.pause = LONGEST_PAUSE;
            }
            Err(e) => self.status.problem = Some(format!("{} cannot be run: {e}", program.display())),
        }
    }

    fn arguments(&mut self) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["--output=json", "--follow", "--no-tail", "--no-pager", "--quiet", "--all"]
                .map(str::to_owned)
                .into();
        arguments.push(format!("--output-fields={}", record::FIELDS));
        match &self.options.source {
            JournalSource::System => {}
            JournalSource::Directory(path) => arguments.push(format!("--directory={}", path.display())),
            JournalSource::Files(paths) => {
                arguments.extend(paths.iter().map(|path| format!("--file={}", path.display())));
            }
        }
        match (&self.cursor, self.cursor_refused) {
            (Some(cursor), false) => arguments.push(format!("--after-cursor={cursor}")),
            (Some(cursor), true) => {
                self.handled = record::time_of_cursor(cursor);
                let since = self.handled.or(self.options.since);
                arguments.extend(since.map(|since| format!("--since=@{}", since.as_secs())));
            }
            (None, _) => {
                arguments.extend(self.options.since.map(|since| format!("--since=@{}", since.as_secs())));
            }
        }
        arguments.extend(record::matches(&self.options.units));
        arguments
    }
}
