//! Who is never banned.

use gaoler::agent::report::Refusal;

use crate::world::{JAMES, World, block_on, failure, subject, until};

const OFFICE: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: AllowList
metadata: {name: office}
spec:
  entries:
  - {prefix: 198.51.100.0/24, comment: the office}
";

#[test]
fn an_allow_list_spares_and_reaches_the_kernel() {
    let world = World::guarded(&format!("{JAMES}---{OFFICE}"));
    world.log(&[failure("198.51.100.7"), failure("198.51.100.7")]);
    let report = world.heard("james", 2);
    assert_eq!((report.counters.never_banned, report.counters.failures), (2, 0));
    until(|| world.skeleton().never.contains(&"198.51.100.0/24".parse().unwrap()).then_some(()));
    let why = block_on(world.agent().why("198.51.100.7".parse().unwrap())).unwrap();
    assert!(!why.dropped && why.allowed[0].why.contains("office"), "{why:?}");
}

#[test]
fn an_allow_list_that_comes_later_opens_what_was_banned() {
    let mut world = World::guarded(JAMES);
    world.log(&[failure("198.51.100.7"), failure("198.51.100.7")]);
    world.keeps_out(&["j_james 198.51.100.7"]);
    world.declare("office.yaml", OFFICE);
    world.reload();
    until(|| world.skeleton().never.contains(&"198.51.100.0/24".parse().unwrap()).then_some(()));
    let why = block_on(world.agent().why("198.51.100.7".parse().unwrap())).unwrap();
    assert!(!why.dropped && why.bans.len() == 1, "{why:?}");
}

#[test]
fn the_hosts_own_address_is_neither_counted_nor_banned_by_hand() {
    let world = World::guarded(JAMES);
    let own = gaoler::agent::interfaces::Interfaces::addresses().unwrap();
    let own = own.into_iter().find(|address| address.is_ipv4() && !address.is_loopback());
    // Some sandboxes have loopback only; its refusal is tested beside.
    if let Some(own) = own {
        world.log(&[failure(&own.to_string()), failure(&own.to_string())]);
        assert_eq!(world.heard("james", 2).counters.never_banned, 2);
        let refusal = block_on(world.agent().ban(super::orders::order(&own.to_string(), None))).unwrap();
        assert!(matches!(refusal, Err(Refusal::NeverBan { .. })), "{refusal:?}");
    }
    let loopback = block_on(world.agent().ban(super::orders::order("127.0.0.1", None))).unwrap();
    assert_eq!(loopback, Err(Refusal::NotBannable(subject("127.0.0.1"))));
}

#[test]
fn the_ignore_list_of_a_jail_holds_for_that_jail_alone() {
    let open = JAMES.replace("name: james", "name: open");
    let lenient = JAMES.replace("spec:", "spec:\n  ignore: [198.51.100.0/24]");
    let world = World::guarded(&format!("{lenient}---{open}"));
    world.log(&[failure("198.51.100.7"), failure("198.51.100.7")]);
    world.keeps_out(&["j_open 198.51.100.7"]);
    let why = block_on(world.agent().why("198.51.100.7".parse().unwrap())).unwrap();
    assert_eq!(why.allowed[0].jail, Some("james".into()));
    let by_hand =
        |jail| block_on(world.agent().ban(super::orders::order("198.51.100.8", Some(jail)))).unwrap();
    assert!(by_hand("james").is_err());
    assert!(by_hand("open").is_ok());
}
