use std::str::FromStr;

use serde_json::json;

use super::super::samples::{NOW, at, ban, declared, jail, object, pardon, slice};
use super::*;

fn objects(loaded: Loaded, slices: Vec<api::BanSlice>) -> Objects {
    Objects { loaded, slices, ..Objects::default() }
}

fn address(text: &str) -> IpAddr {
    IpAddr::from_str(text).unwrap()
}

fn subjects(view: &View) -> Vec<String> {
    view.bans(NOW, |_| true).iter().map(|seen| seen.ban.subject.to_string()).collect()
}

#[test]
fn a_ban_that_two_nodes_published_is_one_and_names_all_who_saw_it() {
    let mut second = ban("45.129.14.30", -59, 700);
    second["with"] = json!(["n3"]);
    let slices = vec![slice("n1", json!([ban("45.129.14.30", -60, 540)])), slice("n2", json!([second]))];
    let view = View::new(objects(declared(vec![jail("mail/james", json!({}))]), slices), NOW);
    let bans = view.bans(NOW, |_| true);
    assert_eq!(bans.len(), 1, "{bans:?}");
    assert_eq!(bans[0].nodes, ["n1", "n2", "n3"]);
    assert_eq!(bans[0].ban.until.unwrap().to_string(), at(700));
    assert!(bans[0].ban.enforced);
}

#[test]
fn bans_that_are_over_pardoned_or_not_bans_at_all_are_not_listed() {
    let slices = vec![slice(
        "n1",
        json!([
            ban("45.129.14.30", -900, -300),
            ban("45.129.14.31", -60, 540),
            ban("0.0.0.0/0", -60, 540),
            ban("45.129.14.32", -10, 540)
        ]),
    )];
    let mut all = objects(declared(vec![jail("mail/james", json!({}))]), slices);
    all.pardons = vec![pardon("45.129.14.0/24", -30)];
    let view = View::new(all, NOW);
    assert_eq!(subjects(&view), ["45.129.14.32"]);
    assert_eq!(view.left_out(), 1);
}

#[test]
fn an_entry_of_a_ban_list_is_banned_since_it_was_written_or_nobody_knows_since_when() {
    let list = |name: &str, prefix: &str, generation: u64| {
        let mut list = object("BanList", name, json!({"entries": [{"prefix": prefix}]}));
        list["metadata"]["creationTimestamp"] = at(-3600).into();
        list["metadata"]["generation"] = generation.into();
        list
    };
    let lists = vec![list("feed", "198.51.100.7", 1), list("edited", "198.51.100.8", 2)];
    let mut view = View::new(objects(declared(lists), vec![]), NOW);
    let since = |seen: &SeenBan| seen.ban.since.map(|since| since.to_string());
    let bans = view.bans(NOW, |_| true);
    assert_eq!(bans.iter().map(since).collect::<Vec<_>>(), [Some(at(-3600)), None]);
    assert_eq!(view.why(address("198.51.100.8"), NOW).why.bans[0].since, None);
    // Nor when it ends.
    let ended = view.declare(declared(vec![]), NOW).ended;
    let told: Vec<_> = ended.iter().map(|ban| since(&view.report(ban))).collect();
    assert!(told.contains(&Some(at(-3600))) && told.contains(&None), "{told:?}");
}

#[test]
fn a_pardon_does_not_end_an_entry_of_a_ban_list() {
    let list =
        object("BanList", "feed", json!({"entries": [{"prefix": "198.51.100.0/24", "reason": "spam"}]}));
    let mut all = objects(declared(vec![list]), vec![]);
    all.pardons = vec![pardon("198.51.100.0/24", 0)];
    let view = View::new(all, NOW);
    assert_eq!(subjects(&view), ["198.51.100.0/24"]);
    assert_eq!(view.bans(NOW, |_| true)[0].ban.origin, "list feed");
}

#[test]
fn a_ban_of_the_house_an_observing_jail_or_a_jail_that_is_gone_drops_nothing() {
    let mut of_gone = ban("45.129.14.33", -60, 540);
    of_gone["jail"] = "mail/gone".into();
    let mut of_quiet = ban("45.129.14.34", -60, 540);
    of_quiet["jail"] = "mail/quiet".into();
    let mut all = objects(
        declared(vec![
            jail("mail/james", json!({"ignore": ["45.129.15.0/24"]})),
            jail("mail/quiet", json!({"mode": "Observe"})),
        ]),
        vec![slice(
            "n1",
            json!([
                of_gone,
                of_quiet,
                ban("10.88.1.7", -60, 540),
                ban("192.0.2.11", -60, 540),
                ban("45.129.15.1", -60, 540),
                ban("45.129.14.30", -60, 540)
            ]),
        )],
    );
    all.house = vec![api::HouseMember {
        prefix: "192.0.2.11".into(),
        role: api::HouseRole::Node,
        name: Some("n1".into()),
    }];
    let view = View::new(all, NOW);
    let bite = view
        .bans(NOW, |_| true)
        .iter()
        .filter(|seen| seen.ban.enforced)
        .map(|seen| seen.ban.subject.to_string())
        .collect::<Vec<_>>();
    assert_eq!(bite, ["45.129.14.30"]);
    assert_eq!(view.held(NOW), 1);
    assert!(!view.why(address("192.0.2.11"), NOW).why.dropped);
    assert_eq!(view.why(address("192.0.2.11"), NOW).why.allowed[0].why, "part of the cluster (node n1)");
}

#[test]
fn why_tells_jail_evidence_nodes_services_and_who_is_allowed() {
    let allow = object(
        "AllowList",
        "office",
        json!({"entries": [{"prefix": "203.0.113.0/24"}, {"prefix": "45.129.14.30", "until": at(-1)}]}),
    );
    let jail = jail("mail/james", json!({"enforce": {"services": ["james-smtp"]}}));
    let view = View::new(
        objects(declared(vec![jail, allow]), vec![slice("n1", json!([ban("45.129.14.30", -60, 540)]))]),
        NOW,
    );
    let told = view.why(address("::ffff:45.129.14.30"), NOW);
    assert!(told.why.dropped && told.why.allowed.is_empty());
    assert_eq!(told.why.bans[0].jail.as_ref().unwrap().as_str(), "mail/james");
    assert_eq!(told.why.bans[0].rules[0].matches, 5);
    assert_eq!(
        (told.saw[0].nodes.as_slice(), told.saw[0].services.as_slice()),
        (&["n1".to_string()][..], &["james-smtp".to_string()][..])
    );
    let office = view.why(address("203.0.113.9"), NOW);
    assert_eq!(office.why.allowed[0].why, "on the allow list office");
    assert!(!office.why.dropped);
}

#[test]
fn failures_that_nodes_counted_are_added_up_within_the_window() {
    let list = |node: &str, failures: serde_json::Value| -> api::SightingList {
        let spec = json!({"node": node, "jails": [{"jail": "mail/james", "subjects": [{"prefix": "45.129.14.30", "failures": failures}]}]});
        serde_json::from_value(object("SightingList", node, spec)).unwrap()
    };
    let mut all = objects(declared(vec![jail("mail/james", json!({}))]), vec![]);
    all.sightings = vec![
        list("n1", json!([{"at": at(-601)}, {"at": at(-600)}, {"at": at(-5), "weight": 2}])),
        list("n2", json!([{"at": at(-100)}])),
    ];
    let watched = View::new(all, NOW).why(address("45.129.14.30"), NOW).why.watched;
    assert_eq!((watched[0].weight, watched[0].needed), (4, 5));
    assert_eq!((watched[0].first.to_string(), watched[0].last.to_string()), (at(-600), at(-5)));
}

#[test]
fn failures_that_a_ban_or_a_pardon_settled_are_not_told_as_counted() {
    let spec = json!({"node": "n1", "jails": [{"jail": "mail/james", "subjects": [
        {"prefix": "45.129.14.30", "failures": [{"at": at(-60), "weight": 5}]},
        {"prefix": "45.129.14.31", "failures": [{"at": at(-60), "weight": 5}, {"at": at(-5)}]},
    ]}]});
    let slices = vec![slice("n1", json!([ban("45.129.14.30", -60, 540)]))];
    let mut all = objects(declared(vec![jail("mail/james", json!({}))]), slices);
    all.sightings = vec![serde_json::from_value(object("SightingList", "n1", spec)).unwrap()];
    all.pardons = vec![pardon("45.129.14.31", -30)];
    let view = View::new(all, NOW);
    assert!(view.why(address("45.129.14.30"), NOW).why.watched.is_empty());
    assert_eq!(view.why(address("45.129.14.31"), NOW).why.watched[0].weight, 1);
}

#[test]
fn nobody_bans_the_house_the_allowed_or_what_a_jail_ignores_by_hand() {
    let allow = object("AllowList", "office", json!({"entries": [{"prefix": "203.0.113.77"}]}));
    let view = View::new(
        objects(declared(vec![jail("mail/james", json!({"ignore": ["198.51.100.0/24"]})), allow]), vec![]),
        NOW,
    );
    let james = JailName::new("mail/james");
    let refused = |who: &str, jail: Option<&JailName>| {
        view.may_ban(who.parse().unwrap(), jail).err().map(|why| why.to_string())
    };
    assert_eq!(
        refused("203.0.113.0/24", None).unwrap(),
        "203.0.113.0/24 is never banned: on the allow list office"
    );
    assert!(refused("35.191.0.1", None).unwrap().contains("health checks"));
    assert!(refused("127.0.0.1", None).is_some());
    assert!(refused("198.51.100.7", Some(&james)).unwrap().contains("ignore list"));
    assert_eq!(refused("198.51.100.7", None), None);
    assert!(refused("10.1.2.3", Some(&james)).unwrap().contains("private"));
    assert_eq!(
        refused("45.129.14.30", Some(&JailName::new("mail/none"))).unwrap(),
        "there is no jail mail/none"
    );
}

#[test]
fn what_happens_later_is_told_once() {
    let mut view = View::new(objects(declared(vec![jail("mail/james", json!({}))]), vec![]), NOW);
    let slice = slice("n1", json!([ban("45.129.14.30", -60, 540)])).spec;
    let first: Vec<Recorded> = view.record(&slice, NOW).into_iter().map(|(recorded, _)| recorded).collect();
    let again: Vec<Recorded> = view.record(&slice, NOW).into_iter().map(|(recorded, _)| recorded).collect();
    assert_eq!((first, again), (vec![Recorded::New], vec![Recorded::Known]));
    assert_eq!(view.next_end(), Some(NOW + crate::engine::Duration::from_secs(540)));
    assert_eq!(view.pardon(&pardon("45.129.14.30", 5), NOW).len(), 1);
    assert_eq!(view.held(NOW), 0);
    let list = object("BanList", "feed", json!({"entries": [{"prefix": "198.51.100.0/24"}]}));
    assert_eq!(view.declare(declared(vec![list]), NOW).begun.len(), 1);
    assert_eq!(view.declare(declared(vec![]), NOW).ended.len(), 1);
}
