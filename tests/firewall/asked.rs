//! What an agent on a real kernel tells of one source.

use gaoler::agent::report::{FirewallState, Refusal, WhyReport};
use gaoler::firewall::Firewall as _;

use crate::host::{Host, SMTP, breakable, read};
use crate::limits::{V4, address, knock};
use crate::netns::{self, Forge, Knock, Witness};
use crate::wishes::{self, ban, lift, local, now, scope, skeleton};

fn penalties(why: &WhyReport) -> Vec<&str> {
    why.penalties.iter().map(|penalty| penalty.limit.as_str()).collect()
}

#[test]
fn what_a_firewall_that_does_not_answer_knows_is_told_as_not_known() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let host = Host::guarded(SMTP);
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 4), "ppdd");
        let before = host.limit();
        assert_eq!((before.offenders, before.unanswered, before.counted.is_some()), (1, None, true));

        let busy = host.busy.lock().expect("nobody has failed");
        let why = host.why(V4);
        assert_eq!(why.unanswered.as_deref(), Some("the firewall did not answer within 2000 ms"));
        assert!(!why.dropped && why.penalties.is_empty());
        let status = host.status();
        assert_eq!(status.firewall.unanswered.as_deref(), Some("the firewall did not answer within 500 ms"));
        let stale = host.limit();
        assert_eq!((stale.offenders, stale.unanswered), (1, status.firewall.unanswered));
        assert!(stale.counted >= before.counted, "{:?}", stale.counted);
        let unbanned = host.unban("203.0.113.9");
        assert_eq!(unbanned.unanswered.as_deref(), Some("the firewall did not answer within 5000 ms"));
        drop(busy);

        let why = host.why(V4);
        assert_eq!((why.dropped, penalties(&why), &why.unanswered), (true, vec!["smtp"], &None));
        assert_eq!(host.limit().unanswered, None);
        let unbanned = host.unban(V4);
        assert_eq!((unbanned.unanswered, unbanned.released), (None, vec!["smtp".to_owned()]));
    });
}

const NOT_MADE: Option<&str> = Some("the firewall's table is not made as configured");

#[test]
fn what_a_table_of_an_earlier_run_refuses_is_not_known_and_an_unban_waits_until_the_table_is_made() {
    for manifests in [SMTP, ""] {
        netns::on_the_host(|net| {
            let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
            drop(Host::guarded(SMTP));
            assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 4), "ppdd");
            let place = tempfile::tempdir().expect("a directory");
            let broken = place.path().join("broken");
            std::fs::write(&broken, "").expect("broken");
            let host = Host::making(manifests, &breakable(place.path()));
            host.wait_for(&[FirewallState::Failing]);

            let why = host.why(V4);
            assert_eq!((why.dropped, why.unanswered.as_deref()), (false, NOT_MADE));
            for limit in host.status().rate_limits {
                assert_eq!((limit.counted, limit.unanswered.as_deref()), (None, NOT_MADE));
            }
            let unbanned = host.unban(V4);
            assert_eq!((unbanned.released.len(), unbanned.unanswered.as_deref()), (0, NOT_MADE));
            assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 1), "d", "the earlier table");

            std::fs::remove_file(&broken).expect("mended");
            host.wait_for(&[FirewallState::Enforcing]);
            let why = host.why(V4);
            assert_eq!((why.dropped, why.unanswered), (false, None));
            assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 1), "p");
        });
    }
}

#[test]
fn while_a_new_configuration_is_not_in_the_kernel_it_judges_nothing_of_the_table_of_before() {
    let observes = SMTP.replace("spec: {", "spec: {mode: Observe, ");
    for manifests in ["", &observes] {
        netns::on_the_host(|net| {
            let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
            let place = tempfile::tempdir().expect("a directory");
            let broken = place.path().join("broken");
            let host = Host::making(SMTP, &breakable(place.path()));
            host.wait_for(&[FirewallState::Enforcing]);
            assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 4), "ppdd");
            assert!(host.why(V4).dropped);

            std::fs::write(&broken, "").expect("broken");
            host.configure(&read(manifests));
            host.wait_for(&[FirewallState::Failing]);
            let why = host.why(V4);
            assert_eq!((why.dropped, why.over_limits.len(), why.unanswered.as_deref()), (false, 0, NOT_MADE));
            assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 1), "d", "the table of before");
            assert_eq!(host.unban(V4).unanswered.as_deref(), NOT_MADE);
            assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 1), "p", "its penalty has ended all the same");
        });
    }
}

#[test]
fn a_source_that_is_never_banned_is_told_as_refused_where_a_limit_refuses_it() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let host = Host::guarded(SMTP);
        for (from, group) in [("169.254.7.7", "169.254.7.7"), ("fe80::77", "fe80::/64")] {
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd", "{from}");
            let why = host.why(from);
            assert_eq!((why.dropped, penalties(&why)), (true, vec!["smtp"]), "{from}");
            let reasons: Vec<&str> = why.allowed.iter().map(|allowance| allowance.why.as_str()).collect();
            assert!(reasons.iter().any(|why| why.contains("is never banned")), "{reasons:?}");
            let offenders: Vec<String> =
                host.limit().latest_offenders.iter().map(|one| one.source.to_string()).collect();
            assert_eq!(offenders, [group]);
            assert_eq!(host.unban(from).released, ["smtp"], "{from}");
            assert!(!host.why(from).dropped, "{from}");
            assert_eq!(knock(net, &forge, from, Knock::Tcp(25), 4), "ppdd", "{from} begins anew");
            host.unban(from);
        }
        // These reach no server whatever limits do; the kernel counts them before it throws them away.
        let own = netns::HOST4;
        for (from, is_refused) in [("0.1.2.3", true), ("224.0.0.5", true), ("127.0.0.9", false), (own, false)]
        {
            for mark in 1..=4 {
                forge.send(address(from), net.host_address(address(from)), Knock::Tcp(25), mark);
            }
            let _ = knock(net, &forge, V4, Knock::Udp(9000), 1);
            assert_eq!(host.why(from).dropped, is_refused, "{from}");
            host.unban(from);
        }
    });
}

const BEHIND_NAT64: &str = "\
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec:
  protocol: TCP
  ports: [25]
  hits: 3
  window: 1h
  penalty: 2h
  prefix: {ipv6: 128}
  ignore: [192.0.2.64/26, '64:ff9b::c000:280/121']
---
apiVersion: gaoler.dev/v1alpha1
kind: AllowList
metadata: {name: office}
spec: {entries: [{prefix: 203.0.113.0/25}, {prefix: '64:ff9b::cb00:7180/121'}]}
";

#[test]
fn a_source_with_an_ipv4_address_in_it_is_told_as_its_packets_come_and_spared_and_let_go_as_that_address() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let host = Host::guarded(BEHIND_NAT64);
        let translated = "64:ff9b::c633:6407";
        assert_eq!(knock(net, &forge, translated, Knock::Tcp(25), 4), "ppdd");
        let offenders: Vec<String> =
            host.limit().latest_offenders.iter().map(|one| one.source.to_string()).collect();
        assert_eq!(offenders, [translated], "as the kernel has it");
        let why = host.why(translated);
        let sources: Vec<_> = why.penalties.iter().map(|penalty| penalty.source).collect();
        assert_eq!((why.address, why.dropped), (address(V4), true));
        assert_eq!(sources, [Some(address(translated))]);
        assert!(!host.why(V4).dropped, "packets of the IPv4 address itself are not refused");
        for meant in [V4, translated, "64:ff9b::c633:6400/120"] {
            assert_eq!(host.unban(meant).released, ["smtp"], "{meant}");
            assert!(!host.why(translated).dropped, "{meant}");
            assert_eq!(knock(net, &forge, translated, Knock::Tcp(25), 4), "ppdd", "{meant}");
        }
        let all = "64:ff9b::/96";
        assert_eq!(host.order(all), Err(Refusal::AllOfIpv4(all.parse().expect("a prefix"))));
        assert!(host.why(translated).dropped);
        // Whoever is spared is so in both forms, whichever is written.
        for spared in ["192.0.2.66", "64:ff9b::c000:242", "64:ff9b::c000:282", "192.0.2.130"] {
            assert_eq!(knock(net, &forge, spared, Knock::Tcp(25), 4), "pppp", "ignored {spared}");
        }
        for spared in ["203.0.113.7", "64:ff9b::cb00:7107", "203.0.113.207", "64:ff9b::cb00:71cf"] {
            assert_eq!(knock(net, &forge, spared, Knock::Tcp(25), 4), "pppp", "allowed {spared}");
            assert!(!host.why(spared).dropped, "{spared}");
        }
    });
}

#[test]
fn all_who_come_through_nat64_are_let_go_together_only_by_who_writes_so() {
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let host = Host::guarded(SMTP);
        let translated = "64:ff9b::c633:6407";
        let refused = || knock(net, &forge, translated, Knock::Tcp(25), 2) == "dd";
        for meant in [translated, "64:ff9b::/64"] {
            assert_eq!(knock(net, &forge, translated, Knock::Tcp(25), 4), "ppdd");
            for other in ["8.8.8.8", V4, "198.51.100.0/24"] {
                assert_eq!(host.unban(other).released, [""; 0], "{other}");
                assert!(refused(), "{other}");
            }
            assert_eq!(host.unban(meant).released, ["smtp"], "{meant}");
        }
        assert_eq!(knock(net, &forge, translated, Knock::Tcp(25), 4), "ppdd");
    });
}

#[test]
fn one_that_only_observes_says_that_what_an_earlier_run_left_goes_on_dropping() {
    let left = Some("what an earlier run left in this host's firewall goes on dropping");
    netns::on_the_host(|net| {
        let (_witness, forge) = (Witness::new(&net.host), Forge::new(&net.internet));
        let host = Host::observed();
        assert!(!host.status().firewall.leftovers, "there is no table");
        assert_eq!((host.why(V4).unanswered, host.limit().unanswered), (None, None));
        drop(Host::guarded(SMTP));
        assert_eq!(knock(net, &forge, V4, Knock::Tcp(25), 4), "ppdd", "the earlier run has ended");
        assert!(host.status().firewall.leftovers);
        assert_eq!(host.why(V4).unanswered.as_deref(), left);
        assert_eq!(host.limit().unanswered.as_deref(), left);
        assert_eq!(host.unban(V4).unanswered.as_deref(), left);
        net.host.run(&["nft", "delete", "table", "inet", "gaoler"]);
        assert!(!host.status().firewall.leftovers);
        assert_eq!((host.why(V4).unanswered, host.limit().unanswered), (None, None));
        assert_eq!(host.unban(V4).unanswered, None);
    });
}

#[test]
fn a_table_that_an_earlier_run_left_without_bans_and_limits_drops_nobody() {
    netns::on_the_host(|net| {
        let host = Host::observed();
        let mut earlier = wishes::firewall(&skeleton(&[scope("smtp", &[local(25)])]));
        net.host.run(&["nft", "list", "table", "inet", "gaoler"]);
        assert!(!host.status().firewall.leftovers);
        assert_eq!(host.why(V4).unanswered, None);
        for banned in ["203.0.113.0/24", "2001:db8:bad::/64"] {
            let change = ban("smtp", banned);
            assert_eq!(earlier.apply(&[change], now()).expect("applied").done, 1);
            assert!(host.status().firewall.leftovers, "{banned}");
            assert!(host.why(V4).unanswered.is_some());
            earlier.apply(&[lift("smtp", banned)], now()).expect("lifted");
            assert!(!host.status().firewall.leftovers, "{banned}");
        }
    });
}
