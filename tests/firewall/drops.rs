//! Whose packets fall, and where.

use std::time::Duration;

use gaoler::firewall::{Firewall, Skeleton};

use crate::netns::{self, PATIENCE, Probe, SILENCE};
use crate::wishes::*;

#[test]
fn a_banned_address_is_silent_on_the_guarded_port_and_nowhere_else() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let _web = net.listen(80);
        let mut firewall = firewall(&skeleton(&[scope("smtp", &[local(25)])]));
        for (address, neighbour) in
            [("198.51.100.7", "198.51.100.8"), ("2001:db8:bad::7", "2001:db8:bad:1::7")]
        {
            let (attacker, neighbour) = (net.attacker(address), net.attacker(neighbour));
            assert!(net.reaches(attacker, 25));
            let subject =
                if attacker.is_ipv4() { address.to_owned() } else { "2001:db8:bad::/64".to_owned() };
            apply(&mut firewall, &[ban("smtp", &subject)]);
            assert!(net.is_silent(attacker, 25));
            assert!(net.reaches(attacker, 80));
            assert!(net.reaches(neighbour, 25));
        }
        assert!(dropped(&mut firewall, "smtp").packets >= 2);
    });
}

#[test]
fn an_open_connection_is_cut() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = firewall(&skeleton(&[scope("smtp", &[local(25)])]));
        let mut talk = net.talk(net.attacker("198.51.100.7"), 25);
        assert!(talk.exchanges(PATIENCE));
        apply(&mut firewall, &[ban("smtp", "198.51.100.7")]);
        assert!(!talk.exchanges(SILENCE));
        assert!(dropped(&mut firewall, "smtp").packets >= 1);
        apply(&mut firewall, &[lift("smtp", "198.51.100.7")]);
        assert!(talk.exchanges(PATIENCE), "TCP repeats what was lost");
    });
}

#[test]
fn a_ban_of_a_64_holds_for_every_address_in_it() {
    netns::on_the_host(|net| {
        let _imap = net.listen(143);
        let mut firewall = firewall(&skeleton(&[scope("imap", &[local(143)])]));
        apply(&mut firewall, &[ban("imap", "2001:db8:bad:1::/64")]);
        for address in ["2001:db8:bad:1::1", "2001:db8:bad:1:ffff:ffff:ffff:ffff"] {
            assert!(net.is_silent(net.attacker(address), 143), "{address}");
        }
        assert!(net.reaches(net.attacker("2001:db8:bad:2::1"), 143));
    });
}

#[test]
fn nested_prefixes_each_end_by_themselves() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = firewall(&skeleton(&[scope("smtp", &[local(25)])]));
        let (one, other) = (net.attacker("198.51.100.7"), net.attacker("198.51.100.8"));
        apply(
            &mut firewall,
            &[ban("smtp", "198.51.100.0/24"), ban("smtp", "198.51.100.7"), ban("smtp", "198.51.0.0/16")],
        );
        assert!(net.is_silent(one, 25) && net.is_silent(other, 25));
        apply(&mut firewall, &[lift("smtp", "198.51.0.0/16")]);
        assert!(net.is_silent(other, 25));
        apply(&mut firewall, &[lift("smtp", "198.51.100.0/24")]);
        assert!(net.reaches(other, 25));
        assert!(net.is_silent(one, 25));
        apply(&mut firewall, &[lift("smtp", "198.51.100.7")]);
        assert!(net.reaches(one, 25));
    });
}

#[test]
fn two_scopes_share_a_port_and_each_has_its_own_bans_and_counter() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let _imap = net.listen(143);
        let mut firewall =
            firewall(&skeleton(&[scope("a", &[local(25)]), scope("b", &[local(25), local(143)])]));
        let (one, other) = (net.attacker("198.51.100.7"), net.attacker("198.51.100.8"));
        apply(&mut firewall, &[ban("a", "198.51.100.7"), ban("b", "198.51.100.8")]);
        assert!(net.is_silent(one, 25) && net.is_silent(other, 25));
        assert!(net.reaches(one, 143) && net.is_silent(other, 143));
        assert!(dropped(&mut firewall, "a").packets > 0 && dropped(&mut firewall, "b").packets > 0);
        let before = dropped(&mut firewall, "a");
        assert!(net.is_silent(other, 25));
        assert_eq!(dropped(&mut firewall, "a"), before);
    });
}

#[test]
fn scopes_of_one_port_at_different_addresses_do_not_close_each_other() {
    netns::on_the_host(|net| {
        net.host.ip(&["addr", "add", "203.0.113.1/32", "dev", "lo"]);
        net.host.ip(&["addr", "add", "203.0.113.2/32", "dev", "lo"]);
        net.internet.ip(&["route", "add", "203.0.113.0/24", "via", netns::HOST4]);
        let _smtp = net.listen(25);
        let mut firewall = firewall(&skeleton(&[
            scope("one", &[at("203.0.113.1", 25), at("2001:db8:2::1", 25)]),
            scope("two", &[at("203.0.113.2", 25)]),
        ]));
        let attacker = net.attacker("198.51.100.7");
        let reach = |to: &str, wait| {
            let to = (to.parse::<std::net::IpAddr>().expect("an address"), 25).into();
            netns::Conversation::open(&net.internet, attacker, to, wait)
        };
        apply(&mut firewall, &[ban("one", "198.51.100.7"), ban("one", "2001:db8:bad::/64")]);
        assert!(matches!(reach("203.0.113.1", SILENCE), Probe::Silent));
        assert!(matches!(reach("203.0.113.2", PATIENCE), Probe::Open(_)));
        assert!(matches!(reach(netns::HOST4, PATIENCE), Probe::Open(_)));
        assert!(net.is_silent(net.attacker("2001:db8:bad::7"), 25));
    });
}

#[test]
fn a_ban_of_everything_leaves_the_hosts_own_connections_alone() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = firewall(&skeleton(&[everything()]));
        for (address, subject) in [("198.51.100.7", "198.51.100.7"), ("2001:db8:bad::7", "2001:db8:bad::/64")]
        {
            let attacker = net.attacker(address);
            let theirs = netns::Listener::start(&net.internet, 0);
            let mut open = net.talk(attacker, 25);
            assert!(open.exchanges(PATIENCE));
            apply(&mut firewall, &[ban("all", subject)]);
            assert!(net.is_silent(attacker, 25));
            assert!(net.is_silent(attacker, 4567), "no port answers, not even with a reset");
            assert!(!open.exchanges(SILENCE));
            let to = (attacker, theirs.port()).into();
            let own = netns::Conversation::open(&net.host, net.host_address(attacker), to, PATIENCE);
            assert!(own.answers());
            assert!(
                net.reaches(
                    net.attacker(if attacker.is_ipv4() { "198.51.100.8" } else { "2001:db8::8" }),
                    25
                )
            );
        }
    });
}

#[test]
fn a_prefix_that_is_never_banned_passes_whatever_is_banned() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut wanted = skeleton(&[scope("smtp", &[local(25)]), everything()]);
        wanted.never =
            ["198.51.100.7/32", "198.51.100.0/28", "2001:db8:bad::/64", "203.0.113.0/25", "203.0.113.128/25"]
                .map(|net| net.parse().expect("a prefix"))
                .to_vec();
        let mut firewall = firewall(&wanted);
        apply(
            &mut firewall,
            &[ban("smtp", "198.51.100.0/24"), ban("all", "198.51.100.7"), ban("smtp", "2001:db8:bad::/64")],
        );
        for house in ["198.51.100.7", "198.51.100.9", "2001:db8:bad::7"] {
            assert!(net.reaches(net.attacker(house), 25), "{house}");
        }
        assert!(net.is_silent(net.attacker("198.51.100.99"), 25));

        // Other prefixes that overlap the old ones take their place in one transaction.
        wanted.never = vec!["198.51.0.0/16".parse().expect("a prefix")];
        firewall.ensure(&wanted).expect("other prefixes");
        assert!(net.reaches(net.attacker("198.51.100.99"), 25));
        assert!(net.is_silent(net.attacker("2001:db8:bad::7"), 25));
        wanted.never.clear();
        firewall.ensure(&wanted).expect("no prefixes");
        assert!(net.is_silent(net.attacker("198.51.100.99"), 25));
    });
}

#[test]
fn a_scope_that_rejects_answers_with_a_reset() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall =
            firewall(&skeleton(&[rejecting(scope("smtp", &[local(25)])), rejecting(everything())]));
        for (address, subject) in [("198.51.100.7", "198.51.100.7"), ("2001:db8:bad::7", "2001:db8:bad::/64")]
        {
            let attacker = net.attacker(address);
            let mut open = net.talk(attacker, 25);
            assert!(open.exchanges(PATIENCE));
            apply(&mut firewall, &[ban("smtp", subject)]);
            assert!(matches!(
                net.probe(attacker, 25, PATIENCE),
                Probe::Refused(rustix::io::Errno::CONNREFUSED)
            ));
            assert!(open.is_reset(PATIENCE), "an open connection ends with a reset");
            apply(&mut firewall, &[lift("smtp", subject), ban("all", subject)]);
            assert!(matches!(
                net.probe(attacker, 25, PATIENCE),
                Probe::Refused(rustix::io::Errno::CONNREFUSED)
            ));
        }
        assert!(dropped(&mut firewall, "smtp").packets >= 4 && dropped(&mut firewall, "all").packets >= 2);
    });
}

#[test]
fn the_kernel_ends_a_ban_by_itself() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = firewall(&skeleton(&[scope("smtp", &[local(25)])]));
        let (short, long) = (net.attacker("198.51.100.7"), net.attacker("198.51.100.8"));
        apply(
            &mut firewall,
            &[ban_for("smtp", "198.51.100.7", Duration::from_secs(1)), ban_for_ever("smtp", "198.51.100.8")],
        );
        // TCP repeats its first packet until the ban is over.
        assert!(net.reaches(short, 25));
        assert!(net.is_silent(long, 25));
        // What has ended is still in the set until the kernel clears it away; a new ban is one all the same.
        apply(&mut firewall, &[ban("smtp", "198.51.100.7")]);
        assert!(net.is_silent(short, 25));
        apply(&mut firewall, &[lift("smtp", "198.51.100.7")]);
        drop(firewall);
        assert!(net.reaches(short, 25));
    });
}

#[test]
fn renewing_a_ban_prolongs_it_and_may_shorten_it() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = firewall(&skeleton(&[scope("smtp", &[local(25)])]));
        let left = |firewall: &mut dyn Firewall, span| {
            apply(firewall, &[ban_for("smtp", "198.51.100.7", Duration::from_secs(span))]);
            let listed = net.host.run(&["nft", "-j", "list", "set", "inet", "gaoler", "smtp_4_32"]);
            let listed: serde_json::Value = serde_json::from_str(&listed).expect("json");
            listed
                .pointer("/nftables/1/set/elem/0/elem/expires")
                .and_then(serde_json::Value::as_u64)
                .expect("an end")
        };
        assert!((1..=60).contains(&left(&mut firewall, 60)));
        assert!((3000..=3600).contains(&left(&mut firewall, 3600)));
        assert!((1..=60).contains(&left(&mut firewall, 60)));
        assert!(net.is_silent(net.attacker("198.51.100.7"), 25));
    });
}

#[test]
fn nothing_is_emitted_that_is_not_needed() {
    netns::on_the_host(|net| {
        let mut firewall = firewall(&Skeleton::default());
        let listed = net.host.run(&["nft", "list", "table", "inet", "gaoler"]);
        assert_eq!(listed.split_whitespace().collect::<String>(), "tableinetgaoler{}");
        assert!(firewall.is_intact().expect("asked"));
    });
}
