use super::tests::{at, ban, pardon};
use super::*;

/// A ledger of at most 3 bans for a jail, and of even shares from 6 on.
fn small() -> Ledger {
    Ledger::new(LedgerLimits { per_jail: 3, in_force: 6, ..LedgerLimits::default() })
}

fn of_jail(jail: &str, i: u32, until: Option<i64>) -> Ban {
    let who = std::net::Ipv4Addr::from_bits(0x0b00_0000 + i).to_string();
    Ban { jail: Some(jail.into()), until: until.map(at), ..ban(&who, 1, 10, 100) }
}

#[test]
fn a_jail_has_so_many_bans_in_force_and_the_next_is_refused_until_one_ends() {
    let mut l = small();
    for i in 0..3 {
        assert!(l.full().is_empty());
        assert_eq!(l.record(&of_jail("james", i, Some(100 + i64::from(i))), at(11)), Recorded::New);
    }
    assert_eq!(l.record(&of_jail("james", 3, None), at(11)), Recorded::Refused);
    let theirs = Ban { origin: Origin::Node("n2".into()), ..of_jail("james", 4, None) };
    assert_eq!(l.record(&theirs, at(11)), Recorded::Refused, "other nodes' count too");
    assert_eq!((l.len(), l.full().len()), (3, 1));
    assert_eq!((l.room(Some(&"james".into())), l.room(Some(&"other".into()))), (0, 3));
    // What is in force needs no other place, what is over takes none, and a person's word holds.
    assert_eq!(l.record(&of_jail("james", 1, Some(500)), at(12)), Recorded::Prolonged);
    assert_eq!(l.record(&of_jail("james", 5, Some(11)), at(12)), Recorded::Over);
    assert_eq!(l.record(&of_jail("sshd", 3, None), at(12)), Recorded::New, "another jail has its own place");
    assert_eq!(l.record(&Ban { origin: Origin::Hand, ..of_jail("james", 6, None) }, at(12)), Recorded::New);
    // Two have ended.
    l.expire(at(103));
    assert!(l.full().is_empty());
    assert_eq!(l.room(Some(&"james".into())), 1, "one by a person's word is more than it may have");
    assert_eq!(l.record(&of_jail("james", 3, None), at(104)), Recorded::New);
    assert_eq!(
        l.record(&of_jail("james", 0, None), at(104)),
        Recorded::Refused,
        "one that is over takes a place"
    );
    l.pardon(pardon("11.0.0.3/32", None, 105), at(105));
    assert_eq!(l.record(&of_jail("james", 0, None), at(106)), Recorded::New);
}

#[test]
fn whoever_fills_the_ledger_takes_nobodys_place() {
    let mut l = small();
    for (jail, bans) in [("a", 3), ("b", 3), ("c", 1)] {
        let recorded: Vec<Recorded> = (0..bans).map(|i| l.record(&of_jail(jail, i, None), at(11))).collect();
        assert_eq!(recorded, vec![Recorded::New; bans as usize], "{jail}");
    }
    // Six and more of three jails: two each.
    assert_eq!(l.record(&of_jail("c", 8, None), at(11)), Recorded::New);
    let room = |l: &Ledger| ["a", "b", "c"].map(|jail| l.room(Some(&jail.into())));
    assert_eq!(room(&l), [0, 0, 0]);
    assert_eq!(l.record(&of_jail("c", 9, None), at(11)), Recorded::Refused);
    assert_eq!(l.full().len(), 3);
    // Below six each may have what is left of its own three.
    l.pardon(pardon("11.0.0.0/30", None, 105), at(105));
    assert_eq!((l.len(), room(&l)), (1, [3, 3, 2]));
}

#[test]
fn a_full_jail_is_full_after_a_restart() {
    let mut l = small();
    for i in 0..5 {
        l.record(&of_jail("james", i, Some(if i < 2 { 50 } else { 500 })), at(11));
        l.expire(at(60));
    }
    let back = Ledger::restore(l.limits, &l.snapshot()).unwrap();
    assert_eq!((back.full().len(), back.past_len()), (1, 2));
}
