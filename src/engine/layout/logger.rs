//! Names of loggers, full and abbreviated.

/// Whether the logger of a rule and the one printed in a line are the same, each full
/// (`org.apache.james.util.AuditTrail`) or in any of the short forms logback and log4j2 print:
/// `o.a.j.u.AuditTrail` (`%logger{15}`; fewer packages are cut when there is room) or `AuditTrail` (`%logger{0}`,
/// `%c{1}`).
///
/// The last part must be equal. Before it, part must match part, one being a prefix of the other, unless one side
/// has the last part alone.
#[must_use]
pub fn logger_matches(rule: &str, printed: &str) -> bool {
    // By bytes: several times faster than by characters.
    let (mut a, mut b) = (rule.as_bytes().rsplit(is_dot), printed.as_bytes().rsplit(is_dot));
    match (a.next(), b.next()) {
        (Some(x), Some(y)) if x == y && !x.is_empty() => {}
        _ => return false,
    }
    let mut compared = 0;
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) => {
                if x.is_empty() || y.is_empty() || !(x.starts_with(y) || y.starts_with(x)) {
                    return false;
                }
            }
            // One side has packages and the other has no more: fine only if it never had any.
            _ => return compared == 0,
        }
        compared += 1;
    }
}

fn is_dot(byte: &u8) -> bool {
    *byte == b'.'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = "org.apache.james.protocols.smtp.AUTHENTICATION";

    #[test]
    fn full_and_abbreviated_names_match_each_other() {
        for printed in [
            FULL,
            "o.a.j.p.s.AUTHENTICATION",
            "o.a.james.protocols.smtp.AUTHENTICATION",
            "o.a.j.p.smtp.AUTHENTICATION",
            "AUTHENTICATION",
        ] {
            assert!(logger_matches(FULL, printed), "{printed}");
            assert!(logger_matches(printed, FULL), "{printed}");
        }
        assert!(logger_matches("o.a.j.u.AuditTrail", "o.a.j.u.AuditTrail"));
        assert!(logger_matches("ROOT", "ROOT"));
    }

    #[test]
    fn nothing_else_matches() {
        for printed in [
            "",
            "authentication",
            "o.a.j.p.i.AUTHENTICATION",
            "p.s.AUTHENTICATION",
            "a.j.p.s.AUTHENTICATION",
            "x.o.a.j.p.s.AUTHENTICATION",
            "o..j.p.s.AUTHENTICATION",
            ".AUTHENTICATION",
            "o.a.j.p.s.AUTHENTICATIONS",
            "o.a.j.p.s.AUTH",
            "o.a.j.p.s.",
            "evil.apache.james.protocols.smtp.AUTHENTICATION",
            "orgx.apache.james.protocols.smtp.AUTHENTICATION2",
        ] {
            assert!(!logger_matches(FULL, printed), "{printed}");
        }
        assert!(!logger_matches("", ""));
        assert!(!logger_matches("org.apache.james.util.AuditTrail", "o.a.j.u.AuditTrail$Entry"));
    }

    proptest! {
        #[test]
        fn every_abbreviation_matches(parts in prop::collection::vec("[a-z]{1,8}", 1..6), last in "[A-Z][a-z]{0,8}", cut: u32) {
            let full = format!("{}.{last}", parts.join("."));
            let short: Vec<&str> = parts
                .iter()
                .enumerate()
                .map(|(i, part)| if cut >> i & 1 == 1 { &part[..1] } else { part.as_str() })
                .collect();
            let short = format!("{}.{last}", short.join("."));
            prop_assert!(logger_matches(&full, &short) && logger_matches(&short, &full));
            prop_assert!(logger_matches(&full, &last) && logger_matches(&last, &full));
            let other = format!("{short}x");
            prop_assert!(!logger_matches(&full, &other));
        }

        #[test]
        fn no_text_makes_it_panic(a in "\\PC{0,20}", b in "[a.]{0,12}") {
            let _ = (logger_matches(&a, &b), logger_matches(&b, &a));
        }
    }
}
