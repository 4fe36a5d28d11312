use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{EVE, at, ban, ledger, listed, subject};
use super::*;
use crate::bans::LedgerSnapshot;

#[derive(Clone, Debug)]
enum Step {
    Record(Ban),
    Prolong(u8, i64),
    Pardon(u8, u8, i64),
    List(Vec<(u8, Option<i64>)>),
    Expire,
}

fn who(i: u8) -> Subject {
    subject(
        ["203.0.113.7", "203.0.113.0/24", "203.0.0.0/16", "2001:db8::/64", "198.51.100.1"]
            [usize::from(i % 5)],
    )
}

fn step() -> impl Strategy<Value = (Step, i64)> {
    let record =
        (0..5_u8, 0..2_u8, 1..4_u32, 0..200_i64, 0..200_i64).prop_map(|(i, jail, n, since, length)| {
            let jail = (jail == 1).then(|| "james".into());
            Step::Record(Ban { jail, subject: who(i), ..ban(EVE, n, since, since + length) })
        });
    let prolong = (0..5_u8, 0..400_i64).prop_map(|(i, until)| Step::Prolong(i, until));
    let pardon = (0..5_u8, 0..3_u8, 0..200_i64).prop_map(|(i, jail, at)| Step::Pardon(i, jail, at));
    let list = prop::collection::vec((0..5_u8, prop::option::of(0..400_i64)), 0..4).prop_map(Step::List);
    (prop_oneof![4 => record, 2 => prolong, 1 => pardon, 1 => list, 2 => Just(Step::Expire)], 0..15_i64)
}

fn play(l: &mut Ledger, step: &Step, now: Timestamp) {
    match step {
        Step::Record(ban) => {
            l.record(ban, now);
        }
        Step::Prolong(i, until) => {
            l.prolong(&"james".into(), who(*i), 1, Some(at(*until)), now);
        }
        Step::Pardon(i, jail, secs) => {
            let jail = (*jail == 1).then(|| "james".into());
            l.pardon(Pardon { prefix: who(*i).net(), jail, at: at(*secs), reason: String::new() }, now);
        }
        Step::List(entries) => {
            l.set_list(entries.iter().map(|(i, until)| Ban { subject: who(*i), ..listed(EVE, *until) }), now);
        }
        Step::Expire => {
            l.expire(now);
        }
    }
}

fn sorted(snapshot: &LedgerSnapshot) -> String {
    // Tables have no order; compare what they hold.
    let l = Ledger::restore(LedgerLimits::default(), snapshot).unwrap();
    let mut bans: Vec<String> = l.active(Timestamp::MIN).map(|ban| format!("{ban:?}")).collect();
    bans.sort();
    let mut pardons: Vec<String> = l.pardons().map(|p| format!("{p:?}")).collect();
    pardons.sort();
    format!("{bans:#?} {pardons:#?} {} {}", l.forgotten(), l.past_len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_ledger_comes_back_from_its_snapshot_as_it_was(steps in prop::collection::vec(step(), 0..60)) {
        let mut l = ledger();
        let mut now = 0;
        for (step, later) in &steps {
            now += later;
            play(&mut l, step, at(now));
        }
        let text = serde_json::to_string(&l.snapshot()).unwrap();
        let mut back = Ledger::restore(l.limits, &serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(sorted(&back.snapshot()), sorted(&l.snapshot()));
        prop_assert_eq!((back.len(), back.past_len(), back.listed()), (l.len(), l.past_len(), l.listed()));
        for l in [&l, &back] {
            let over: usize = l.books.iter().map(|book| book.over).sum();
            prop_assert_eq!(over, l.past_len());
        }
        for later in [0, 50, 200, 500, 20_000] {
            let key = |bans: Vec<Ban>| {
                let mut bans: Vec<_> = bans.iter().map(|ban| format!("{ban:?}")).collect();
                bans.sort();
                bans
            };
            let now = at(now + later);
            prop_assert_eq!(key(back.expire(now)), key(l.expire(now)));
        }
    }

    #[test]
    fn what_is_told_is_exactly_what_changed(steps in prop::collection::vec(step(), 0..60)) {
        // A mirror that only hears what the ledger says, like the kernel.
        let mut l = ledger();
        let mut mirror: BTreeMap<(Option<JailName>, Subject), Option<Timestamp>> = Default::default();
        let mut now = 0;
        for (step, later) in &steps {
            now += later;
            let now = at(now);
            mirror.retain(|_, until| until.is_none_or(|until| until > now)); // kernel timeouts
            let mut tell = |l: &Ledger, jail: Option<JailName>, subject| {
                if let Some(hold) = l.in_force(jail.as_ref(), subject, now) {
                    mirror.insert((jail, subject), hold.until);
                }
            };
            match step {
                Step::Record(ban) => {
                    if matches!(l.record(ban, now), Recorded::New | Recorded::Prolonged) {
                        tell(&l, ban.jail.clone(), ban.subject);
                    }
                }
                Step::Prolong(i, until) => {
                    let answer = l.prolong(&"james".into(), who(*i), 1, Some(at(*until)), now);
                    if matches!(answer, Recorded::New | Recorded::Prolonged) {
                        tell(&l, Some("james".into()), who(*i));
                    }
                }
                Step::Pardon(i, jail, secs) => {
                    let jail = (*jail == 1).then(|| "james".into());
                    let p = Pardon { prefix: who(*i).net(), jail, at: at(*secs), reason: String::new() };
                    for ban in l.pardon(p, now) {
                        mirror.remove(&(ban.jail, ban.subject));
                    }
                }
                Step::List(entries) => {
                    let entries = entries.iter().map(|(i, until)| Ban { subject: who(*i), ..listed(EVE, *until) });
                    let changes = l.set_list(entries.collect::<Vec<_>>(), now);
                    for ban in changes.begun {
                        mirror.insert((ban.jail, ban.subject), ban.until);
                    }
                    for ban in changes.ended {
                        mirror.remove(&(ban.jail, ban.subject));
                    }
                }
                Step::Expire => {
                    for ban in l.expire(now) {
                        mirror.remove(&(ban.jail, ban.subject));
                    }
                }
            }
            let holds: BTreeSet<_> = l.holds(now).map(|(jail, s, _)| (jail.cloned(), s)).collect();
            let told: BTreeSet<_> = mirror.keys().cloned().collect();
            // After a pardon the kernel may hold what a list holds for longer than the list; `expire` lifts it.
            prop_assert!(holds.is_subset(&told), "{holds:?} but only {told:?}");
        }
        for ban in l.expire(at(now + 1000)) {
            mirror.remove(&(ban.jail, ban.subject));
        }
        mirror.retain(|_, until| until.is_none_or(|until| until > at(now + 1000)));
        let holds: BTreeSet<_> =
            l.holds(at(now + 1000)).map(|(jail, s, _)| (jail.cloned(), s)).collect();
        prop_assert_eq!(holds, mirror.keys().cloned().collect());
    }
}
