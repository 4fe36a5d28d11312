use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::tests::{Court, EVE, at, failure, is_ban, office, spec};
use super::*;

fn address(i: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0b00_0000 + i).into()
}

#[test]
fn a_flood_of_addresses_pushes_out_nobody_with_more_weight() {
    let mut court = Court::new(JailSpec { max_tracked: 1600, ..spec() });
    for i in 0..1500 {
        for time in 0..2 {
            court.count(&Match { address: address(i), ..failure(EVE, time) });
        }
    }
    for i in 0..200_000 {
        court.count(&Match { address: address(10_000 + i), ..failure(EVE, 2) });
    }
    assert_eq!(court.jail.tracked(), 1600);
    assert_eq!(court.jail.evicted(), 200_000 - 100);
    for i in 0..1500 {
        assert!(is_ban(&court.count(&Match { address: address(i), ..failure(EVE, 3) })), "address {i}");
    }
}

#[test]
fn a_full_house_of_the_heavy_does_not_blind_the_jail() {
    let mut court = Court::new(JailSpec { max_tracked: 160, ..spec() });
    for i in 0..1000 {
        for time in 0..2 {
            court.count(&Match { address: address(i), ..failure(EVE, time) });
        }
    }
    assert!(court.jail.tracked() <= 160);
    let newcomers: Vec<Match> =
        (0..10).map(|i| Match { address: address(5000 + i), ..failure(EVE, 5) }).collect();
    for _ in 0..2 {
        for m in &newcomers {
            court.count(m);
        }
    }
    assert!(newcomers.iter().all(|m| is_ban(&court.count(m))));
}

#[test]
fn the_expired_give_way_before_the_light() {
    let mut court = Court::new(JailSpec { max_tracked: 10, ..spec() });
    court.count(&Match { address: address(1), ..failure(EVE, 0) });
    court.count(&Match { address: address(1), ..failure(EVE, 1) });
    for i in 0..10 {
        court.count(&Match { address: address(100 + i), ..failure(EVE, 900) });
    }
    assert_eq!((court.jail.tracked(), court.jail.evicted()), (10, 0), "only the expired one went");
    assert_eq!(court.jail.watched(Subject::host(address(1))), None);
}

#[test]
fn silence_gives_memory_back() {
    let mut court = Court::new(JailSpec { max_tracked: 100_000, ..spec() });
    for i in 0..10_000 {
        court.count(&Match { address: address(i), ..failure(EVE, 0) });
    }
    for i in 0..10_000 {
        court.count(&Match { address: address(50_000), ..failure(EVE, 1300 + i) });
    }
    assert!(court.jail.tracked() <= 1, "little by little: {}", court.jail.tracked());
    for i in 0..10_000 {
        court.count(&Match { address: address(i), ..failure(EVE, 20_000) });
    }
    let full = court.jail.bytes();
    court.jail.sweep(at(30_000));
    assert_eq!(court.jail.tracked(), 0);
    assert!(court.jail.bytes() * 10 < full);
}

#[test]
fn a_hundred_thousand_subjects_take_less_than_25_megabytes() {
    let mut court = Court::new(JailSpec { max_retry: 5, max_tracked: 100_000, ..spec() });
    for time in 0..4 {
        // Those who fill their share with four failures each, and newcomers in the places kept for them.
        for i in 0..if time == 0 { 100_000 } else { 93_750 } {
            court.count(&Match { address: address(i), ..failure(EVE, time) });
        }
    }
    assert_eq!(court.jail.tracked(), 100_000);
    // The allocator adds 16 bytes to each of the windows that left their place.
    let bytes = court.jail.bytes() + 100_000 * 16;
    assert!(bytes < 25_000_000, "{bytes} bytes");
}

#[test]
fn a_damaged_snapshot_is_refused() {
    let mut court = Court::new(spec());
    court.fail(0);
    let good = court.jail.snapshot();
    let words: Vec<i64> = good.row.iter().collect();
    let cut = JailSnapshot { row: words[..words.len() - 1].iter().copied().collect(), ..good.clone() };
    assert_eq!(Jail::restore(spec(), &cut).unwrap_err(), WordsError::Short);
    let wild = JailSnapshot { row: [32, 1, i64::MAX].into_iter().collect(), ..good };
    assert!(Jail::restore(spec(), &wild).is_err());
}

fn any_match() -> impl Strategy<Value = Match> {
    let micros = prop_oneof![0..2_000_000_000_i64, (0..20_i64).prop_map(|i| i * 100_000_000)];
    (0..12_u32, micros, 1..3_u32, 0..5_u8).prop_map(|(who, time, weight, kind)| Match {
        rule: RuleRef { filter: 0, rule: weight as u16 },
        outcome: if kind == 0 { Outcome::Success } else { Outcome::Failure },
        address: address(who),
        time: Timestamp::from_micros(time),
        weight,
        line: 0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_window_at_the_threshold_survives_a_verdict(matches in prop::collection::vec(any_match(), 0..150)) {
        let spec = office();
        let mut court = Court::new(spec.clone());
        for m in &matches {
            court.count(m);
            for (subject, tracked) in court.jail.roster.iter() {
                for hit in tracked.window.hits() {
                    let weight = tracked.window.weight_at(hit.time, spec.find_time);
                    let trusted = tracked.is_trusted(hit.time, spec.find_time);
                    prop_assert!(weight < needed(&spec, trusted), "{subject} at {}", hit.time);
                }
            }
        }
    }

    #[test]
    fn a_jail_comes_back_from_its_snapshot_as_it_was(
        matches in prop::collection::vec(any_match(), 0..100),
        more in prop::collection::vec(any_match(), 0..50),
    ) {
        let spec = JailSpec { max_tracked: 8, ..office() };
        let mut court = Court::new(spec.clone());
        for m in &matches {
            court.count(m);
        }
        let snapshot = court.jail.snapshot();
        let text = serde_json::to_string(&snapshot).unwrap();
        let mut back = Jail::restore(spec, &serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(&back.snapshot(), &snapshot);
        for m in &more {
            let now = at(2000);
            let verdict = back.count(m, &NeverBan::default(), &court.book, now);
            prop_assert_eq!(&verdict, &court.jail.count(m, &NeverBan::default(), &court.book, now));
            court.book.note(&verdict);
        }
        prop_assert_eq!(back.evicted(), court.jail.evicted());
    }

    #[test]
    fn the_cap_holds_after_every_record(
        matches in prop::collection::vec(any_match(), 0..200),
        max in 1..20_usize,
    ) {
        let mut court = Court::new(JailSpec { max_tracked: max, ..office() });
        for m in &matches {
            court.count(m);
            prop_assert!(court.jail.tracked() <= max);
        }
    }
}
