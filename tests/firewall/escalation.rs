//! From a rate limit to a ban: the jail bans whom the limit caught.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use gaoler::agent::handle::AgentHandle;
use gaoler::agent::report::{BanOrder, UnbanOrder};
use gaoler::agent::{self, Settings};
use gaoler::config;
use gaoler::engine::Subject;
use gaoler::firewall::Nftables;

use crate::netns::{self, Net};

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
