//! Rate limits: declared, planned, told.

use gaoler::firewall::{Counted, Penalty};

use crate::world::World;

const LIMITS: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec: {protocol: TCP, ports: [25, 587], hits: 4, window: 60s, penalty: 10m, ignore: [203.0.113.0/24]}
---
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: off}
spec: {mode: Disabled, protocol: ICMP, hits: 6, window: 5s}
";

#[test]
fn a_rate_limit_reaches_the_firewall_without_any_jail_and_is_told() {
    let mut world = World::guarded(LIMITS);
    let status = world.status();
    let [limit] = &status.rate_limits[..] else { panic!("{:?}", status.rate_limits) };
    assert_eq!(
        (limit.name.as_str(), limit.mode.as_str(), limit.protocol.as_str()),
        ("smtp", "Enforce", "TCP")
    );
    assert_eq!((limit.hits, limit.window_seconds, limit.penalty.as_str()), (4, 60, "600s"));
    let skeleton = world.skeleton();
    let [planned] = &skeleton.limits[..] else { panic!("{:?}", skeleton.limits) };
    assert_eq!(planned.counts, Counted::tcp(&[25, 587]));
    assert_eq!(planned.penalty, Penalty::Lasting(std::time::Duration::from_secs(600)));
    assert!(!planned.observe);

    world.declare("jails.yaml", &LIMITS.replace("ignore:", "mode: Observe, ignore:"));
    world.reload();
    // Orders are carried out one after the other: with this answer the reload is done.
    let _ = world.status();
    assert!(world.skeleton().limits.iter().all(|limit| limit.observe));
}
