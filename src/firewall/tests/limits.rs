use std::time::Duration;

use nftables::batch::Batch;
use nftables::schema::{FlushObject, NfCmd, NfListObject, NfObject};
use proptest::prelude::*;

use super::*;
use crate::firewall::inventory::Hook;
use crate::firewall::ruleset::transition;
use crate::firewall::{Action, Counted, Destination, Guard};

fn limit(name: &str, counts: Counted, hits: u32) -> Limit {
    Limit {
        name: ScopeName::new(name),
        counts,
        hits,
        window: Duration::from_secs(60),
        penalty: Penalty::Silence,
        prefix_v4: 32,
        prefix_v6: 64,
        ignore: vec![],
        action: Action::Drop,
        observe: false,
        max_sources: 65_536,
        catches: false,
    }
}

fn skeleton(limits: Vec<Limit>) -> Skeleton {
    Skeleton { limits, ..Skeleton::default() }
}

/// One command a line.
fn lines(batch: Batch<'_>) -> String {
    let objects = batch.to_nftables().objects.into_owned();
    objects.iter().map(|object| serde_json::to_string(object).unwrap() + "\n").collect()
}

/// The commands among these that add rules to the chain.
fn rules_of<'a>(lines: &'a str, chain: &str) -> Vec<&'a str> {
    let chain = format!("\"chain\":\"{chain}\"");
    lines.lines().filter(|line| line.contains("\"rule\"") && line.contains(&chain)).collect()
}

/// What the kernel would hold after `skeleton`.
fn standing(skeleton: &Skeleton) -> Inventory {
    let limits = Limits::new(skeleton);
    let flags = SetShape::TIMEOUT | SetShape::DYNAMIC;
    let shape = |kept: &Kept| SetShape { flags, key_bytes: kept.family.bytes() };
    let mut inventory = Inventory {
        chains: limits.chains().map(|name| (name, None)).collect(),
        sets: limits.sets().iter().map(|(name, kept)| (name.clone(), shape(kept))).collect(),
        counters: limits.counters().collect(),
    };
    if !limits.is_empty() {
        inventory.chains.insert(LIMITS.into(), Some(Hook { number: 0, priority: -299 }));
    }
    if limits.watches_answers() {
        inventory.chains.insert("answers".into(), Some(Hook { number: 4, priority: -190 }));
    }
    inventory
}

fn touched(batch: Batch<'_>) -> (Vec<String>, Vec<String>) {
    let (mut deleted, mut added) = (Vec::new(), Vec::new());
    for object in batch.to_nftables().objects.into_owned() {
        match object {
            NfObject::CmdObject(NfCmd::Delete(NfListObject::Set(set))) => deleted.push(set.name.into_owned()),
            NfObject::CmdObject(NfCmd::Delete(NfListObject::Counter(counter))) => {
                deleted.push(counter.name.into_owned());
            }
            NfObject::CmdObject(NfCmd::Add(NfListObject::Set(set))) => added.push(set.name.into_owned()),
            NfObject::CmdObject(NfCmd::Flush(FlushObject::Set(set))) => deleted.push(set.name.into_owned()),
            _ => {}
        }
    }
    (deleted, added)
}

#[test]
fn a_few_hits_are_slots_and_many_are_a_bucket() {
    let mut imap = limit("imap", Counted::tcp(&[143, 993]), 301);
    imap.penalty = Penalty::Excess;
    imap.ignore = vec!["203.0.113.0/25".parse().unwrap(), "203.0.113.0/24".parse().unwrap()];
    let mut ping = limit("ping", Counted::Echo, 3);
    ping.penalty = Penalty::Lasting(Duration::from_secs(600));
    ping.prefix_v4 = 24;
    let mut wanted = skeleton(vec![ping, imap]);
    wanted.never = vec!["192.0.2.0/24".parse().unwrap()];
    insta::assert_snapshot!(lines(transition(None, &wanted)));
}

#[test]
fn addresses_have_doors_of_their_own_and_answers_are_watched_where_it_may_lead_to_bans() {
    let at = |destination: &str, port| Guard {
        destination: Destination::Address(destination.parse().unwrap()),
        port,
    };
    let here = |port| Guard { destination: Destination::Local, port };
    let smtp = Limit { catches: true, ..limit("smtp", Counted::tcp(&[25]), 3) };
    let service = Counted::Tcp(vec![here(30025), at("198.51.100.25", 25), at("2001:db8:77::25", 25)]);
    let service = Limit { catches: true, prefix_v4: 24, ..limit("a_service", service, 2) };
    let own = ["192.0.2.1", "2001:db8::1"].map(|address| address.parse().unwrap()).into();
    let lines = lines(transition(None, &Skeleton { own, ..skeleton(vec![smtp, service]) }));
    let of = |chain| rules_of(&lines, chain);
    // The Service's address may be this host's too: then the limit of the host's port is asked as well, after the other.
    let service = of("limits_tcp_25_1");
    assert!(service[0].contains(r#""expr":[{"jump":{"target":"limit_a_service"}}]"#), "{service:?}");
    assert!(service[1].contains("fib") && service[1].contains("limit_smtp"), "{service:?}");
    assert!(of("limits_tcp_25")[0].contains(r#""op":"!="}},{"return":null}"#), "{lines}");
    let doors = of("knocks");
    assert_eq!(doors.len(), 3, "IPv4 addresses, IPv6 addresses, this host: {doors:?}");
    assert!(
        doors[0].contains(r#"[{"concat":["198.51.100.25",25]},{"goto":{"target":"limits_tcp_25_1"}}]"#),
        "{doors:?}"
    );
    // What one limit grants is one connection: no bucket is needed.
    assert!(!lines.contains("a_service_real") && lines.contains("smtp_real4_32_131072_3x60"), "{lines}");
    assert!(
        lines.contains("a_service_busy4_24_131072_60s") && lines.contains("a_service_caught6_64_4096"),
        "{lines}"
    );
    assert!(
        of("met_25")
            .iter()
            .any(|rule| rule.contains(r#""dir":"original""#) && rule.contains("met_a_service"))
    );
    // Whoever talks to another's Service at the same port has proved nothing to the limit of this host's.
    let proofs = of("met_25");
    assert_eq!(proofs.len(), 6, "{proofs:?}");
    for rule in &proofs[2..] {
        let own = rule.contains("192.0.2.1") || rule.contains("2001:db8::1");
        assert!(rule.contains(r#""dir":"original""#) && own == rule.contains("met_smtp"), "{rule}");
    }
    assert!(of("answers")[0].contains(r#"[30025,{"goto":{"target":"met_30025"}}]"#), "{lines}");
}

#[test]
fn the_same_limits_again_touch_no_set() {
    let smtp = Limit { catches: true, ..limit("smtp", Counted::tcp(&[25]), 4) };
    let wanted = skeleton(vec![smtp, limit("imap", Counted::tcp(&[143]), 99)]);
    let standing = standing(&wanted);
    assert_eq!(touched(transition(Some(&standing), &wanted)), (vec![], vec![]));
    let deletes = |batch: Batch<'_>| lines(batch).contains("delete");
    assert!(!deletes(transition(Some(&standing), &wanted)), "no chain is taken away either");
}

#[test]
fn a_limit_that_goes_takes_its_sets_and_counters_with_it() {
    let before =
        skeleton(vec![limit("smtp", Counted::tcp(&[25]), 2), limit("imap", Counted::tcp(&[143]), 99)]);
    let after = skeleton(vec![limit("imap", Counted::tcp(&[143]), 99)]);
    let (deleted, added) = touched(transition(Some(&standing(&before)), &after));
    let mut wanted = vec!["limited_smtp".to_owned(), "uncounted_smtp".into()];
    for family in ["4_32", "6_64"] {
        wanted.extend([format!("smtp_pen{family}_65536_60s"), format!("smtp_slot{family}_65536_60s_1")]);
    }
    wanted.sort();
    let mut deleted = deleted;
    deleted.sort();
    assert_eq!((deleted, added), (wanted, vec![]));
}

#[test]
fn another_action_keeps_the_counts_and_another_prefix_window_or_penalty_does_not() {
    let smtp = limit("smtp", Counted::tcp(&[25]), 4);
    let before = standing(&skeleton(vec![smtp.clone()]));
    let other = Limit { action: Action::Reject, observe: true, ..smtp.clone() };
    assert_eq!(touched(transition(Some(&before), &skeleton(vec![other]))), (vec![], vec![]));
    // What is there would keep the end it has: nobody shall wait for a penalty that was taken back.
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let narrower = Limit { window: minutes(2), ..smtp.clone() };
    let (deleted, added) = touched(transition(Some(&before), &skeleton(vec![narrower])));
    assert_eq!((deleted.len(), added.len()), (8, 8), "three slots and the penalty of both families");
    let lasting = |span| skeleton(vec![Limit { penalty: Penalty::Lasting(span), ..smtp.clone() }]);
    let (deleted, added) = touched(transition(Some(&standing(&lasting(minutes(60)))), &lasting(minutes(1))));
    assert_eq!((deleted.len(), added.len()), (2, 2));
    assert!(deleted.iter().all(|name| name.contains("pen") && name.ends_with("_3600s")), "{deleted:?}");
    let wider = Limit { prefix_v4: 24, ..smtp.clone() };
    let (deleted, added) = touched(transition(Some(&before), &skeleton(vec![wider])));
    assert_eq!((deleted.len(), added.len()), (4, 4));
    assert!(deleted.iter().all(|name| name.contains("4_32")), "{deleted:?}");
}

#[test]
fn a_set_that_rules_cannot_add_to_is_made_anew() {
    let wanted = skeleton(vec![limit("smtp", Counted::tcp(&[25]), 2)]);
    let mut before = standing(&wanted);
    let name = "smtp_slot4_32_65536_60s_1";
    before.sets.insert(name.into(), SetShape { flags: SetShape::TIMEOUT, key_bytes: 4 });
    assert_eq!(touched(transition(Some(&before), &wanted)), (vec![name.into()], vec![name.into()]));
}

#[test]
fn a_source_is_let_go_by_the_sets_that_count_before_it_is_no_offender_any_more() {
    for (hits, catches, penalty) in [
        (3, false, Penalty::Excess),
        (3, true, Penalty::Silence),
        (40, true, Penalty::Lasting(Duration::from_secs(9))),
    ] {
        let limit = Limit { catches, penalty, ..limit("smtp", Counted::tcp(&[25]), hits) };
        for family in FAMILIES {
            let sets = sets_of_sources(&limit, family);
            assert_eq!(
                sets.iter().position(|set| *set == offender_set(&limit, family)),
                Some(sets.len() - 1)
            );
            assert!(sets.len() > 1, "{sets:?}");
        }
    }
}

#[test]
fn no_name_of_a_limits_set_is_that_of_a_ban_set() {
    use crate::firewall::ban_set::BanSet;
    for name in ["smtp", "l_a_4_32", "x_6_64", "pen4"] {
        for hits in [2, 16, 17, 100_000] {
            let wanted = skeleton(vec![Limit { catches: true, ..limit(name, Counted::tcp(&[25]), hits) }]);
            for set in Limits::new(&wanted).sets().keys() {
                assert_eq!(BanSet::parse(set), None, "{set}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_change_of_one_limit_touches_no_other(hits in 2..40_u32, other in 2..40_u32, port in 1..9_u16, excess: bool) {
        let stays = limit("stays", Counted::tcp(&[25]), 4);
        let changes = |hits, port, penalty| Limit { penalty, ..limit("changes", Counted::udp(&[port]), hits) };
        let before = skeleton(vec![stays.clone(), changes(hits, 53, Penalty::Silence)]);
        let penalty = if excess { Penalty::Excess } else { Penalty::Silence };
        let after = skeleton(vec![changes(other, port, penalty), stays]);
        let (deleted, added) = touched(transition(Some(&standing(&before)), &after));
        for name in deleted.iter().chain(&added) {
            prop_assert!(!name.contains("stays"), "{}", name);
        }
    }
}
