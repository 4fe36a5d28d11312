//! `--events`: one line of JSON per ban, prolonged ban, unban and end, for other programs.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::agent::report::Event;

/// Where events go.
#[derive(Debug)]
enum Sink {
    Stdout,
    /// A file, opened again when somebody rotated it away.
    File {
        path: PathBuf,
        file: File,
    },
}

/// Starts a thread that writes events until there are no more: a slow disk or pipe must hold up nobody else.
///
/// # Errors
/// When the file cannot be opened or the thread not started.
pub fn write(target: &Path, events: Receiver<Arc<Event>>) -> io::Result<JoinHandle<()>> {
    let mut sink = if target.as_os_str() == "-" {
        Sink::Stdout
    } else {
        Sink::File { path: target.to_path_buf(), file: open(target)? }
    };
    thread::Builder::new().name("events".into()).stack_size(128 << 10).spawn(move || run(&mut sink, events))
}

fn run(sink: &mut Sink, mut events: Receiver<Arc<Event>>) {
    let mut lines = Vec::new();
    loop {
        let first = match events.try_recv() {
            Err(TryRecvError::Empty) => events.blocking_recv(),
            Ok(event) => Ok(event),
            Err(TryRecvError::Closed) => return,
            Err(TryRecvError::Lagged(lost)) => Err(RecvError::Lagged(lost)),
        };
        match first {
            Ok(event) => push(&mut lines, &event),
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(lost)) => {
                tracing::error!(lost, "events came faster than they could be written");
                continue;
            }
        }
        while lines.len() < 64 << 10
            && let Ok(event) = events.try_recv()
        {
            push(&mut lines, &event);
        }
        if let Err(error) = sink.write(&lines) {
            tracing::error!(%error, "cannot write events");
        }
        lines.clear();
    }
}

fn push(lines: &mut Vec<u8>, event: &Event) {
    match serde_json::to_writer(&mut *lines, event) {
        Ok(()) => lines.push(b'\n'),
        Err(error) => tracing::error!(%error, "an event has no JSON"),
    }
}

impl Sink {
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::File { path, file } => {
                let there = std::fs::metadata(&*path).map(|m| (m.dev(), m.ino())).ok();
                let ours = file.metadata().map(|m| (m.dev(), m.ino())).ok();
                if there.is_none() || there != ours {
                    *file = open(path)?;
                }
                file.write_all(lines)
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use tokio::sync::broadcast;

    use super::*;
    use crate::agent::report::{BanReport, EventKind, Moment};
    use crate::bans::{Ban, Evidence, Origin};
    use crate::engine::{Shift, Timestamp};

    fn event(n: u32) -> Arc<Event> {
        let ban = Ban {
            jail: Some("james".into()),
            subject: "203.0.113.7".parse().unwrap(),
            n,
            since: Timestamp::from_secs(1_700_000_000),
            until: Some(Timestamp::from_secs(1_700_000_600)),
            origin: Origin::Jail,
            evidence: Evidence {
                weight: 5,
                rules: vec![("james/rules[0]".into(), 5)],
                ..Evidence::default()
            },
        };
        let time = Moment(Timestamp::from_secs(1_700_000_001));
        Arc::new(Event { time, event: EventKind::Ban, ahead: Shift::NONE, ban: BanReport::new(&ban, true) })
    }

    #[test]
    fn an_event_is_one_line_that_says_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let (sender, receiver) = broadcast::channel(8);
        let thread = write(&path, receiver).unwrap();
        sender.send(event(1)).unwrap();
        drop(sender);
        thread.join().unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"time\":\"2023-11-14T22:13:21Z\",\"event\":\"ban\",\"subject\":\"203.0.113.7\",\"jail\":\"james\",\
             \"n\":1,\"since\":\"2023-11-14T22:13:20Z\",\"until\":\"2023-11-14T22:23:20Z\",\"origin\":\"jail\",\
             \"enforced\":true,\"weight\":5,\"rules\":[{\"rule\":\"james/rules[0]\",\"matches\":5}]}\n"
        );
    }

    #[test]
    fn a_file_that_was_rotated_away_is_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let mut sink = Sink::File { path: path.clone(), file: open(&path).unwrap() };
        sink.write(b"one\n").unwrap();
        std::fs::rename(&path, directory.path().join("events.1")).unwrap();
        sink.write(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }
}
