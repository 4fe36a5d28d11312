//! What outlives what: a killed agent, a flushed ruleset, a full set, a hundred thousand bans.

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gaoler::engine::Subject;
use gaoler::firewall::enforcer::{Enforcer, EnforcerEvent, Order};
use gaoler::firewall::{Change, Firewall, FirewallError, Nftables, ScopeName, Skeleton};

use crate::netns::{self, Net, PATIENCE};
use crate::wishes::*;

fn smtp() -> Skeleton {
    skeleton(&[scope("smtp", &[local(25)])])
}

fn wait<T>(events: &Receiver<EnforcerEvent>, wanted: impl Fn(EnforcerEvent) -> Option<T>) -> T {
    loop {
        if let Some(found) = wanted(events.recv_timeout(PATIENCE).expect("the event")) {
            return found;
        }
    }
}

fn is(expected: EnforcerEvent) -> impl Fn(EnforcerEvent) -> Option<()> {
    move |event| (event == expected).then_some(())
}

fn enforcer(firewall: Nftables) -> (Enforcer, Receiver<EnforcerEvent>) {
    let (sender, events) = channel();
    (Enforcer::spawn(Box::new(firewall), sender).expect("a thread"), events)
}

fn bans(count: u32) -> Vec<Change> {
    let until = Some(now() + Duration::from_secs(3600));
    let first = u32::from(Ipv4Addr::new(10, 0, 0, 0));
    (0..count)
        .map(|i| Subject::host(Ipv4Addr::from_bits(first + i).into()))
        .map(|subject| Change::Ban { scope: ScopeName::new("smtp"), subject, until })
        .collect()
}

/// Elements of a set, counted by listing it: for small sets and for once.
fn elements(net: &Net, set: &str) -> usize {
    let listed = net.host.run(&["nft", "-j", "list", "set", "inet", "gaoler", set]);
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("json");
    listed.pointer("/nftables/1/set/elem").and_then(serde_json::Value::as_array).map_or(0, Vec::len)
}

#[test]
fn a_new_agent_adopts_the_table_with_its_bans_and_counters() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let attacker = net.attacker("198.51.100.7");
        let mut killed = firewall(&smtp());
        apply(&mut killed, &[ban("smtp", "198.51.100.7"), ban("smtp", "203.0.113.0/24")]);
        assert!(net.is_silent(attacker, 25));
        drop(killed);
        assert!(net.is_silent(attacker, 25));

        let mut next = Nftables::open().expect("netlink");
        let before = dropped(&mut next, "smtp");
        assert!(before.packets > 0);
        let wanted = skeleton(&[scope("smtp", &[local(25), local(587)]), scope("imap", &[local(143)])]);
        next.ensure(&wanted).expect("adopted");
        assert!(net.is_silent(attacker, 25));
        assert!(net.is_silent(net.attacker("203.0.113.200"), 25), "sets made on demand are adopted too");
        assert!(dropped(&mut next, "smtp").packets > before.packets);
        assert!(next.is_intact().expect("asked"));
        apply(&mut next, &[lift("smtp", "203.0.113.0/24"), lift("smtp", "198.51.100.7")]);
        assert!(net.reaches(attacker, 25));
    });
}

#[test]
fn a_scope_that_goes_takes_its_bans_along_and_the_others_keep_theirs() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let _imap = net.listen(143);
        let mut firewall = firewall(&skeleton(&[scope("smtp", &[local(25)]), scope("imap", &[local(143)])]));
        apply(
            &mut firewall,
            &[ban("smtp", "198.51.100.7"), ban("imap", "198.51.100.7"), ban("imap", "198.51.100.0/24")],
        );
        let attacker = net.attacker("198.51.100.7");
        assert!(net.is_silent(attacker, 143));
        firewall.ensure(&smtp()).expect("one scope less");
        assert!(net.is_silent(attacker, 25));
        assert!(net.reaches(attacker, 143));
        let listed = net.host.run(&["nft", "list", "table", "inet", "gaoler"]);
        assert!(!listed.contains("imap"), "{listed}");
        firewall.ensure(&Skeleton::default()).expect("no scope");
        assert!(net.reaches(attacker, 25));
        firewall.ensure(&smtp()).expect("the scope again");
        assert!(net.reaches(attacker, 25), "its bans were for the scope that went");
    });
}

#[test]
fn what_others_put_in_our_table_is_cleared_away() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let attacker = net.attacker("198.51.100.7");
        // Our names, but neither the right kinds nor the right places.
        net.host.run(&[
            "nft",
            "table inet gaoler { \
             set smtp_4_32 { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 }; }; \
             set smtp_6_64 { type ipv6_addr; }; \
             map strange { type inet_service : verdict; elements = { 25 : jump scope_smtp }; }; \
             counter other { }; \
             chain scope_smtp { drop; }; \
             chain prerouting { type filter hook prerouting priority -5; policy drop; tcp dport vmap @strange; }; \
             chain forward { type filter hook forward priority 0; policy drop; }; }",
        ]);
        let mut firewall = firewall(&smtp());
        assert!(net.reaches(attacker, 25));
        apply(&mut firewall, &[ban("smtp", "198.51.100.7")]);
        assert!(net.is_silent(attacker, 25));
        let listed = net.host.run(&["nft", "list", "table", "inet", "gaoler"]);
        for gone in ["flags interval", "strange", "other", "forward", "policy drop"] {
            assert!(!listed.contains(gone), "{gone} in {listed}");
        }
    });
}

#[test]
fn every_kind_of_tampering_is_noticed_and_our_own_changes_are_not() {
    netns::on_the_host(|net| {
        let mut wanted = skeleton(&[scope("smtp", &[local(25), at("203.0.113.1", 25)]), everything()]);
        wanted.never = vec!["192.0.2.0/24".parse().expect("a prefix")];
        let mut firewall = firewall(&wanted);
        apply(
            &mut firewall,
            &[
                ban("smtp", "198.51.100.7"),
                ban("smtp", "198.51.100.0/24"),
                ban_for_ever("all", "2001:db8::/48"),
            ],
        );
        apply(&mut firewall, &[lift("smtp", "198.51.100.7"), ban("smtp", "198.51.100.9")]);
        assert!(firewall.is_intact().expect("asked"));
        net.host.run(&["nft", "table ip other { chain c { type filter hook input priority 0; }; }"]);
        assert!(firewall.is_intact().expect("asked"), "another's table is none of our business");
        for tampering in [
            "flush ruleset",
            "delete table inet gaoler",
            "flush table inet gaoler",
            "flush chain inet gaoler drop_smtp",
            "insert rule inet gaoler prerouting accept",
            "add table inet gaoler { flags dormant; }",
            "add chain inet gaoler prerouting { policy drop; }",
            "add element inet gaoler never4 { 198.51.100.0/24 }",
            "flush set inet gaoler never4",
            "flush set inet gaoler smtp_4_24",
            "flush set inet gaoler all_6_48",
            "add chain inet gaoler extra",
        ] {
            net.host.run(&["nft", tampering]);
            assert!(!firewall.is_intact().expect("asked"), "{tampering}");
            firewall.ensure(&wanted).expect("repaired");
            apply(&mut firewall, &[ban("smtp", "198.51.100.0/24"), ban_for_ever("all", "2001:db8::/48")]);
            assert!(firewall.is_intact().expect("asked"), "after {tampering}");
        }
    });
}

#[test]
fn a_flushed_ruleset_is_repaired_within_a_second() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let (enforcer, events) = enforcer(Nftables::open().expect("netlink"));
        enforcer.send(Order::Skeleton(smtp())).expect("alive");
        enforcer.send(Order::Changes(vec![ban("smtp", "198.51.100.7")])).expect("alive");
        wait(&events, |event| matches!(event, EnforcerEvent::Applied { .. }).then_some(()));
        assert!(net.is_silent(net.attacker("198.51.100.7"), 25));

        net.host.run(&["nft", "flush", "ruleset"]);
        let flushed = Instant::now();
        wait(&events, is(EnforcerEvent::Drifted));
        enforcer.send(Order::Restore(vec![ban("smtp", "198.51.100.7")])).expect("alive");
        wait(&events, |event| matches!(event, EnforcerEvent::Applied { restored: true, .. }).then_some(()));
        println!("repaired after {:?}", flushed.elapsed());
        assert!(net.is_silent(net.attacker("198.51.100.7"), 25));
        enforcer.stop();
    });
}

#[test]
fn a_change_after_the_table_went_says_that_it_drifted() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&smtp());
        net.host.run(&["nft", "delete", "table", "inet", "gaoler"]);
        for subject in ["198.51.100.7", "198.51.100.0/24"] {
            let error = firewall.apply(&[ban("smtp", subject)], now()).expect_err("no table");
            assert!(matches!(error, FirewallError::Drifted(_)), "{error}");
        }
    });
}

#[test]
fn while_nft_is_broken_bans_go_on_and_nothing_is_forgotten() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let place = tempfile::tempdir().expect("a directory");
        let (program, broken) = (place.path().join("nft"), place.path().join("broken"));
        let script = format!(
            "#!/bin/sh\nif test -e {0}; then echo broken >&2; exit 1; fi\nexec nft \"$@\"\n",
            broken.display()
        );
        std::fs::write(&program, script).expect("a script");
        std::process::Command::new("chmod").arg("+x").arg(&program).status().expect("chmod");

        let (enforcer, events) = enforcer(Nftables::open().expect("netlink").with_nft(&program));
        enforcer.send(Order::Skeleton(smtp())).expect("alive");
        wait(&events, is(EnforcerEvent::Ensured));
        std::fs::write(&broken, "").expect("broken");

        // A prefix length that needs a new set waits; an ordinary ban does not.
        let changes = vec![ban("smtp", "203.0.113.0/24"), ban("smtp", "198.51.100.7")];
        enforcer.send(Order::Changes(changes)).expect("alive");
        let words = wait(&events, |event| match event {
            EnforcerEvent::Failing(words) => Some(words),
            _ => None,
        });
        assert!(words.contains("broken"), "{words}");
        wait(&events, |event| matches!(event, EnforcerEvent::Applied { .. }).then_some(()));
        assert!(net.is_silent(net.attacker("198.51.100.7"), 25));
        assert!(net.reaches(net.attacker("203.0.113.9"), 25));

        // So does a new skeleton, and with it the changes of its scopes.
        enforcer
            .send(Order::Skeleton(skeleton(&[scope("smtp", &[local(25)]), scope("web", &[local(80)])])))
            .expect("alive");
        enforcer
            .send(Order::Changes(vec![ban("web", "198.51.100.7"), ban("smtp", "198.51.100.8")]))
            .expect("alive");
        wait(&events, |event| matches!(event, EnforcerEvent::Applied { .. }).then_some(()));
        assert!(net.is_silent(net.attacker("198.51.100.8"), 25));

        std::fs::remove_file(&broken).expect("whole again");
        wait(&events, is(EnforcerEvent::Recovered));
        enforcer.stop();
        assert!(net.is_silent(net.attacker("203.0.113.9"), 25));
        assert_eq!(elements(net, "web_4_32"), 1);
    });
}

#[test]
fn one_refused_element_holds_no_other_back() {
    netns::on_the_host(|net| {
        // A set that somebody limited is kept, for it may hold bans.
        net.host.run(&[
            "nft",
            "table inet gaoler { set smtp_4_32 { type ipv4_addr; flags timeout; size 700; }; }",
        ]);
        let mut firewall = firewall(&smtp());
        let mut changes = bans(1500);
        changes.push(ban("smtp", "2001:db8::/64"));
        changes.insert(0, ban("nowhere", "198.51.100.7"));
        let applied = firewall.apply(&changes, now()).expect("a batch");
        assert_eq!(applied.done + applied.refused.len(), changes.len());
        assert!(applied.refused.len() >= 801 && applied.refused.len() < 900, "{}", applied.refused.len());
        assert_eq!(elements(net, "smtp_4_32") + 1, applied.done);
        assert_eq!(elements(net, "smtp_6_64"), 1);
        assert!(firewall.is_intact().expect("asked"));
    });
}

#[test]
fn the_kernel_goes_over_the_bans_every_ten_minutes_and_not_each_second() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&smtp());
        apply(&mut firewall, &[ban("smtp", "198.51.100.0/24")]);
        for set in ["smtp_4_32", "smtp_6_64", "smtp_4_24"] {
            let listed = net.host.run(&["nft", "list", "set", "inet", "gaoler", set]);
            assert!(listed.contains("gc-interval 10m"), "{listed}");
        }
    });
}

#[test]
fn a_hundred_thousand_bans_come_and_come_again() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&smtp());
        let changes = bans(100_000);
        for round in ["first", "again"] {
            let begin = Instant::now();
            apply(&mut firewall, &changes);
            println!("{round}: {:?}", begin.elapsed());
        }
        assert_eq!(elements(net, "smtp_4_32"), 100_000);
        let begin = Instant::now();
        let lifts: Vec<_> = changes
            .iter()
            .map(|change| match change {
                Change::Ban { scope, subject, .. } | Change::Lift { scope, subject } => {
                    Change::Lift { scope: scope.clone(), subject: *subject }
                }
            })
            .collect();
        apply(&mut firewall, &lifts);
        println!("lifted: {:?}", begin.elapsed());
        assert_eq!(elements(net, "smtp_4_32"), 0);
    });
}

#[test]
fn a_ban_that_is_there_already_is_renewed_among_new_ones_of_a_new_table() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&smtp());
        apply(&mut firewall, &[ban("smtp", "198.51.100.7"), ban("smtp", "198.51.100.8")]);
        let longer = ban_for("smtp", "198.51.100.8", Duration::from_secs(7200));
        apply(&mut firewall, &[ban("smtp", "198.51.100.9"), longer, ban("smtp", "198.51.100.10")]);
        assert_eq!(elements(net, "smtp_4_32"), 4);
        let listed = net.host.run(&["nft", "-j", "list", "set", "inet", "gaoler", "smtp_4_32"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("json");
        let ends =
            listed.pointer("/nftables/1/set/elem").and_then(serde_json::Value::as_array).expect("elements");
        let late = ends.iter().filter(|end| end["elem"]["expires"].as_u64() > Some(3600));
        let late: Vec<_> = late.map(|end| &end["elem"]["val"]).collect();
        assert_eq!(late, ["198.51.100.8"]);
        assert!(firewall.is_intact().expect("an answer"));
    });
}

#[test]
fn bans_in_many_sets_at_once_all_arrive() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&smtp());
        let v4 = (1..=32).map(|bits| ban("smtp", &format!("128.0.0.0/{bits}")));
        let v6 = (1..=128).map(|bits| ban("smtp", &format!("8000::/{bits}")));
        apply(&mut firewall, &v4.chain(v6).collect::<Vec<_>>());
        for set in ["smtp_4_1", "smtp_4_17", "smtp_4_32", "smtp_6_1", "smtp_6_65", "smtp_6_128"] {
            assert_eq!(elements(net, set), 1, "{set}");
        }
        let _smtp = net.listen(25);
        assert!(net.is_silent(net.attacker("128.0.0.7"), 25));
        assert!(net.reaches(net.attacker("127.255.0.7".replace("127", "126").as_str()), 25));
    });
}

#[test]
fn the_last_wish_for_an_element_counts() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&smtp());
        let mut wishes =
            vec![ban("smtp", "198.51.100.7"), lift("smtp", "198.51.100.7"), ban("smtp", "198.51.100.8")];
        wishes.extend([
            lift("smtp", "198.51.100.8"),
            ban("smtp", "198.51.100.7"),
            lift("smtp", "198.51.100.99"),
        ]);
        apply(&mut firewall, &wishes);
        let listed = net.host.run(&["nft", "list", "set", "inet", "gaoler", "smtp_4_32"]);
        assert!(listed.contains("198.51.100.7 ") && !listed.contains("198.51.100.8"), "{listed}");
        assert_eq!(elements(net, "smtp_4_32"), 1);
    });
}

#[test]
fn a_teardown_removes_our_table_and_no_other() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        net.host
            .run(&["nft", "table inet neighbour { set s { type ipv4_addr; elements = { 10.0.0.1 }; }; }"]);
        let mut firewall = firewall(&smtp());
        apply(&mut firewall, &[ban("smtp", "198.51.100.7")]);
        firewall.teardown().expect("removed");
        assert!(!firewall.is_intact().expect("asked"));
        firewall.teardown().expect("nothing to remove is fine");
        assert!(net.reaches(net.attacker("198.51.100.7"), 25));
        let listed = net.host.run(&["nft", "list", "ruleset"]);
        assert!(!listed.contains("gaoler") && listed.contains("10.0.0.1"), "{listed}");
        firewall.ensure(&smtp()).expect("made again");
    });
}
