//! The probe of `gaoler doctor`.

use gaoler::firewall::probe;
use rustix::thread::CapabilitySet;

use crate::netns;

#[test]
fn where_bans_work_the_probe_says_so_and_leaves_nothing_behind() {
    netns::on_the_host(|net| {
        net.host.run(&["nft", "table inet neighbour { }"]);
        let report = probe::run();
        assert!(report.can_enforce(), "{report}");
        assert!(
            report.isolated && report.features.iter().all(|feature| feature.problem.is_none()),
            "{report}"
        );
        assert_eq!(
            net.host.run(&["nft", "list", "ruleset"]).split_whitespace().collect::<String>(),
            "tableinetneighbour{}"
        );
    });
}

#[test]
fn where_no_namespace_may_be_made_the_kernel_judges_and_nothing_changes() {
    netns::on_the_host(|net| {
        let mut capabilities = rustix::thread::capabilities(None).expect("capget");
        capabilities.effective.remove(CapabilitySet::SYS_ADMIN);
        capabilities.permitted.remove(CapabilitySet::SYS_ADMIN);
        rustix::thread::set_capabilities(None, capabilities).expect("capset");
        let report = probe::run();
        assert!(!report.isolated);
        assert!(report.can_enforce(), "{report}");
        assert_eq!(net.host.run(&["nft", "list", "ruleset"]), "");
    });
}

#[test]
fn without_the_right_to_change_the_firewall_the_probe_says_so() {
    netns::on_the_host(|_| {
        let mut capabilities = rustix::thread::capabilities(None).expect("capget");
        capabilities.effective = CapabilitySet::empty();
        capabilities.permitted = CapabilitySet::empty();
        rustix::thread::set_capabilities(None, capabilities).expect("capset");
        let report = probe::run();
        assert!(!report.net_admin && !report.can_enforce(), "{report}");
    });
}
