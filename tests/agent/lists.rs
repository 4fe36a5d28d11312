//! BanLists: presence is being in force.

use gaoler::agent::report::UnbanOrder;

use crate::world::{JAMES, World, block_on, failure, subject};

const BLOCK: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: BanList
metadata: {name: feed}
spec:
  entries:
  - {prefix: 198.51.100.0/24, reason: a feed}
  - {prefix: 203.0.113.7/32, reason: a feed}
";

#[test]
fn a_list_bans_while_it_is_there() {
    let mut world = World::guarded(JAMES);
    world.declare("feed.yaml", BLOCK);
    world.reload();
    world.keeps_out(&["all 198.51.100.0/24", "all 203.0.113.7"]);
    std::fs::remove_file(world.path("etc/feed.yaml")).unwrap();
    world.reload();
    world.keeps_out(&[]);
}

#[test]
fn a_person_cannot_unban_what_a_list_orders_but_is_told() {
    let mut world = World::guarded(JAMES);
    world.declare("feed.yaml", BLOCK);
    world.reload();
    let order = UnbanOrder { prefix: Some(subject("203.0.113.7").net()), jail: None, reason: None };
    let unbanned = block_on(world.agent().unban(order)).unwrap().unwrap();
    assert!(unbanned.ended.is_empty());
    assert_eq!(unbanned.remaining[0].origin, "list feed");
    world.keeps_out(&["all 198.51.100.0/24", "all 203.0.113.7"]);
}

#[test]
fn a_list_that_goes_leaves_what_a_jail_decided() {
    let mut world = World::guarded(JAMES);
    world.declare("feed.yaml", BLOCK);
    world.reload();
    world.log(&[failure("203.0.113.7"), failure("203.0.113.7")]);
    world.keeps_out(&["all 198.51.100.0/24", "all 203.0.113.7", "j_james 203.0.113.7"]);
    std::fs::remove_file(world.path("etc/feed.yaml")).unwrap();
    world.reload();
    world.keeps_out(&["j_james 203.0.113.7"]);
}

#[test]
fn a_list_that_went_while_the_agent_was_away_bans_no_longer() {
    let mut world = World::new(JAMES);
    world.declare("feed.yaml", BLOCK);
    world.start();
    world.keeps_out(&["all 198.51.100.0/24", "all 203.0.113.7"]);
    world.stop();
    std::fs::remove_file(world.path("etc/feed.yaml")).unwrap();
    world.start();
    assert!(world.bans().is_empty());
}

#[test]
fn what_a_list_orders_against_an_allow_list_begins_when_that_ends() {
    let mut world = World::guarded(JAMES);
    world.declare("feed.yaml", BLOCK);
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    world.declare(
        "allow.yaml",
        &format!(
            "apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {{name: guests}}\nspec:\n  entries:\n  - \
             {{prefix: 198.51.100.9/32, comment: for a moment, until: \"{until}\"}}\n"
        ),
    );
    world.reload();
    world.keeps_out(&["all 198.51.100.0/24", "all 203.0.113.7"]);
}

#[test]
fn what_a_list_orders_against_an_allow_list_is_left_out() {
    let mut world = World::guarded(JAMES);
    world.declare("feed.yaml", BLOCK);
    world.declare(
        "allow.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: guests}\nspec:\n  entries:\n  - {prefix: 198.51.100.9/32, comment: a guest}\n",
    );
    world.reload();
    world.keeps_out(&["all 203.0.113.7"]);
    assert_eq!(world.banned(), ["203.0.113.7"]);
}

#[test]
fn whoever_asks_about_an_address_hears_of_the_entry_that_is_left_out_until_it_is_in_force() {
    let mut world = World::guarded(JAMES);
    let of = |address: &str| subject(address).addr();
    let left_out = |world: &World, address: &str| {
        let why = block_on(world.agent().why(of(address))).unwrap();
        why.left_out.into_iter().map(|entry| (entry.list, entry.subject, entry.why)).collect::<Vec<_>>()
    };
    world.declare("feed.yaml", BLOCK);
    world.declare(
        "allow.yaml",
        "apiVersion: gaoler.dev/v1alpha1\nkind: AllowList\nmetadata: {name: guests}\nspec:\n  entries:\n  - {prefix: 198.51.100.9/32, comment: a guest}\n",
    );
    world.reload();
    let told = ("feed".to_owned(), subject("198.51.100.0/24"), "on the allow list guests".to_owned());
    assert_eq!(left_out(&world, "198.51.100.7"), std::slice::from_ref(&told));
    assert_eq!(left_out(&world, "198.51.100.9"), [told]);
    assert_eq!(left_out(&world, "203.0.113.7"), []);
    std::fs::remove_file(world.path("etc/allow.yaml")).unwrap();
    world.reload();
    assert_eq!(left_out(&world, "198.51.100.7"), []);
}
