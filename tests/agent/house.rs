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
fn an_allow_list_that_is_broken_at_a_start_goes_on_as_it_was() {
    let entry = "- {prefix: 198.51.100.0/24, comment: the office}";
    let named = OFFICE.replace(entry, &format!("{entry}\n  - {{host: localhost}}"));
    let spared = |world: &World| {
        until(|| (!world.status().jails.is_empty()).then_some(()));
        let covered = |address: &str| {
            let why = block_on(world.agent().why(address.parse().unwrap())).unwrap();
            why.allowed.iter().any(|allowance| allowance.why.contains("office"))
        };
        covered("198.51.100.7")
    };
    for broken in [&*OFFICE.replace("prefix: 198.51.100.0/24", "prefix: 7"), "{"] {
        let mut world = World::guarded(JAMES);
        world.declare("office.yaml", &named);
        world.reload();
        world.stop();
        world.declare("office.yaml", broken);
        // Also at the second start: what the first one knew was not forgotten.
        for _ in 0..2 {
            world.start();
            assert!(spared(&world), "{broken}");
            until(|| world.skeleton().never.contains(&"198.51.100.0/24".parse().unwrap()).then_some(()));
            let kept = &world.status().house.kept;
            assert_eq!((&*kept[0].name, kept[0].refused, kept[0].entries), ("office", broken != "{", 2));
            world.stop();
        }
        world.start();
        // What is mended is what holds, and what is gone holds no more.
        world.declare("office.yaml", &OFFICE.replace("198.51.100.0", "192.0.2.0"));
        world.reload();
        assert!(!spared(&world));
        assert_eq!(world.status().house.kept, []);
        world.declare("office.yaml", &named);
        world.reload();
        assert!(spared(&world));
        world.stop();
        world.declare("office.yaml", "");
        world.start();
        assert!(!spared(&world));
        assert_eq!(world.status().house.kept, []);
    }
}

#[test]
fn an_allow_list_that_moves_into_a_file_that_cannot_be_read_goes_on_as_it_was() {
    let kernel_spares = |world: &World| world.skeleton().never.contains(&"198.51.100.0/24".parse().unwrap());
    // Good before it moves, or refused already and in force as it was.
    for refused_before in [false, true] {
        let mut world = World::guarded(JAMES);
        world.declare("office.yaml", OFFICE);
        world.reload();
        until(|| kernel_spares(&world).then_some(()));
        if refused_before {
            world.declare("office.yaml", &OFFICE.replace("prefix: 198.51.100.0/24", "prefix: 7"));
            world.reload();
        }
        std::fs::remove_file(world.path("etc/office.yaml")).unwrap();
        world.declare("moved.yaml", &format!("{OFFICE}  bad: [\n"));
        world.reload();
        // At the reload and at the next, and at every start after it.
        for again in World::AGAIN {
            again(&mut world);
            let kept: Vec<_> = world.status().house.kept;
            let told: Vec<_> = kept.iter().map(|list| (&*list.name, list.refused, list.entries)).collect();
            assert_eq!(told, [("office", false, 1)]);
            until(|| kernel_spares(&world).then_some(()));
            let why = block_on(world.agent().why("198.51.100.7".parse().unwrap())).unwrap();
            assert!(why.allowed[0].why.contains("office"), "{why:?}");
        }
        // What is mended is what holds, and what is gone holds no more.
        world.declare("moved.yaml", &OFFICE.replace("198.51.100.0", "192.0.2.0"));
        world.reload();
        until(|| (!kernel_spares(&world)).then_some(()));
        assert_eq!(world.status().house.kept, []);
        world.declare("moved.yaml", "");
        world.reload();
        let why = block_on(world.agent().why("192.0.2.7".parse().unwrap())).unwrap();
        assert_eq!(why.allowed, []);
    }
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
