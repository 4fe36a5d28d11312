//! Manifests that moved into a file that cannot be read.

use std::fs;

use gaoler::agent::report::{Absence, AbsentJail};

use crate::world::{JAMES, World, block_on, failure, until};

/// The manifests of `jails.yaml` stand in `moved.yaml` now, and what is there cannot be read.
fn move_unreadably(world: &World) {
    fs::remove_file(world.path("etc/jails.yaml")).unwrap();
    world.declare("moved.yaml", &format!("{JAMES}  bad: [\n"));
}

#[test]
fn whom_a_jail_banned_stays_out_when_its_manifest_moves_into_a_file_that_cannot_be_read() {
    // Good before it moves, or refused already and in force as it was.
    for refused_before in [false, true] {
        let mut world = World::guarded(JAMES);
        world.log(&[failure("203.0.113.7"), failure("203.0.113.7"), failure("203.0.113.8")]);
        world.keeps_out(&["j_james 203.0.113.7"]);
        world.heard("james", 3);
        let ports = |world: &World| {
            let scopes = world.skeleton().scopes;
            scopes.into_iter().find(|scope| scope.name.to_string() == "j_james").map(|scope| scope.reach)
        };
        let closed = ports(&world);
        assert!(closed.is_some());
        if refused_before {
            world.declare("jails.yaml", &JAMES.replace("maxRetry: 2", "maxRetry: none"));
            world.reload();
        }
        move_unreadably(&world);
        world.reload();
        // At the reload and at the next, and at every start after it.
        for again in World::AGAIN {
            again(&mut world);
            world.keeps_out(&["j_james 203.0.113.7"]);
            assert_eq!(ports(&world), closed);
            let told = AbsentJail {
                name: "james".into(),
                why: Absence::Unread,
                banned: 1,
                enforced: true,
                ports: vec![25, 143],
                all_ports: false,
            };
            assert_eq!(world.status().absent_jails, [told]);
            let why = block_on(world.agent().why("203.0.113.7".parse().unwrap())).unwrap();
            assert_eq!((why.dropped, why.closed[0].absent), (true, Some(Absence::Unread)));
        }
        // What it had counted waited, and counts on.
        world.declare("moved.yaml", JAMES);
        world.reload();
        world.log(&[failure("203.0.113.8")]);
        world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8"]);
        assert_eq!(world.status().absent_jails, []);
    }
}

#[test]
fn what_a_jail_counted_waits_when_its_manifest_moves_into_a_file_that_cannot_be_read() {
    let mut world = World::guarded(JAMES);
    // A neighbour that goes on keeps the place in the log: what was written before is not read again.
    let neighbour = JAMES.replace("name: james", "name: other").replace("maxRetry: 2", "maxRetry: 9");
    world.declare("other.yaml", &neighbour);
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    move_unreadably(&world);
    world.reload();
    world.declare("moved.yaml", JAMES);
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    assert_eq!(world.bans()[0].weight, 2, "and no line counts twice");
}

#[test]
fn a_jail_that_only_observed_closes_nothing_when_it_moves_into_a_file_that_cannot_be_read() {
    let mut world = World::guarded(&JAMES.replace("maxRetry: 2", "maxRetry: 2\n  mode: Observe"));
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    until(|| (world.banned() == ["203.0.113.7"]).then_some(()));
    move_unreadably(&world);
    for restarts in [false, true] {
        if restarts {
            world.stop();
            world.start();
        } else {
            world.reload();
        }
        world.keeps_out(&[]);
        assert!(world.bans().iter().all(|ban| !ban.enforced));
        let absent = &world.status().absent_jails[0];
        assert_eq!((absent.why, absent.banned, absent.enforced), (Absence::Unread, 1, false));
    }
}

#[test]
fn what_a_moved_jail_closed_ends_when_it_is_disabled_or_nothing_is_unread_any_more() {
    for (moved, why) in [
        (JAMES.replace("maxRetry: 2", "maxRetry: 2\n  mode: Disabled"), Absence::Disabled),
        (String::new(), Absence::Gone),
    ] {
        let mut world = World::guarded(JAMES);
        world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
        world.keeps_out(&["j_james 203.0.113.7"]);
        move_unreadably(&world);
        world.reload();
        until(|| world.status().absent_jails.iter().any(|jail| jail.enforced).then_some(()));
        world.declare("moved.yaml", &moved);
        world.reload();
        world.keeps_out(&[]);
        let absent = &world.status().absent_jails[0];
        assert_eq!((absent.why, absent.banned, absent.enforced), (why, 1, false));
    }
}
