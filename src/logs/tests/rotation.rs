//! Rotation of every kind, while running and while stopped: every line once and in order.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;

use super::world::{World, as_lines, numbered};
use crate::engine::Duration;
use crate::logs::body::Body;
use crate::logs::stream::{Past, Stream};
use crate::logs::{FileId, FileState};

const NOTHING: [&str; 0] = [];

fn copytruncate(w: &World, from: &str, to: &str) {
    fs::copy(w.path(from), w.path(to)).unwrap();
    File::options().write(true).open(w.path(from)).unwrap().set_len(0).unwrap();
}

#[test]
fn lines_written_before_the_start_and_while_stopped_are_read_once() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "before\n");
    assert_eq!(w.lines(), ["before"]);
    let saved = w.stop();
    w.append("james.log", "while stopped\n");
    w.start(&saved);
    assert_eq!(w.lines(), ["while stopped"]);
    assert_eq!(w.lines(), NOTHING);
}

#[test]
fn a_file_that_is_rotated_away_while_it_is_opened_goes_on_where_it_was_left() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "first\n");
    assert_eq!(w.lines(), ["first"]);
    let mut stream = Stream::new(FileId(1), w.path("james.log"));
    stream.past = w.stop().into_iter().map(Past::of).collect();
    let (body, stat) = Body::open(&stream.path).unwrap();
    w.rename("james.log", "james.log.1");
    w.append("james.log", "second\n");
    let segment = stream.resume(&body, &stat, &w.path("james.log"), &mut Vec::new()).unwrap();
    assert_eq!(segment.unwrap().offset, 6);
}

#[test]
fn one_failure_a_restart_and_one_failure_are_two() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "first\n");
    assert_eq!(w.lines(), ["first"]);
    w.restart();
    w.append("james.log", "second\n");
    assert_eq!(w.lines(), ["second"]);
}

#[test]
fn what_was_not_saved_is_read_again() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    let saved = w.files.checkpoints();
    w.append("james.log", "2\n");
    assert_eq!(w.lines(), ["2"]);
    w.start(&saved);
    assert_eq!(w.lines(), ["2"]);
}

#[test]
fn a_line_in_two_pieces_counts_once() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "login failed from 203.");
    assert_eq!(w.lines(), NOTHING);
    w.restart();
    assert_eq!(w.lines(), NOTHING);
    w.append("james.log", "0.113.7\nnext\n");
    assert_eq!(w.lines(), ["login failed from 203.0.113.7", "next"]);
}

#[test]
fn late_lines_into_the_renamed_file_are_read() {
    let mut w = World::new(&["james.log"]);
    let mut writer = w.open("james.log");
    writer.write_all(b"1\n").unwrap();
    assert_eq!(w.lines(), ["1"]);
    w.rename("james.log", "james.log.1");
    writer.write_all(b"2\n").unwrap();
    assert_eq!(w.lines(), ["2"]);
    w.append("james.log", "4\n");
    writer.write_all(b"3\n").unwrap();
    assert_eq!(w.lines(), ["3", "4"]);
    writer.write_all(b"5\n").unwrap();
    assert_eq!(w.lines(), ["5"]);
}

#[test]
fn late_lines_are_still_found_after_the_old_file_was_closed() {
    let mut w = World::new(&["james.log"]);
    let mut writer = w.open("james.log");
    writer.write_all(b"1\n").unwrap();
    w.lines();
    w.rename("james.log", "james.log.1");
    w.append("james.log", "2\n");
    assert_eq!(w.pass(Duration::from_secs(30)), ["2"]);
    writer.write_all(b"3\n").unwrap();
    assert_eq!(w.pass(Duration::from_secs(2)), ["3"]);
    assert_eq!(w.pass(Duration::from_secs(30)), NOTHING);
}

#[test]
fn copytruncate_loses_nothing_that_was_copied() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", &numbered(0..100));
    assert_eq!(w.lines(), as_lines(&numbered(0..100)));
    w.append("james.log", &numbered(100..200));
    copytruncate(&w, "james.log", "james.log.1");
    w.append("james.log", &numbered(200..210));
    assert_eq!(w.lines(), as_lines(&numbered(100..210)));
}

#[test]
fn copytruncate_with_the_same_size_written_again_at_once_is_noticed() {
    for stopped in [false, true] {
        let line = |n: u32| format!("12:00:{n:02} login failed from 203.0.113.7 {}\n", "x".repeat(1500));
        let mut w = World::new(&["james.log"]);
        w.append("james.log", &(line(1) + &line(2)));
        assert_eq!(w.lines().len(), 2);
        let saved = w.files.checkpoints();
        copytruncate(&w, "james.log", "james.log.1");
        w.append("james.log", &(line(3) + &line(4)));
        if stopped {
            w.start(&saved);
        }
        assert_eq!(w.lines(), as_lines(&(line(3) + &line(4))), "stopped: {stopped}");
    }
}

#[test]
fn a_writer_that_does_not_append_leaves_a_hole_and_loses_no_line() {
    let mut w = World::new(&["james.log"]);
    let mut writer = File::create(w.path("james.log")).unwrap();
    writer.write_all(numbered(0..2000).as_bytes()).unwrap();
    assert_eq!(w.lines().len(), 2000);
    copytruncate(&w, "james.log", "james.log.1");
    writer.write_all(b"after the hole\n").unwrap();
    assert_eq!(w.lines(), ["after the hole"]);
}

#[test]
fn a_log_that_is_deleted_and_recreated_goes_on() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    for n in 2..6 {
        w.remove("james.log");
        w.append("james.log", &format!("{n}\n"));
        assert_eq!(w.lines(), [n.to_string()]);
    }
    w.remove("james.log");
    assert_eq!(w.lines(), NOTHING);
    assert_eq!(w.state("james.log"), FileState::Missing);
    w.append("james.log", "back\n");
    assert_eq!(w.lines(), ["back"]);
}

#[test]
fn what_was_written_just_before_a_deletion_is_read() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    w.lines();
    w.append("james.log", "2\n");
    w.remove("james.log");
    w.append("james.log", "3\n");
    assert_eq!(w.lines(), ["2", "3"]);
}

#[test]
fn a_deleted_file_does_not_stay_open() {
    let mut w = World::new(&["james.log"]);
    let writer = w.open("james.log");
    w.append("james.log", "1\n");
    w.lines();
    w.remove("james.log");
    w.pass(Duration::from_secs(15));
    let held = fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|fd| {
        fs::read_link(fd.path())
            .is_ok_and(|target| target.to_string_lossy().contains(&*w.path("james.log").to_string_lossy()))
    });
    assert_eq!(held.count(), 1, "the writer's own");
    drop(writer);
}

#[test]
fn a_symlink_that_is_set_to_another_file_is_followed_there() {
    for stopped in [false, true] {
        let mut w = World::new(&["current"]);
        w.append("app-a.txt", "a1\n");
        symlink("app-a.txt", w.path("current")).unwrap();
        assert_eq!(w.lines(), ["a1"]);
        let saved = w.files.checkpoints();
        w.append("app-a.txt", "a2\n");
        w.append("app-b.txt", "b1\n");
        symlink("app-b.txt", w.path("new")).unwrap();
        w.rename("new", "current");
        if stopped {
            w.start(&saved);
        }
        assert_eq!(w.lines(), ["a2", "b1"], "stopped: {stopped}");
        w.append("app-b.txt", "b2\n");
        assert_eq!(w.lines(), ["b2"]);
    }
}

#[test]
fn the_target_of_a_symlink_is_rotated_in_its_own_directory() {
    let mut w = World::new(&["link/0.log"]);
    for dir in ["link", "real"] {
        fs::create_dir(w.path(dir)).unwrap();
    }
    w.append("real/x-json.log", "1\n");
    symlink("../real/x-json.log", w.path("link/0.log")).unwrap();
    assert_eq!(w.lines(), ["1"]);
    w.append("real/x-json.log", "2\n");
    w.rename("real/x-json.log", "real/x-json.log.1");
    w.append("real/x-json.log", "3\n");
    assert_eq!(w.lines(), ["2", "3"]);
    let saved = w.stop();
    w.append("real/x-json.log", "4\n");
    w.rename("real/x-json.log.1", "real/x-json.log.2");
    w.rename("real/x-json.log", "real/x-json.log.1");
    w.append("real/x-json.log", "5\n");
    w.start(&saved);
    assert_eq!(w.lines(), ["4", "5"]);
}

#[test]
fn lines_are_live_only_when_appended_under_the_readers_eyes() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "old\n");
    assert!(!w.got().first().unwrap().live);
    w.append("james.log", "new\n");
    assert!(w.got().first().unwrap().live);
    w.restart();
    w.append("james.log", "while starting\n");
    assert!(!w.got().first().unwrap().live);
}

#[test]
fn the_stream_stays_the_same_over_rotation() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    let before = w.got().remove(0);
    w.rename("james.log", "james.log.1");
    w.append("james.log", "2\n");
    let after = w.got().remove(0);
    assert_eq!((before.file, before.path), (after.file, after.path));
}
