//! Rate limits against the real kernel: forged packets, and a witness behind all chains who sees which come through.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use gaoler::firewall::{
    Action, Counted, Firewall, Limit, LimitCounts, Nftables, Penalty, ScopeName, Skeleton,
};

use crate::netns::{self, Forge, Knock, Net, PATIENCE, Segment, Witness};
use crate::wishes::{self, ban, local, scope};

pub(crate) const V4: &str = "198.51.100.7";
pub(crate) const V6: &str = "2001:db8:bad::7";
/// Of every router of the host's subnet.
const ANYCAST6: &str = "2001:db8:2::";

pub(crate) fn limit(name: &str, counts: Counted, hits: u32, window: u64) -> Limit {
    Limit {
        name: ScopeName::new(name),
        counts,
        hits,
        window: Duration::from_secs(window),
        penalty: Penalty::Silence,
        prefix_v4: 32,
        prefix_v6: 64,
        ignore: vec![],
        action: Action::Drop,
        observe: false,
        max_sources: 65_536,
        catches: false,
    }
}

pub(crate) fn limits(limits: &[Limit]) -> Skeleton {
    Skeleton { limits: limits.to_vec(), ..Skeleton::default() }
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(crate) fn counts(firewall: &mut Nftables, name: &str) -> LimitCounts {
    firewall.limits().expect("counts").remove(&ScopeName::new(name)).expect("this limit")
}

/// What came through of `count` packets from there.
pub(crate) fn knock(net: &Net, forge: &Forge, from: &str, at: Knock, count: u16) -> String {
    let from = address(from);
    Witness::at(&net.host).watch(forge, from, net.host_address(from), at, count)
}

#[test]
fn the_door_opens_after_a_whole_window_of_silence_and_not_while_somebody_knocks() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let _firewall = wishes::firewall(&limits(&[limit("smtp", Counted::tcp(&[25]), 3, 4)]));
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd");
        }
        // Two windows long a knock every second: never in.
        for _ in 0..8 {
            thread::sleep(Duration::from_secs(1));
            for from in [V4, V6] {
                assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 1), "d", "{from}");
            }
        }
        thread::sleep(Duration::from_millis(4300));
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd", "{from}");
        }
    });
}

#[test]
fn with_excess_only_what_is_over_falls_and_with_a_duration_everything_for_so_long() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let excess = Limit { penalty: Penalty::Excess, ..limit("excess", Counted::udp(&[53]), 3, 2) };
        let lasting = Penalty::Lasting(Duration::from_secs(600));
        let lasting = Limit { penalty: lasting, ..limit("lasting", Counted::tcp(&[25]), 3, 1) };
        let mut firewall = wishes::firewall(&limits(&[excess, lasting]));
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Udp(53), 6), "ppdddd");
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 6), "ppdddd");
        }
        thread::sleep(Duration::from_millis(2300));
        assert_eq!(counts(&mut firewall, "excess").offenders, 0, "they were silent for a window");
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Udp(53), 3), "ppd");
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 3), "ddd");
        }
        assert_eq!(counts(&mut firewall, "lasting").offenders, 2);
    });
}

#[test]
fn many_hits_are_counted_too() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let _firewall = wishes::firewall(&limits(&[
            limit("imap", Counted::tcp(&[143]), 100, 3600),
            limit("dns", Counted::udp(&[53]), 17, 3600),
            limit("ping", Counted::Echo, 16, 3600),
        ]));
        for from in [V4, V6] {
            for (at, passing) in [(Knock::Tcp(143), 99), (Knock::Udp(53), 16), (Knock::Ping, 15)] {
                let came = knock(net, &forge, from, at, 105);
                assert_eq!(came, "p".repeat(passing) + &"d".repeat(105 - passing), "{at:?} {from}");
            }
        }
    });
}

#[test]
fn an_open_connection_goes_on_and_other_ports_stay_open() {
    netns::on_the_host(|net| {
        let (_smtp, _web, forge) = (net.listen(25), net.listen(80), Forge::new(&net.internet));
        // Room for SYNs that are sent again on a busy machine; what goes over the limit are forged ones.
        let _firewall = wishes::firewall(&limits(&[limit("smtp", Counted::tcp(&[25]), 10, 600)]));
        for from in [V4, V6] {
            let attacker = net.attacker(from);
            let mut talk = net.talk(attacker, 25);
            assert!(net.reaches(attacker, 25));
            for mark in 1000..1010 {
                forge.send(attacker, net.host_address(attacker), Knock::Tcp(25), mark);
            }
            assert!(net.is_silent(attacker, 25));
            assert!(talk.exchanges(PATIENCE));
            assert!(net.reaches(attacker, 80));
        }
        assert!(net.reaches(net.attacker("198.51.100.8"), 25), "a neighbour is another source");
        assert!(net.is_silent(net.attacker("2001:db8:bad::8"), 25), "the same 64 is the same source");
    });
}

#[test]
fn what_opens_no_connection_is_neither_counted_nor_refused() {
    let [fin, syn, rst, psh, ack] = [1, 2, 4, 8, 16_u8];
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let mut firewall = wishes::firewall(&limits(&[limit("smtp", Counted::tcp(&[25]), 3, 600)]));
        for from in [V4, V6].map(address) {
            for flags in [syn | ack, syn | rst, syn | fin, ack, psh | ack, fin | ack, rst, rst | ack, 0] {
                for mark in 1..5 {
                    let segment = Segment { from: mark, to: 25, seq: 1, ack: 2, flags };
                    forge.send_segment(from, net.host_address(from), segment);
                }
            }
        }
        assert_eq!(counts(&mut firewall, "smtp"), LimitCounts::default());
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd", "{from}");
        }
        assert_eq!(counts(&mut firewall, "smtp").over.packets, 4);
    });
}

#[test]
fn what_is_sent_to_many_counts_as_if_it_were_sent_to_this_host_alone() {
    netns::on_the_host(|net| {
        let (witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        net.host.set("net/ipv6/conf/all/forwarding", "1"); // a router has its subnet's anycast address
        let _firewall = wishes::firewall(&limits(&[
            limit("ping", Counted::Echo, 3, 600),
            limit("dns", Counted::udp(&[53]), 3, 600),
        ]));
        let at_host = ["lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent"];
        net.internet.ip(&[&["neigh", "replace", ANYCAST6][..], &at_host].concat());
        net.internet.ip(&["route", "add", "224.0.0.0/4", "dev", "eth0"]);
        let many = [
            ("198.51.100.31", "192.0.2.255"),
            ("198.51.100.32", "224.0.0.1"),
            ("2001:db8:bad:33::1", ANYCAST6),
            ("2001:db8:bad:34::1", "ff02::1"),
        ];
        for (from, to) in many {
            for at in [Knock::Ping, Knock::Udp(53)] {
                assert_eq!(witness.watch(&forge, address(from), address(to), at, 5), "ppddd", "{to} {at:?}");
            }
        }
    });
}

#[test]
fn this_hosts_loopback_addresses_are_never_limited() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let _firewall = wishes::firewall(&limits(&[limit("smtp", Counted::tcp(&[25]), 2, 600)]));
        for from in ["127.0.0.1", "127.8.9.10", "::1"].map(address) {
            let to = if from.is_ipv4() { "127.0.0.1:25" } else { "[::1]:25" };
            for _ in 0..4 {
                let to = to.parse().expect("an address and a port");
                assert!(netns::Conversation::open(&net.host, from, to, PATIENCE).answers(), "{from}");
            }
        }
    });
}

#[test]
fn whoever_is_never_banned_or_ignored_is_not_limited() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let prefixes =
            |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a prefix")).collect::<Vec<_>>();
        let mut smtp = limit("smtp", Counted::tcp(&[25]), 3, 600);
        smtp.ignore = prefixes(&["203.0.113.0/25", "203.0.113.0/24", "2001:db8:9::/48"]);
        let never = prefixes(&["198.51.100.0/28", "2001:db8:bad::/64"]);
        let _firewall = wishes::firewall(&Skeleton { never, ..limits(&[smtp]) });
        for friend in [V4, V6, "203.0.113.200", "2001:db8:9:1::1"] {
            assert_eq!(knock(net, &forge, friend, Knock::Tcp(25), 9), "ppppppppp", "{friend}");
        }
        for other in ["198.51.100.99", "2001:db8:bad:1::7"] {
            assert_eq!(knock(net, &forge, other, Knock::Tcp(25), 5), "ppddd", "{other}");
        }
    });
}

#[test]
fn observing_counts_and_drops_nothing_and_rejecting_answers() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let observe = Limit { observe: true, ..limit("observed", Counted::tcp(&[25]), 3, 600) };
        let mut firewall = wishes::firewall(&limits(&[observe]));
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 9), "ppppppppp");
        let seen = counts(&mut firewall, "observed");
        assert_eq!((seen.over.packets, seen.offenders), (7, 1));
    });
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let reject = Limit { action: Action::Reject, ..limit("smtp", Counted::tcp(&[25]), 2, 600) };
        let _firewall = wishes::firewall(&limits(&[reject]));
        for from in [V4, V6] {
            let attacker = net.attacker(from);
            assert!(net.reaches(attacker, 25));
            assert!(matches!(net.probe(attacker, 25, PATIENCE), netns::Probe::Refused(_)));
        }
    });
}

#[test]
fn limits_on_one_port_are_asked_in_the_order_of_their_names_and_the_first_refusal_counts() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let mut firewall = wishes::firewall(&limits(&[
            limit("b_wide", Counted::tcp(&[25, 143]), 6, 600),
            limit("a_narrow", Counted::tcp(&[25]), 3, 600),
        ]));
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 9), "ppddddddd");
        assert_eq!(
            knock(net, &forge, V4, Knock::Tcp(143), 9),
            "pppdddddd",
            "two of five were spent at port 25"
        );
        assert_eq!(counts(&mut firewall, "a_narrow").over.packets, 7);
        assert_eq!(counts(&mut firewall, "b_wide").over.packets, 6);
    });
}

#[test]
fn changing_one_limit_or_the_scopes_loses_no_counts_of_another() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let smtp = limit("smtp", Counted::tcp(&[25]), 4, 3600);
        let imap = limit("imap", Counted::tcp(&[143]), 50, 3600);
        let mut firewall = wishes::firewall(&limits(&[smtp.clone(), imap.clone()]));
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 2), "pp");
        assert_eq!(knock(net, &forge, V6, Knock::Tcp(25), 5), "pppdd");
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(143), 48), "p".repeat(48));

        let ping = limit("ping", Counted::Echo, 3, 60);
        let mut wanted = limits(&[smtp.clone(), imap.clone(), ping.clone()]);
        wanted.scopes = vec![scope("ssh", &[local(22)])];
        wanted.never = vec!["203.0.113.0/24".parse().expect("a prefix")];
        firewall.ensure(&wanted).expect("another limit, a scope, a house");
        wishes::apply(&mut firewall, &[ban("ssh", "192.0.2.99")]);
        assert!(firewall.is_intact().expect("asked"), "packets that are counted change nothing of ours");
        wanted.limits = vec![smtp, imap, Limit { hits: 20, penalty: Penalty::Excess, ..ping }];
        firewall.ensure(&wanted).expect("the other limit changes its nature");
        assert!(firewall.is_intact().expect("asked"));

        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 3), "pdd", "two were spent before");
        assert_eq!(knock(net, &forge, V6, Knock::Tcp(25), 1), "d", "still under the penalty");
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(143), 3), "pdd", "48 were spent before");
        assert_eq!(counts(&mut firewall, "smtp").over.packets, 5);

        // The agent is gone: nobody holds the firewall, the limits hold.
        drop(firewall);
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 2), "dd");
        assert_eq!(knock(net, &forge, "198.51.100.9", Knock::Tcp(25), 5), "pppdd");

        // The next one finds everything as it was, and takes it all away when told.
        let mut next = wishes::firewall(&wanted);
        assert_eq!(knock(net, &forge, "198.51.100.9", Knock::Tcp(25), 1), "d");
        assert_eq!(counts(&mut next, "smtp").over.packets, 10);
        next.teardown().expect("torn down");
        assert!(!net.host.run(&["nft", "list", "tables"]).contains("gaoler"));
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 9), "ppppppppp");
    });
}

#[test]
fn a_spray_of_sources_fills_what_is_allotted_and_innocents_pass() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let small = |name, counts, hits| Limit { max_sources: 1024, ..limit(name, counts, hits, 3600) };
        let mut firewall = wishes::firewall(&limits(&[
            small("smtp", Counted::tcp(&[25]), 3),
            small("imap", Counted::tcp(&[143]), 40),
        ]));
        for n in 0..5000_u32 {
            let v4 = IpAddr::from((0x0b00_0000 + n * 3001).to_be_bytes());
            let v6 = IpAddr::from(
                (0x2001_0db8_0bad_0000_0000_0000_0000_0001_u128 + (u128::from(n) << 64)).to_be_bytes(),
            );
            for from in [v4, v6] {
                for at in [Knock::Tcp(25), Knock::Tcp(143)] {
                    forge.send(from, net.host_address(from), at, 1);
                }
            }
        }
        for innocent in [V4, "2001:db8:1::1"] {
            assert_eq!(knock(net, &forge, innocent, Knock::Tcp(143), 9), "ppppppppp", "{innocent}");
            // One of the two slots may still have room: at most that is counted.
            let came = knock(net, &forge, innocent, Knock::Tcp(25), 9);
            assert!(came.starts_with("pp"), "{innocent} {came}");
        }
        for name in ["smtp", "imap"] {
            let seen = counts(&mut firewall, name);
            assert!(seen.uncounted.packets > 2000, "{name} {seen:?}");
            assert_eq!(seen.offenders, 0, "{name}: nobody of the spray came often");
        }
        let listed = net.host.run(&["nft", "list", "table", "inet", "gaoler"]);
        // Of both families: two slots and one bucket, each full; nobody is under a penalty.
        assert_eq!(
            listed.matches("expires").count(),
            2 * 3 * 1024,
            "filled to what is allotted and no further"
        );
    });
}
