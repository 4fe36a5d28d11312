//! Which files are followed, for whom, and what is said about those that are not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, Mode};

use super::world::{World, append, clock};
use crate::engine::Duration;
use crate::logs::{Checkpoint, FileState, Files, FilesOptions, GroupId, Inside, Mark};

const NOTHING: [&str; 0] = [];

#[test]
fn a_missing_file_is_awaited() {
    let mut w = World::new(&["james.log"]);
    assert_eq!(w.lines(), NOTHING);
    assert_eq!(w.state("james.log"), FileState::Missing);
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    assert_eq!(w.state("james.log"), FileState::Following);
}

#[test]
fn a_missing_directory_is_awaited_level_by_level() {
    let mut w = World::new(&["a/b/c/james.log"]);
    assert_eq!(w.lines(), NOTHING);
    fs::create_dir(w.path("a")).unwrap();
    assert_eq!(w.lines(), NOTHING);
    fs::create_dir_all(w.path("a/b/c")).unwrap();
    w.append("a/b/c/james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
}

#[test]
fn a_glob_finds_new_files_and_new_directories() {
    let mut w = World::new(&["*/james*.log"]);
    assert_eq!(w.lines(), NOTHING);
    assert_eq!(w.status().awaited.len(), 1);
    fs::create_dir(w.path("one")).unwrap();
    w.append("one/james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    assert_eq!(w.status().awaited, []);
    w.append("one/james-2.log", "2\n");
    fs::create_dir(w.path("two")).unwrap();
    w.append("two/james.log", "3\n");
    w.append("two/other.log", "not asked for\n");
    let mut lines = w.lines();
    lines.sort();
    assert_eq!(lines, ["2", "3"]);
}

#[test]
fn a_directory_that_is_moved_away_and_made_again_is_followed_again() {
    let mut w = World::new(&["logs/*.log"]);
    fs::create_dir(w.path("logs")).unwrap();
    w.append("logs/a.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    w.rename("logs", "logs-old");
    fs::create_dir(w.path("logs")).unwrap();
    w.append("logs/a.log", "2\n");
    assert_eq!(w.lines(), ["2"]);
    w.append("logs/b.log", "3\n");
    assert_eq!(w.lines(), ["3"]);
}

#[test]
fn rotated_files_that_the_glob_matches_too_are_read_once() {
    let mut w = World::new(&["*.log*"]);
    w.append("james.log.2", "1\n");
    w.gzip("james.log.2");
    w.append("james.log.1", "2\n");
    w.append("james.log", "3\n");
    assert_eq!(w.lines(), ["1", "2", "3"]);
    assert_eq!(w.status().files.len(), 1);
    w.rename("james.log.1", "james.log.3");
    w.rename("james.log", "james.log.1");
    assert_eq!(w.pass(Duration::from_secs(15)), NOTHING);
    w.append("james.log", "4\n");
    assert_eq!(w.lines(), ["4"]);
    w.restart();
    assert_eq!(w.lines(), NOTHING);
}

#[test]
fn what_is_no_regular_file_is_refused_with_a_reason() {
    let mut w = World::new(&["*"]);
    fs::create_dir(w.path("directory")).unwrap();
    rustix::fs::mknodat(CWD, w.path("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink("/dev/zero", w.path("device")).unwrap();
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    for (name, word) in [("directory", "directory"), ("pipe", "pipe"), ("device", "device")] {
        assert!(matches!(w.state(name), FileState::Refused(reason) if reason.contains(word)), "{name}");
    }
}

#[test]
fn a_pipe_in_the_place_of_a_log_does_not_block_and_the_log_is_followed_when_it_returns() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    w.lines();
    w.remove("james.log");
    rustix::fs::mknodat(CWD, w.path("james.log"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    assert_eq!(w.lines(), NOTHING);
    assert!(matches!(w.state("james.log"), FileState::Refused(_)));
    w.remove("james.log");
    w.append("james.log", "2\n");
    assert_eq!(w.lines(), ["2"]);
}

#[test]
fn a_file_that_may_not_be_read_is_said_so_and_read_when_it_may() {
    if rustix::process::geteuid().is_root() {
        // Root may read everything; a loop of symlinks may not be read even by root.
        let mut w = World::new(&["james.log"]);
        symlink("james.log", w.path("james.log")).unwrap();
        assert_eq!(w.lines(), NOTHING);
        assert!(matches!(w.state("james.log"), FileState::Refused(_)));
        w.remove("james.log");
        w.append("james.log", "1\n");
        assert_eq!(w.lines(), ["1"]);
    } else {
        let mut w = World::new(&["james.log"]);
        w.append("james.log", "1\n");
        fs::set_permissions(w.path("james.log"), fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(w.lines(), NOTHING);
        assert!(matches!(w.state("james.log"), FileState::Refused(_)));
        fs::set_permissions(w.path("james.log"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(w.pass(Duration::from_secs(2)), ["1"]);
    }
}

#[test]
fn a_file_under_two_names_is_read_once_for_the_groups_of_both() {
    let mut w = World::new(&[]);
    w.append("james.log", "1\n");
    symlink("james.log", w.path("link.log")).unwrap();
    w.watch(vec![(GroupId(1), vec![w.path("james.log")]), (GroupId(2), vec![w.path("link.log")])]);
    let got = w.got();
    assert_eq!(got.len(), 1);
    assert_eq!(got.first().unwrap().groups, [GroupId(1), GroupId(2)]);
    w.rename("james.log", "james.log.1");
    w.append("james.log", "2\n");
    assert_eq!(w.pass(Duration::from_secs(3)), ["2"]);
}

#[test]
fn groups_that_ask_for_the_same_file_share_one_reading() {
    let mut w = World::new(&[]);
    w.append("james.log", "1\n");
    w.append("mail.log", "2\n");
    w.watch(vec![(GroupId(1), vec![w.path("*.log")]), (GroupId(2), vec![w.path("james.log")])]);
    let got = w.got();
    let groups = |line: &str| got.iter().find(|g| g.line == line).unwrap().groups.clone();
    assert_eq!(got.len(), 2);
    assert_eq!(groups("1"), [GroupId(1), GroupId(2)]);
    assert_eq!(groups("2"), [GroupId(1)]);
}

#[test]
fn a_file_that_was_not_there_is_read_from_its_beginning_for_those_too_who_ask_by_a_glob() {
    let mut w = World::new(&[]);
    w.watch(vec![(GroupId(1), vec![w.path("james.log")]), (GroupId(2), vec![w.path("*.log")])]);
    assert_eq!(w.lines(), NOTHING);
    w.append("james.log", "1\n");
    assert_eq!(w.got().first().unwrap().groups, [GroupId(1), GroupId(2)]);
    w.remove("james.log");
    assert_eq!(w.pass(Duration::from_secs(3)), NOTHING);
    w.append("james.log", "2\n");
    let got = w.got();
    assert_eq!(got.first().unwrap().line, "2");
    assert_eq!(got.first().unwrap().groups, [GroupId(1), GroupId(2)]);
}

#[test]
fn what_is_watched_can_be_replaced_and_no_place_is_lost() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    w.watch(vec![]);
    w.append("james.log", "2\n");
    assert_eq!(w.lines(), NOTHING);
    assert_eq!(w.status().files, []);
    w.watch(vec![(GroupId(7), vec![w.path("*.log")])]);
    let got = w.got();
    assert_eq!(got.iter().map(|g| g.line.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(got.first().unwrap().groups, [GroupId(7)]);
}

#[test]
fn a_small_budget_is_shared_between_the_files() {
    let mut w = World::new(&["*.log"]);
    for name in ["a.log", "b.log"] {
        append(&w.path(name), &("x".repeat(99) + "\n").repeat(20_000));
    }
    let mut got = Vec::new();
    assert!(w.poll(&mut got, 1));
    assert!(w.poll(&mut got, 1));
    let first: std::collections::BTreeSet<_> = got.iter().map(|g| g.path.clone()).collect();
    assert_eq!(first.len(), 2, "both had a turn before either was done");
    while w.poll(&mut got, 1) {}
    assert_eq!(got.len(), 40_000);
}

#[test]
fn a_line_over_the_cap_is_counted_as_lost_also_over_a_restart() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", &format!("before\n{}", "x".repeat(100_000)));
    assert_eq!(w.lines(), ["before"]);
    assert_eq!(w.status().files.first().unwrap().lost, 100_000);
    w.restart();
    w.append("james.log", &format!("{}\nafter\n", "x".repeat(1_000_000)));
    assert_eq!(w.lines(), ["after"]);
    assert_eq!(w.status().files.first().unwrap().lost, 1_000_001);
}

#[test]
fn the_status_tells_place_and_lag() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\nunfinished");
    w.lines();
    let status = w.status();
    let file = status.files.first().unwrap();
    assert_eq!((file.offset, file.lag, file.lost), (2, 10, 0));
    assert_eq!(status.notice, None);
}

#[test]
fn without_inotify_files_are_polled_and_the_status_says_so() {
    let mut w = World::with(&["*.log"], FilesOptions { force_polling: true, ..FilesOptions::default() });
    assert!(w.files.wake_fd().is_none());
    assert!(w.status().notice.unwrap().contains("polled"));
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    w.append("james.log", "2\n");
    w.rename("james.log", "james.log.1");
    w.append("james.log", "3\n");
    w.now = w.now + Duration::from_millis(10);
    assert_eq!(w.lines(), ["2", "3"]);
}

#[test]
fn the_descriptor_becomes_readable_when_a_line_is_appended() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    w.lines();
    let ready = |w: &World| {
        let fd = w.files.wake_fd().unwrap();
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec::default())).unwrap() == 1
    };
    assert!(!ready(&w));
    w.append("james.log", "2\n");
    assert!(ready(&w));
    assert_eq!(w.lines(), ["2"]);
    assert!(!ready(&w));
}

#[test]
fn a_thousand_files_are_followed() {
    let mut w = World::new(&["*.log"]);
    for i in 0..1000 {
        w.append(&format!("{i}.log"), "1\n");
    }
    assert_eq!(w.lines().len(), 1000);
    for i in 0..1000 {
        w.append(&format!("{i}.log"), "2\n");
    }
    assert_eq!(w.lines().len(), 1000);
    w.restart();
    assert_eq!(w.lines(), NOTHING);
}

#[test]
fn of_places_that_nobody_follows_the_newest_are_kept_and_all_whose_lines_count() {
    let now = clock();
    let place = |minutes: u64| Checkpoint {
        path: format!("/gone/{minutes}.log").into(),
        at: format!("/gone/{minutes}.log").into(),
        device: 1,
        inode: minutes,
        offset: 1,
        size: 1,
        head: Mark::of(b"x"),
        tail: Mark::of(b"x"),
        inside: Inside::Lines,
        time: now - Duration::from_secs(minutes * 60),
    };
    let kept_of = |places: u64, horizon: u64, all: bool| {
        let options = FilesOptions { horizon: Duration::from_secs(horizon * 60), ..FilesOptions::default() };
        let mut files = Files::new((0..places).map(place).collect(), options);
        files.keep_all_places(all);
        files.poll(now, 1, &mut |_| {});
        let mut inodes: Vec<u64> = files.checkpoints().iter().map(|c| c.inode).collect();
        inodes.sort_unstable();
        inodes
    };
    let kept = |places, horizon| kept_of(places, horizon, false);
    assert_eq!(kept_of(1500, 0, true), Vec::from_iter(0..1500), "while a jail may be missing");
    assert_eq!(kept(1000, 10), Vec::from_iter(0..1000));
    assert_eq!(kept(1500, 10), Vec::from_iter(0..1000));
    // `findTime` and an hour.
    assert_eq!(kept(1500, 1140), Vec::from_iter(0..=1200));
}

#[test]
fn at_a_start_no_place_of_a_file_that_is_followed_is_forgotten() {
    let mut w = World::new(&["*.log"]);
    for n in 0..1200 {
        w.append(&format!("{n}.log"), "1\n");
    }
    assert_eq!(w.lines().len(), 1200);
    let places = w.stop();
    w.now = w.now + Duration::from_secs(7 * 24 * 3600);
    let later = std::time::UNIX_EPOCH + std::time::Duration::from_micros(w.now.as_micros().unsigned_abs());
    for n in 0..1200 {
        let name = format!("{n}.log");
        w.append(&name, "2\n");
        w.open(&name).set_modified(later).unwrap();
    }
    w.start(&places);
    let lines = w.lines();
    assert_eq!((lines.len(), lines.iter().filter(|line| *line == "2").count()), (1200, 1200));
}
