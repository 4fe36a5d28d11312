//! What other nodes saw of subjects below the threshold.

use std::sync::Arc;

use gaoler::agent::clock_setting::ClockSetting;
use gaoler::agent::colleagues::{Account, Seen};
use gaoler::bans::{Ban, Evidence, Origin};
use gaoler::config::{Config, JailConfig};
use gaoler::engine::{Duration, Shift};

use crate::world::{JAMES, World, block_on, failure, now, subject, until};

const EVE: &str = "203.0.113.7";
const RULE: &str = "james-log4j2/failRegex[0]";

/// A jail that bans at the second failure, and adds up over nodes when told to.
fn world(adds_up: bool) -> World {
    let world = World::guarded(JAMES);
    let config = &world.loaded().config;
    let jail = |jail: &Arc<JailConfig>| Arc::new(JailConfig { adds_up, ..(**jail).clone() });
    let jails = config.jails.iter().map(jail).collect();
    block_on(world.agent().configure(Arc::new(Config { jails, ..config.clone() }))).unwrap();
    world
}

fn seen() -> Seen {
    Seen { at: now(), weight: 1, rule: RULE.into() }
}

fn account(failures: usize) -> Account {
    let seen = seen();
    Account {
        jail: "james".into(),
        subject: subject(EVE),
        failures: vec![seen; failures],
        successes: Vec::new(),
    }
}

fn hear(world: &World, node: &str, account: Account) {
    block_on(world.agent().hear(node.into(), vec![account])).unwrap();
}

#[test]
fn a_failure_completes_the_window_that_another_node_began_and_the_ban_names_that_node() {
    let world = world(true);
    hear(&world, "n2", account(1));
    world.keeps_out(&[]);
    world.log(&[failure(EVE)]);
    world.keeps_out(&[&format!("j_james {EVE}")]);
    let ban = world.bans().remove(0);
    assert_eq!((ban.weight, ban.nodes), (2, vec!["n2".into()]));
    let rules: Vec<_> = ban.rules.iter().map(|rule| (&*rule.rule, rule.matches)).collect();
    assert_eq!(rules, [(RULE, 2)]);
}

#[test]
fn a_report_completes_the_window_that_this_node_began() {
    let world = world(true);
    world.log(&[failure(EVE)]);
    world.heard("james", 1);
    hear(&world, "n2", account(1));
    world.keeps_out(&[&format!("j_james {EVE}")]);
}

#[test]
fn a_jail_that_counts_each_node_for_itself_ignores_what_others_saw() {
    let world = world(false);
    hear(&world, "n2", account(9));
    world.log(&[failure(EVE)]);
    world.heard("james", 1);
    hear(&world, "n3", account(9));
    assert_eq!(world.kept_out(), [""; 0]);
}

#[test]
fn others_are_told_from_the_quota_on_until_the_subject_is_banned() {
    let world = world(true);
    let agent = world.agent();
    let mut news = agent.news();
    block_on(agent.share(vec![("james".into(), 1)])).unwrap();
    until(|| news.has_changed().unwrap().then_some(()));
    news.borrow_and_update();
    assert_eq!(block_on(agent.sightings()).unwrap(), []);
    world.log(&[failure(EVE)]);
    until(|| news.has_changed().unwrap().then_some(()));
    let told = block_on(agent.sightings()).unwrap().remove(0);
    assert_eq!((told.account.subject, told.weight), (subject(EVE), 1));
    let seen = &told.account.failures[0];
    assert_eq!((seen.weight, &*seen.rule), (1, RULE));
    let ban = Ban {
        jail: Some("james".into()),
        subject: subject(EVE),
        n: 1,
        since: now(),
        until: Some(now() + Duration::from_secs(7200)),
        origin: Origin::Node("n2".into()),
        evidence: Evidence::default(),
    };
    block_on(agent.receive(vec![ban], Vec::new())).unwrap();
    assert_eq!(block_on(agent.sightings()).unwrap(), [], "the other node's ban has settled it");
}

#[test]
fn failures_that_happened_here_during_a_ban_of_another_node_move_its_end_once_it_is_known() {
    let world = world(true);
    let began = now();
    world.log(&[failure(EVE)]);
    world.heard("james", 1);
    let end = began + Duration::from_secs(10);
    let ban = Ban {
        jail: Some("james".into()),
        subject: subject(EVE),
        n: 1,
        since: began - Duration::from_secs(1),
        until: Some(end),
        origin: Origin::Node("n2".into()),
        evidence: Evidence::default(),
    };
    block_on(world.agent().receive(vec![ban], Vec::new())).unwrap();
    let held = world.bans().remove(0);
    assert!(held.until.unwrap().0 >= began + Duration::from_secs(7200) - Duration::from_secs(1), "{held:?}");
}

#[test]
fn what_others_saw_is_as_old_as_it_is_when_this_clock_stood_still() {
    let world = world(true);
    let set_ahead = |ahead| block_on(world.agent().set_ahead(ahead, ClockSetting::now())).unwrap();
    set_ahead(Shift::NONE);
    hear(&world, "n2", account(1));
    set_ahead(Shift::from_micros(-3_600_000_000));
    world.log(&[failure(EVE)]);
    world.heard("james", 1);
    world.keeps_out(&[]);
    assert!(world.bans().is_empty(), "an hour lies between them");
    hear(
        &world,
        "n3",
        Account { failures: vec![Seen { at: now() + Duration::from_secs(3600), ..seen() }], ..account(0) },
    );
    world.keeps_out(&[&format!("j_james {EVE}")]);
}
