//! The clock that nodes share, and this node's own.

use std::time::Duration;

use gaoler::agent::clock_setting::ClockSetting;
use gaoler::bans::{Ban, Evidence, Origin, Pardon};
use gaoler::engine::{Shift, Timestamp};

use crate::world::{JAMES, World, block_on, failure, now, subject, until};

const HOUR: Shift = Shift::from_micros(3_600_000_000);

fn set_ahead(world: &World, ahead: Shift) {
    block_on(world.agent().set_ahead(ahead, ClockSetting::now())).unwrap();
}

/// Began a minute ago, ends in an hour.
fn ban(who: &str, node: &str) -> Ban {
    Ban {
        jail: Some("james".into()),
        subject: subject(who),
        n: 1,
        since: now() - Duration::from_secs(60),
        until: Some(now() + Duration::from_secs(3600)),
        origin: Origin::Node(node.into()),
        evidence: Evidence { first: Some(now() - Duration::from_secs(90)), ..Evidence::default() },
    }
}

/// Since and until, here.
fn span(world: &World, who: &str) -> (Timestamp, Timestamp) {
    let ban = world.bans().into_iter().find(|ban| ban.subject == subject(who)).unwrap();
    (ban.since.unwrap().0, ban.until.unwrap().0)
}

#[test]
fn what_nodes_exchange_is_by_the_shared_clock_and_what_they_hold_by_their_own() {
    let world = World::guarded(JAMES);
    set_ahead(&world, HOUR);
    let told = ban("203.0.113.7", "n2");
    block_on(world.agent().receive(vec![told.clone()], Vec::new())).unwrap();
    assert_eq!(span(&world, "203.0.113.7"), (told.since + HOUR, told.until.unwrap() + HOUR));
    assert_eq!(block_on(world.agent().foreign_bans_that(|_| true)).unwrap(), std::slice::from_ref(&told));
    let mut events = world.agent().subscribe();
    let other = ban("203.0.113.8", "n2");
    block_on(world.agent().receive(vec![other.clone()], Vec::new())).unwrap();
    let event = until(|| events.try_recv().ok());
    assert_eq!(event.ban.since.unwrap().0, other.since + HOUR);
    assert_eq!(event.shared().ban.since.unwrap().0, other.since);
    let at = told.since + Shift::from_micros(1);
    let pardon = Pardon { prefix: told.subject.net(), jail: None, at, reason: String::new() };
    block_on(world.agent().receive(Vec::new(), vec![pardon])).unwrap();
    assert_eq!(world.banned(), ["203.0.113.8"]);
}

#[test]
fn a_better_known_clock_moves_what_is_held_and_nothing_that_was_exchanged() {
    let mut world = World::guarded(JAMES);
    set_ahead(&world, Shift::NONE);
    world.log(&[failure("203.0.113.9"), failure("203.0.113.9")]);
    until(|| (world.banned() == ["203.0.113.9"]).then_some(()));
    let told = Ban { until: Some(now() + Duration::from_secs(7200)), ..ban("203.0.113.7", "n2") };
    // Of this one an hour less is nothing.
    let brief = Ban { until: Some(now() + Duration::from_secs(1800)), ..ban("203.0.113.8", "n2") };
    block_on(world.agent().receive(vec![told.clone(), brief], Vec::new())).unwrap();
    world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8", "j_james 203.0.113.9"]);
    let own = block_on(world.agent().own_bans()).unwrap();
    // Behind by an hour, then a little more, then as at first.
    for micros in [-3_600_000_000, -3_600_300_000, 0] {
        let ahead = Shift::from_micros(micros);
        set_ahead(&world, ahead);
        assert_eq!(span(&world, "203.0.113.7"), (told.since + ahead, told.until.unwrap() + ahead));
        assert_eq!(block_on(world.agent().own_bans()).unwrap(), own);
        // The same once more changes nothing.
        block_on(world.agent().receive(vec![told.clone()], Vec::new())).unwrap();
        let foreign = block_on(world.agent().foreign_bans_that(|_| true)).unwrap();
        assert!(foreign.contains(&told), "{foreign:?}");
        match micros {
            0 => world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8", "j_james 203.0.113.9"]),
            _ => world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.9"]),
        }
        // Known over a restart, however badly.
        world.stop();
        world.start();
        assert_eq!(block_on(world.agent().own_bans()).unwrap(), own);
    }
}

#[test]
fn what_people_write_into_lists_ends_by_the_shared_clock() {
    let mut world = World::guarded(JAMES);
    set_ahead(&world, HOUR);
    // There it is an hour earlier: half an hour is left.
    let until = now() + HOUR.reversed() + Duration::from_secs(1800);
    let list = |kind: &str, entries: &str| {
        format!(
            "apiVersion: gaoler.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: feed}}\nspec:\n  entries:\n{entries}"
        )
    };
    let spared = format!("  - {{prefix: 198.51.100.9/32, until: \"{until}\"}}\n");
    let banned =
        format!("  - {{prefix: 198.51.100.0/24}}\n  - {{prefix: 203.0.113.7, until: \"{until}\"}}\n");
    world.declare("allow.yaml", &list("AllowList", &spared));
    world.declare("ban.yaml", &list("BanList", &banned));
    world.reload();
    world.keeps_out(&["all 203.0.113.7"]);
    // Known over a restart.
    world.stop();
    world.start();
    world.keeps_out(&["all 203.0.113.7"]);
    // That was measured badly: both ended half an hour ago.
    set_ahead(&world, Shift::NONE);
    world.keeps_out(&["all 198.51.100.0/24"]);
    set_ahead(&world, HOUR);
    world.keeps_out(&["all 203.0.113.7"]);
}
