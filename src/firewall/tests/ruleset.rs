use nftables::schema::NfObject;

use super::*;
use crate::firewall::Guard;
use crate::firewall::inventory::SetShape;

fn local(port: u16) -> Guard {
    Guard { destination: Destination::Local, port }
}

fn at(address: &str, port: u16) -> Guard {
    Guard { destination: Destination::Address(address.parse().unwrap()), port }
}

fn ports(name: &str, guards: &[Guard]) -> Scope {
    Scope { name: ScopeName::new(name), reach: Reach::Ports(guards.to_vec()), action: Action::Drop }
}

fn everything() -> Scope {
    Scope { name: ScopeName::all(), reach: Reach::Everything, action: Action::Drop }
}

fn skeleton(scopes: Vec<Scope>, never: &[&str]) -> Skeleton {
    let never = never.iter().map(|net| net.parse().unwrap()).collect();
    Skeleton { scopes, never, ..Skeleton::default() }
}

/// One command a line.
fn lines(batch: Batch<'_>) -> String {
    let objects = batch.to_nftables().objects.into_owned();
    objects.iter().map(|object| serde_json::to_string(object).unwrap() + "\n").collect()
}

fn ban_shape(set: &BanSet) -> SetShape {
    SetShape { flags: SetShape::TIMEOUT, key_bytes: set.family.bytes() }
}

/// What the kernel would hold after `skeleton`, with a set more for every scope.
fn standing(skeleton: &Skeleton) -> Inventory {
    let target = Target::new(None, skeleton);
    let further =
        skeleton.scopes.iter().map(|scope| BanSet::of(&scope.name, "198.51.100.0/24".parse().unwrap()));
    let sets: BTreeSet<_> = target.sets.iter().cloned().chain(further).collect();
    let never = target.never.iter().zip(["never4", "never6"]).filter(|(nets, _)| !nets.is_empty());
    let mut inventory = Inventory {
        chains: target.chains().into_iter().map(|name| (name, None)).collect(),
        sets: sets.iter().map(|set| (set.name(), ban_shape(set))).collect(),
        counters: skeleton.scopes.iter().map(|scope| counter_name(&scope.name)).collect(),
    };
    inventory.sets.extend(never.map(|(_, name)| (name.to_owned(), SetShape { flags: 4, key_bytes: 4 })));
    for (name, (hook, priority)) in target.base_chains() {
        inventory.chains.insert(name.to_owned(), Some(Hook { number: hook_number(hook), priority }));
    }
    inventory
}

fn deleted(batch: Batch<'_>) -> Vec<String> {
    let objects = batch.to_nftables().objects.into_owned();
    let name = |object: NfObject<'_>| match object {
        NfObject::CmdObject(NfCmd::Delete(NfListObject::Set(set))) => Some(format!("set {}", set.name)),
        NfObject::CmdObject(NfCmd::Delete(NfListObject::Chain(chain))) => {
            Some(format!("chain {}", chain.name))
        }
        NfObject::CmdObject(NfCmd::Delete(NfListObject::Counter(counter))) => {
            Some(format!("counter {}", counter.name))
        }
        NfObject::CmdObject(NfCmd::Delete(other)) => panic!("deletes {other:?}"),
        NfObject::CmdObject(NfCmd::Flush(FlushObject::Table(_))) => None,
        NfObject::CmdObject(NfCmd::Flush(other)) => panic!("flushes {other:?}"),
        _ => None,
    };
    objects.into_iter().filter_map(name).collect()
}

#[test]
fn ports_of_this_host_and_of_services() {
    let wanted = skeleton(
        vec![
            ports("smtp", &[local(25), local(587), at("10.96.0.7", 25), at("fd00::7", 25)]),
            ports("imap", &[local(143), at("10.96.0.7", 143)]),
        ],
        &["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32", "fd00::/8"],
    );
    insta::assert_snapshot!(lines(transition(None, &wanted)));
}

#[test]
fn everything_and_reject() {
    let mut reject = ports("smtp", &[local(25)]);
    reject.action = Action::Reject;
    insta::assert_snapshot!(lines(transition(None, &skeleton(vec![everything(), reject], &[]))));
}

#[test]
fn scopes_that_share_a_port_share_its_chain_unless_at_different_destinations() {
    let wanted = skeleton(
        vec![
            ports("a", &[local(25), at("10.96.0.7", 25)]),
            ports("b", &[local(25), at("10.96.0.8", 25)]),
            ports("c", &[local(143)]),
            ports("d", &[local(143)]),
        ],
        &[],
    );
    let guards = Guards::new(&wanted.scopes);
    let chains: Vec<_> =
        guards.chains.iter().map(|((_, names), chain)| (chain.as_str(), names.len())).collect();
    assert_eq!(chains, [("guard_25", 1), ("guard_25_1", 2), ("guard_25_2", 1), ("guard_143", 2)]);
}

#[test]
fn nothing_guarded_needs_no_chain_at_all() {
    assert_eq!(lines(transition(None, &Skeleton::default())).lines().count(), 1);
}

#[test]
fn a_further_prefix_length_is_a_set_and_a_rule() {
    let scope = ScopeName::new("smtp");
    let sets =
        ["198.51.100.0/24", "2001:db8::/48"].map(|subject| BanSet::of(&scope, subject.parse().unwrap()));
    insta::assert_snapshot!(lines(further_sets(&sets)));
}

#[test]
fn the_same_skeleton_again_deletes_nothing_but_never_ban_sets() {
    let wanted = skeleton(vec![ports("smtp", &[local(25)]), everything()], &["10.0.0.0/8"]);
    assert_eq!(deleted(transition(Some(&standing(&wanted)), &wanted)), ["set never4"]);
}

#[test]
fn a_scope_that_goes_is_deleted_users_before_used() {
    let before = skeleton(vec![ports("smtp", &[local(25)]), ports("imap", &[local(143)])], &[]);
    let after = skeleton(vec![ports("smtp", &[local(25)])], &[]);
    let gone = deleted(transition(Some(&standing(&before)), &after));
    assert_eq!(
        gone,
        [
            "set imap_4_24",
            "set imap_4_32",
            "set imap_6_64",
            "chain drop_imap",
            "chain guard_143",
            "chain scope_imap",
            "counter dropped_imap",
        ]
    );
}

#[test]
fn a_scope_that_changes_what_it_closes_keeps_its_sets_and_counter() {
    let before = skeleton(vec![ports("smtp", &[local(25)])], &[]);
    let mut scope = everything();
    scope.name = ScopeName::new("smtp");
    scope.action = Action::Reject;
    let gone = deleted(transition(Some(&standing(&before)), &skeleton(vec![scope], &[])));
    assert_eq!(gone, ["chain guard_25", "chain prerouting"]);
}

#[test]
fn a_set_of_the_wrong_kind_is_made_anew() {
    let wanted = skeleton(vec![ports("smtp", &[local(25)])], &[]);
    for shape in [
        SetShape { flags: SetShape::TIMEOUT, key_bytes: 16 },
        SetShape { flags: 0, key_bytes: 4 },
        SetShape { flags: SetShape::TIMEOUT | 0x4, key_bytes: 4 },
        SetShape { flags: SetShape::TIMEOUT | 0x8, key_bytes: 4 },
    ] {
        let mut standing = standing(&wanted);
        standing.sets.insert("smtp_4_32".into(), shape);
        assert_eq!(deleted(transition(Some(&standing), &wanted)), ["set smtp_4_32"], "{shape:?}");
    }
}

mod any {
    use proptest::prelude::*;

    use super::*;

    fn scopes() -> impl Strategy<Value = Vec<Scope>> {
        let guard = prop_oneof![
            (1..4_u16).prop_map(local),
            (1..4_u16, 1..4_u8).prop_map(|(port, host)| at(&format!("10.0.0.{host}"), port)),
        ];
        let reach = prop_oneof![
            3 => proptest::collection::vec(guard, 0..4).prop_map(Reach::Ports),
            1 => Just(Reach::Everything)
        ];
        let scope = (0..6_u8, reach).prop_map(|(name, reach)| Scope {
            name: ScopeName::new(&format!("s{name}")),
            reach,
            action: Action::Drop,
        });
        proptest::collection::vec(scope, 0..6).prop_map(|scopes| {
            let by_name: BTreeMap<_, _> =
                scopes.into_iter().map(|scope| (scope.name.clone(), scope)).collect();
            by_name.into_values().collect()
        })
    }

    proptest! {
        #[test]
        fn no_change_of_skeletons_touches_bans_or_counters_of_a_scope_that_stays(before in scopes(), after in scopes()) {
            let standing = standing(&skeleton(before.clone(), &["10.0.0.0/8"]));
            let gone = deleted(transition(Some(&standing), &skeleton(after.clone(), &[])));
            for scope in &before {
                let stays = after.iter().any(|other| other.name == scope.name);
                for length in ["4_32", "4_24", "6_64"] {
                    let set = format!("set {}_{length}", scope.name);
                    prop_assert_eq!(gone.contains(&set), !stays, "{}", set);
                }
                prop_assert_eq!(gone.contains(&format!("counter dropped_{}", scope.name)), !stays);
            }
        }
    }
}
