//! What people order by hand.

use gaoler::agent::report::{BanOrder, Durability, Refusal, UnbanOrder, Unbanned};

use crate::world::{JAMES, World, block_on, failure, subject, until};

pub(crate) fn order(who: &str, jail: Option<&str>) -> BanOrder {
    BanOrder {
        subject: subject(who),
        jail: jail.map(Into::into),
        seconds: Some(7200),
        reason: Some("test".into()),
    }
}

fn unban(world: &World, prefix: Option<&str>, jail: Option<&str>) -> Unbanned {
    let prefix = prefix.map(|who| subject(who).net());
    let order = UnbanOrder { prefix, jail: jail.map(Into::into), reason: None };
    block_on(world.agent().unban(order)).unwrap().unwrap()
}

#[test]
fn a_ban_by_hand_closes_everything_or_one_jails_ports_and_is_saved_when_answered() {
    let world = World::guarded(JAMES);
    let banned = block_on(world.agent().ban(order("203.0.113.0/24", None))).unwrap().unwrap();
    assert_eq!((banned.known, banned.saved), (false, Durability::Saved));
    block_on(world.agent().ban(order("203.0.113.7", Some("james")))).unwrap().unwrap();
    world.keeps_out(&["all 203.0.113.0/24", "j_james 203.0.113.7"]);
    let state = std::fs::read_to_string(world.path("lib/state")).unwrap();
    assert!(state.contains("\"test\""), "the reason is on disk");
}

#[test]
fn a_ban_of_no_time_is_refused_and_leaves_no_trace() {
    let world = World::guarded(JAMES);
    let none = BanOrder { seconds: Some(0), ..order("203.0.113.7", None) };
    assert_eq!(block_on(world.agent().ban(none)).unwrap(), Err(Refusal::NoTime));
    let banned = block_on(world.agent().ban(order("203.0.113.7", None))).unwrap().unwrap();
    assert_eq!((banned.known, banned.ban.n), (false, 1));
}

#[test]
fn a_jail_that_is_not_there_is_named() {
    let world = World::guarded(JAMES);
    let refusal = block_on(world.agent().ban(order("203.0.113.7", Some("jams")))).unwrap();
    assert_eq!(refusal, Err(Refusal::NoSuchJail("jams".into())));
}

#[test]
fn a_prefix_that_is_a_large_part_of_the_internet_is_refused_whoever_orders_it() {
    let world = World::guarded(JAMES);
    for (who, refused) in
        [("203.0.0.0/7", true), ("203.0.0.0/8", false), ("2000::/15", true), ("2a00::/16", false)]
    {
        let answer = block_on(world.agent().ban(order(who, None))).unwrap();
        assert_eq!(matches!(answer, Err(Refusal::TooWide(_))), refused, "{who}: {answer:?}");
    }
}

#[test]
fn an_unban_opens_and_forgets_the_failures_before_it() {
    let world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7"), failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.heard("james", 3);
    let unbanned = unban(&world, Some("203.0.113.7"), None);
    assert_eq!((unbanned.ended.len(), unbanned.remaining.len()), (1, 0));
    unban(&world, Some("203.0.113.8"), None);
    world.keeps_out(&[]);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.8")]);
    world.heard("james", 5);
    assert!(world.banned().is_empty(), "one failure since the pardon is not two");
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn who_names_an_address_means_the_64_the_jail_counts() {
    let world = World::guarded(JAMES);
    world.log(&[failure("2001:db8:1:2::5"), failure("2001:db8:1:2::6")]);
    world.keeps_out(&["j_james 2001:db8:1:2::/64"]);
    let unbanned = unban(&world, Some("2001:db8:1:2::7"), None);
    assert_eq!(unbanned.ended[0].subject, subject("2001:db8:1:2::/64"));
    world.keeps_out(&[]);
}

#[test]
fn who_names_an_address_does_not_open_the_prefix_somebody_banned_by_hand() {
    let world = World::guarded(JAMES);
    block_on(world.agent().ban(order("203.0.113.0/24", None))).unwrap().unwrap();
    let unbanned = unban(&world, Some("203.0.113.7"), None);
    assert_eq!((unbanned.ended.len(), unbanned.remaining.len()), (0, 1));
    world.keeps_out(&["all 203.0.113.0/24"]);
    unban(&world, Some("203.0.0.0/16"), None);
    world.keeps_out(&[]);
}

#[test]
fn an_unban_of_one_jail_leaves_the_other() {
    let other = JAMES.replace("name: james", "name: other");
    let world = World::guarded(&format!("{JAMES}---{other}"));
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7", "j_other 203.0.113.7"]);
    unban(&world, Some("203.0.113.7"), Some("james"));
    world.keeps_out(&["j_other 203.0.113.7"]);
    unban(&world, None, None);
    world.keeps_out(&[]);
}

#[test]
fn a_ban_by_hand_ends_by_itself() {
    let world = World::guarded(JAMES);
    let short = BanOrder { seconds: Some(1), ..order("203.0.113.7", None) };
    block_on(world.agent().ban(short)).unwrap().unwrap();
    until(|| world.banned().is_empty().then_some(()));
    world.keeps_out(&[]);
}

#[test]
fn why_tells_what_is_known_of_an_address() {
    let world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7"), failure("203.0.113.8")]);
    world.heard("james", 3);
    let why = |who: &str| block_on(world.agent().why(who.parse().unwrap())).unwrap();
    let banned = until(|| Some(why("203.0.113.7")).filter(|why| why.dropped));
    assert_eq!(banned.closed[0].ports, [25, 143]);
    // IPv4 in IPv6 is the same address.
    assert_eq!(why("::ffff:203.0.113.7").bans, banned.bans);
    let watched = why("203.0.113.8").watched;
    assert_eq!((watched[0].weight, watched[0].needed), (1, 2));
    let unknown = why("203.0.113.9");
    assert!(!unknown.dropped && unknown.bans.is_empty() && unknown.watched.is_empty());
}
