use super::*;

/// After all that is told below.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_100);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn seen(micros: i64, weight: u32, rule: &str) -> Seen {
    Seen { at: Timestamp::from_micros(micros), weight, rule: rule.into() }
}

fn told(subject: &str, weight: u32, failures: Vec<Seen>) -> Told {
    let account =
        Account { jail: "mail/james".into(), subject: subject.parse().unwrap(), failures, successes: vec![] };
    Told { account, weight }
}

fn list(told: Vec<Told>) -> SightingListSpec {
    write(&"n1".into(), &["mail/james".into()], told)
}

#[test]
fn what_is_told_comes_back_to_the_microsecond() {
    let mut eve = told(
        "203.0.113.7",
        4,
        vec![seen(1_700_000_000_000_001, 1, "a"), seen(1_700_000_000_123_000, 3, "b")],
    );
    eve.account.successes = vec![(at(1_700_000_000), at(1_700_000_009))];
    let net = told("2001:db8:1:2::/64", 1, vec![seen(1_700_000_001_000_000, 1, "b")]);
    let spec = list(vec![eve.clone(), net.clone()]);
    let text = serde_json::to_string(&spec).unwrap();
    let spec: SightingListSpec = serde_json::from_str(&text).unwrap();
    let jail = &spec.jails[0];
    let back: Vec<_> = jail.subjects.iter().map(|sighting| account(jail, sighting, NOW).unwrap()).collect();
    assert_eq!(back, [net.account, eve.account]);
}

#[test]
fn when_it_is_full_the_least_weight_goes_first_and_is_counted() {
    let many = (0..MOST_SUBJECTS as u32 + 10).map(|i| {
        let subject = std::net::Ipv4Addr::from_bits(0x0b00_0000 + i).to_string();
        let weight = if i < 20 { 1 } else { 2 };
        told(&subject, weight, vec![seen(1_700_000_000_000_000 + i64::from(i), 1, "a"); weight as usize])
    });
    let spec = list(many.collect());
    assert_eq!((spec.jails[0].subjects.len(), spec.left_out), (MOST_SUBJECTS, 10));
    let light = spec.jails[0].subjects.iter().filter(|s| s.failures.len() == 1).count();
    assert_eq!(light, 10, "of the light those seen last stay");
    assert!(serde_json::to_vec(&spec).unwrap().len() < 1_000_000);
}

#[test]
fn the_fullest_list_stays_below_what_the_api_server_takes() {
    let many = (0..MOST_SUBJECTS).map(|i| {
        let subject = format!("2001:db8:{i:x}:ffff::/64");
        let failures = (0..9).map(|n| seen(1_700_000_000_123_456 + n, 100_000 + i as u32, "filter/rules[0]"));
        told(&subject, 9, failures.collect())
    });
    let spec = list(many.collect());
    assert!(spec.left_out > 0);
    let bytes = serde_json::to_vec(&spec).unwrap().len();
    assert!(bytes < 1_200_000, "{bytes} bytes");
}

#[test]
fn times_that_no_calendar_writes_are_left_out() {
    let spec = list(vec![told(
        "203.0.113.7",
        3,
        vec![seen(i64::MIN, 1, "a"), seen(1_700_000_000_000_000, 1, "a"), seen(i64::MAX, 1, "a")],
    )]);
    assert_eq!(spec.jails[0].subjects[0].failures.len(), 1);
}

#[test]
fn jails_without_sightings_are_named_because_nodes_that_count_are_counted() {
    let spec = list(vec![]);
    assert_eq!((spec.jails.len(), spec.jails[0].jail.as_str()), (1, "mail/james"));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let jail = list(vec![told("203.0.113.7", 1, vec![seen(1_700_000_000_000_000, 1, "a")])]).jails.remove(0);
    let good = &jail.subjects[0];
    assert!(account(&jail, &Sighting { prefix: Prefix("nobody".into()), ..good.clone() }, NOW).is_none());
    let failures = vec![
        SeenFailure { at: Time("yesterday".into()), weight: 1, rule: 0 },
        SeenFailure { at: Time("2023-11-14T22:13:20Z".into()), weight: 1, rule: 77 },
    ];
    let read = account(&jail, &Sighting { failures, ..good.clone() }, NOW).unwrap();
    assert_eq!(read.failures, [seen(1_700_000_000_000_000, 1, "")]);
}

#[test]
fn what_lies_in_the_future_is_left_out_beyond_what_clocks_may_differ() {
    let secs = 1_000_000;
    let late = |ahead: i64| NOW.as_micros() + ahead * secs;
    let mut eve = told("203.0.113.7", 3, [0, 599, 601, 1_000_000_000].map(|s| seen(late(s), 1, "a")).into());
    eve.account.successes = vec![
        (NOW, Timestamp::from_micros(late(599))),
        (NOW, Timestamp::from_micros(late(601))),
        (Timestamp::from_micros(late(700)), Timestamp::from_micros(late(701))),
    ];
    let jail = list(vec![eve.clone()]).jails.remove(0);
    let read = account(&jail, &jail.subjects[0], NOW).unwrap();
    assert_eq!(read.failures, eve.account.failures[..2]);
    assert_eq!(read.successes, eve.account.successes[..1]);
}
