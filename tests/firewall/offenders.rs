//! Who is over a rate limit: told, and let go.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gaoler::agent::handle::AgentHandle;
use gaoler::agent::report::UnbanOrder;
use gaoler::agent::{self, Settings};
use gaoler::config;
use gaoler::firewall::{Counted, Firewall, Limit, Nftables, Penalty, ScopeName};

use crate::limits::{V4, V6, address, counts, knock, limit, limits};
use crate::netns::{self, Forge, Knock, Witness};
use crate::wishes;

#[test]
fn who_is_under_a_penalty_is_told_and_let_go() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let week = Duration::from_secs(7 * 86_400);
        let lasting =
            Limit { penalty: Penalty::Lasting(week), ..limit("lasting", Counted::tcp(&[25]), 3, 600) };
        let wide = Limit { prefix_v4: 24, ..limit("wide", Counted::tcp(&[25, 143]), 6, 600) };
        let mut firewall = wishes::firewall(&limits(&[lasting.clone(), wide.clone()]));
        let names = |found: Vec<(ScopeName, Duration)>| -> Vec<String> {
            found.into_iter().map(|(name, _)| name.as_str().to_owned()).collect()
        };
        for (from, other) in [(V4, "198.51.100.8"), (V6, "2001:db8:bad:8::1")] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd");
            let _ = knock(net, &forge, from, Knock::Tcp(143), 9);
            let found = firewall.offences(address(from)).expect("asked");
            let (_, left) = found.iter().find(|(name, _)| name.as_str() == "lasting").expect("told");
            assert!(*left <= week && *left > week - Duration::from_secs(600), "{left:?}");
            assert_eq!(names(found), ["lasting", "wide"]);
            let beside = if address(other).is_ipv4() { vec!["wide"] } else { vec![] };
            assert_eq!(names(firewall.offences(address(other)).expect("asked")), beside, "of the /24");
        }
        let let_go = |firewall: &mut Nftables, prefix: &str| {
            firewall.release(prefix.parse().expect("a prefix"), Duration::ZERO).expect("asked")
        };
        assert_eq!(let_go(&mut firewall, "198.51.100.8"), [ScopeName::new("wide")], "its own is its /24");
        assert_eq!(let_go(&mut firewall, V4), [ScopeName::new("lasting")]);
        assert_eq!(let_go(&mut firewall, "2001:db8::/32").len(), 2);
        assert!(firewall.is_intact().expect("asked"), "what is taken out is no drift");
        for from in [V4, V6] {
            assert!(firewall.offences(address(from)).expect("asked").is_empty(), "{from}");
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd", "it begins anew");
        }
        // A penalty that is made shorter holds nobody for as long as the old one.
        let shorter = Limit { penalty: Penalty::Lasting(Duration::from_secs(1)), ..lasting };
        firewall.ensure(&limits(&[shorter, wide])).expect("changed");
        assert!(
            firewall.offences(address(V4)).expect("asked").iter().all(|(name, _)| name.as_str() != "lasting")
        );
    });
}

#[test]
fn those_over_a_limit_are_named_the_latest_first_and_no_more_than_twenty() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let silence = limit("silence", Counted::tcp(&[25]), 2, 600);
        let lasting = Penalty::Lasting(Duration::from_secs(7200));
        let lasting = Limit { penalty: lasting, ..limit("lasting", Counted::tcp(&[143]), 2, 60) };
        let excess = Limit { penalty: Penalty::Excess, ..limit("excess", Counted::tcp(&[110]), 20, 600) };
        let ports = [("silence", 25, 600), ("lasting", 143, 7200), ("excess", 110, 600)];
        let mut firewall = wishes::firewall(&limits(&[silence, lasting, excess]));
        for (name, port, span) in ports {
            let from = |range: std::ops::Range<u32>| {
                for from in range.map(|n| address(&format!("198.51.100.{n}"))) {
                    for mark in 1..=21 {
                        forge.send(from, net.host_address(from), Knock::Tcp(port), mark);
                    }
                }
                thread::sleep(Duration::from_millis(50));
            };
            from(1..11);
            from(11..31);
            let _ = knock(net, &forge, V6, Knock::Tcp(port), 21);
            let seen = counts(&mut firewall, name);
            assert_eq!((seen.offenders, seen.latest.len()), (31, 20), "{name} {seen:?}");
            let named: Vec<String> = seen.latest.iter().map(|one| one.source.to_string()).collect();
            assert_eq!(named[0], "2001:db8:bad::/64", "{name}");
            let last = |address: &String| address.rsplit('.').next().and_then(|n| n.parse::<u32>().ok());
            assert!(named[1..].iter().all(|of| last(of).is_some_and(|n| n > 10)), "{name} {named:?}");
            let within =
                |left: Duration| left <= Duration::from_secs(span) && left > Duration::from_secs(span - 60);
            assert!(seen.latest.iter().all(|one| within(one.left)), "{name} {seen:?}");
        }
    });
}

#[test]
fn of_a_certain_age_only_penalties_that_are_as_old_are_ended() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let week = Duration::from_secs(7 * 86_400);
        let lasting =
            Limit { penalty: Penalty::Lasting(week), ..limit("lasting", Counted::tcp(&[25]), 3, 600) };
        let mut firewall = wishes::firewall(&limits(&[lasting]));
        let everybody = ["198.51.100.7/32", "0.0.0.0/0", "2001:db8:bad::7", "2001:db8::/32"];
        let release = |firewall: &mut Nftables, prefix: &str, age: Duration| {
            firewall.release(prefix.parse().expect("a prefix"), age).expect("asked").len()
        };
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd");
        }
        for prefix in everybody {
            assert_eq!(release(&mut firewall, prefix, Duration::from_secs(60)), 0, "{prefix} began just now");
        }
        thread::sleep(Duration::from_millis(1200));
        for prefix in ["198.51.100.7/32", "2001:db8::/32"] {
            assert_eq!(release(&mut firewall, prefix, Duration::from_secs(1)), 1, "{prefix}");
        }
        for from in [V4, V6] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd", "it begins anew");
        }
    });
}

#[test]
fn with_excess_an_offender_is_told_and_let_go_too() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let excess = |name, at, hits| Limit { penalty: Penalty::Excess, ..limit(name, at, hits, 600) };
        let mut firewall = wishes::firewall(&limits(&[
            excess("few", Counted::tcp(&[25]), 3),
            excess("many", Counted::tcp(&[143]), 20),
        ]));
        let granted = |at, hits: usize, more: usize| (at, "p".repeat(hits - 1) + &"d".repeat(more));
        for from in [V4, V6] {
            for (at, came) in [granted(Knock::Tcp(25), 3, 4), granted(Knock::Tcp(143), 20, 4)] {
                assert_eq!(knock(net, &forge, from, at, came.len() as u16), came, "{from}");
            }
            let found = firewall.offences(address(from)).expect("asked");
            let window = Duration::from_secs(600);
            assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["few", "many"]);
            assert!(found.iter().all(|(_, left)| *left <= window && *left > window / 2), "{found:?}");
            let released = firewall.release(from.parse().expect("a prefix"), Duration::ZERO).expect("asked");
            assert_eq!(released, [ScopeName::new("few"), ScopeName::new("many")]);
            assert_eq!(firewall.offences(address(from)).expect("asked"), []);
            assert_eq!(firewall.release(from.parse().expect("a prefix"), Duration::ZERO).expect("asked"), []);
            for (at, came) in [granted(Knock::Tcp(25), 3, 4), granted(Knock::Tcp(143), 20, 4)] {
                assert_eq!(knock(net, &forge, from, at, came.len() as u16), came, "{from} begins anew");
            }
        }
    });
}

#[test]
fn who_comes_to_be_never_limited_or_ignored_is_not_told_as_an_offender_any_more() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let silence = limit("silence", Counted::tcp(&[25]), 3, 600);
        let excess = Limit { penalty: Penalty::Excess, ..limit("excess", Counted::tcp(&[143]), 3, 600) };
        let mut wanted = limits(&[silence, excess]);
        let mut firewall = wishes::firewall(&wanted);
        let friend = "198.51.100.77";
        for from in [V4, V6, friend] {
            for at in [Knock::Tcp(25), Knock::Tcp(143)] {
                assert_eq!(knock(net, &forge, from, at, 4), "ppdd", "{from}");
            }
        }
        let told = |firewall: &mut Nftables, name: &str| {
            let seen = counts(firewall, name);
            let mut named: Vec<String> = seen.latest.iter().map(|one| one.source.to_string()).collect();
            named.sort();
            (seen.offenders, named)
        };
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let all = texts(&[V4, friend, "2001:db8:bad::/64"]);
        for name in ["silence", "excess"] {
            assert_eq!(told(&mut firewall, name), (3, all.clone()), "{name}");
        }
        // One of the address and the house is wider; the other is only a part of its /64.
        wanted.never =
            ["198.51.100.0/28", "2001:db8:bad::7/128"].map(|net| net.parse().expect("a prefix")).into();
        for limit in &mut wanted.limits {
            limit.ignore = vec!["198.51.100.64/26".parse().expect("a prefix")];
        }
        firewall.ensure(&wanted).expect("another house");
        for name in ["silence", "excess"] {
            assert_eq!(told(&mut firewall, name), (1, texts(&["2001:db8:bad::/64"])), "{name}");
        }
        assert_eq!(firewall.offences(address(friend)).expect("asked"), [], "ignored");
        for from in [V4, friend] {
            for at in [Knock::Tcp(25), Knock::Tcp(143)] {
                assert_eq!(knock(net, &forge, from, at, 4), "pppp", "{from}");
            }
        }
        assert_eq!(knock(net, &forge, "2001:db8:bad::8", Knock::Tcp(25), 1), "d", "its neighbour");
    });
}

#[test]
fn of_more_offenders_than_are_counted_it_is_said_that_there_may_be_more() {
    netns::on_the_host(|net| {
        let lasting = Penalty::Lasting(Duration::from_secs(7200));
        let limit = Limit { penalty: lasting, ..limit("smtp", Counted::tcp(&[25]), 2, 60) };
        let mut firewall = wishes::firewall(&limits(&[limit]));
        let sets = net.host.run(&["nft", "list", "sets", "inet"]);
        let set = sets.split_whitespace().find(|word| word.starts_with("smtp_pen4_")).expect("its set");
        let fill = |range: std::ops::Range<u32>| {
            let sources = range.map(|n| std::net::Ipv4Addr::from_bits(0x2d00_0000 + n).to_string());
            let sources: Vec<String> = sources.collect();
            let filling = format!("add element inet gaoler {set} {{ {} }}", sources.join(", "));
            net.host.feed(&["nft", "-f", "-"], &filling);
        };
        fill(0..9_999);
        let seen = counts(&mut firewall, "smtp");
        assert_eq!((seen.offenders, seen.more, seen.latest.len()), (9_999, false, 20));
        fill(9_999..12_000);
        let seen = counts(&mut firewall, "smtp");
        assert_eq!((seen.offenders, seen.more, seen.latest.len()), (10_000, true, 20));
    });
}

const MANIFESTS: &str = "\
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: excess}
spec: {protocol: TCP, ports: [25], hits: 3, window: 1h, penalty: Excess}
---
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: lasting}
spec: {protocol: TCP, ports: [143], hits: 3, window: 1h, penalty: 2h}
---
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: observed}
spec: {mode: Observe, protocol: TCP, ports: [110], hits: 3, window: 1h}
";

#[test]
fn an_unban_says_which_limits_refused_somebody_and_which_only_forget_it() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
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
        let other = "198.51.100.77";
        for from in [V4, other] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd");
            assert_eq!(knock(net, &forge, from, Knock::Tcp(110), 4), "pppp");
        }
        let why = |agent: &AgentHandle, from: &str| {
            let why = runtime.block_on(agent.why(address(from))).expect("told");
            let over: Vec<(String, bool, bool)> = why
                .over_limits
                .iter()
                .map(|over| (over.limit.clone(), over.observes, over.last_over.is_some()))
                .collect();
            (why.dropped, why.penalties.iter().map(|one| one.limit.clone()).collect::<Vec<_>>(), over)
        };
        let over = [("excess".to_owned(), false, true), ("observed".to_owned(), true, false)];
        assert_eq!(why(&agent, other), (false, vec![], over.to_vec()), "it is shut out of nothing");
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(143), 4), "ppdd");
        assert_eq!(why(&agent, V4), (true, vec!["lasting".to_owned()], over.to_vec()));
        let status = runtime.block_on(agent.status()).expect("a status");
        for limit in &status.rate_limits {
            let is_excess = limit.name == "excess";
            assert!(!limit.latest_offenders.is_empty(), "{limit:?}");
            for one in &limit.latest_offenders {
                assert_eq!(one.last_over.is_some(), is_excess, "{limit:?}");
                let now = gaoler::engine::Timestamp::from(jiff::Timestamp::now());
                // The kernel rounds to its ticks.
                let soon = now + Duration::from_secs(1);
                assert!(one.last_over.is_none_or(|last| last.0 <= soon), "{limit:?}");
            }
        }
        let unban = |from: &str| {
            let order = UnbanOrder { prefix: Some(address(from).into()), jail: None, reason: None };
            let done = runtime.block_on(agent.unban(order)).expect("alive").expect("pardoned");
            (done.released, done.forgotten)
        };
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(unban(V4), (names(&["lasting"]), names(&["excess", "observed"])));
        assert_eq!(unban(V4), (names(&[]), names(&[])), "there is nothing left");
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 4), "ppdd", "it begins anew");
        assert_eq!(why(&agent, other), (false, vec![], over.to_vec()), "nobody let go of it");
        runtime.block_on(agent.stop()).expect("stopped").expect("saved");
        thread.join().expect("ended");
    });
}
