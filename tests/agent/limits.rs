//! Rate limits: declared, planned, told.

use gaoler::agent::report::ConditionType;
use gaoler::firewall::{Counted, Penalty};

use crate::world::{JAMES, World, until};

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
    let [off, limit] = &status.rate_limits[..] else { panic!("{:?}", status.rate_limits) };
    assert_eq!((off.name.as_str(), off.mode.as_str(), off.limited_packets), ("off", "Disabled", 0));
    assert!(off.conditions.is_empty(), "it is as asked: {off:?}");
    assert_eq!(
        (limit.name.as_str(), limit.mode.as_str(), limit.protocol.as_str()),
        ("smtp", "Enforce", "TCP")
    );
    assert_eq!((limit.hits, limit.window_seconds, limit.penalty.as_str()), (4, 60, "600s"));
    // On a busy machine a status does not wait until the firewall has done what it was asked.
    let limits = until(|| Some(world.skeleton().limits).filter(|limits| !limits.is_empty()));
    let [planned] = &limits[..] else { panic!("{limits:?}") };
    assert_eq!(planned.counts, Counted::tcp(&[25, 587]));
    assert_eq!(planned.penalty, Penalty::Lasting(std::time::Duration::from_secs(600)));
    assert!(!planned.observe);

    world.declare("jails.yaml", &LIMITS.replace("ignore:", "mode: Observe, ignore:"));
    world.reload();
    until(|| world.skeleton().limits.iter().all(|limit| limit.observe).then_some(()));
}

const ESCALATING: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec: {protocol: TCP, ports: [25], hits: 4, window: 60s, escalateTo: james}
---
";

#[test]
fn an_escalation_to_a_jail_that_is_not_in_force_is_told_and_one_that_is_as_asked_is_no_trouble() {
    let mut world = World::guarded(ESCALATING);
    let told = |world: &World| {
        let limit = world.status().rate_limits.remove(0);
        assert_eq!(limit.escalate_to.as_ref().map(gaoler::engine::JailName::as_str), Some("james"));
        // That the table is being made is another matter.
        let degraded = limit.conditions.iter().filter(|condition| condition.kind == ConditionType::Degraded);
        let reasons: Vec<String> = degraded.map(|condition| condition.reason.clone()).collect();
        (limit.no_escalation.unwrap_or_default(), reasons)
    };
    assert_eq!(told(&world), ("no jail `james` is in force".into(), vec!["NoSuchJail".into()]));
    world.declare("jails.yaml", &format!("{ESCALATING}{}", JAMES.replace("maxRetry: 2", "maxRetry: two")));
    world.reload();
    assert_eq!(told(&world), ("jail `james` was refused".into(), vec!["JailRefused".into()]));
    let with = |world: &mut World, limit: &str, jail: &str| {
        let limit = ESCALATING.replace("hits:", &format!("mode: {limit}, hits:"));
        let jail = JAMES.replace("spec:", &format!("spec:\n  mode: {jail}"));
        world.declare("jails.yaml", &format!("{limit}{jail}"));
        world.reload();
    };
    with(&mut world, "Enforce", "Disabled");
    assert_eq!(told(&world), ("jail `james` is `Disabled`".into(), vec!["JailDisabled".into()]));
    with(&mut world, "Enforce", "Enforce");
    assert_eq!(told(&world), (String::new(), vec![]));
    with(&mut world, "Enforce", "Observe");
    assert_eq!(told(&world), ("jail `james` only observes".into(), vec![]));
    with(&mut world, "Observe", "Enforce");
    assert_eq!(told(&world), ("the limit only observes".into(), vec![]));
    with(&mut world, "Disabled", "Enforce");
    assert_eq!(told(&world), ("the limit is `Disabled`".into(), vec![]));
}
