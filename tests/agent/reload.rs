//! Another configuration while it runs.

use gaoler::agent::report::{BanReport, ConditionType, FileReport, UnbanOrder};
use gaoler::agent::state_file::StateFile;
use gaoler::engine::Timestamp;

use crate::world::{JAMES, World, block_on, failure, subject, until};

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

/// The jail is deleted, and has been gone for long enough to be noticed.
fn delete(world: &mut World) {
    std::fs::remove_file(world.path("etc/jails.yaml")).unwrap();
    world.reload();
    assert!(world.status().jails.is_empty());
}

#[test]
fn a_jail_that_is_made_again_knows_what_a_new_one_would() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.8"), failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.8"]);
    let before = world.bans();
    delete(&mut world);
    world.log(&[failure("203.0.113.9")]);
    world.declare("jails.yaml", JAMES);
    world.reload();
    // All that was written within `findTime`, once.
    let counters = world.heard("james", 4).counters;
    assert_eq!(counters.failures + counters.while_banned, 4, "{counters:?}");
    let bans = world.bans();
    let said = |ban: &BanReport| (ban.subject, ban.n, ban.since, ban.until);
    assert_eq!(bans.iter().map(said).collect::<Vec<_>>(), before.iter().map(said).collect::<Vec<_>>());
    world.log(&[failure("203.0.113.7"), failure("203.0.113.9")]);
    world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8", "j_james 203.0.113.9"]);
}

#[test]
fn who_was_let_out_stays_free_when_the_only_jail_is_made_again() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    let order = UnbanOrder { prefix: Some(subject("203.0.113.7").net()), jail: None, reason: None };
    block_on(world.agent().unban(order)).unwrap().unwrap();
    world.keeps_out(&[]);
    delete(&mut world);
    world.declare("jails.yaml", JAMES);
    world.reload();
    // The same lines are read again, and were pardoned.
    world.log(&[failure("203.0.113.8"), failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.8"]);
}

/// A failed login whose line begins with something that is no date, or one that is ahead.
fn stamped(stamp: &str, address: &str) -> String {
    format!("{stamp} - {}", failure(address).split_once(" - ").unwrap().1)
}

/// Stamps that do not say when a line was written: none, and one of a clock or a zone that is ahead.
fn vague_stamps() -> [String; 2] {
    let ahead = jiff::Timestamp::now() + jiff::Span::new().hours(2);
    [String::new(), ahead.strftime("%Y-%m-%d %H:%M:%S.%3f +0000").to_string()]
}

#[test]
fn who_was_let_out_stays_free_though_the_lines_do_not_say_when_they_were_written() {
    for stamp in vague_stamps() {
        let mut world = World::guarded(JAMES);
        world.log(&[stamped(&stamp, "203.0.113.7"), stamped(&stamp, "203.0.113.7")]);
        world.keeps_out(&["j_james 203.0.113.7"]);
        let order = UnbanOrder { prefix: Some(subject("203.0.113.7").net()), jail: None, reason: None };
        block_on(world.agent().unban(order)).unwrap().unwrap();
        world.keeps_out(&[]);
        delete(&mut world);
        world.declare("jails.yaml", JAMES);
        world.reload();
        assert_eq!(world.heard("james", 2).counters.too_late, 2, "{stamp:?}");
        assert_eq!(world.banned(), [""; 0], "{stamp:?}");
        // Those who go on are banned all the same.
        world.log(&[stamped(&stamp, "203.0.113.7"), stamped(&stamp, "203.0.113.7")]);
        world.keeps_out(&["j_james 203.0.113.7"]);
    }
}

/// The log was written so long ago and not since.
fn idle_for(world: &World, minutes: i64) -> Timestamp {
    let then = jiff::Timestamp::now() - jiff::Span::new().minutes(minutes);
    let log = std::fs::File::options().append(true).open(world.path("james.log")).unwrap();
    log.set_modified(then.into()).unwrap();
    Timestamp::from_micros(then.as_microsecond())
}

#[test]
fn lines_that_do_not_say_when_they_were_written_prolong_no_ban_when_they_are_read_again() {
    for stamp in vague_stamps() {
        let mut world = World::new(JAMES);
        world.log(&[stamped(&stamp, "203.0.113.7"), stamped(&stamp, "203.0.113.7")]);
        let written = idle_for(&world, 10);
        world.start();
        let until = |world: &World| {
            world.heard("james", 2);
            world.bans().iter().map(|ban| ban.until.unwrap().0).collect::<Vec<_>>()
        };
        let term = std::time::Duration::from_secs(2 * 3600);
        assert_eq!(until(&world), [written + term], "{stamp:?}");
        delete(&mut world);
        world.declare("jails.yaml", JAMES);
        world.reload();
        assert_eq!(until(&world), [written + term], "{stamp:?}");
    }
}

#[test]
fn lines_without_a_date_that_were_written_while_nobody_looked_are_as_old_as_the_last_write() {
    let mut world = World::guarded(JAMES);
    world.stop();
    world.log(&[stamped("", "203.0.113.7"), stamped("", "203.0.113.7")]);
    world.start();
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.stop();
    world.log(&[stamped("", "203.0.113.8"), stamped("", "203.0.113.8")]);
    idle_for(&world, 21);
    world.start();
    assert_eq!(world.heard("james", 2).counters.too_late, 2);
    assert_eq!(world.banned(), ["203.0.113.7"]);
}

#[test]
fn a_jail_that_is_made_again_after_its_end_was_not_seen_knows_the_same() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.stop();
    std::fs::remove_file(world.path("etc/jails.yaml")).unwrap();
    world.start();
    world.stop();
    world.declare("jails.yaml", JAMES);
    world.start();
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_jail_with_another_name_begins_like_a_new_one() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.declare("jails.yaml", &JAMES.replace("name: james", "name: mail"));
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_mail 203.0.113.7"]);
}

#[test]
fn a_jail_that_is_made_again_beside_a_neighbour_on_its_log_counts_from_now_on_and_nothing_counts_twice() {
    let neighbour = JAMES.replace("name: james", "name: other").replace("maxRetry: 2", "maxRetry: 3");
    let mut world = World::guarded(JAMES);
    world.declare("other.yaml", &neighbour);
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    std::fs::remove_file(world.path("etc/jails.yaml")).unwrap();
    world.reload();
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    assert_eq!(world.heard("other", 2).counters.failures, 2);
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7", "j_other 203.0.113.7"]);
    let mut weights: Vec<_> = world.bans().iter().map(|ban| (ban.jail.clone(), ban.weight)).collect();
    weights.sort();
    assert_eq!(weights, [(Some("james".into()), 2), (Some("other".into()), 3)]);
}

#[test]
fn a_jail_that_joins_another_on_a_quiet_log_counts_from_then_on_also_when_the_other_goes() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.declare("other.yaml", &JAMES.replace("name: james", "name: other"));
    world.reload();
    std::fs::remove_file(world.path("etc/jails.yaml")).unwrap();
    world.reload();
    world.log(&[failure("203.0.113.7"), failure("203.0.113.8"), failure("203.0.113.8")]);
    world.keeps_out(&["j_other 203.0.113.8"]);
    assert_eq!(world.jail("other").counters.failures, 3);
}

/// What a program left that did not note which jails read what.
fn forget_readers(world: &World) {
    let file = StateFile::open(&world.path("lib/state")).unwrap();
    let mut state: serde_json::Value = file.load().state.unwrap();
    assert!(state.as_object_mut().unwrap().remove("readers").is_some());
    file.stage(&state).unwrap().commit().unwrap();
}

#[test]
fn after_an_upgrade_a_jail_on_a_quiet_log_knows_what_a_new_one_would_when_it_is_made_again() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.stop();
    forget_readers(&world);
    world.start();
    delete(&mut world);
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_jail_whose_log_is_elsewhere_for_a_while_counts_nothing_twice() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.declare("jails.yaml", &JAMES.replace("$LOG", "$LOG.other"));
    world.reload();
    let elsewhere = |file: &FileReport| file.path.ends_with("james.log.other");
    until(|| world.jail("james").files.iter().all(elsewhere).then_some(()));
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.log(&[failure("203.0.113.8"), failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.8"]);
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
