//! What other nodes banned, and what people pardoned at the API server.

use std::sync::Arc;
use std::time::Duration;

use gaoler::agent::situation::Situation;
use gaoler::bans::{Ban, Evidence, Origin, Pardon};
use gaoler::engine::Timestamp;
use gaoler::engine::house::Why;

use crate::world::{JAMES, World, block_on, failure, now, subject};

/// Began a minute ago, ends in an hour.
fn ban(who: &str, jail: &str) -> Ban {
    Ban {
        jail: Some(jail.into()),
        subject: subject(who),
        n: 1,
        since: now() - Duration::from_secs(60),
        until: Some(now() + Duration::from_secs(3600)),
        origin: Origin::Node("n2".into()),
        evidence: Evidence { weight: 5, ..Evidence::default() },
    }
}

fn pardon(prefix: &str, jail: Option<&str>, at: Timestamp) -> Pardon {
    let prefix = subject(prefix).net();
    Pardon { prefix, jail: jail.map(Into::into), at, reason: "asked for".into() }
}

fn receive(world: &World, bans: &[Ban], pardons: &[Pardon]) {
    block_on(world.agent().receive(bans.to_vec(), pardons.to_vec())).unwrap();
}

fn situate(world: &World, house: &[(&str, Why)]) {
    let house = house.iter().map(|(net, why)| (net.parse().unwrap(), why.clone())).collect();
    block_on(world.agent().situate(Arc::new(Situation { house, ..Situation::default() }))).unwrap();
}

#[test]
fn a_ban_of_another_node_closes_the_same_jail_here() {
    let world = World::guarded(JAMES);
    receive(&world, &[ban("203.0.113.7", "james"), ban("2001:db8:1:2::/64", "james")], &[]);
    world.keeps_out(&["j_james 203.0.113.7", "j_james 2001:db8:1:2::/64"]);
    assert!(world.bans().iter().all(|ban| ban.origin == "node n2"));
    assert!(block_on(world.agent().own_bans()).unwrap().is_empty(), "this node decided nothing");
}

#[test]
fn taking_in_the_same_again_changes_nothing_and_a_later_end_counts() {
    let world = World::guarded(JAMES);
    let mut events = world.agent().subscribe();
    let once = ban("203.0.113.7", "james");
    receive(&world, std::slice::from_ref(&once), &[]);
    let before = world.bans();
    receive(&world, &[once.clone(), once.clone()], &[]);
    let earlier = Ban { until: Some(now() + Duration::from_secs(5)), ..once.clone() };
    receive(&world, &[earlier], &[]);
    assert_eq!(world.bans(), before);
    let later = Ban { until: Some(now() + Duration::from_secs(7200)), ..once };
    receive(&world, std::slice::from_ref(&later), &[]);
    assert_eq!(world.bans()[0].until, later.until.map(Into::into));
    let told = std::iter::from_fn(|| events.try_recv().ok()).count();
    assert_eq!(told, 2, "one ban, one later end");
}

#[test]
fn a_ban_that_would_hit_the_house_waits_until_the_house_is_another() {
    let world = World::guarded(JAMES);
    situate(&world, &[("198.51.100.0/24", Why::AllowList("the nodes".into()))]);
    // Wider than the house, and within it.
    receive(&world, &[ban("198.51.0.0/16", "james"), ban("198.51.100.7", "james")], &[]);
    receive(&world, &[ban("203.0.113.7", "james")], &[]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    assert_eq!(world.banned(), ["203.0.113.7"]);
    situate(&world, &[]);
    world.keeps_out(&["j_james 198.51.0.0/16", "j_james 198.51.100.7", "j_james 203.0.113.7"]);
}

#[test]
fn who_was_pardoned_while_left_out_stays_free_when_the_house_changes() {
    let world = World::guarded(JAMES);
    situate(&world, &[("198.51.100.0/24", Why::AllowList("the nodes".into()))]);
    receive(&world, &[ban("198.51.100.7", "james"), ban("198.51.100.8", "james")], &[]);
    receive(&world, &[], &[pardon("198.51.100.7", None, now())]);
    situate(&world, &[]);
    world.keeps_out(&["j_james 198.51.100.8"]);
}

#[test]
fn a_jails_own_ignore_list_spares_from_others_bans_too_until_it_goes() {
    let mut world = World::guarded(&JAMES.replace("spec:", "spec:\n  ignore: [198.51.100.0/24]"));
    receive(&world, &[ban("198.51.100.7", "james"), ban("203.0.113.7", "james")], &[]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.keeps_out(&["j_james 198.51.100.7", "j_james 203.0.113.7"]);
}

#[test]
fn a_pardon_ends_what_began_up_to_its_moment_whichever_arrives_first() {
    let moment = now() - Duration::from_secs(30);
    let exactly = Ban { since: moment, ..ban("203.0.113.1", "james") };
    let after = Ban { since: moment + Duration::from_micros(1), ..ban("203.0.113.2", "james") };
    let bans = [ban("203.0.113.0", "james"), exactly, after, ban("198.51.100.1", "james")];
    let pardons = [pardon("203.0.113.0/24", None, moment)];
    let orders: [&[(&[Ban], &[Pardon])]; 3] = [
        &[(&bans, &[]), (&[], &pardons)],
        &[(&[], &pardons), (&bans, &[])],
        // The pardoned node comes back and tells all it held.
        &[(&bans, &pardons), (&bans, &[]), (&bans, &pardons)],
    ];
    for order in orders {
        let world = World::guarded(JAMES);
        for (bans, pardons) in order {
            receive(&world, bans, pardons);
        }
        world.keeps_out(&["j_james 198.51.100.1", "j_james 203.0.113.2"]);
    }
}

#[test]
fn a_pardon_ends_what_this_node_decided_and_it_is_not_shared_again() {
    let world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7"), failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.heard("james", 3);
    assert_eq!(block_on(world.agent().own_bans()).unwrap().len(), 1);
    receive(&world, &[], &[pardon("203.0.113.0/24", None, now())]);
    world.keeps_out(&[]);
    assert!(block_on(world.agent().own_bans()).unwrap().is_empty());
    // From zero: the failure before the pardon does not count.
    world.log(&[failure("203.0.113.8")]);
    world.heard("james", 4);
    assert!(world.banned().is_empty());
}

#[test]
fn a_pardon_of_one_jail_leaves_the_other() {
    let other = JAMES.replace("name: james", "name: other");
    let world = World::guarded(&format!("{JAMES}---{other}"));
    receive(&world, &[ban("203.0.113.7", "james"), ban("203.0.113.7", "other")], &[]);
    receive(&world, &[], &[pardon("203.0.113.7", Some("james"), now())]);
    world.keeps_out(&["j_other 203.0.113.7"]);
}

#[test]
fn whoever_was_banned_on_another_node_is_banned_here_for_the_second_time() {
    let world = World::guarded(&JAMES.replace("banTime: 2h", "banTime: 1h\n  escalation: {factor: 2}"));
    let over = Ban {
        since: now() - Duration::from_secs(3600),
        until: Some(now() - Duration::from_secs(600)),
        ..ban("203.0.113.7", "james")
    };
    receive(&world, &[over], &[]);
    assert!(world.bans().is_empty(), "it is over");
    world.log(&[
        failure("203.0.113.7"),
        failure("203.0.113.7"),
        failure("203.0.113.8"),
        failure("203.0.113.8"),
    ]);
    world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8"]);
    let span = |who: &str| {
        let bans = world.bans();
        let ban = bans.iter().find(|ban| ban.subject == subject(who)).unwrap();
        (ban.n, ban.until.unwrap().0.since(ban.since.unwrap().0).as_secs())
    };
    assert_eq!((span("203.0.113.7"), span("203.0.113.8")), ((2, 7200), (1, 3600)));
    assert_eq!(block_on(world.agent().own_bans()).unwrap().len(), 2);
}

#[test]
fn failures_here_during_a_ban_of_another_node_move_its_end_and_not_its_number() {
    let world = World::guarded(JAMES);
    receive(&world, &[ban("203.0.113.7", "james")], &[]);
    world.log(&[failure("203.0.113.7")]);
    assert_eq!(world.heard("james", 1).counters.while_banned, 1);
    let bans = world.bans();
    assert_eq!(bans.iter().map(|ban| ban.n).collect::<Vec<_>>(), [1]);
    assert!(bans[0].until.unwrap().0 > now() + Duration::from_secs(7000), "two hours from now");
    // Only this node knows the new end, so it tells the others.
    let own = block_on(world.agent().own_bans()).unwrap();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0].until.map(Into::into), bans[0].until);
}

#[test]
fn a_ban_for_a_jail_that_is_not_there_yet_holds_when_it_comes() {
    let mut world = World::guarded(JAMES);
    receive(&world, &[ban("203.0.113.7", "later")], &[]);
    world.keeps_out(&[]);
    let later = JAMES.replace("name: james", "name: later");
    world.declare("later.yaml", &later);
    world.reload();
    world.keeps_out(&["j_later 203.0.113.7"]);
}

#[test]
fn bans_that_arrive_before_the_first_configuration_are_not_lost() {
    let mut world = World::new(JAMES);
    let (agent, thread) = gaoler::agent::spawn(
        gaoler::agent::Settings {
            observe: false,
            state: Some(gaoler::agent::state_file::StateFile::open(&world.path("lib/state")).unwrap()),
        },
        Box::new(world.firewall.clone()),
    )
    .unwrap();
    block_on(agent.receive(vec![ban("203.0.113.7", "james")], Vec::new())).unwrap();
    block_on(agent.stop()).unwrap().unwrap();
    thread.join().unwrap();
    world.start();
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn an_agent_that_waits_for_its_configuration_forgets_nothing() {
    let mut world = World::guarded(JAMES);
    let pardoned = ban("203.0.113.8", "james");
    receive(&world, &[], &[pardon("203.0.113.8", None, now())]);
    world.stop();
    let state = gaoler::agent::state_file::StateFile::open(&world.path("lib/state")).unwrap();
    let settings = gaoler::agent::Settings { observe: false, state: Some(state) };
    let (agent, thread) = gaoler::agent::spawn(settings, Box::new(world.firewall.clone())).unwrap();
    for _ in 0..10 {
        block_on(agent.status()).unwrap();
    }
    block_on(agent.stop()).unwrap().unwrap();
    thread.join().unwrap();
    world.start();
    receive(&world, &[pardoned, ban("203.0.113.7", "james")], &[]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn bans_and_pardons_of_others_outlive_a_restart() {
    let mut world = World::guarded(JAMES);
    let pardoned = ban("203.0.113.8", "james");
    receive(&world, &[ban("203.0.113.7", "james")], &[pardon("203.0.113.8", None, now())]);
    world.stop();
    world.start();
    receive(&world, &[pardoned], &[]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    assert_eq!(world.bans()[0].origin, "node n2");
}

#[test]
fn a_node_that_lost_its_state_learns_its_own_bans_back_as_its_own() {
    let world = World::guarded(JAMES);
    receive(&world, &[Ban { origin: Origin::Jail, ..ban("203.0.113.7", "james") }], &[]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    assert_eq!(block_on(world.agent().own_bans()).unwrap().len(), 1);
}

#[test]
fn only_the_wanted_and_the_latest_of_the_own_bans_are_told() {
    let world = World::guarded(JAMES);
    let own = |last: u8| Ban {
        origin: Origin::Jail,
        since: now() - Duration::from_secs(600) + Duration::from_secs(last.into()),
        ..ban(&format!("203.0.113.{last}"), "james")
    };
    receive(&world, &(1..=9).map(own).collect::<Vec<_>>(), &[]);
    let told = |most, odd: bool| {
        let wanted = move |ban: &Ban| !odd || ban.subject.to_string().ends_with(['1', '3', '5', '7', '9']);
        let mut told: Vec<String> = block_on(world.agent().own_bans_that(most, wanted))
            .unwrap()
            .iter()
            .map(|ban| ban.subject.to_string())
            .collect();
        told.sort();
        told
    };
    assert_eq!(told(100, false).len(), 9);
    assert_eq!(told(3, false), ["203.0.113.7", "203.0.113.8", "203.0.113.9"]);
    assert_eq!(told(4, true), ["203.0.113.7", "203.0.113.9"]);
}

#[test]
fn bans_for_which_a_full_jail_had_no_room_are_asked_for_again_when_there_is_some() {
    let world = World::guarded(JAMES);
    let room = || block_on(world.agent().has_room_again()).unwrap();
    let address = |i: u32| std::net::Ipv4Addr::from_bits(0x0b00_0000 + i).to_string();
    let most = u32::try_from(gaoler::bans::LedgerLimits::PER_JAIL).unwrap();
    let all: Vec<Ban> = (0..most).map(|i| ban(&address(i), "james")).collect();
    receive(&world, &all, &[]);
    assert!(!room(), "all have found room");
    let late = [ban("198.51.100.1", "james"), ban("198.51.100.2", "james"), ban("198.51.100.3", "james")];
    receive(&world, &late, &[]);
    assert_eq!(world.jail("james").counters.refused, 3);
    assert!(!room());
    receive(&world, &[], &[pardon("11.0.0.0/31", None, now())]);
    assert!(!room(), "for two of three");
    receive(&world, &[], &[pardon("11.0.0.2/31", None, now())]);
    assert!(room());
    assert!(!room(), "it was told");
    receive(&world, &late, &[]);
    assert_eq!(world.status().bans, all.len() - 1);
    assert_eq!(world.jail("james").counters.refused, 3);
}
