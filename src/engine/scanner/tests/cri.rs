//! Lines in a container's envelope, whole and in pieces.

use super::*;

fn sshd() -> Scanner {
    scanner(&[text(&["^login failed from <HOST> .*end$"])], &LayoutSpec::Text, Envelope::Cri)
}

fn record(stream: &str, tag: &str, content: &str) -> String {
    format!("2026-08-22T06:44:35.815123456Z {stream} {tag} {content}\n")
}

#[test]
fn a_line_in_two_pieces_counts_once_whole() {
    let block = record("stdout", "P", "login failed fr") + &record("stdout", "F", "om 192.0.2.1 and the end");
    assert_eq!(addresses(&sshd(), block), ["192.0.2.1"]);
}

#[test]
fn pieces_of_two_streams_do_not_mix() {
    let block = record("stdout", "P", "login failed fr")
        + &record("stderr", "P", "login failed from 192.0.2.2 ")
        + &record("stdout", "F", "om 192.0.2.1 end")
        + &record("stderr", "F", "end")
        + &record("stderr", "F", "login failed from 192.0.2.3 end");
    assert_eq!(addresses(&sshd(), block), ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
}

#[test]
fn a_piece_waits_for_the_next_block() {
    let (scanner, mut state, mut found) = (sshd(), ScanState::default(), Vec::new());
    for block in [
        record("stdout", "F", "x") + &record("stdout", "P", "login failed from 192."),
        record("stderr", "F", "other") + &record("stdout", "P", "0.2."),
        record("stdout", "F", "1 end"),
    ] {
        scanner.scan(&mut state, block.as_bytes(), clock(), &mut |m| found.push(m.address.to_string()));
    }
    assert_eq!(found, ["192.0.2.1"]);
}

#[test]
fn a_line_of_pieces_that_grows_too_long_is_dropped_whole_and_the_next_is_read() {
    let long = "x".repeat(16_000);
    let mut block = record("stdout", "P", "login failed from 192.0.2.1 ");
    for _ in 0..5 {
        block += &record("stdout", "P", &long);
    }
    block += &record("stdout", "F", "end");
    block += &record("stdout", "F", "login failed from 192.0.2.2 end");
    let (found, stats) = scan(&sshd(), block);
    assert_eq!(found.iter().map(|m| m.address.to_string()).collect::<Vec<_>>(), ["192.0.2.2"]);
    assert_eq!(stats.too_long, 1);
}

#[test]
fn what_is_not_in_an_envelope_accuses_nobody() {
    assert!(addresses(&sshd(), "login failed from 192.0.2.1 end\n").is_empty());
    assert!(addresses(&sshd(), "2026-08-22T06:44:35Z stdout X login failed from 192.0.2.1 end\n").is_empty());
}
