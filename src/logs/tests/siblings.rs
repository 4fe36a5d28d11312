//! Rotated files and archives: which of them are read, in which order, and that none is read twice.

use std::fs::{self, File};
use std::time::SystemTime;

use super::world::{World, append, as_lines, clock, numbered};
use crate::engine::Duration;
use crate::logs::FilesOptions;

const NOTHING: [&str; 0] = [];

#[test]
fn a_copy_that_is_still_being_made_is_not_read() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", &numbered(0..100));
    w.lines();
    append(&w.path("james.log.1"), &numbered(0..50));
    assert_eq!(w.pass(Duration::from_secs(5)), NOTHING);
    append(&w.path("james.log.1"), &numbered(50..100));
    assert_eq!(w.pass(Duration::from_secs(5)), NOTHING);
    File::create(w.path("james.log")).unwrap();
    assert_eq!(w.pass(Duration::from_secs(20)), NOTHING);
}

#[test]
fn files_rotated_and_compressed_while_stopped_are_read_oldest_first() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", &numbered(0..10));
    assert_eq!(w.lines().len(), 10);
    let saved = w.stop();
    w.append("james.log", &numbered(10..20));
    w.rename("james.log", "james.log.2");
    w.gzip("james.log.2");
    w.append("james.log.1", &numbered(20..30));
    w.append("james.log", &numbered(30..40));
    w.start(&saved);
    assert_eq!(w.lines(), as_lines(&numbered(10..40)));
    w.gzip("james.log.1");
    assert_eq!(w.pass(Duration::from_secs(15)), NOTHING);
}

#[test]
fn a_rotated_file_that_was_read_is_not_read_again_when_it_is_compressed() {
    for stopped in [false, true] {
        let mut w = World::new(&["james.log"]);
        w.append("james.log", &numbered(0..100));
        w.lines();
        w.rename("james.log", "james.log.1");
        w.append("james.log", "new\n");
        assert_eq!(w.lines(), ["new"]);
        let saved = w.files.checkpoints();
        w.gzip("james.log.1");
        w.rename("james.log.1.gz", "james.log.2.gz");
        if stopped {
            w.start(&saved);
        }
        assert_eq!(w.pass(Duration::from_secs(30)), NOTHING, "stopped: {stopped}");
    }
}

#[test]
fn rotated_files_are_read_at_first_sight_when_they_are_young_enough() {
    let mut w = World::new(&["0.log"]);
    w.append("0.log.20060102-150405", "old\n");
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options()
        .write(true)
        .open(w.path("0.log.20060102-150405"))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    w.append("0.log.20060102-160405", "1\n");
    w.gzip("0.log.20060102-160405");
    w.append("0.log.20060102-170405", "2\n");
    w.append("0.log", "3\n");
    assert_eq!(w.lines(), ["1", "2", "3"]);
}

#[test]
fn a_file_last_written_before_the_horizon_is_read_from_its_end() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "old\nunfinished");
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    File::options().write(true).open(w.path("james.log")).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(w.lines(), NOTHING);
    w.append("james.log", " line\nnew\n");
    assert_eq!(w.lines(), ["unfinished line", "new"]);
}

#[test]
fn an_archive_that_is_still_being_written_is_read_to_its_end_later() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "now\n");
    w.append("james.log.1", &numbered(0..5000));
    w.gzip("james.log.1");
    let whole = fs::read(w.path("james.log.1.gz")).unwrap();
    let (half, _) = whole.split_at(whole.len() / 2);
    fs::write(w.path("james.log.1.gz"), half).unwrap();
    let mut lines = w.lines();
    assert_eq!(lines.pop().as_deref(), Some("now"));
    assert!(lines.len() < 5000);
    fs::write(w.path("james.log.1.gz"), &whole).unwrap();
    lines.extend(w.pass(Duration::from_secs(15)));
    let expected = as_lines(&numbered(0..5000));
    assert_eq!(lines.iter().zip(&expected).position(|(a, b)| a != b), None);
    assert_eq!(lines.len(), 5000);
}

#[test]
fn two_rotations_between_two_looks_lose_nothing() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    w.lines();
    for n in 2..6 {
        w.append("james.log", &format!("{n}\n"));
        for i in (1..n).rev().filter(|i| w.path(&format!("james.log.{i}")).exists()) {
            w.rename(&format!("james.log.{i}"), &format!("james.log.{}", i + 1));
        }
        w.rename("james.log", "james.log.1");
    }
    w.append("james.log", "6\n");
    assert_eq!(w.lines(), ["2", "3", "4", "5", "6"]);
}

#[test]
fn a_name_with_the_date_before_the_extension_is_the_file_that_was_renamed() {
    let mut w = World::new(&["james*.log*"]);
    w.append("james.log", "1\n");
    assert_eq!(w.lines(), ["1"]);
    w.rename("james.log", "james-2026-01-01.log");
    w.append("james.log", "2\n");
    assert_eq!(w.lines(), ["2"]);
    w.restart();
    assert_eq!(w.lines(), NOTHING);
    w.gzip("james-2026-01-01.log");
    assert_eq!(w.pass(Duration::from_secs(15)), NOTHING);
    w.restart();
    assert_eq!(w.lines(), NOTHING);
}

#[test]
fn more_rotated_files_than_are_remembered_are_not_read_again() {
    let mut w = World::with(&["james.log"], FilesOptions { remembered: 20, ..FilesOptions::default() });
    for n in 0..50 {
        w.now = clock();
        w.append("james.log", &format!("{n}\n"));
        assert_eq!(w.lines(), [n.to_string()]);
        w.rename("james.log", &format!("james.log.20260102-{n:06}"));
    }
    w.pass(Duration::from_secs(30));
    assert!(w.files.checkpoints().len() < 30);
    w.restart();
    assert_eq!(w.pass(Duration::from_secs(12)), NOTHING);
}

#[test]
fn a_clock_that_steps_back_does_not_make_rotated_files_new() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "1\n");
    w.lines();
    w.rename("james.log", "james.log.1");
    w.append("james.log", "2\n");
    assert_eq!(w.lines(), ["2"]);
    let before = w.now;
    w.pass(Duration::from_secs(20));
    w.now = before + Duration::from_secs(100_000);
    w.pass(Duration::from_secs(20));
    w.now = before;
    assert_eq!(w.pass(Duration::from_secs(20)), NOTHING);
    w.append("james.log", "3\n");
    assert_eq!(w.lines(), ["3"]);
}
