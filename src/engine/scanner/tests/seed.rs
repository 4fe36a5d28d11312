//! The mission's own log and filter.

use super::*;

const LOG: &str = "\
2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=45.129.14.30] - Rejected message. Unknown user: dar...@domaine.de
2023-06-17 11:11:51.206 +0200 - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip=45.129.14.31] - Rejected message. Unknown user: dar...@domaine.de
2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{localPart=monitor, domainPart=Optional[Domain :domaine.de]}@45.129.14.40
2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH method LOGIN failed from Username{localPart=monitor, domainPart=Optional[Domain :domaine.de]}@45.129.14.41
";

#[test]
fn all_lines_match_with_address_time_and_rule() {
    for layout in [LayoutSpec::Auto, LayoutSpec::Text] {
        let scanner = scanner(&[seed()], &layout, Envelope::None);
        let (found, stats) = scan(&scanner, LOG.repeat(2));
        assert_eq!((stats.lines, stats.candidates, stats.matches), (8, 8, 8));
        let seen: Vec<_> =
            found.iter().map(|m| (m.address.to_string(), m.rule.rule, m.time.to_string())).take(4).collect();
        let want = [
            ("45.129.14.30", 0, "2023-06-17T09:11:50.206Z"),
            ("45.129.14.31", 0, "2023-06-17T09:11:51.206Z"),
            ("45.129.14.40", 1, "2023-06-17T09:11:50.206Z"),
            ("45.129.14.41", 1, "2023-06-17T09:11:50.206Z"),
        ];
        assert_eq!(seen, want.map(|(a, r, t)| (a.to_owned(), r, t.to_owned())));
    }
}

#[test]
fn a_line_that_was_just_written_with_a_date_far_off_happened_now() {
    let scanner = scanner(&[seed()], &LayoutSpec::Auto, Envelope::None);
    let mut times = Vec::new();
    let live = ReadClock { live: true, ..clock() };
    scanner.scan(&mut ScanState::default(), LOG.as_bytes(), live, &mut |m| times.push(m.time));
    assert_eq!(times, [live.now; 4]);
}

#[test]
fn within_a_containers_envelope_its_time_counts_and_the_date_inside_is_still_cut_out() {
    let scanner = scanner(&[seed()], &LayoutSpec::Auto, Envelope::Cri);
    let block: String =
        LOG.lines().map(|line| format!("2026-08-22T06:44:35.815123456Z stdout F {line}\n")).collect();
    let (found, _) = scan(&scanner, block);
    assert_eq!(found.len(), 4);
    assert_eq!(found[0].time.to_string(), "2026-08-22T06:44:35.815123Z");
}

#[test]
fn a_journals_record_is_judged_whole_and_at_its_own_time() {
    let sshd = text(&[r"^\S+ sshd\[\d+\]: Failed password for .* from <HOST> port \d+ ssh2$"]);
    let scanner = scanner(&[sshd], &LayoutSpec::Text, Envelope::None);
    let (mut state, mut found) = (ScanState::default(), Vec::new());
    let time = Timestamp::from_secs(1_795_366_000);
    for text in [
        "mx sshd[77]: Failed password for invalid user 2023-01-01 10:00:00 from 192.0.2.9 port 4711 ssh2",
        "mx sshd[77]: Accepted password for bob from 192.0.2.10 port 4711 ssh2",
    ] {
        scanner.record(&mut state, text.as_bytes(), Some(time), clock(), &mut |m| found.push(m));
    }
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].address.to_string().as_str(), found[0].time), ("192.0.2.9", time));
}

#[test]
fn thirty_regexes_say_the_same_as_one() {
    let mut many: Vec<String> =
        (0..28).map(|i| format!(r"^.-.org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler.\[ip=\].-.Text number {i} from <HOST>$")).collect();
    many.extend(seed().text.unwrap().fail_regex);
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (one, many) = (
        scanner(&[seed()], &LayoutSpec::Auto, Envelope::None),
        scanner(&[text(&many)], &LayoutSpec::Auto, Envelope::None),
    );
    assert_eq!(addresses(&one, LOG), addresses(&many, LOG));
    assert_eq!(scan(&many, LOG).0.iter().map(|m| m.rule.rule).collect::<Vec<_>>(), [28, 28, 29, 29]);
}

#[test]
fn prefix_ignore_and_order_are_fail2bans() {
    let mut spec =
        text(&[r"^failure of \S+ from <HOST>$", r"^failure .* <HOST>$", r"^(?P<word>\w+) of <HOST>"]);
    let text = spec.text.as_mut().unwrap();
    text.pref_regex = Some(r"^\s*app\[\d+\]: <F-CONTENT>.+</F-CONTENT>$".to_owned());
    text.ignore_regex = vec!["of friend".to_owned()];
    let scanner = scanner(&[spec], &LayoutSpec::Text, Envelope::None);
    let log = "\
2026-11-22 16:00:00 app[1]: failure of bob from 192.0.2.1
2026-11-22 16:00:00 app[1]: failure of bob at 192.0.2.2
2026-11-22 16:00:00 app[1]: failure of friend from 192.0.2.3
2026-11-22 16:00:00 failure of bob from 192.0.2.4
2026-11-22 16:00:00 app[1]: failure of 192.0.2.5
2026-11-22 16:00:00 app[1]: failure of mx.example.org
2026-11-22 16:00:00 app[1]: failure of bob from 999.0.2.1
";
    let (found, _) = scan(&scanner, log);
    let seen: Vec<_> = found.iter().map(|m| (m.rule.rule, m.address.to_string())).collect();
    assert_eq!(seen, [(0, "192.0.2.1".to_owned()), (1, "192.0.2.2".to_owned()), (1, "192.0.2.5".to_owned())]);
}

#[test]
fn a_failure_spread_over_lines_is_one_and_skipped_lines_stay() {
    let mut spec = text(&[r"^ connect from <HOST>$<SKIPLINES>^ login failed for (?P<user>\S+)$"]);
    spec.text.as_mut().unwrap().max_lines = 4;
    let scanner = scanner(&[spec], &LayoutSpec::Text, Envelope::None);
    let log = "\
2026-11-22 16:00:00 connect from 192.0.2.1
2026-11-22 16:00:00 connect from 192.0.2.2
2026-11-22 16:00:01 login failed for bob
2026-11-22 16:00:02 login failed for eve
2026-11-22 16:00:03 login failed for eve
2026-11-22 16:00:03 connect from 192.0.2.3
2026-11-22 16:00:03 a
2026-11-22 16:00:03 b
2026-11-22 16:00:03 c
2026-11-22 16:00:04 login failed for too.late
";
    // The regex takes the leftmost connection and skips the other, which stays for the next failure.
    assert_eq!(addresses(&scanner, log), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn many_anchored_regexes_in_one_pass_say_what_each_says_alone() {
    let mut many: Vec<String> = (0..28)
        .map(|i| format!(r"^.*AUTHENTICATION - Mechanism X{i} refused for Username.*@<HOST>$"))
        .collect();
    many.push(
        r"^.*AUTHENTICATION - AUTH method \S+ failed from (?:Optional\[)?Username.*@<HOST>$".to_owned(),
    );
    many.push(r"^.*PassCmdHandler - Bad credential supplied for .* with remote address <HOST>$".to_owned());
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let together = scanner(&[text(&many)], &LayoutSpec::Text, Envelope::None);
    let log = "\
16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Optional[Username{x}]@192.0.2.1
16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - Mechanism X17 refused for Username{x}@192.0.2.2
16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - Mechanism X7 refused for Username{x}@mx.example.org
16:45:34.154 [INFO ] o.a.j.p.c.PassCmdHandler - Bad credential supplied for x with remote address 192.0.2.3
";
    let (found, _) = scan(&together, log);
    let seen: Vec<_> = found.iter().map(|m| (m.rule.rule, m.address.to_string())).collect();
    let want = [(28, "192.0.2.1"), (17, "192.0.2.2"), (29, "192.0.2.3")];
    assert_eq!(seen, want.map(|(rule, address)| (rule, address.to_owned())));
}
