use super::*;
use std::sync::Arc;

const NOW: &str = "2026-11-22T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

fn ban() -> Ban {
    Ban {
        jail: Some("mail/james-smtp".into()),
        subject: "203.0.113.7".parse().unwrap(),
        n: 3,
        since: at("2026-11-22T11:59:59.123456Z"),
        until: Some(at("2026-11-22T12:40:00.000001Z")),
        origin: Origin::Jail,
        evidence: Evidence {
            weight: 5,
            first: Some(at("2026-11-22T11:55:00.5Z")),
            rules: vec![("james-smtp-auth/rules[0]".into(), 4), ("james-smtp-auth/failRegex[1]".into(), 1)],
            nodes: vec!["n2".into(), "n3".into()],
            reason: None,
        },
    }
}

fn slice(node: &str, bans: Vec<SlicedBan>) -> BanSliceSpec {
    BanSliceSpec { node: node.into(), bans }
}

fn entry() -> SlicedBan {
    encode(&BanReport::new(&ban(), true)).unwrap()
}

#[test]
fn a_ban_comes_back_as_it_was_to_the_microsecond() {
    for original in [
        ban(),
        Ban { until: None, ..ban() },
        Ban { subject: "2001:db8:1:2::/64".parse().unwrap(), ..ban() },
        Ban { evidence: Evidence::default(), jail: None, ..ban() },
    ] {
        let json =
            serde_json::to_string(&slice("n1", vec![encode(&BanReport::new(&original, true)).unwrap()]));
        let read: BanSliceSpec = serde_json::from_str(&json.unwrap()).unwrap();
        let decoded = decode(&read, "n2", at(NOW));
        assert_eq!(decoded.faults, []);
        assert_eq!(decoded.bans, [Ban { origin: Origin::Node("n1".into()), ..original.clone() }]);
        // At home it is its own again, also after its state file was lost.
        assert_eq!(decode(&read, "n1", at(NOW)).bans, [original]);
    }
}

#[test]
fn a_ban_by_hand_is_one_by_hand_again() {
    let evidence = Evidence { reason: Some("a person's words".into()), ..Evidence::default() };
    let original = Ban { origin: Origin::Hand, evidence, jail: None, ..ban() };
    let spec = slice("n1", vec![encode(&BanReport::new(&original, true)).unwrap()]);
    assert_eq!(decode(&spec, "n1", at(NOW)).bans, [original]);
}

#[test]
fn a_ban_that_a_rate_limit_led_to_is_its_jails_again() {
    let evidence = Evidence { reason: Some("over the rate limit".into()), ..Evidence::default() };
    let original = Ban { evidence, ..ban() };
    let spec = slice("n1", vec![encode(&BanReport::new(&original, true)).unwrap()]);
    assert_eq!(decode(&spec, "n1", at(NOW)).bans, [original]);
}

#[test]
fn a_usual_entry_takes_less_than_300_bytes() {
    let long = Ban {
        jail: Some("mail-production/james-smtp-auth".into()),
        subject: "2001:db8:1234:5678::/64".parse().unwrap(),
        evidence: Evidence { rules: ban().evidence.rules[..1].to_vec(), nodes: Vec::new(), ..ban().evidence },
        ..ban()
    };
    let usual = Ban { evidence: Evidence { nodes: Vec::new(), ..ban().evidence }, ..ban() };
    for ban in [usual, long] {
        let bytes = serde_json::to_vec(&encode(&BanReport::new(&ban, true)).unwrap()).unwrap().len();
        assert!(bytes < 300, "{bytes} bytes");
    }
}

#[test]
fn each_malformed_entry_is_left_out_alone() {
    let bad: Vec<(&str, SlicedBan)> = vec![
        ("neither an address", SlicedBan { prefix: "mail.example.org".into(), ..entry() }),
        ("neither an address", SlicedBan { prefix: "203.0.113.7/33".into(), ..entry() }),
        ("wider than any ban", SlicedBan { prefix: "0.0.0.0/0".into(), ..entry() }),
        ("wider than any ban", SlicedBan { prefix: "::/0".into(), ..entry() }),
        ("wider than any ban", SlicedBan { prefix: "10.0.0.0/7".into(), ..entry() }),
        ("wider than any ban", SlicedBan { prefix: "2001:c00::/15".into(), ..entry() }),
        // IPv4 in IPv6 is IPv4.
        ("wider than any ban", SlicedBan { prefix: "64:ff9b::/96".into(), ..entry() }),
        ("wider than any ban", SlicedBan { prefix: "::ffff:0:0/100".into(), ..entry() }),
        ("never banned", SlicedBan { prefix: "127.0.0.1".into(), ..entry() }),
        ("never banned", SlicedBan { prefix: "ff02::1".into(), ..entry() }),
        ("never banned", SlicedBan { prefix: "fe80::/64".into(), ..entry() }),
        ("not `namespace/name`", SlicedBan { jail: Some("james".into()), ..entry() }),
        ("not `namespace/name`", SlicedBan { jail: Some("mail/a/b".into()), ..entry() }),
        ("not `namespace/name`", SlicedBan { jail: Some("mail/; drop table".into()), ..entry() }),
        ("not the number", SlicedBan { n: 0, ..entry() }),
        ("not the number", SlicedBan { n: u32::MAX, ..entry() }),
        ("not a point in time", SlicedBan { since: "yesterday".into(), ..entry() }),
        ("not a point in time", SlicedBan { until: Some("2026-13-22T12:00:00Z".into()), ..entry() }),
        ("before it begins", SlicedBan { until: Some("2026-11-22T11:59:59.123455Z".into()), ..entry() }),
        (
            "too far from now",
            SlicedBan {
                since: "2026-11-22T13:00:01Z".into(),
                until: Some("2026-11-23T12:00:00Z".into()),
                ..entry()
            },
        ),
        ("too far from now", SlicedBan { since: "0001-01-01T00:00:00Z".into(), ..entry() }),
    ];
    let mut entries = vec![entry()];
    entries.extend(bad.iter().map(|(_, entry)| entry.clone()));
    entries.push(SlicedBan { n: 4, ..entry() });
    let decoded = decode(&slice("n2", entries), "n1", at(NOW));
    assert_eq!(decoded.bans.iter().map(|ban| ban.n).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(decoded.faults.len(), bad.len());
    for ((why, entry), (place, fault)) in bad.iter().zip(&decoded.faults) {
        assert!(fault.to_string().contains(why), "{place}: {fault} for {entry:?}");
    }
}

#[test]
fn the_widest_bans_and_the_farthest_times_that_are_allowed_are_taken() {
    for prefix in ["10.0.0.0/8", "2001::/16"] {
        let decoded =
            decode(&slice("n2", vec![SlicedBan { prefix: prefix.into(), ..entry() }]), "n1", at(NOW));
        assert_eq!(decoded.bans.len(), 1, "{prefix}: {:?}", decoded.faults);
    }
    let soon = SlicedBan { since: "2026-11-22T13:00:00Z".into(), until: None, first: None, ..entry() };
    let last = SlicedBan { until: Some("9999-12-01T00:00:00Z".into()), ..entry() };
    assert_eq!(decode(&slice("n2", vec![soon, last]), "n1", at(NOW)).bans.len(), 2);
}

#[test]
fn wrong_evidence_weakens_no_ban() {
    let odd = SlicedBan {
        first: Some("2027-01-01T00:00:00Z".into()),
        rules: vec![MatchedRule { rule: "é".repeat(500), times: 1 }; 20],
        reason: Some("x".repeat(5000)),
        ..entry()
    };
    let decoded = decode(&slice("n2", vec![odd]), "n1", at(NOW));
    let evidence = &decoded.bans[0].evidence;
    assert_eq!((evidence.first, evidence.rules.len()), (None, RULES));
    assert_eq!(evidence.rules[0].0.chars().count(), RULE);
    assert_eq!(evidence.reason.as_ref().unwrap().len(), REASON);
}

#[test]
fn what_is_written_keeps_to_the_schema_whatever_a_filter_is_called() {
    let rules = (0..20).map(|n| (Arc::from("f".repeat(200 + n)), u32::MAX)).collect();
    let reason = Some("ü".repeat(1000));
    let nodes = (0..20).map(|n| Arc::from(format!("n{n}"))).collect();
    let odd = Ban { evidence: Evidence { weight: u32::MAX, first: None, rules, nodes, reason }, ..ban() };
    let entry = encode(&BanReport::new(&odd, true)).unwrap();
    assert_eq!((entry.weight, entry.rules.len(), entry.rules[0].times), (MOST, RULES, MOST));
    assert_eq!((entry.rules[0].rule.len(), entry.with.len()), (RULE, NODES));
    assert_eq!(entry.reason.unwrap().chars().count(), REASON);
    assert_eq!(encode(&BanReport::new(&Ban { jail: Some("james".into()), ..ban() }, true)), None);
}

fn pardoned(prefix: &str, created: &str) -> Result<Pardon, Fault> {
    let spec = PardonSpec { prefix: prefix.into(), jail: None, reason: None };
    pardon(&spec, Some(&Stamp(created.parse().unwrap())))
}

#[test]
fn an_end_beyond_the_calendar_is_for_ever() {
    let endless = Ban { until: Some(Timestamp::from_secs(1 << 40)), ..ban() };
    assert_eq!(encode(&BanReport::new(&endless, true)).unwrap().until, None);
    let last = Ban { until: Some(LAST), ..ban() };
    assert_eq!(encode(&BanReport::new(&last, true)).unwrap().until, Some("9999-12-01T00:00:00Z".into()));
}

#[test]
fn a_pardon_covers_every_ban_there_was_when_a_person_asked() {
    // Banned at .3, asked at .7; the server stamps 12:00:00.
    let moment = pardoned("203.0.113.7", "2026-11-22T12:00:00Z").unwrap().at;
    assert!(at("2026-11-22T12:00:00.3Z") <= moment);
    // The price: what begins in the rest of that second.
    assert!(at("2026-11-22T12:00:00.999999Z") <= moment);
    // No more than that.
    assert!(at("2026-11-22T12:00:01Z") > moment);
}

#[test]
fn a_pardon_may_be_as_wide_as_a_person_wants() {
    assert_eq!(pardoned("0.0.0.0/0", NOW).unwrap().prefix, "0.0.0.0/0".parse().unwrap());
    assert!(pardoned("everybody", NOW).is_err());
    assert!(pardoned("64:ff9b::/96", NOW).is_err(), "everybody, and it does not look like that");
    let spec = PardonSpec {
        prefix: "::/0".into(),
        jail: Some(crate::api::v1alpha1::JailReference { namespace: "mail".into(), name: "james".into() }),
        reason: Some("sorry".into()),
    };
    assert_eq!(pardon(&spec, None), Err(Fault::Timeless));
    let read = pardon(&spec, Some(&Stamp(NOW.parse().unwrap()))).unwrap();
    assert_eq!((read.jail, read.reason.as_str()), (Some("mail/james".into()), "sorry"));
}
