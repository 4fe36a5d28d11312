//! From a line to the firewall.

use std::collections::BTreeSet;

use gaoler::agent::report::{ConditionType, EventKind};
use gaoler::firewall::{Destination, Guard, Reach};

use crate::world::{JAMES, World, failure, until};

#[test]
fn the_last_of_enough_failures_closes_the_jails_ports() {
    let world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.8")]);
    world.heard("james", 2);
    assert!(world.kept_out().is_empty());
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    let skeleton = world.skeleton();
    let scope = skeleton.scopes.iter().find(|scope| scope.name.as_str() == "j_james").unwrap();
    let port = |port| Guard { destination: Destination::Local, port };
    assert_eq!(scope.reach, Reach::Ports(vec![port(25), port(143)]));
}

#[test]
fn a_ban_names_its_evidence() {
    let world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    let [ban] = world.bans().try_into().unwrap();
    assert_eq!((ban.weight, ban.n, ban.origin.as_str(), ban.enforced), (2, 1, "jail", true));
    let [rule] = ban.rules.try_into().unwrap();
    assert_eq!((&*rule.rule, rule.matches), ("james-log4j2/failRegex[0]", 2));
}

#[test]
fn jails_that_read_the_same_file_each_count_for_themselves() {
    let strict = JAMES.replace("name: james", "name: strict").replace("maxRetry: 2", "maxRetry: 1");
    let world = World::guarded(&format!("{JAMES}---{strict}"));
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_strict 203.0.113.7"]);
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7", "j_strict 203.0.113.7"]);
    let lines: BTreeSet<u64> = world.status().jails.iter().flat_map(|j| &j.files).map(|f| f.lines).collect();
    assert_eq!(lines, BTreeSet::from([2]), "each line was read once");
}

#[test]
fn a_jail_that_observes_notes_bans_and_touches_nothing() {
    let world = World::guarded(&JAMES.replace("spec:", "spec:\n  mode: Observe"));
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    until(|| (world.banned() == ["203.0.113.7"]).then_some(()));
    assert!(!world.bans()[0].enforced);
    assert!(world.kept_out().is_empty());
    assert!(!world.skeleton().scopes.iter().any(|scope| scope.name.as_str() == "j_james"));
}

#[test]
fn a_switch_from_observing_to_enforcing_takes_in_who_was_noted() {
    let mut world = World::guarded(&JAMES.replace("spec:", "spec:\n  mode: Observe"));
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    until(|| (world.banned() == ["203.0.113.7"]).then_some(()));
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn events_tell_of_bans_as_they_fall() {
    let world = World::guarded(JAMES);
    let mut events = world.agent().subscribe();
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    let event = events.blocking_recv().unwrap();
    assert_eq!((event.event, event.ban.subject.to_string()), (EventKind::Ban, "203.0.113.7".into()));
}

#[test]
fn beyond_its_brake_a_jail_only_observes_and_says_so() {
    let world = World::guarded(&JAMES.replace("spec:", "spec:\n  brake: {bansPerMinute: 3}"));
    let lines: Vec<String> = (1..=5)
        .flat_map(|n| vec![failure(&format!("203.0.113.{n}")), failure(&format!("203.0.113.{n}"))])
        .collect();
    world.log(&lines);
    let report = world.heard("james", 10);
    assert_eq!((report.counters.bans, report.counters.braked), (3, 2));
    assert_eq!(world.banned().len(), 3);
    assert!(world.condition("james", ConditionType::Braking).is_some_and(|c| c.status));
}

#[test]
fn a_banned_subject_that_still_appears_is_reported() {
    let world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    until(|| (world.status().firewall.applied > 0).then_some(()));
    assert!(world.condition("james", ConditionType::BanIneffective).is_none());
    // What was on its way when the ban fell is no sign; it goes on for some seconds.
    let condition = until(|| {
        world.log(&[failure("203.0.113.7")]);
        world.condition("james", ConditionType::BanIneffective)
    });
    assert!(condition.status && condition.message.contains("203.0.113.7"), "{condition:?}");
}

#[test]
fn a_burst_of_five_thousand_attackers_is_in_the_firewall_whole() {
    let world = World::guarded(&JAMES.replace("spec:", "spec:\n  brake: {bansPerMinute: 100000}"));
    let attackers = (0..5000).map(|n| format!("198.18.{}.{}", n / 250, n % 250 + 1));
    let lines: Vec<String> =
        attackers.flat_map(|address| vec![failure(&address), failure(&address)]).collect();
    world.log(&lines);
    until(|| (world.kept_out().len() == 5000).then_some(()));
    assert_eq!(world.jail("james").banned, 5000);
}

#[test]
fn a_log_in_a_containers_envelope_is_understood() {
    let world = World::guarded(JAMES);
    let stamp = jiff::Timestamp::now();
    let wrapped = |line: String| format!("{stamp} stdout F {line}\n");
    world.append(wrapped(failure("203.0.113.7")) + &wrapped(failure("203.0.113.7")));
    world.keeps_out(&["j_james 203.0.113.7"]);
}
