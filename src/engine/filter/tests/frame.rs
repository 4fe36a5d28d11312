//! Frames against the automaton.

use proptest::prelude::*;

use super::super::needle::Origin;
use super::super::pattern::{Pattern, Search};
use super::*;

fn frame(source: &str) -> Option<Frame> {
    let hir = regex_of(source);
    Frame::of(&hir, Span::of(&hir)?)
}

fn regex_of(source: &str) -> Hir {
    let translated = super::super::dialect::translate(source, false).unwrap();
    super::super::engines::reparse(&translated.relaxed.text, false).unwrap()
}

const FRAMES: [&str; 9] = [
    "^a.b.@<HOST>$",
    "^a.*b@<HOST>$",
    "^ab(?s:.*)@<ADDR>$",
    "abc.*@<HOST>$",
    "^.-.ab.*@<ADDR> x$",
    r"^a.\[ip=<HOST>\].b.*$",
    "^a @<ADDR> b",
    "^a @<ADDR> b$",
    "^a @<SUBNET>,(?s:.*)$",
];

#[test]
fn the_usual_rules_are_frames() {
    for source in [
        "^AUTH method PLAIN failed from (?s:.*)@<ADDR>$",
        r"^.-.org.apache.james.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from Username.*\@<HOST>$",
        r"^.-.org.apache.james.AbstractValidRcptHandler.\[ip=<HOST>\].-.Rejected message. Unknown user.*$",
        r"AuthCmdHandler \[ip=\] - AUTH method LOGIN failed from Username.*@<HOST>$",
    ] {
        assert!(frame(source).is_some(), "{source}");
    }
}

#[test]
fn what_a_few_comparisons_cannot_decide_is_none() {
    for source in [
        "^a.*b.*@<HOST>$",
        "a.*@<HOST>",
        "^a.*@<IP6>$",
        "^a.*@<DNS>$",
        r"^a.*@(?:\S*/)?<HOST>$",
        r"^a\S{1,20}@<HOST>$",
        "[ab]c.*@<HOST>$",
    ] {
        assert!(frame(source).is_none(), "{source}");
    }
}

fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("ab".to_owned()),
        Just("a b".to_owned()),
        Just("a @".to_owned()),
        Just(" - ".to_owned()),
        Just("@".to_owned()),
        Just("[ip=".to_owned()),
        Just("] b".to_owned()),
        Just(" b".to_owned()),
        Just(" x".to_owned()),
        Just("1.2.3.4".to_owned()),
        Just("203.0.113.7".to_owned()),
        Just("2001:db8::1".to_owned()),
        Just("::ffff:1.2.3.4".to_owned()),
        "[abc@\\[\\]., \n]{0,3}",
        "[0-9.]{1,9}",
    ];
    let line = prop::collection::vec(part, 0..7).prop_map(|parts| parts.concat());
    let close = (0..FRAMES.len(), "[a-c@ \n]{0,4}", "1\\.2\\.3\\.[0-9]{1,3}|::1|x\\.y|\\[1\\.2\\.3\\.4\\]")
        .prop_map(|(n, free, who)| {
            let free = free.as_str();
            match n {
                0 => format!("a b {free}@{who}"),
                1 => format!("a{free}b@{who}"),
                2 => format!("ab{free}@{who}"),
                3 => format!("{free}abc{free}@{who}"),
                4 => format!(" - ab{free}@{who} x"),
                5 => format!("a [ip={who}] b{free}"),
                6 => format!("a @{who} b{free}"),
                7 => format!("a @{who} b"),
                _ => format!("a @{who},{free}"),
            }
        });
    prop_oneof![line, close]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_frame_says_what_the_automaton_says_or_nothing(text in text()) {
        for source in FRAMES {
            let Some(frame) = frame(source) else { continue };
            let pattern = Pattern::compile(source, Origin::CutLine, false).unwrap().plain();
            let slow = match pattern.search(&text, true) {
                Search::Hit(found) => found.ip.map(ToOwned::to_owned),
                _ => None,
            };
            match frame.read(&text) {
                Framed::Hit(found) => {
                    prop_assert_eq!(found.address.map(|a| a.to_string()), slow, "{} on {:?}", source, text);
                }
                Framed::Miss => prop_assert_eq!(None, slow, "{} on {:?}", source, text),
                Framed::Unsure => {}
            }
        }
    }
}
