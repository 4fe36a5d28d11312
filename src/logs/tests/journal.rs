//! The journal reader on journal files that `systemd-journal-remote` (Debian package of the same name) makes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::engine::{Duration, Timestamp};
use crate::logs::{Journal, JournalOptions, JournalSource};

const REMOTE: [&str; 2] = ["/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote"];
/// Only a hanging test gets there.
const DEADLINE: Duration = Duration::from_secs(60);

struct Entry<'a> {
    second: u32,
    unit: &'a str,
    message: &'a [u8],
}

fn entry(second: u32, message: &str) -> Entry<'_> {
    Entry { second, unit: "ssh.service", message: message.as_bytes() }
}

/// Appends entries to a journal file, in the journal's export format.
fn write(path: &Path, entries: &[Entry<'_>]) {
    let mut export = Vec::new();
    for entry in entries {
        let time = 1_700_000_000_000_000 + u64::from(entry.second) * 1_000_000;
        write!(
            export,
            "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=0123456789abcdef0123456789abcdef\n\
             _HOSTNAME=mx\nSYSLOG_IDENTIFIER=sshd\n_PID=17\n_UID=0\n_COMM=sshd\n_SYSTEMD_UNIT={}\nMESSAGE\n",
            u64::from(entry.second) * 1_000_000,
            entry.unit
        )
        .unwrap();
        export.extend((entry.message.len() as u64).to_le_bytes());
        export.extend(entry.message);
        export.extend(b"\n\n");
    }
    let remote = REMOTE.iter().find(|path| Path::new(path).exists());
    let remote = remote.expect("this test needs the Debian package systemd-journal-remote");
    let mut child = Command::new(remote)
        .arg(format!("--output={}", path.display()))
        .args(["--split-mode=none", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&export).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn options(file: &Path, cursor: Option<String>) -> JournalOptions {
    JournalOptions {
        units: vec!["sshd".to_owned()],
        cursor,
        source: JournalSource::Files(vec![file.to_path_buf()]),
        ..JournalOptions::default()
    }
}

fn clock() -> Timestamp {
    super::world::clock()
}

/// Waits on the descriptor, as the agent does, until this many entries came.
fn read(journal: &mut Journal, count: usize) -> Vec<(Timestamp, String)> {
    let started = Instant::now();
    let mut got = Vec::new();
    while got.len() < count {
        assert!(started.elapsed() < DEADLINE, "only {got:?} came; {:?}", journal.status());
        let progress = journal.poll(clock(), u64::MAX, &mut |record| {
            got.push((record.time, String::from_utf8_lossy(record.text).into_owned()));
        });
        wait(journal, progress.next_poll.min(Duration::from_millis(200)));
    }
    got
}

fn wait(journal: &Journal, at_most: Duration) {
    let timeout = rustix::event::Timespec::try_from(at_most).unwrap();
    if let Some(fd) = journal.fd() {
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&timeout)).unwrap();
    } else {
        std::thread::sleep(at_most);
    }
}

fn texts(journal: &mut Journal, count: usize) -> Vec<String> {
    read(journal, count).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn entries_of_the_units_are_read_with_their_times() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.journal");
    let other = Entry { second: 2, unit: "james.service", message: b"not asked for" };
    write(
        &file,
        &[entry(1, "Failed password for root from 203.0.113.7 port 1 ssh2"), other, entry(3, "a\nb")],
    );
    let james = JournalOptions { units: vec!["james".to_owned()], ..options(&file, None) };
    let mut all = Journal::new(JournalOptions { units: vec![], ..options(&file, None) });
    assert_eq!(texts(&mut all, 3).len(), 3);
    assert_eq!(texts(&mut Journal::new(james), 1), ["mx sshd[17]: not asked for"]);
    // By its command, root's sshd is found in any unit.
    let mut journal = Journal::new(options(&file, None));
    let got = read(&mut journal, 3);
    assert_eq!(got.first().unwrap().0, Timestamp::from_secs(1_700_000_001));
    assert_eq!(got.first().unwrap().1, "mx sshd[17]: Failed password for root from 203.0.113.7 port 1 ssh2");
    assert_eq!(got.last().unwrap().1, r"mx sshd[17]: a\nb");
}

#[test]
fn a_message_that_is_no_text_and_one_that_is_too_long_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.journal");
    let long = vec![b'x'; 70_000];
    let binary = b"user \xff\x00\x1b[31m from 203.0.113.7";
    write(
        &file,
        &[
            Entry { second: 1, unit: "ssh.service", message: &long },
            Entry { second: 2, unit: "ssh.service", message: binary },
            entry(3, "last"),
        ],
    );
    let mut journal = Journal::new(options(&file, None));
    let mut got = Vec::new();
    let started = Instant::now();
    while got.len() < 2 {
        assert!(started.elapsed() < DEADLINE);
        journal.poll(clock(), u64::MAX, &mut |record| got.push(record.text.to_vec()));
        wait(&journal, Duration::from_millis(200));
    }
    assert_eq!(got, [[b"mx sshd[17]: ".as_slice(), binary].concat(), b"mx sshd[17]: last".to_vec()]);
    assert_eq!(journal.status().lost, 70_000);
}

#[test]
fn entries_that_come_later_are_followed_and_the_cursor_is_kept_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.journal");
    write(&file, &[entry(1, "1")]);
    let mut journal = Journal::new(options(&file, None));
    assert_eq!(texts(&mut journal, 1), ["mx sshd[17]: 1"]);
    write(&file, &[entry(2, "2")]);
    assert_eq!(texts(&mut journal, 1), ["mx sshd[17]: 2"]);
    let cursor = journal.cursor().map(str::to_owned);
    drop(journal);
    write(&file, &[entry(3, "3")]);
    let mut journal = Journal::new(options(&file, cursor));
    assert_eq!(texts(&mut journal, 1), ["mx sshd[17]: 3"]);
}

#[test]
fn a_cursor_that_journalctl_refuses_still_tells_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.journal");
    write(&file, &[entry(1, "1"), entry(2, "2"), entry(3, "3")]);
    let at_two = format!("nonsense;t={:x}", 1_700_000_002_000_000_u64);
    let mut journal = Journal::new(options(&file, Some(at_two)));
    assert_eq!(texts(&mut journal, 1), ["mx sshd[17]: 3"]);
}

#[test]
fn without_a_cursor_reading_begins_at_the_time_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.journal");
    write(&file, &[entry(1, "1"), entry(2, "2"), entry(3, "3")]);
    let since = Some(Timestamp::from_secs(1_700_000_003));
    let mut journal = Journal::new(JournalOptions { since, ..options(&file, None) });
    assert_eq!(texts(&mut journal, 1), ["mx sshd[17]: 3"]);
}

/// A program that stands for a `journalctl` in trouble. Written by another process: a descriptor of ours that is open
/// for writing would be inherited by what other tests start at that moment, and the program could not be run.
fn program(dir: &Path, script: &str) -> PathBuf {
    let path = dir.join("journalctl");
    let mut shell = Command::new("sh")
        .args(["-c", r#"cat > "$0" && chmod 755 "$0""#])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
    path
}

#[test]
fn a_journalctl_that_ends_is_started_again_behind_the_last_entry() {
    let dir = tempfile::tempdir().unwrap();
    let line = r#"{"__CURSOR":"c%s","__REALTIME_TIMESTAMP":"1","MESSAGE":"%s"}\n"#;
    let script = format!(
        "case \"$*\" in *--after-cursor=c1*) printf '{line}' 2 2; exec sleep 1000;; esac\n\
         printf '{line}' 1 1; echo 'Bus error' >&2; exit 1"
    );
    let program = Some(program(dir.path(), &script));
    let mut journal = Journal::new(JournalOptions { program, ..JournalOptions::default() });
    assert_eq!(texts(&mut journal, 2), ["1", "2"]);
    assert_eq!(journal.cursor(), Some("c2"));
    assert_eq!(journal.status().restarts, 1);
}

#[test]
fn the_status_says_why_there_is_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let program = Some(dir.path().join("no-such-program"));
    let journal = Journal::new(JournalOptions { program, ..JournalOptions::default() });
    let status = journal.status();
    assert!(!status.running);
    assert!(status.problem.unwrap().ends_with("no-such-program is not installed"));
    assert!(journal.fd().is_none());
}

#[test]
fn what_the_journal_complains_of_is_told_and_garbage_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let program = Some(program(dir.path(), "echo garbage; echo 'No journal files were found.' >&2; exit 1"));
    let mut journal = Journal::new(JournalOptions { program, ..JournalOptions::default() });
    let started = Instant::now();
    while journal.status().problem.is_none() {
        assert!(started.elapsed() < DEADLINE);
        journal.poll(clock(), u64::MAX, &mut |_| panic!("no entry"));
        wait(&journal, Duration::from_millis(10));
    }
    assert!(journal.status().problem.unwrap().ends_with("exit status: 1: No journal files were found."));
    assert_eq!(journal.status().lost, "garbage".len() as u64);
}

#[test]
fn the_child_is_gone_when_the_reader_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 1000", pid.display());
    let program = Some(program(dir.path(), &script));
    let journal = Journal::new(JournalOptions { program, ..JournalOptions::default() });
    let started = Instant::now();
    while !pid.exists() {
        assert!(started.elapsed() < DEADLINE);
        std::thread::sleep(Duration::from_millis(5));
    }
    let process = format!("/proc/{}", std::fs::read_to_string(&pid).unwrap().trim());
    assert!(Path::new(&process).exists());
    drop(journal);
    assert!(!Path::new(&process).exists());
}
