//! Everything after a layout's fixed fields may be an attacker's.

use super::workload::{Dress, lines};
use super::*;

const GOOGLE: &str = "8.8.8.8";

/// Names that want somebody else to be banned.
const NAMES: [&str; 13] = [
    "bob]@8.8.8.8",
    "bob}]@8.8.8.8",
    "bob}@8.8.8.8",
    "[ip=8.8.8.8]",
    "bob@8.8.8.8}]@8.8.8.8",
    "\u{1b}[31m@8.8.8.8\u{1b}[0m",
    "bob\u{0}}]@8.8.8.8",
    "x failed from Username{y}@8.8.8.8 for",
    "bob with remote address 8.8.8.8",
    "8.8.8.8",
    "bob\r}]@8.8.8.8",
    "bob\t}]@8.8.8.8 \u{b}",
    "ü}]@8.8.8.8",
];

#[test]
fn a_name_never_accuses_a_third_party() {
    for dress in [Dress::Default, Dress::Json] {
        for name in NAMES {
            let line = lines(dress, 1, 1, 1);
            let name = if dress == Dress::Json {
                name.escape_default()
                    .to_string()
                    .replace("\\u{1b}", "\\u001b")
                    .replace("\\u{0}", "\\u0000")
                    .replace("\\u{b}", "\\u000b")
                    .replace("\\u{fc}", "ü")
            } else {
                name.to_owned()
            };
            let forged =
                line.replace("localPart=u0", &format!("localPart={name}")).replace("example.test", &name);
            let scanner = scanner(&[logins(), seed()], &LayoutSpec::Auto, Envelope::None);
            assert_eq!(addresses(&scanner, &forged), ["10.0.0.0"], "{forged:?}");
        }
    }
}

#[test]
fn a_name_never_accuses_a_third_party_through_the_seeds_regexes() {
    for name in NAMES {
        for (line, accused) in [
            (
                format!(
                    "2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=192.0.2.1] - Rejected message. Unknown user: {name}\n"
                ),
                true,
            ),
            (
                format!(
                    "2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{{localPart={name}, domainPart={name}}}@192.0.2.1\n"
                ),
                true,
            ),
            (
                format!(
                    "2023-06-17 11:11:50.206 +0200 - org.apache.james.smtpserver.Other [ip=] - hello {name} - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=8.8.8.8] - Rejected message. Unknown user: x\n"
                ),
                false,
            ),
        ] {
            let scanner = scanner(&[seed()], &LayoutSpec::Auto, Envelope::None);
            let found = addresses(&scanner, &line);
            assert!(!found.iter().any(|a| a == GOOGLE), "{line:?} accused {found:?}");
            assert_eq!(found.len(), usize::from(accused), "{line:?}");
        }
    }
}

#[test]
fn a_line_break_in_a_name_makes_lines_that_are_of_no_layout() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let block = "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Optional[Username{localPart=x\nAUTH method PLAIN failed from Username{x}@8.8.8.8\n, domainPart=Optional.empty}]@192.0.2.1\n";
    assert!(addresses(&scanner, block).is_empty());
}

#[test]
fn broken_utf8_and_control_bytes_are_read_past() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let mut block = Vec::new();
    for odd in [&b"\xff\xfe"[..], b"\0\0\0", b"\xc3", b"\x1b[", b"\x1b", b"\xf0\x9f\x92\xa9", b"\x7f\x80"] {
        block.extend_from_slice(
            b"16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{",
        );
        block.extend_from_slice(odd);
        block.extend_from_slice(b"}@192.0.2.1\r\n");
    }
    assert_eq!(addresses(&scanner, block), ["192.0.2.1"; 7]);
}

#[test]
fn long_lines_are_skipped_and_counted_and_the_next_is_read() {
    let scanner = scanner(&[logins()], &LayoutSpec::Auto, Envelope::None);
    let mut block = lines(Dress::Default, 1, 1, 1);
    let long = format!(
        "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - {}@8.8.8.8\n",
        "AUTH method PLAIN failed from Username{x}".repeat(250_000)
    );
    block.push_str(&long);
    block.push_str(&lines(Dress::Default, 1, 1, 1));
    let (found, stats) = scan(&scanner, block);
    assert_eq!(found.len(), 2);
    assert_eq!((stats.too_long, stats.lines), (1, 3));
}

#[test]
fn deep_json_is_no_event() {
    let scanner = scanner(&[logins()], &LayoutSpec::JsonEncoder, Envelope::None);
    let line = lines(Dress::Json, 1, 1, 1);
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("\"mdc\": {}1{}, \"x\": {{", open.repeat(5000), close.repeat(5000));
        assert!(addresses(&scanner, line.replace("\"mdc\": {", &deep)).is_empty());
    }
    assert_eq!(addresses(&scanner, line).len(), 1);
}

#[test]
fn a_colour_code_inside_a_regexs_literal_hides_nothing() {
    let scanner = scanner(
        &[text(&[r"^ \[INFO \] o.a.j.p.s.AUTHENTICATION - AUTH method \S+ failed from Username.*@<HOST>$"])],
        &LayoutSpec::JamesDefault,
        Envelope::None,
    );
    let line =
        "16:45:34 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@192.0.2.1\n";
    for at in line.char_indices().map(|(i, _)| i).skip(8) {
        let coloured = format!("{}\x1b[1;31m{}", &line[..at], &line[at..]);
        assert_eq!(addresses(&scanner, &coloured), ["192.0.2.1"], "{coloured:?}");
    }
}

#[test]
fn a_regex_with_look_around_gives_up_and_says_so() {
    let mut spec = text(&[r"^(?=x)(?:(x+)+)+\1y failure of <HOST>$"]);
    spec.text.as_mut().unwrap().date_patterns = vec!["{NONE}".to_owned()];
    let scanner = scanner(&[spec], &LayoutSpec::Text, Envelope::None);
    let (found, stats) =
        scan(&scanner, format!("{}y failure of 192.0.2.1z failure of 1.1.1.1\n", "x".repeat(200)));
    assert!(found.is_empty());
    assert!(stats.undecided <= 1);
}

#[test]
fn a_line_full_of_literals_is_looked_at_once() {
    let scanner = scanner(&[logins(), seed()], &LayoutSpec::JamesDefault, Envelope::None);
    let line = |literals: usize| {
        let text = "AUTH method LOGIN failed from Username ".repeat(literals);
        format!("16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - {text}\x1b[m@8.8.8.8 \n")
    };
    for literals in [1, 10, 100, 1000] {
        let (found, stats) = scan(&scanner, line(literals).repeat(3));
        assert_eq!((found.len(), stats.candidates, stats.lines), (0, 3, 3), "{literals}");
    }
}

#[test]
fn the_address_that_a_client_of_webadmin_claims_is_believed_in_no_json() {
    let keys = ["proxy.source", "remoteIP", "ip", "real-ip"];
    let spec = structured(vec![rule("", "^WebAdmin request received$", &keys)]);
    for (layout, head, logger) in [
        (LayoutSpec::JsonLayout, r#""timestamp":"2026-11-22T16:45:34.000Z","level":"INFO""#, "logger"),
        (LayoutSpec::JsonEncoder, r#""timestamp":1795365943701,"level":"INFO""#, "loggerName"),
        (LayoutSpec::Logstash, r#""@timestamp":"2026-11-22T16:45:34.000Z","level":"INFO""#, "logger_name"),
    ] {
        let line = |protocol: &str| {
            let context = format!(r#""protocol":"{protocol}","ip":"8.8.8.8","real-ip":"8.8.8.8""#);
            let context = match layout {
                LayoutSpec::Logstash => context,
                _ => format!(r#""mdc":{{{context}}}"#),
            };
            format!(
                r#"{{{head},{context},"{logger}":"org.apache.james.webadmin.mdc.LoggingRequestFilter","message":"WebAdmin request received","formattedMessage":"WebAdmin request received"}}"#
            ) + "\n"
        };
        for declared in [layout.clone(), LayoutSpec::Auto] {
            let scanner = scanner(std::slice::from_ref(&spec), &declared, Envelope::None);
            assert!(addresses(&scanner, line("webadmin")).is_empty(), "{declared:?}");
            assert_eq!(addresses(&scanner, line("SMTP")), [GOOGLE], "{declared:?}");
        }
    }
}
