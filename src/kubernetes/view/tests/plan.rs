use serde_json::json;

use super::*;
use crate::kubernetes::view::Objects;
use crate::kubernetes::view::samples::{NOW, ban, declared, jail, object, slice};

const BY_HAND: &str = "by-hand";

fn view() -> View {
    let list = |name: &str, entries: serde_json::Value| object("BanList", name, json!({"entries": entries}));
    let loaded = declared(vec![
        jail("mail/james", json!({})),
        jail("mail/imap", json!({})),
        jail("other/imap", json!({})),
        list(BY_HAND, json!([{"prefix": "45.129.14.30"}, {"prefix": "45.130.0.0/16"}])),
        list("feed", json!([{"prefix": "45.129.14.31"}])),
    ]);
    let slices = vec![slice(
        "n1",
        json!([
            ban("45.129.14.30", -60, 540),
            ban("45.129.14.31", -60, 540),
            ban("2001:db8:bad:1::/64", -60, 540)
        ]),
    )];
    View::new(Objects { loaded, slices, ..Objects::default() }, NOW)
}

fn lift(who: Option<&str>, jail: Option<&str>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let order = UnbanOrder {
        prefix: who.map(|who| who.parse::<Subject>().unwrap().net()),
        jail: jail.map(JailName::new),
        reason: None,
    };
    let lift = view().lift(&order, BY_HAND, NOW);
    let text = |bans: &[SeenBan]| {
        bans.iter().map(|seen| format!("{} {}", seen.ban.subject, seen.ban.origin)).collect()
    };
    (lift.pardons.iter().map(ToString::to_string).collect(), text(&lift.ended), text(&lift.remaining))
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn an_unban_of_an_address_ends_counted_bans_and_entries_by_hand() {
    let (pardons, ended, remaining) = lift(Some("45.129.14.30"), None);
    assert_eq!(pardons, ["45.129.14.30/32"]);
    assert_eq!(ended, texts(&["45.129.14.30 node n1", "45.129.14.30 list by-hand"]));
    assert!(remaining.is_empty(), "{remaining:?}");
}

#[test]
fn an_address_means_the_prefix_that_is_counted() {
    let (pardons, ended, _) = lift(Some("2001:db8:bad:1::77"), None);
    assert_eq!(pardons, ["2001:db8:bad:1::/64"]);
    assert_eq!(ended, texts(&["2001:db8:bad:1::/64 node n1"]));
}

#[test]
fn entries_of_other_lists_and_wider_entries_remain_and_are_named() {
    let (_, ended, remaining) = lift(Some("45.129.14.31"), None);
    assert_eq!((ended, remaining), (texts(&["45.129.14.31 node n1"]), texts(&["45.129.14.31 list feed"])));
    let (_, ended, remaining) = lift(Some("45.130.1.1"), None);
    assert_eq!((ended.len(), remaining), (0, texts(&["45.130.0.0/16 list by-hand"])));
}

#[test]
fn an_unban_in_one_jail_leaves_what_closes_everything() {
    let (_, ended, remaining) = lift(Some("45.129.14.30"), Some("mail/james"));
    assert_eq!((ended, remaining.len()), (texts(&["45.129.14.30 node n1"]), 0));
}

#[test]
fn everybody_is_two_pardons() {
    let (pardons, ended, remaining) = lift(None, None);
    assert_eq!(pardons, ["0.0.0.0/0", "::/0"]);
    assert_eq!((ended.len(), remaining), (5, texts(&["45.129.14.31 list feed"])));
}

#[test]
fn a_jails_name_alone_is_enough_where_it_is_the_only_one_or_in_ones_own_namespace() {
    let view = view();
    let named =
        |name: &str, namespace: &str| meant(view.loaded(), name, namespace).map(|jail| jail.to_string());
    assert_eq!(named("james", "default").unwrap(), "mail/james");
    assert_eq!(named("imap", "other").unwrap(), "other/imap");
    assert_eq!(named("mail/imap", "other").unwrap(), "mail/imap");
    assert_eq!(named("imap", "default"), Err(NoJail::Several("mail/imap, other/imap".into())));
    assert_eq!(named("pop3", "default"), Err(NoJail::Unknown("pop3".into())));
}
