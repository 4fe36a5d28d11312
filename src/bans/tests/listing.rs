use super::tests::{at, ban, ledger, listed, subject};
use super::*;

fn told(ledger: &Ledger, jail: Option<&JailName>, now: i64) -> Vec<String> {
    let places = ledger.places(jail, at(now));
    let bans = places.iter().filter_map(|place| ledger.at(place, at(now)));
    bans.map(|ban| ban.subject.to_string()).collect()
}

#[test]
fn those_that_end_first_are_told_first_and_those_for_ever_last() {
    let mut l = ledger();
    l.record(&Ban { until: None, ..ban("203.0.113.1", 1, 0, 0) }, at(1));
    l.record(&ban("203.0.113.2", 1, 0, 300), at(1));
    l.record(&Ban { jail: Some("sshd".into()), ..ban("203.0.113.3", 1, 0, 200) }, at(1));
    l.record(&ban("203.0.113.4", 1, 0, 100), at(1));
    assert_eq!(told(&l, None, 50), ["203.0.113.4", "203.0.113.3", "203.0.113.2", "203.0.113.1"]);
    assert_eq!(told(&l, Some(&"sshd".into()), 50), ["203.0.113.3"]);
    assert_eq!(told(&l, None, 150), ["203.0.113.3", "203.0.113.2", "203.0.113.1"], "one is over");
}

#[test]
fn what_is_counted_and_listed_is_told_twice_each_time_with_its_own_words() {
    let mut l = ledger();
    l.record(&ban("203.0.113.7", 1, 0, 100), at(1));
    l.set_list([listed("203.0.113.7", None)], at(1));
    let places = l.places(None, at(2));
    let told: Vec<Ban> = places.iter().filter_map(|place| l.at(place, at(2))).collect();
    let mut active: Vec<Ban> = l.active(at(2)).collect();
    active.sort_by_key(|ban| (ban.until.is_none(), ban.until));
    assert_eq!(told, active);
}

#[test]
fn a_prefix_around_nat64_covers_packets_that_come_through_it_and_not_the_ipv4_address() {
    let mut l = ledger();
    l.set_list([listed("64:ff9b::/64", None), listed("192.0.2.7", None)], at(1));
    let covering = |address: &str| -> Vec<String> {
        let bans = l.covering(address.parse().unwrap(), at(2));
        bans.iter().map(|ban| ban.subject.to_string()).collect()
    };
    assert_eq!(covering("64:ff9b::c633:6407"), ["64:ff9b::/64"]);
    assert_eq!(covering("198.51.100.7"), [""; 0]);
    assert_eq!(covering("64:ff9b::c000:207"), ["192.0.2.7", "64:ff9b::/64"]);
}

#[test]
fn a_ban_that_ended_before_its_turn_is_left_out() {
    let mut l = ledger();
    l.record(&ban("203.0.113.1", 1, 0, 100), at(1));
    l.record(&ban("203.0.113.2", 1, 0, 200), at(1));
    let places = l.places(None, at(2));
    assert_eq!(l.at(&places[0], at(99)).unwrap().subject, subject("203.0.113.1"));
    assert_eq!(l.at(&places[0], at(100)), None);
    assert_eq!(l.at(&places[1], at(100)).unwrap().subject, subject("203.0.113.2"));
}
