//! Regexes of the dialect, compiled and searched.

use proptest::prelude::*;

use super::*;

fn pattern(source: &str) -> Pattern {
    Pattern::compile(source, Origin::CutLine, false).unwrap_or_else(|e| panic!("{source}: {e:?}"))
}

fn refusal(source: &str) -> String {
    Pattern::compile(source, Origin::CutLine, false).unwrap_err().message
}

/// What the whole search says, and what captures alone say.
fn both_ways(source: &str, text: &str) -> [Option<String>; 2] {
    let pattern = pattern(source);
    let read = |pattern: &Pattern| match pattern.search(text, text.is_ascii()) {
        Search::Hit(found) => Some(
            found
                .address
                .map(|a| a.to_string())
                .or(found.ip.map(ToOwned::to_owned))
                .or(found.dns.map(|d| format!("name {d}")))
                .unwrap_or_default(),
        ),
        _ => None,
    };
    let fast = read(&pattern);
    [fast, read(&pattern.plain())]
}

#[test]
fn the_seeds_regexes_find_the_address() {
    let rejected =
        r"^.-.org.apache.james.AbstractValidRcptHandler.\[ip=<HOST>\].-.Rejected message. Unknown user.*$";
    let auth =
        r"^.-.org.apache.james.AuthCmdHandler.\[ip=\].-.AUTH method LOGIN failed from Username.*\@<HOST>$";
    for (source, text, address) in [
        (
            rejected,
            " - org.apache.james.AbstractValidRcptHandler [ip=45.129.14.30] - Rejected message. Unknown user: a@b",
            Some("45.129.14.30"),
        ),
        (
            rejected,
            " - org.apache.james.AbstractValidRcptHandler [ip=] - Rejected message. Unknown user: a@b",
            None,
        ),
        (
            rejected,
            " - org.apache.james.AbstractValidRcptHandler [ip=mx.b.de] - Rejected message. Unknown user: a@b",
            Some("name mx.b.de"),
        ),
        (
            auth,
            " - org.apache.james.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{x}@45.129.14.40",
            Some("45.129.14.40"),
        ),
        (
            auth,
            " - org.apache.james.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{x@8.8.8.8}@45.129.14.40",
            Some("45.129.14.40"),
        ),
        (
            auth,
            " - org.apache.james.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{x}@2001:db8:0:0:0:0:0:99",
            Some("2001:db8:0:0:0:0:0:99"),
        ),
        (
            auth,
            " - org.apache.james.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{é}@45.129.14.40",
            Some("45.129.14.40"),
        ),
        (
            auth,
            " - org.apache.james.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{x}@8.8.8.8 ",
            None,
        ),
    ] {
        let [fast, slow] = both_ways(source, text);
        let canonical = |s: Option<String>| s.map(|s| s.parse::<IpAddr>().map_or(s, |a| a.to_string()));
        let address = canonical(address.map(ToOwned::to_owned));
        assert_eq!(canonical(fast), address, "{text}");
        assert_eq!(canonical(slow), address, "{text}");
    }
    assert_eq!(
        pattern(rejected).span,
        Some(Span::FromStart(" - org.apache.james.AbstractValidRcptHandler [ip=".len()))
    );
    assert_eq!(pattern(auth).span, Some(Span::FromEnd(0)));
}

#[test]
fn an_address_next_to_anything_is_left_to_captures() {
    for source in
        ["^.*<HOST>$", r"user\S*<HOST> failed", "<HOST>.*failed$", "(?:from <HOST>|x)$", r"^\w+<HOST>\w$"]
    {
        assert_eq!(pattern(source).span, None, "{source}");
    }
    for (source, span) in [
        ("^from <HOST>$", Span::FromEnd(0)),
        ("^from <HOST>:25", Span::FromEnd(3)),
        ("^.* with remote address (?:\\S*/)?<ADDR>$", Span::FromEnd(0)),
        ("^Connection from <HOST> restricted by .*$", Span::FromStart(16)),
        (r"(?P<x>\[(?:<IP4>)\])$", Span::FromEnd(1)),
    ] {
        assert_eq!(pattern(source).span, Some(span), "{source}");
    }
}

#[test]
fn a_regex_that_is_one_text_matches_this_text_alone() {
    let source = r"^SMTP Authentication failed\.$";
    assert!(pattern(source).whole.is_some());
    for text in [
        "SMTP Authentication failed.",
        "SMTP Authentication failed.\n",
        " SMTP Authentication failed.",
        "é",
        "",
    ] {
        let [fast, slow] = both_ways(source, text);
        assert_eq!(fast, slow, "{text:?}");
    }
    assert_eq!(both_ways(source, "SMTP Authentication failed.")[0].as_deref(), Some(""));
    for source in [
        r"^failed",
        r"failed$",
        r"(?i)^failed$",
        r"^fail(?:ed)?$",
        r"^(?P<fid>x)$",
        r"^fail\d$",
        r"(?m)^failed$",
    ] {
        assert!(pattern(source).whole.is_none(), "{source}");
    }
}

#[test]
fn brackets_belong_to_the_tag() {
    for text in ["from [2001:db8::1] x", "from 2001:db8::1 x", "from ::ffff:1.2.3.4 x", "from [1.2.3.4] x"] {
        let [fast, slow] = both_ways(r"from <ADDR> x", text);
        let parsed = |s: Option<String>| s.map(|s| s.parse::<IpAddr>().unwrap().to_canonical());
        assert!(parsed(fast.clone()).is_some(), "{text}");
        assert_eq!(parsed(fast), parsed(slow), "{text}");
    }
}

#[test]
fn look_around_runs_bounded_behind_a_linear_gate() {
    let p = pattern(r"^(?!.*safe)login (?P<q>['\x22])\w+(?P=q) from <HOST>(?= port)");
    assert!(p.bounded());
    assert!(matches!(
        p.search("login 'x' from 1.2.3.4 port", true),
        Search::Hit(Found { ip: Some("1.2.3.4"), .. })
    ));
    assert_eq!(p.search("login 'x\" from 1.2.3.4 port", true), Search::Miss);
    assert_eq!(p.search("login 'x' from 1.2.3.4 port safe", true), Search::Miss);
    assert!(p.required().is_some(), "a literal stands before the engine");
}

#[test]
fn an_explosive_regex_gives_up_instead_of_hanging() {
    let p = pattern(r"^(?=x)(?:(x+)+)+\1y <HOST>$");
    let text = format!("{}{} y 1.2.3.4", "x".repeat(200), "z".repeat(3));
    assert!(matches!(p.search(&text, true), Search::GaveUp | Search::Miss));
    let linear = pattern(r"^(?:(?:x+)+)+y <HOST>$");
    assert!(!linear.bounded());
    assert_eq!(linear.search(&"x".repeat(60_000), true), Search::Miss);
}

#[test]
fn mistakes_name_their_place() {
    for (source, message) in [
        ("(abc", "unbalanced parenthesis at character 1 of the regex"),
        ("abc)", "unbalanced parenthesis at character 4 of the regex"),
        (r"<HOST> \q", r"unknown escape \q at character 8 of the regex"),
        ("<HOST> [a", "unclosed character class at character 8 of the regex"),
        ("é<HOST> *+(?q)", "unknown flag q at character 11 of the regex"),
        ("<F-USER>x <HOST>", "tag that is never closed at character 1 of the regex"),
        ("<HOST> and <HOST>", "two groups of one name (<HOST> and <ADDR> name the groups ip4, ip6, dns)"),
        ("<HOST> (?:(?:(?:a{1000}){1000}){1000})", "regex too large: its automaton needs more than 4 MiB"),
        ("  ", "empty regex"),
        ("*<HOST>", "repetition operator missing expression at character 1 of the regex"),
        ("<HOST>(?P<a-b>x)", "bad group name at character 7 of the regex"),
        ("(?x) <HOST>", "verbose mode (?x) at character 1 of the regex"),
    ] {
        assert_eq!(refusal(source), message, "{source}");
    }
    assert!(refusal(&"x".repeat(9000)).starts_with("regex of 9000 bytes"));
    assert!(refusal(&format!("{}<HOST>{}", "(".repeat(100), ")".repeat(100))).contains("nest"), "deep");
}

#[test]
fn a_regex_that_is_accepted_finds_what_it_says_in_any_text() {
    // A class of Unicode, repeated, is far larger read backwards than forwards.
    let (mut accepted, mut refused) = (0, 0);
    for repeated in [1, 10, 20, 40, 60, 100] {
        let source = format!(r"^\w{{{repeated}}}.* x <HOST>$");
        match Pattern::compile(&source, Origin::CutLine, false) {
            Err(error) => {
                assert_eq!(error.message, "regex too large: its automaton needs more than 4 MiB");
                assert!(error.fix.contains("[0-9A-Za-z_]"), "{}", error.fix);
                refused += 1;
            }
            Ok(pattern) => {
                for letter in ["a", "é"] {
                    let text = format!("{} x 192.0.2.1", letter.repeat(repeated));
                    let found = pattern.search(&text, text.is_ascii());
                    assert!(
                        matches!(found, Search::Hit(Found { ip: Some("192.0.2.1"), .. })),
                        "{source}: {text}"
                    );
                    assert_eq!(pattern.is_match(&text, text.is_ascii()), Some(true));
                }
                accepted += 1;
            }
        }
    }
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused");
    let ascii = pattern(r"^[0-9A-Za-z_]{100}.* x <HOST>$");
    let text = format!("{} é x 192.0.2.1", "a".repeat(100));
    assert!(matches!(ascii.search(&text, false), Search::Hit(_)));
}

#[test]
fn a_regex_without_an_engine_gives_up_aloud() {
    let broken = || Pattern {
        ascii: None,
        unicode: OnceLock::from(None),
        span: None,
        frame: None,
        ..pattern(r"^from <HOST>$")
    };
    assert_eq!(broken().search("from 192.0.2.1", true), Search::GaveUp);
    assert_eq!(broken().is_match("from 192.0.2.1", true), None);
    assert!(broken().search_span("from 192.0.2.1", true).is_err());
}

#[test]
fn pythons_dialect_means_the_same() {
    for (source, yes, no) in [
        (r"a{,3}b$", "aaab", "c"),
        (r"^a{b}{2}$", "a{b}}", "ab"),
        (r"^x{2,}\Z", "xxx", "x"),
        (r#"^\<\@\-\ \"\/\>$"#, r#"<@- "/>"#, "x"),
        (r"^user=(?i)BOB$", "USER=bob", "bobby"),
        (r"^a((?i)bc)$", "aBC", "ABC"),
        (r"^a(?:(?i)bc)$", "aBc", "Abc"),
        (r"^a(?-i:b)(?#remark)c$", "abc", "aBc"),
        (r"^\x41\102\0?$", "AB", "ab"),
        (r"^[^[]]$", "a]", "[]"),
        (r"^(?P<n>a)(?:x)?}$", "a}", "a"),
        (r"^]$", "]", "["),
        (r"^<unknown>$", "<unknown>", "unknown"),
        (r"^&~#$", "&~#", "&"),
    ] {
        let p = pattern(source);
        assert_eq!(p.is_match(yes, true), Some(true), "{source} must match {yes}");
        assert_eq!(p.is_match(no, true), Some(false), "{source} must not match {no}");
    }
}

#[test]
fn custom_tags_are_groups() {
    let p = pattern(
        r"^<F-NOFAIL>Accepted</F-NOFAIL> for <F-USER>\S+</F-USER> from <ADDR> <F-MLFID>\d+</F-MLFID>$",
    );
    let Search::Hit(found) = p.search("Accepted for bob from 192.0.2.1 77", true) else { panic!("no match") };
    assert!(found.no_failure);
    assert_eq!((found.ip, found.session), (Some("192.0.2.1"), Some("77")));
    let p = pattern(r"^<F-MLFGAINED>Accepted</F-MLFGAINED> from <ADDR>$");
    assert!(matches!(p.search("Accepted from 192.0.2.1", true), Search::Hit(Found { no_failure: true, .. })));
    assert!(pattern("^<F-ID/>$").groups().id);
    let subnet = pattern("^<SUBNET>$");
    assert!(matches!(
        subnet.search("[192.0.2.0/24]", true),
        Search::Hit(Found { ip: Some("192.0.2.0"), .. })
    ));
}

/// Regexes whose address is found by its span alone.
const SPANNED: [&str; 8] = [
    r"^from <HOST>$",
    r"^from <HOST>:25",
    r".*@<HOST>$",
    r"failed from .*@<ADDR>$",
    r"^.* with remote address (?:\S*/)?<HOST>$",
    r"^Connection from <HOST> restricted",
    r"\[ip=<HOST>\] - .*",
    r"^(?:a|bc)?\[<ADDR>\]?$",
];

/// Text that comes close to what they look for.
fn near() -> impl Strategy<Value = String> {
    let pieces = vec![
        "from ",
        "failed from ",
        "@",
        " with remote address ",
        "Connection from ",
        " restricted",
        "[ip=",
        "] - ",
        "[",
        "]",
        "/",
        ":",
        ":25",
        "192.0.2.1",
        "8.8.8.8",
        "999.1.1.1",
        "1.2.3.4.5",
        "2001:db8::1",
        "::ffff:",
        "::ffffff:1.2.3.4",
        "mx.example.org",
        "-",
        "_",
        ".",
        "^",
        " ",
        "x",
        "a",
        "bc",
        "\t",
    ];
    prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_span_of_an_address_is_what_captures_say(text in near()) {
        for source in SPANNED {
            let [fast, slow] = both_ways(source, &text);
            let canonical = |s: Option<String>| s.map(|s| s.parse::<IpAddr>().map_or(s, |a| a.to_canonical().to_string()));
            prop_assert_eq!(canonical(fast), canonical(slow), "{} on {:?}", source, text);
        }
    }

    #[test]
    fn the_linear_test_before_a_bounded_regex_lets_everything_through_that_matches(text in near()) {
        for source in [r"^(?!x)from <HOST>(?:$| )", r"(?P<a>[.:])\d(?P=a).*<ADDR>", r"(?<=@)<HOST>(?=$)", r"(\[)?<ADDR>(?(1)\])$"] {
            let p = pattern(source);
            let engine = p.backtracking.as_ref().unwrap();
            if engine.is_match(&text).unwrap_or(false) {
                prop_assert!(p.linear(true).unwrap().is_match(text.as_str()), "{} on {:?}", source, text);
            }
        }
    }

    #[test]
    fn no_text_of_a_regex_makes_compiling_panic(source in "[<HOSTADR>/F-ID()\\[\\]{}?*+|.,:=!PQ0-9a-z\\\\^$é-]{0,40}") {
        let _ = Pattern::compile(&source, Origin::CutLine, false);
    }
}
