use super::tests::{EVE, at, ban, end_of, ledger, listed, pardon, subject};
use super::*;
use crate::bans::Evidence;
use crate::engine::History as _;

#[test]
fn when_the_clock_is_set_what_is_left_of_every_ban_stays() {
    for hour in [3600, -3600] {
        let shift = Shift::from_micros(hour * 1_000_000);
        let mut l = ledger();
        let first = Evidence { first: Some(at(9_990)), ..Evidence::default() };
        l.record(&Ban { evidence: first, ..ban(EVE, 1, 10_000, 10_900) }, at(10_001));
        l.record(&ban("198.51.100.1", 1, 9_000, 9_500), at(10_001));
        l.record(&Ban { until: None, ..ban("198.51.100.2", 1, 9_000, 0) }, at(10_001));
        l.shift(shift, at(10_002) + shift);
        let now = |secs: i64| at(secs + hour);
        let held = l.counted(&"james".into(), subject(EVE), now(10_100)).unwrap();
        assert_eq!((held.since, held.until), (now(10_000), Some(now(10_900))));
        assert_eq!(held.evidence.first, Some(now(9_990)));
        assert_eq!(
            l.in_force(Some(&"james".into()), subject("198.51.100.2"), now(10_100)),
            Some(Hold { until: None })
        );
        assert_eq!(
            l.next_n(Some(&"james".into()), subject("198.51.100.1"), now(10_100)),
            2,
            "a past one stays past"
        );
        assert_eq!(l.next_expiry(), Some(now(10_900)));
        assert!(l.expire(now(10_899)).is_empty());
        assert_eq!(l.expire(now(10_900)).len(), 1);
        assert_eq!((l.len(), l.past_len()), (1, 2), "the permanent one goes on");
        // Past ones are forgotten as long after their end as ever.
        l.expire(now(19_501));
        assert_eq!(l.next_n(Some(&"james".into()), subject("198.51.100.1"), now(19_501)), 1);
        assert_eq!(l.next_n(Some(&"james".into()), subject(EVE), now(19_501)), 2);
    }
}

#[test]
fn a_pardon_stays_behind_what_it_forgave_when_the_clock_is_set_back() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10_000, 10_900), at(10_001));
    l.pardon(pardon("203.0.113.7/32", None, 10_050), at(10_050));
    l.shift(Shift::from_micros(-3_600_000_000), at(6_460));
    // As it was heard once more by others, at the time it has by this clock.
    assert_eq!(l.record(&ban(EVE, 1, 6_400, 7_300), at(6_460)), Recorded::Pardoned);
    assert_eq!(l.history(&"james".into()).pardoned(subject(EVE)), Some(at(6_450)));
    assert_eq!(l.record(&ban(EVE, 1, 6_460, 7_400), at(6_460)), Recorded::New, "what came after it counts");
}

#[test]
fn an_entry_of_a_list_ends_when_the_list_says_by_whatever_clock() {
    let mut l = ledger();
    l.set_list([listed(EVE, Some(10_900))], at(10_000));
    l.shift(Shift::from_micros(-600_000_000), at(9_400));
    assert_eq!(l.next_expiry(), Some(at(10_900)));
    assert!(l.expire(at(10_800)).is_empty());
    assert_eq!(l.expire(at(10_900)).len(), 1);
}

#[test]
fn a_ban_that_was_over_by_a_badly_known_clock_is_in_force_again() {
    let mut l = ledger();
    l.record(&ban(EVE, 1, 10_000, 10_900), at(10_001));
    let hour = Shift::from_micros(3_600_000_000);
    l.shift(hour.reversed(), at(10_010));
    assert_eq!(l.expire(at(10_010)).len(), 1);
    l.shift(hour, at(10_020));
    assert_eq!((l.len(), l.past_len(), end_of(&l, EVE, 10_020)), (1, 0, Some(10_900)));
    assert!(l.expire(at(10_899)).is_empty());
    assert_eq!(l.expire(at(10_900)).len(), 1);
    assert_eq!((l.len(), l.past_len()), (0, 1));
}
