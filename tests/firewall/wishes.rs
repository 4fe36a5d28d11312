//! Short words for what the tests ask of a firewall.

use std::time::Duration;

use gaoler::engine::Timestamp;
use gaoler::firewall::{
    Action, Change, Destination, Dropped, Firewall, Guard, Nftables, Reach, Scope, ScopeName, Skeleton,
};

pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

pub(crate) fn local(port: u16) -> Guard {
    Guard { destination: Destination::Local, port }
}

pub(crate) fn at(address: &str, port: u16) -> Guard {
    Guard { destination: Destination::Address(address.parse().expect("an address")), port }
}

pub(crate) fn scope(name: &str, guards: &[Guard]) -> Scope {
    Scope { name: ScopeName::new(name), reach: Reach::Ports(guards.to_vec()), action: Action::Drop }
}

pub(crate) fn everything() -> Scope {
    Scope { name: ScopeName::all(), reach: Reach::Everything, action: Action::Drop }
}

pub(crate) fn rejecting(scope: Scope) -> Scope {
    Scope { action: Action::Reject, ..scope }
}

pub(crate) fn skeleton(scopes: &[Scope]) -> Skeleton {
    Skeleton { scopes: scopes.to_vec(), ..Skeleton::default() }
}

/// A ban for ten minutes.
pub(crate) fn ban(scope: &str, subject: &str) -> Change {
    ban_for(scope, subject, Duration::from_secs(600))
}

pub(crate) fn ban_for(scope: &str, subject: &str, span: Duration) -> Change {
    Change::Ban {
        scope: name(scope),
        subject: subject.parse().expect("a subject"),
        until: Some(now() + span),
    }
}

pub(crate) fn ban_for_ever(scope: &str, subject: &str) -> Change {
    Change::Ban { scope: name(scope), subject: subject.parse().expect("a subject"), until: None }
}

pub(crate) fn lift(scope: &str, subject: &str) -> Change {
    Change::Lift { scope: name(scope), subject: subject.parse().expect("a subject") }
}

fn name(scope: &str) -> ScopeName {
    if scope == ScopeName::ALL { ScopeName::all() } else { ScopeName::new(scope) }
}

/// A firewall of the calling thread's namespace with this skeleton.
pub(crate) fn firewall(skeleton: &Skeleton) -> Nftables {
    let mut firewall = Nftables::open().expect("netlink");
    firewall.ensure(skeleton).expect("the skeleton");
    firewall
}

/// Applies changes none of which may be refused.
pub(crate) fn apply(firewall: &mut dyn Firewall, changes: &[Change]) {
    let applied = firewall.apply(changes, now()).expect("changes");
    assert_eq!(applied.refused, []);
    assert_eq!(applied.deferred, [], "{:?}", applied.obstacle);
    assert_eq!(applied.done, changes.len());
}

pub(crate) fn dropped(firewall: &mut dyn Firewall, scope: &str) -> Dropped {
    firewall.counters().expect("counters").get(&name(scope)).copied().expect("a counter of this scope")
}
