//! Whom a rate limit catches: only who completed connections and goes on, whatever anybody forges.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gaoler::firewall::{Action, Counted, Firewall, Limit, Nftables, Penalty, ScopeName, Skeleton};

use crate::netns::{self, Conversation, Forge, Knock, Net, Probe, Segment};
use crate::wishes;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH_ACK: u8 = 8 + 16;
const ACK: u8 = 16;

fn smtp(hits: u32) -> Limit {
    Limit {
        name: ScopeName::new("smtp"),
        counts: Counted::tcp(&[25]),
        hits,
        window: Duration::from_secs(3600),
        penalty: Penalty::Excess,
        prefix_v4: 32,
        prefix_v6: 64,
        ignore: vec![],
        action: Action::Drop,
        observe: false,
        max_sources: 65_536,
        catches: true,
    }
}

fn limited(net: &Net, hits: u32) -> Nftables {
    let own = ["192.0.2.1", "2001:db8::1"].map(|like| net.host_address(like.parse().expect("an address")));
    wishes::firewall(&Skeleton { limits: vec![smtp(hits)], own: own.into(), ..Skeleton::default() })
}

fn caught(firewall: &mut Nftables) -> Vec<String> {
    let all = firewall.caught().expect("asked").remove(&ScopeName::new("smtp")).expect("this limit");
    let mut all: Vec<String> = all.iter().map(|caught| caught.source.to_string()).collect();
    all.sort();
    all
}

fn refused(firewall: &mut Nftables) -> u64 {
    firewall.limits().expect("asked").remove(&ScopeName::new("smtp")).expect("this limit").over.packets
}

/// Whatever somebody can send in another's name who does not see the answers.
fn forge_all(forge: &Forge, from: IpAddr, to: IpAddr) {
    for mark in 1000..1200 {
        let send = |seq, ack, flags| {
            forge.send_segment(from, to, Segment { from: mark, to: 25, seq, ack, flags });
        };
        send(1, 0, SYN);
        // A second number on the same connection: the server answers with a bare ACK.
        send(1 << 20, 0, SYN);
        for guess in 0..50_u32 {
            let ack = guess.wrapping_mul(0x0519_0519);
            send(2, ack, ACK);
            send(2, ack, PSH_ACK);
        }
    }
}

#[test]
fn forged_packets_catch_nobody_even_where_connection_tracking_takes_them_for_a_connection() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let forge = Forge::new(&net.internet);
        // The first two are nobody's, so nothing contradicts the forger; the others answer with resets.
        let (present, present6) = (net.attacker("198.51.100.8"), net.attacker("2001:db8:bad:8::1"));
        let absent: [IpAddr; 2] =
            ["198.51.100.7", "2001:db8:bad:7::1"].map(|text| text.parse().expect("an address"));
        for hits in [2, 4, 30] {
            let mut firewall = limited(net, hits);
            for victim in [absent[0], absent[1], present, present6] {
                forge_all(&forge, victim, net.host_address(victim));
            }
            assert!(refused(&mut firewall) > 100, "the limit is over");
            assert_eq!(caught(&mut firewall), Vec::<String>::new(), "{hits}");
            firewall.teardown().expect("torn down");
        }
    });
}

#[test]
fn who_completed_all_that_is_granted_and_goes_on_is_caught_and_who_stops_there_is_not() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        for hits in [2, 4, 20] {
            let mut firewall = limited(net, hits);
            let (flooder, modest) = (net.attacker("198.51.100.9"), net.attacker("198.51.100.10"));
            let (flooder6, modest6) = (net.attacker("2001:db8:bad:9::1"), net.attacker("2001:db8:bad:10::1"));
            for source in [flooder, modest, flooder6, modest6] {
                for _ in 1..hits {
                    assert!(net.reaches(source, 25), "{source}");
                }
            }
            assert_eq!(caught(&mut firewall), Vec::<String>::new(), "nobody is over");
            for source in [flooder, flooder6] {
                assert!(net.is_silent(source, 25), "{source}");
            }
            assert_eq!(caught(&mut firewall), ["198.51.100.9", "2001:db8:bad:9::/64"], "{hits}");
            firewall.teardown().expect("torn down");
        }
    });
}

#[test]
fn connections_to_another_address_at_the_same_port_prove_nothing() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        // As where the addresses that are reached are a Service's, and not those of this host.
        let own =
            vec!["192.0.2.99".parse().expect("an address"), "2001:db8::99".parse().expect("an address")];
        let wanted = Skeleton { limits: vec![smtp(4)], own, ..Skeleton::default() };
        let mut firewall = wishes::firewall(&wanted);
        for source in [net.attacker("198.51.100.15"), net.attacker("2001:db8:bad:15::1")] {
            for _ in 1..4 {
                assert!(net.reaches(source, 25), "{source}");
            }
            assert!(net.is_silent(source, 25), "{source}");
        }
        assert_eq!(caught(&mut firewall), Vec::<String>::new());
    });
}

#[test]
fn forged_packets_do_not_push_over_who_has_some_connections_of_its_own() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = limited(net, 5);
        let forge = Forge::new(&net.internet);
        for partner in ["198.51.100.11", "2001:db8:bad:11::1"] {
            let partner = net.attacker(partner);
            // Each says much: a connection counts once however much is said.
            let mut talks = [net.talk(partner, 25), net.talk(partner, 25), net.talk(partner, 25)];
            for _ in 0..20 {
                assert!(talks.iter_mut().all(|talk| talk.exchanges(netns::PATIENCE)));
            }
            for mark in 0..1000 {
                forge.send(partner, net.host_address(partner), Knock::Tcp(25), mark);
            }
        }
        assert!(refused(&mut firewall) > 1000);
        assert_eq!(caught(&mut firewall), Vec::<String>::new());
    });
}

#[test]
fn who_always_comes_from_the_same_port_is_caught_too() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = limited(net, 4);
        for source in [net.attacker("198.51.100.16"), net.attacker("2001:db8:bad:16::1")] {
            let (from, to) = (SocketAddr::new(source, 40_000), SocketAddr::new(net.host_address(source), 25));
            for _ in 1..4 {
                let Probe::Open(mut talk) = Conversation::open_from(&net.internet, from, to, netns::PATIENCE)
                else {
                    panic!("{source} is within the limit");
                };
                assert!(talk.exchanges(netns::PATIENCE));
                talk.reset();
                net.awaits_let_go(from.port());
            }
            let over = Conversation::open_from(&net.internet, from, to, netns::SILENCE);
            assert!(matches!(over, Probe::Silent), "{over:?}");
        }
        assert_eq!(caught(&mut firewall), ["198.51.100.16", "2001:db8:bad:16::/64"]);
    });
}

#[test]
fn no_packet_in_anothers_name_makes_its_open_connection_count_again() {
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = limited(net, 4);
        let forge = Forge::new(&net.internet);
        for partner in ["198.51.100.17", "2001:db8:bad:17::1"] {
            let partner = net.attacker(partner);
            let mut talk = net.talk(partner, 25);
            for round in 0..10_u32 {
                assert!(talk.exchanges(netns::PATIENCE), "{partner} {round}");
                for flags in [SYN, FIN, RST, SYN | ACK, FIN | ACK, RST | ACK, PSH_ACK] {
                    for guess in 0..20_u32 {
                        let seq = guess.wrapping_mul(0x0c0c_0c0c).wrapping_add(round);
                        let forged = Segment { from: talk.port(), to: 25, seq, ack: !seq, flags };
                        forge.send_segment(partner, net.host_address(partner), forged);
                    }
                }
            }
        }
        assert!(refused(&mut firewall) > 100, "the forged ones are over the limit");
        assert_eq!(caught(&mut firewall), Vec::<String>::new());
    });
}

#[test]
fn who_is_ignored_or_never_banned_takes_nobodys_place_and_a_full_set_is_told() {
    let limited = |net: &Net| {
        let own =
            ["192.0.2.1", "2001:db8::1"].map(|like| net.host_address(like.parse().expect("an address")));
        let ignore = vec!["203.0.113.0/28".parse().expect("a prefix")];
        let never = vec!["203.0.113.16/28".parse().expect("a prefix")];
        let limits = vec![Limit { ignore, max_sources: 2, ..smtp(3) }];
        wishes::firewall(&Skeleton { limits, never, own: own.into(), ..Skeleton::default() })
    };
    let uncounted = |firewall: &mut Nftables| {
        firewall.limits().expect("asked")[&ScopeName::new("smtp")].uncounted.packets
    };
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = limited(net);
        for n in 1..=5 {
            assert!(net.reaches(net.attacker(&format!("203.0.113.{n}")), 25), "ignored");
        }
        let flooder = net.attacker("198.51.100.18");
        for _ in 0..2 {
            assert!(net.reaches(flooder, 25));
        }
        assert!(net.is_silent(flooder, 25));
        assert_eq!(caught(&mut firewall), ["198.51.100.18"]);
        assert_eq!(uncounted(&mut firewall), 0);
    });
    netns::on_the_host(|net| {
        let _smtp = net.listen(25);
        let mut firewall = limited(net);
        for n in 1..=7 {
            let mut talk = net.talk(net.attacker(&format!("198.51.100.{n}")), 25);
            assert!(talk.exchanges(netns::PATIENCE));
        }
        // The two slots have room for two each, so of seven three; for connections there is room for four.
        assert_eq!(uncounted(&mut firewall), 3 + 3);
    });
}
