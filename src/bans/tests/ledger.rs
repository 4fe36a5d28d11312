use super::*;
use crate::bans::{Evidence, LedgerSnapshot, Origin};
use crate::engine::History as _;

pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub(super) fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

pub(super) fn ban(who: &str, n: u32, since: i64, until: i64) -> Ban {
    Ban {
        jail: Some("james".into()),
        subject: subject(who),
        n,
        since: at(since),
        until: Some(at(until)),
        origin: Origin::Jail,
        evidence: Evidence::default(),
    }
}

pub(super) fn listed(who: &str, until: Option<i64>) -> Ban {
    Ban { until: until.map(at), origin: Origin::List("feed".into()), ..ban(who, 1, 0, 0) }
}

pub(super) fn pardon(prefix: &str, jail: Option<&str>, secs: i64) -> Pardon {
    Pardon {
        prefix: prefix.parse().unwrap(),
        jail: jail.map(Into::into),
        at: at(secs),
        reason: "mistake".into(),
    }
}

pub(super) fn ledger() -> Ledger {
    Ledger::new(LedgerLimits {
        forget_after: Duration::from_secs(10_000),
        past: 100,
        ..LedgerLimits::default()
    })
}

pub(super) fn end_of(ledger: &Ledger, who: &str, now: i64) -> Option<i64> {
    let hold = ledger.in_force(Some(&"james".into()), subject(who), at(now))?;
    hold.until.map(Timestamp::as_secs)
}

pub(super) const EVE: &str = "203.0.113.7";

#[test]
fn a_ban_is_new_then_known_then_prolonged() {
    let mut l = ledger();
    assert_eq!(l.record(&ban(EVE, 1, 10, 100), at(11)), Recorded::New);
    assert_eq!(l.record(&ban(EVE, 1, 10, 100), at(11)), Recorded::Known);
    assert_eq!(l.record(&ban(EVE, 1, 12, 90), at(13)), Recorded::Known);
    assert_eq!(end_of(&l, EVE, 13), Some(100), "nothing recorded shortens a ban");
    assert_eq!(l.record(&ban(EVE, 1, 12, 150), at(13)), Recorded::Prolonged);
    assert_eq!(l.prolong(&"james".into(), subject(EVE), 1, Some(at(170)), at(14)), Recorded::Prolonged);
    assert_eq!(l.prolong(&"james".into(), subject(EVE), 2, Some(at(990)), at(14)), Recorded::Known);
    assert_eq!((l.len(), end_of(&l, EVE, 14)), (1, Some(170)));
}

#[test]
fn a_higher_n_supersedes_and_the_end_never_comes_nearer() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10, 500), at(11));
    assert_eq!(l.record(&ban(EVE, 2, 20, 300), at(21)), Recorded::Known);
    let term = l.history(&"james".into()).latest(subject(EVE)).unwrap();
    assert_eq!((term.n, term.until), (2, Some(at(500))));
    l.record(&ban(EVE, 1, 15, 250), at(22));
    assert_eq!(l.history(&"james".into()).latest(subject(EVE)).unwrap().n, 2);
}

#[test]
fn a_ban_that_began_after_the_last_one_ended_takes_its_place_even_with_a_lower_n() {
    let mut l = ledger();
    l.record(&ban(EVE, 3, 10, 100), at(11));
    assert_eq!(l.record(&ban(EVE, 1, 900, 1000), at(901)), Recorded::New);
    assert_eq!(l.history(&"james".into()).latest(subject(EVE)).unwrap().n, 1);
    assert_eq!(l.record(&ban(EVE, 3, 10, 100), at(902)), Recorded::Known, "older history arriving late");
    assert_eq!(end_of(&l, EVE, 902), Some(1000));
}

#[test]
fn bans_that_end_come_out_once_and_stay_as_history_until_they_are_forgotten() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10, 100), at(11));
    assert_eq!(l.next_expiry(), Some(at(100)));
    assert!(l.expire(at(99)).is_empty());
    assert_eq!(l.expire(at(100)).len(), 1);
    assert!(l.expire(at(101)).is_empty());
    assert_eq!((l.len(), l.past_len()), (0, 1));
    assert_eq!(l.past(EVE.parse().unwrap(), at(101)).len(), 1);
    l.expire(at(10_100));
    assert_eq!(l.past_len(), 1);
    l.expire(at(10_101));
    assert_eq!((l.past_len(), l.forgotten()), (0, 0));
    assert_eq!(l.history(&"james".into()).latest(subject(EVE)), None);
}

#[test]
fn a_prolonged_ban_does_not_end_at_its_first_end() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10, 100), at(11));
    for until in 101..400 {
        l.prolong(&"james".into(), subject(EVE), 1, Some(at(until)), at(50));
    }
    assert!(l.expire(at(100)).is_empty());
    assert_eq!(l.next_expiry(), Some(at(399)));
    assert_eq!(l.expire(at(399)).len(), 1);
    assert_eq!(l.ends.len(), 0, "one entry however often it moved");
}

#[test]
fn a_ban_over_before_it_is_known_is_history_and_may_still_come_into_force() {
    let mut l = ledger();
    assert_eq!(l.record(&ban(EVE, 1, 10, 100), at(500)), Recorded::Over);
    assert!(l.expire(at(500)).is_empty(), "it was never in force here");
    assert_eq!(l.history(&"james".into()).latest(subject(EVE)).unwrap().n, 1);
    assert_eq!(l.prolong(&"james".into(), subject(EVE), 1, Some(at(300)), at(500)), Recorded::Over);
    assert_eq!(l.past_len(), 1);
    assert_eq!(l.prolong(&"james".into(), subject(EVE), 1, Some(at(600)), at(500)), Recorded::New);
    assert_eq!((l.len(), l.past_len()), (1, 0));
    assert_eq!(l.expire(at(600)).len(), 1);
}

#[test]
fn a_permanent_ban_never_ends_by_itself() {
    let mut l = ledger();
    l.record(&Ban { until: None, ..ban(EVE, 1, 10, 0) }, at(11));
    assert!(l.expire(Timestamp::MAX).is_empty());
    assert_eq!(l.in_force(Some(&"james".into()), subject(EVE), at(1 << 40)), Some(Hold { until: None }));
    assert_eq!(l.record(&ban(EVE, 1, 10, 100), at(12)), Recorded::Known);
    assert_eq!(l.pardon(pardon("203.0.113.7/32", None, 20), at(20)).len(), 1);
    assert!(l.is_empty());
}

#[test]
fn a_pardon_ends_what_it_covers_now_and_what_arrives_late() {
    let mut l = ledger();
    for (who, since) in [("203.0.113.7", 10), ("203.0.113.9", 20), ("203.0.114.1", 10)] {
        l.record(&ban(who, 1, since, 1000), at(30));
    }
    let ended = l.pardon(pardon("203.0.113.0/24", None, 15), at(31));
    assert_eq!(ended.iter().map(|b| b.subject.to_string()).collect::<Vec<_>>(), ["203.0.113.7"]);
    assert_eq!(l.len(), 2, "one began after the pardon, one lies outside");
    assert_eq!(l.record(&ban("203.0.113.8", 1, 15, 1000), at(32)), Recorded::Pardoned);
    assert_eq!(l.record(&ban("203.0.113.8", 1, 16, 1000), at(32)), Recorded::New);
    assert_eq!(l.history(&"james".into()).pardoned(subject("203.0.113.99")), Some(at(15)));
}

#[test]
fn a_pardon_wipes_the_slate() {
    let mut l = ledger();
    l.record(&ban(EVE, 4, 10, 100), at(11));
    l.pardon(pardon("203.0.113.7/32", None, 50), at(50));
    assert_eq!(l.history(&"james".into()).latest(subject(EVE)), None);
    assert_eq!(l.next_n(Some(&"james".into()), subject(EVE), at(60)), 1);
}

#[test]
fn a_pardon_in_one_jail_leaves_the_others() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10, 100), at(11));
    l.record(&Ban { jail: Some("sshd".into()), ..ban(EVE, 1, 10, 100) }, at(11));
    l.record(&Ban { jail: None, ..ban(EVE, 1, 10, 100) }, at(11));
    let ended = l.pardon(pardon("203.0.113.7/32", Some("sshd"), 20), at(20));
    assert_eq!(ended.len(), 1);
    assert_eq!(l.covering(EVE.parse().unwrap(), at(20)).len(), 2);
    assert_eq!(l.pardon(pardon("0.0.0.0/0", None, 21), at(21)).len(), 2);
}

#[test]
fn everything_around_an_address_is_found() {
    let mut l = ledger();
    l.record(&ban("203.0.113.0/24", 1, 10, 100), at(11));
    l.record(&Ban { jail: None, ..ban(EVE, 1, 10, 100) }, at(11));
    l.record(&ban("203.0.112.0/24", 1, 10, 100), at(11));
    l.record(&ban("203.0.0.0/16", 1, 1, 5), at(11));
    l.set_list([listed("203.0.0.0/8", None)], at(11));
    let mut found: Vec<_> =
        l.covering(EVE.parse().unwrap(), at(20)).iter().map(|b| b.subject.to_string()).collect();
    found.sort();
    assert_eq!(found, ["203.0.0.0/8", "203.0.113.0/24", "203.0.113.7"]);
    assert_eq!(l.past(EVE.parse().unwrap(), at(20)).len(), 1);
}

#[test]
fn a_list_is_in_force_while_it_is_there() {
    let mut l = ledger();
    let changes = l.set_list([listed(EVE, None), listed("198.51.100.0/24", Some(500))], at(10));
    assert_eq!((changes.begun.len(), changes.ended.len()), (2, 0));
    assert_eq!(
        l.set_list([listed(EVE, None), listed("198.51.100.0/24", Some(500))], at(11)),
        Changes::default()
    );
    assert!(l.pardon(pardon("0.0.0.0/0", None, 12), at(12)).is_empty(), "a pardon does not beat a list");
    let changes = l.set_list([listed("198.51.100.0/24", Some(400))], at(13));
    assert_eq!(changes.begun[0].until, Some(at(400)), "an end that moved nearer is told");
    assert_eq!(changes.ended[0].subject, subject(EVE));
    assert_eq!(l.expire(at(400)).len(), 1);
    assert_eq!(l.set_list([], at(401)), Changes::default(), "it had ended already");
    assert_eq!(l.listed(), 0);
}

#[test]
fn of_a_ban_and_a_list_entry_the_later_end_holds() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10, 100), at(11));
    let changes = l.set_list([listed(EVE, Some(300))], at(12));
    assert_eq!(changes.begun[0].until, Some(at(300)));
    assert!(l.expire(at(100)).is_empty(), "the list goes on");
    l.record(&ban(EVE, 2, 150, 900), at(151));
    let changes = l.set_list([], at(152));
    assert_eq!(changes, Changes::default(), "the ban goes on, and its end was told already");
    let changes = l.set_list([listed(EVE, None)], at(153));
    assert_eq!(changes.begun[0].until, None);
    assert_eq!(l.set_list([], at(154)).begun[0].until, Some(at(900)));
    l.set_list([listed(EVE, Some(950))], at(155));
    assert!(l.pardon(pardon("203.0.113.7/32", None, 160), at(160)).is_empty());
    let all: Vec<_> = l.holds(at(161)).collect();
    assert_eq!(all, [(Some(&"james".into()), subject(EVE), Hold { until: Some(at(950)) })]);
}

#[test]
fn the_past_is_bounded_and_the_oldest_gives_way() {
    let mut l = ledger();
    for i in 0..250_u32 {
        let who = std::net::Ipv4Addr::from_bits(0x0b00_0000 + i).to_string();
        l.record(&ban(&who, 1, 10, 100 + i64::from(i)), at(11));
    }
    l.expire(at(1000));
    assert_eq!((l.past_len(), l.forgotten()), (100, 150));
    assert!(l.past("11.0.0.149".parse().unwrap(), at(1000)).is_empty());
    assert_eq!(l.past("11.0.0.150".parse().unwrap(), at(1000)).len(), 1);
}

#[test]
fn calendars_do_not_grow_with_churn() {
    let mut l = ledger();
    for i in 0..10_000 {
        l.record(&ban(EVE, 1, 2 * i, 1_000_000), at(2 * i));
        l.pardon(pardon("203.0.113.7/32", None, 2 * i + 1), at(2 * i + 1));
        l.record(&ban("203.0.113.8", 1, 5 * i, 5 * i + 1), at(5 * i));
    }
    assert!(l.ends.len() < 3000 && l.past.len() < 3000, "{} {}", l.ends.len(), l.past.len());
}

#[test]
fn a_ban_that_does_not_bite_is_reported_once() {
    let mut l = ledger();
    let james = JailName::new("james");
    let eve = EVE.parse().unwrap();
    l.record(&ban(EVE, 1, 10, 1000), at(10));
    assert!(l.seen_again(&james, eve, at(100)).is_empty(), "the kernel has not got it");
    l.acknowledge(Some(&james), subject(EVE), at(11));
    l.acknowledge(Some(&james), subject(EVE), at(200));
    assert!(l.seen_again(&james, eve, at(16)).is_empty(), "within the grace");
    assert!(l.seen_again(&"sshd".into(), eve, at(17)).is_empty(), "another jail's log");
    let found = l.seen_again(&james, eve, at(17));
    assert_eq!((found.len(), found[0].acknowledged, found[0].failure), (1, at(11), at(17)));
    assert!(l.seen_again(&james, eve, at(18)).is_empty(), "said already");
    l.record(&ban(EVE, 2, 2000, 3000), at(2000));
    assert!(l.seen_again(&james, eve, at(2100)).is_empty(), "the next ban is not in the kernel yet");
    l.acknowledge(Some(&james), subject(EVE), at(2001));
    l.unacknowledge();
    assert!(l.seen_again(&james, eve, at(2100)).is_empty(), "the kernel lost it");
    l.acknowledge(Some(&james), subject(EVE), at(2200));
    let mut restored = Ledger::restore(LedgerLimits::default(), &l.snapshot()).unwrap();
    assert_eq!(restored.seen_again(&james, eve, at(2300)).len(), 1, "after a restart as well");
    assert_eq!(l.seen_again(&james, eve, at(2300)).len(), 1);
}

#[test]
fn a_ban_that_closes_everything_should_be_seen_to_bite_in_every_jail() {
    let mut l = ledger();
    l.record(&Ban { jail: None, ..ban("203.0.113.0/24", 1, 10, 1000) }, at(10));
    l.acknowledge(None, subject("203.0.113.0/24"), at(11));
    assert_eq!(l.seen_again(&"james".into(), EVE.parse().unwrap(), at(50)).len(), 1);
    assert!(l.history(&"james".into()).latest(subject("203.0.113.0/24")).is_none());
}

#[test]
fn evidence_comes_back_whole() {
    let mut l = ledger();
    for rules in [0, 1, 2, 3, 9] {
        let evidence = Evidence {
            weight: 7,
            first: Some(at(3)),
            rules: (0..rules).map(|i| (format!("smtp/{i}").into(), 70_000 * (i / 2) + 1)).collect(),
            nodes: (0..rules / 3).map(|i| format!("n{i}").into()).collect(),
            reason: (rules == 9).then(|| "by hand".into()),
        };
        let origin = if rules == 1 { Origin::Node("n1".into()) } else { Origin::Hand };
        let whole = Ban { evidence, origin, ..ban(EVE, rules + 1, 10 + i64::from(rules), 100) };
        l.record(&whole, at(11));
        assert_eq!(l.active(at(11)).collect::<Vec<_>>(), std::slice::from_ref(&whole));
        let back = Ledger::restore(LedgerLimits::default(), &l.snapshot()).unwrap();
        assert_eq!(back.active(at(11)).collect::<Vec<_>>(), [whole]);
    }
}

fn many(count: u32) -> Ledger {
    let mut l = Ledger::new(LedgerLimits::default());
    let rule: std::sync::Arc<str> = "james-smtp-auth/0".into();
    for i in 0..count {
        let who = Subject::host(std::net::Ipv4Addr::from_bits(0x0b00_0000 + i).into());
        let since = 1_687_000_000 + i64::from(i % 1000);
        let evidence = Evidence {
            weight: 5,
            first: Some(at(since - 9)),
            rules: vec![(rule.clone(), 5)],
            ..Evidence::default()
        };
        let ban = Ban { subject: who, evidence, ..ban(EVE, 1, since, since + 604_800) };
        assert_eq!(l.record(&ban, at(1_687_000_000)), Recorded::New);
    }
    l
}

#[test]
fn a_hundred_thousand_bans_take_less_than_13_megabytes() {
    let l = many(100_000);
    assert_eq!(l.len(), 100_000);
    assert!(l.bytes() < 12_500_000, "{} bytes", l.bytes());
    let text = serde_json::to_string(&l.snapshot()).unwrap();
    assert!(text.len() < 13_000_000, "{} bytes of state", text.len());
    let back = Ledger::restore(LedgerLimits::default(), &serde_json::from_str(&text).unwrap()).unwrap();
    assert_eq!(back.len(), 100_000);
    assert!(back.bytes() < 12_500_000, "{} bytes restored", back.bytes());
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut whole = serde_json::to_value(many(3).snapshot()).unwrap();
    let bans = whole["bans"].as_array_mut().unwrap();
    bans.pop();
    let cut: LedgerSnapshot = serde_json::from_value(whole.clone()).unwrap();
    assert!(Ledger::restore(LedgerLimits::default(), &cut).is_err());
    whole["bans"] = serde_json::json!([7, 32, 1, 0, 1, 5, 5, 5, 5, 1, 0, 0, 0]);
    let wild: LedgerSnapshot = serde_json::from_value(whole).unwrap();
    assert!(Ledger::restore(LedgerLimits::default(), &wild).is_err(), "a jail that is not there");
}

#[test]
fn a_pardon_ends_a_ban_that_began_in_the_same_moment() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10, 100), at(11));
    assert_eq!(l.pardon(pardon("203.0.113.7/32", None, 10), at(11)).len(), 1);
    assert_eq!(end_of(&l, EVE, 11), None);
}
