//! Scanning in blocks says what judging each line says, however the blocks are cut.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::workload::{Dress, lines};
use super::*;
use crate::engine::layout::strip_ansi;

fn filters() -> Vec<FilterSpec> {
    let folded =
        text(&["(?i)^authentication FAILURE of .* from <HOST>$", r"^\S+ refused <ADDR>(?: again)?$"]);
    vec![logins(), seed(), folded]
}

/// So many literals that another search is made for them.
fn many_filters() -> Vec<FilterSpec> {
    let regexes: Vec<String> =
        (0..40).map(|i| format!("^Mechanism X{i} refused for .* by <HOST>$")).collect();
    let many = text(&regexes.iter().map(String::as_str).collect::<Vec<_>>());
    filters().into_iter().chain([many]).collect()
}

/// By envelope and by layout, one of them with many literals.
static SCANNERS: LazyLock<[[Scanner; 2]; 2]> = LazyLock::new(|| {
    [Envelope::None, Envelope::Cri].map(|envelope| {
        [(LayoutSpec::JamesDefault, filters()), (LayoutSpec::Auto, many_filters())]
            .map(|(layout, filters)| scanner(&filters, &layout, envelope))
    })
});

/// Pieces that, put together at random, come close to what the filters look for.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"16:45:34.154 [INFO ] ",
        b"2026-11-22 16:45:34.154 +0000 - ",
        b"16:45:34.154 \x1b[34m[INFO ]\x1b[0;39m ",
        b"o.a.j.p.s.AUTHENTICATION - ",
        b"AUTH method PLAIN failed from Username{",
        b"AUTH met",
        b"hod PLAIN failed from Username{x}@",
        b"org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username",
        b"Authentication failure of bob from ",
        b"x refused ",
        b"Mechanism X7 refused for bob by ",
        b"Mechanism X3",
        b"1 refused for x by ",
        b"}@",
        b"192.0.2.1",
        b"8.8.8.8",
        b"mx.example.org",
        b"\x1b[0m",
        b"\x1b[31",
        b"\r",
        b"\0",
        b"\xff",
        "é".as_bytes(),
        b" ",
        b"\n",
        b"\n",
        b"{\"timestamp\":\"2026-11-22T16:45:34.154Z\",\"level\":\"INFO\",\"mdc\":{\"ip\":\"192.0.2.7\"},\"logger\":\"org.apache.james.util.AuditTrail\",\"message\":\"SMTP Authentication failed.\"}\n",
        b"16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@192.0.2.3\n",
        b"2026-11-22T16:45:34.154Z stdout F ",
        b"2026-11-22T16:45:34.154Z stdout P ",
        b"2026-11-22T16:45:34.154Z stderr P ",
    ];
    prop::sample::select(pieces).prop_map(<[u8]>::to_vec)
}

fn block() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(piece(), 0..60).prop_map(|pieces| {
        let mut block = pieces.concat();
        block.push(b'\n');
        block
    })
}

/// Matches without the numbers of their lines, which depend on what is scanned together.
fn unnumbered(matches: impl IntoIterator<Item = Match>) -> Vec<Match> {
    matches.into_iter().map(|m| Match { line: 0, ..m }).collect()
}

fn whole(scanner: &Scanner, block: &[u8]) -> Vec<Match> {
    unnumbered(scan(scanner, block).0)
}

fn explained(scanner: &Scanner, block: &[u8]) -> Vec<Match> {
    let mut state = ScanState::default();
    let lines = block.split_inclusive(|b| *b == b'\n');
    let said = lines.flat_map(|line| scanner.explain(&mut state, line, clock()).filters);
    unnumbered(said.filter_map(|filter| filter.matched))
}

fn cut_at(scanner: &Scanner, block: &[u8], cuts: &[usize]) -> Vec<Match> {
    let (mut state, mut found) = (ScanState::default(), Vec::new());
    let lines: Vec<&[u8]> = block.split_inclusive(|b| *b == b'\n').collect();
    let mut rest = lines.as_slice();
    for cut in cuts.iter().chain([&usize::MAX]) {
        let (now, later) = rest.split_at((*cut).min(rest.len()));
        scanner.scan(&mut state, &now.concat(), clock(), &mut |m| found.push(m));
        rest = later;
    }
    unnumbered(found)
}

proptest! {
    #[test]
    fn a_block_says_what_its_lines_say(block in block(), cri: bool, auto: bool, cuts in prop::collection::vec(0usize..5, 0..8)) {
        let scanner = &SCANNERS[usize::from(cri)][usize::from(auto)];
        let found = whole(scanner, &block);
        prop_assert_eq!(&found, &explained(scanner, &block));
        prop_assert_eq!(&found, &cut_at(scanner, &block, &cuts));
    }

    #[test]
    fn colours_are_taken_out_as_layouts_take_them_out(text in "(\\x1b\\[?[0-9;]{0,3}m?|[a-z\\x1b]|é){0,20}") {
        let mut buffer = String::new();
        let plain = strip_ansi(&text);
        prop_assert_eq!(super::super::without_colours(&text, &mut buffer), plain.as_ref());
    }

    #[test]
    fn any_bytes_are_harmless(block in prop::collection::vec(any::<u8>(), 0..400)) {
        let scanner = &SCANNERS[0][1];
        prop_assert_eq!(whole(scanner, &block), explained(scanner, &block));
    }
}

#[test]
fn two_filters_that_match_one_line_name_the_same_line_and_lines_differ() {
    let twice = [text(&["^refused <ADDR>$"]), text(&["refused <ADDR>"])];
    let scanner = scanner(&twice, &LayoutSpec::Text, Envelope::None);
    let found = scan(&scanner, b"refused 192.0.2.1\nother\nrefused 192.0.2.1\n").0;
    let [a, b, c, d] = found.as_slice() else { panic!("{found:?}") };
    assert!(a.line == b.line && c.line == d.line && b.line != c.line, "{found:?}");
}

#[test]
fn a_thousand_ordinary_lines_agree_too() {
    for dress in [Dress::Default, Dress::Json, Dress::Seed] {
        let block = lines(dress, 1000, 7, 10);
        let scanner = scanner(&filters(), &LayoutSpec::Auto, Envelope::None);
        let found = whole(&scanner, block.as_bytes());
        assert_eq!(found, explained(&scanner, block.as_bytes()));
        assert_eq!(found, cut_at(&scanner, block.as_bytes(), &[1, 2, 300, 5]));
        assert_eq!(found.len(), 143, "{dress:?}");
    }
}
