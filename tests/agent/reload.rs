//! Another configuration while it runs.

use gaoler::agent::report::ConditionType;

use crate::world::{JAMES, World, failure, until};

#[test]
fn a_broken_jail_goes_on_as_it_was() {
    let mut world = World::guarded(JAMES);
    world.declare("jails.yaml", &JAMES.replace("maxRetry: 2", "maxRetry: none"));
    world.reload();
    assert!(world.loaded().objects[0].last_good && !world.loaded().objects[0].accepted);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_jail_that_goes_opens_its_ports_and_is_back_with_its_bans() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    std::fs::remove_file(world.path("etc/jails.yaml")).unwrap();
    world.reload();
    world.keeps_out(&[]);
    assert!(world.bans().iter().all(|ban| !ban.enforced));
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_new_jail_on_a_file_already_read_counts_from_now_on() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    let strict = JAMES.replace("name: james", "name: strict").replace("maxRetry: 2", "maxRetry: 1");
    world.declare("strict.yaml", &strict);
    world.reload();
    world.log(&[failure("203.0.113.8")]);
    world.keeps_out(&["j_strict 203.0.113.8"]);
}

#[test]
fn a_log_that_is_not_there_is_a_condition_until_it_is() {
    let world = World::new(&JAMES.replace("$LOG", "$LOG.later"));
    let mut world = world;
    world.start();
    let missing = until(|| world.condition("james", ConditionType::SourceMissing));
    assert!(missing.status && missing.message.contains("james.log.later"), "{missing:?}");
    let text = [failure("203.0.113.7"), failure("203.0.113.7"), String::new()].join("\n");
    std::fs::write(world.path("james.log.later"), text).unwrap();
    world.keeps_out(&["j_james 203.0.113.7"]);
    assert!(world.condition("james", ConditionType::SourceMissing).is_none());
}
