//! Stopped, killed, and started again.

use std::fs;

use gaoler::agent::report::{Absence, AbsentJail, ConditionType, Refusal, UnbanOrder};

use crate::orders::order;
use crate::world::{JAMES, World, block_on, failure, subject, until};

fn save(world: &World) {
    block_on(world.agent().save()).unwrap().unwrap();
}

#[test]
fn bans_are_in_the_firewall_again_after_a_restart() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    let before = world.bans();
    world.stop();
    world.start();
    world.keeps_out(&["j_james 203.0.113.7"]);
    assert_eq!(world.bans(), before, "with all that was known of them");
}

#[test]
fn one_failure_a_restart_and_one_failure_are_two() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.stop();
    world.log(&[failure("203.0.113.7")]);
    world.start();
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn what_a_jail_counted_waits_while_its_declaration_is_broken() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    world.stop();
    // A field that is refused, and a file that is no YAML.
    for broken in [JAMES.replace("maxRetry:", "maxRetries:"), "{".to_owned()] {
        world.declare("jails.yaml", &broken);
        world.start();
        assert!(world.status().jails.is_empty());
        world.stop();
    }
    world.declare("jails.yaml", "{");
    world.start();
    world.declare("jails.yaml", JAMES);
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn nothing_counts_twice_after_a_kill_and_nothing_is_lost() {
    let mut world = World::guarded(JAMES);
    world.log(&[
        failure("203.0.113.1"),
        failure("203.0.113.2"),
        failure("203.0.113.3"),
        failure("203.0.113.3"),
    ]);
    world.heard("james", 4);
    save(&world);
    // Counted, but the snapshot on disk does not know it.
    world.log(&[failure("203.0.113.2"), failure("203.0.113.4")]);
    world.heard("james", 6);
    world.kill();
    world.log(&[failure("203.0.113.4"), failure("203.0.113.5")]);
    world.start();
    world.heard("james", 4);
    world.keeps_out(&["j_james 203.0.113.2", "j_james 203.0.113.3", "j_james 203.0.113.4"]);
    assert!(world.bans().iter().all(|ban| ban.n == 1 && ban.weight == 2), "{:?}", world.bans());
}

const EVENTS: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: Filter
metadata: {name: events}
spec:
  failRegex: ['^first line about <HOST>$', '^second line about <HOST>$']
  onePer: {keys: [session], within: 1h}
";

#[test]
fn an_event_whose_second_line_comes_after_a_kill_counts_once() {
    let mut world = World::guarded(&format!("{}---{EVENTS}", JAMES.replace("james-log4j2", "events")));
    world.append("first line about 203.0.113.7\n");
    world.heard("james", 1);
    save(&world);
    world.kill();
    world.start();
    world.append("second line about 203.0.113.7\n");
    world.append("first line about 203.0.113.8\nfirst line about 203.0.113.8\n");
    world.keeps_out(&["j_james 203.0.113.8"]);
    // The same rule once more is another event.
    world.append("second line about 203.0.113.7\n");
    world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8"]);
}

const PAIRS: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: Filter
metadata: {name: pairs}
spec:
  failRegex: ['^connect from <HOST>\\n.*login failed$']
  maxLines: 2
";

#[test]
fn a_match_over_two_lines_is_found_when_a_kill_comes_between() {
    let mut world = World::guarded(&format!("{}---{PAIRS}", JAMES.replace("james-log4j2", "pairs")));
    world.append("connect from 203.0.113.7\nlogin failed\nconnect from 203.0.113.7\n");
    world.heard("james", 1);
    save(&world);
    world.kill();
    world.start();
    world.append("login failed\n");
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_long_line_of_a_container_is_whole_when_a_kill_comes_between() {
    let mut world = World::guarded(JAMES);
    let stamp = jiff::Timestamp::now();
    let line = failure("203.0.113.7");
    let (first, second) = line.split_at(40);
    world.append(format!("{stamp} stdout F {line}\n{stamp} stdout P {first}\n"));
    world.heard("james", 1);
    until(|| (world.jail("james").files[0].lag_bytes == 0).then_some(()));
    save(&world);
    world.kill();
    world.start();
    world.append(format!("{stamp} stdout F {second}\n"));
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn an_unban_that_was_answered_outlives_a_kill() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    let order = UnbanOrder { prefix: Some(subject("203.0.113.7").net()), jail: None, reason: None };
    block_on(world.agent().unban(order)).unwrap().unwrap();
    world.kill();
    world.start();
    world.log(&[failure("203.0.113.8"), failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.8"]);
}

#[test]
fn a_state_file_cut_in_half_gives_way_to_the_one_before_and_nothing_is_lost() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7")]);
    world.heard("james", 1);
    save(&world);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.8")]);
    world.heard("james", 3);
    world.stop();
    let state = fs::read(world.path("lib/state")).unwrap();
    fs::write(world.path("lib/state"), &state[..state.len() / 2]).unwrap();
    world.start();
    let notice = world.status().state.notice.unwrap();
    assert!(notice.contains("damaged") && notice.contains("the one before is used"), "{notice}");
    world.log(&[failure("203.0.113.8")]);
    world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8"]);
    assert!(world.bans().iter().all(|ban| ban.weight == 2), "{:?}", world.bans());
}

#[test]
fn without_any_good_state_it_begins_anew_and_says_so() {
    let mut world = World::new(JAMES);
    fs::create_dir(world.path("lib")).unwrap();
    fs::write(world.path("lib/state"), "gaoler-state 1\n{\"files\":[").unwrap();
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.start();
    assert!(world.status().state.notice.unwrap().contains("beginning without"));
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_disk_that_takes_nothing_stops_no_ban_and_is_reported_until_it_does() {
    let mut world = World::guarded(JAMES);
    save(&world);
    // A directory in the place of the file that is written: what root could write to does not matter then.
    let obstacle = world.path("lib/state.new");
    fs::create_dir(&obstacle).unwrap();
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    let status = until(|| Some(world.status()).filter(|status| status.state.problem.is_some()));
    assert!(status.conditions.iter().any(|c| c.kind == ConditionType::StateNotSaved && c.status));
    fs::remove_dir(&obstacle).unwrap();
    until(|| world.status().state.problem.is_none().then_some(()));
    world.kill();
    world.start();
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn windows_and_bans_outlive_a_reload() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.8"), failure("203.0.113.8")]);
    world.heard("james", 3);
    world.declare("jails.yaml", &JAMES.replace("ports: [25, 143]", "ports: [25]"));
    world.reload();
    world.log(&[failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8"]);
}

#[test]
fn a_first_line_that_looks_like_a_containers_does_not_blind_the_jail() {
    let mut world = World::new(JAMES);
    world.append("2026-11-22T16:45:43.701000000Z stdout F hello\n");
    world.start();
    until(|| world.jail("james").files.first().filter(|file| file.lines == 1).map(|_| ()));
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn whom_a_jail_banned_stays_out_over_a_restart_while_its_declaration_is_broken() {
    for broken in [&*JAMES.replace("maxRetry: 2", "maxRetry: none"), "{"] {
        let mut world = World::guarded(JAMES);
        world.log(&[failure("203.0.113.7"), failure("203.0.113.7"), failure("203.0.113.8")]);
        world.keeps_out(&["j_james 203.0.113.7"]);
        let ports = |world: &World| {
            let scopes = world.skeleton().scopes;
            scopes.into_iter().find(|scope| scope.name.to_string() == "j_james").map(|scope| scope.reach)
        };
        let closed = ports(&world);
        assert!(closed.is_some());
        world.heard("james", 3);
        world.stop();
        world.declare("jails.yaml", broken);
        // Also at the second start: what the first one knew was not forgotten.
        for _ in 0..2 {
            world.start();
            world.keeps_out(&["j_james 203.0.113.7"]);
            assert_eq!(ports(&world), closed);
            assert!(world.bans().iter().all(|ban| ban.enforced));
            let why = block_on(world.agent().why("203.0.113.7".parse().unwrap())).unwrap();
            assert_eq!((why.dropped, &why.closed[0].ports[..]), (true, &[25, 143][..]));
            let absent = world.status().absent_jails;
            let cause = if broken == "{" { Absence::Unread } else { Absence::Refused };
            let told = AbsentJail {
                name: "james".into(),
                why: cause,
                banned: 1,
                enforced: true,
                ports: vec![25, 143],
                all_ports: false,
            };
            assert_eq!((absent, why.closed[0].absent), (vec![told], Some(cause)));
            let by_hand = |jail| block_on(world.agent().ban(order("203.0.113.9", Some(jail)))).unwrap();
            assert_eq!(by_hand("james"), Err(Refusal::BrokenJail("james".into())));
            assert_eq!(by_hand("jams"), Err(Refusal::NoSuchJail("jams".into())));
            world.stop();
        }
        world.start();
        world.declare("jails.yaml", JAMES);
        world.reload();
        world.log(&[failure("203.0.113.8")]);
        world.keeps_out(&["j_james 203.0.113.7", "j_james 203.0.113.8"]);
    }
}

#[test]
fn a_jail_that_is_disabled_while_it_runs_closes_nothing_whatever_cannot_be_read() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.declare("jails.yaml", &JAMES.replace("maxRetry: 2", "maxRetry: 2\n  mode: Disabled"));
    world.declare("other.yaml", "{");
    world.reload();
    world.keeps_out(&[]);
    assert!(world.bans().iter().all(|ban| !ban.enforced));
    let by_hand = block_on(world.agent().ban(order("203.0.113.9", Some("james")))).unwrap();
    assert_eq!(by_hand, Err(Refusal::DisabledJail("james".into())));
    let unban = |jail: &str| {
        let order = UnbanOrder { prefix: None, jail: Some(jail.into()), reason: None };
        block_on(world.agent().unban(order)).unwrap().map(|unbanned| unbanned.ended.len())
    };
    assert_eq!((unban("james"), unban("james")), (Ok(1), Ok(0)), "it is known, with bans and without");
    assert_eq!(unban("jams"), Err(Refusal::NoSuchJail("jams".into())));
}

#[test]
fn a_jail_that_is_disabled_at_a_start_leaves_nothing_closed_whatever_cannot_be_read() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.stop();
    world.declare("jails.yaml", &JAMES.replace("maxRetry: 2", "maxRetry: 2\n  mode: Disabled"));
    world.declare("other.yaml", "{");
    world.start();
    world.keeps_out(&[]);
    assert!(world.bans().iter().all(|ban| !ban.enforced));
}

#[test]
fn a_jail_that_is_gone_at_a_start_leaves_nothing_closed_whatever_else_is_broken() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["j_james 203.0.113.7"]);
    world.stop();
    world.declare("jails.yaml", &JAMES.replace("maxRetry: 2", "maxRetry: none"));
    world.start();
    world.keeps_out(&["j_james 203.0.113.7"]);
    // Another one is broken now.
    world.declare(
        "jails.yaml",
        &JAMES.replace("name: james", "name: other").replace("maxRetry: 2", "maxRetry: none"),
    );
    world.reload();
    world.keeps_out(&[]);
    assert!(world.bans().iter().all(|ban| !ban.enforced));
    let absent = &world.status().absent_jails[0];
    assert_eq!((absent.why, absent.banned, absent.enforced), (Absence::Gone, 1, false));
}
