//! Rotation of every kind, while running and while stopped: every line once and in order.

use super::world::{World, as_lines, numbered};

#[test]
fn lines_written_before_the_start_and_while_stopped_are_read_once() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "before\n");
    assert_eq!(w.lines(), ["before"]);
    let saved = w.stop();
    w.append("james.log", "while stopped\n");
    w.start(saved);
    assert_eq!(w.lines(), ["while stopped"]);
    assert_eq!(w.lines(), Vec::<String>::new());
}

#[test]
fn a_line_in_two_pieces_counts_once() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", "login failed from 203.");
    assert_eq!(w.lines(), Vec::<String>::new());
    w.restart();
    assert_eq!(w.lines(), Vec::<String>::new());
    w.append("james.log", "0.113.7\nnext\n");
    assert_eq!(w.lines(), ["login failed from 203.0.113.7", "next"]);
}

#[test]
fn late_lines_into_the_renamed_file_are_read() {
    let mut w = World::new(&["james.log"]);
    let mut writer = w.open("james.log");
    use std::io::Write;
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
fn copytruncate_loses_nothing_that_was_copied() {
    let mut w = World::new(&["james.log"]);
    w.append("james.log", &numbered(0..100));
    assert_eq!(w.lines(), as_lines(&numbered(0..100)));
    w.append("james.log", &numbered(100..200));
    std::fs::copy(w.path("james.log"), w.path("james.log.1")).unwrap();
    std::fs::File::options().write(true).open(w.path("james.log")).unwrap().set_len(0).unwrap();
    w.append("james.log", &numbered(200..210));
    assert_eq!(w.lines(), as_lines(&numbered(100..210)));
}
