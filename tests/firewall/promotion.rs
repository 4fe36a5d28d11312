//! From a rate limit to a ban: only who completed connections and goes on, whatever anybody forges.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gaoler::agent::handle::AgentHandle;
use gaoler::agent::report::{BanOrder, UnbanOrder};
use gaoler::agent::{self, Settings};
use gaoler::config;
use gaoler::engine::Subject;
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

/// An nft whose kernel refuses to label connections. In place of the label stands what no kernel knows outside of bridges:
/// it refuses that as one without `CONFIG_NF_CONNTRACK_LABELS` refuses labels (EOPNOTSUPP). All else is the real thing.
fn without_labels(directory: &std::path::Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let program = directory.join("nft-without-labels");
    let label = r#"{"mangle":{"key":{"ct":{"key":"label"}},"value":"113"}}"#;
    let unknown = r#"{"match":{"left":{"meta":{"key":"ibrname"}},"op":"==","right":"x"}}"#;
    let script = format!("#!/bin/sh\nsed 's/{label}/{unknown}/g' | exec nft \"$@\"\n");
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    program
}

#[test]
fn where_the_kernel_knows_no_labels_only_the_escalation_is_missing() {
    netns::on_the_host(|net| {
        let (_smtp, _imap) = (net.listen(25), net.listen(143));
        let directory = tempfile::tempdir().expect("a directory");
        let imap = "---\napiVersion: gaoler.dev/v1alpha1\nkind: RateLimit\nmetadata: {name: imap}\nspec: {protocol: TCP, \
                    ports: [143], hits: 2, window: 1h}\n";
        std::fs::write(directory.path().join("limits.yaml"), format!("{MANIFESTS}{imap}")).expect("written");
        let loaded = config::load(&[directory.path().join("limits.yaml")], None);
        assert_eq!(loaded.errors(), 0, "{:?}", loaded.objects);
        let program = without_labels(directory.path());
        let firewall = Box::new(Nftables::open().expect("netlink").with_nft(&program));
        let (agent, thread) = agent::spawn(Settings::default(), firewall).expect("an agent");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let configure = || {
            runtime.block_on(async {
                agent.configure(Arc::new(loaded.config.clone())).await.expect("configured");
                for _ in 0..500 {
                    let state = agent.status().await.expect("a status").firewall.state;
                    if state == gaoler::agent::report::FirewallState::Enforcing {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                panic!("{:?}", agent.status().await.expect("a status").firewall);
            });
        };
        configure();
        let flooder = net.attacker("198.51.100.12");
        flood(net, flooder);
        assert!(net.reaches(flooder, 143));
        assert!(net.is_silent(flooder, 143), "the other limit");
        let other = net.attacker("198.51.100.66");
        let by_hand = BanOrder {
            subject: Subject::host(other),
            jail: Some("james".into()),
            seconds: None,
            reason: None,
        };
        runtime.block_on(agent.ban(by_hand)).expect("alive").expect("banned");
        while !net.is_silent(other, 25) {}
        let status = runtime.block_on(agent.status()).expect("a status");
        let told: Vec<(&str, Vec<String>)> = status
            .rate_limits
            .iter()
            .map(|limit| {
                let troubles = limit.conditions.iter().filter(|condition| condition.is_trouble());
                (limit.name.as_str(), troubles.map(|condition| condition.message.clone()).collect())
            })
            .collect();
        let [("imap", none), ("smtp", one)] = &told[..] else { panic!("{told:?}") };
        assert!(none.is_empty() && one.len() == 1 && one[0].contains("`escalateTo` bans nobody"), "{told:?}");
        assert!(one[0].contains("not supported"), "the kernel's own words: {told:?}");
        assert_eq!(runtime.block_on(bans(&agent)).len(), 1, "the one by hand");
        // Another configuration finds the same kernel, and counts go on.
        configure();
        assert!(net.is_silent(flooder, 143));
        runtime.block_on(agent.stop()).expect("stopped").expect("saved");
        thread.join().expect("ended");
    });
}

const MANIFESTS: &str = "\
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec: {protocol: TCP, ports: [25], hits: 3, window: 1h, penalty: Excess, escalateTo: james}
---
apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {name: james}
spec:
  filters: [james-smtp-auth]
  source: {files: [/nonexistent/james.log]}
  banTime: 2h
  ignore: [198.51.100.14]
  enforce: {ports: [25, 143]}
---
apiVersion: gaoler.dev/v1alpha1
kind: AllowList
metadata: {name: office}
spec: {entries: [{prefix: 198.51.100.13}]}
";

async fn bans(agent: &AgentHandle) -> Vec<gaoler::agent::report::BanReport> {
    agent.bans(None).await.expect("bans")
}

async fn until(agent: &AgentHandle, count: usize) {
    while bans(agent).await.len() != count {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The two connections that are granted, and a third.
fn flood(net: &Net, source: IpAddr) {
    for _ in 0..2 {
        assert!(net.reaches(source, 25));
    }
    assert!(net.is_silent(source, 25));
}

#[test]
fn the_jail_bans_whom_its_limit_caught_and_a_pardon_holds() {
    netns::on_the_host(|net| {
        let (_smtp, _imap) = (net.listen(25), net.listen(143));
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("limits.yaml"), MANIFESTS).expect("written");
        let loaded = config::load(&[directory.path().into()], None);
        assert_eq!(loaded.errors(), 0, "{:?}", loaded.objects);
        let firewall = Box::new(Nftables::open().expect("netlink"));
        let (agent, thread) = agent::spawn(Settings::default(), firewall).expect("an agent");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            agent.configure(Arc::new(loaded.config.clone())).await.expect("configured");
            while agent.status().await.expect("a status").firewall.state
                != gaoler::agent::report::FirewallState::Enforcing
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        for spared in ["198.51.100.13", "198.51.100.14"] {
            let spared = net.attacker(spared);
            for _ in 0..2 {
                assert!(net.reaches(spared, 25));
            }
            // The office is not limited either; the jail's `ignore` is not the limit's.
            let _ = net.probe(spared, 25, netns::SILENCE);
        }
        let flooder = net.attacker("198.51.100.12");
        flood(net, flooder);
        let flooder6 = net.attacker("2001:db8:bad:12::1");
        flood(net, flooder6);
        runtime.block_on(until(&agent, 2));
        let told = runtime.block_on(bans(&agent));
        let mut subjects: Vec<String> = told.iter().map(|ban| ban.subject.to_string()).collect();
        subjects.sort();
        assert_eq!(subjects, ["198.51.100.12", "2001:db8:bad:12::/64"]);
        let ban = &told[0];
        assert_eq!(
            (ban.jail.as_ref().map(gaoler::engine::JailName::as_str), ban.n, ban.origin.as_str()),
            (Some("james"), 1, "jail")
        );
        assert_eq!(ban.reason.as_deref(), Some("over the rate limit smtp with 2 completed connections"));
        // It is the jail's: its other port is closed as well.
        while !matches!(net.probe(flooder, 143, netns::SILENCE), netns::Probe::Silent) {}

        let order = UnbanOrder { prefix: Some(Subject::host(flooder).net()), jail: None, reason: None };
        runtime.block_on(agent.unban(order)).expect("alive").expect("pardoned");
        assert!(net.reaches(flooder, 143));
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(runtime.block_on(bans(&agent)).len(), 1, "what came before the pardon is forgiven");
        runtime.block_on(agent.stop()).expect("stopped").expect("saved");
        thread.join().expect("ended");
    });
}
