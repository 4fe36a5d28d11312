use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::engine::{Subject, Timestamp};
use crate::firewall::{Action, Applied, Caught, Memory, Reach, Scope};

const PATIENCE: Duration = Duration::from_secs(10);

fn skeleton(scopes: &[&str]) -> Skeleton {
    let scope =
        |name: &&str| Scope { name: ScopeName::new(name), reach: Reach::Everything, action: Action::Drop };
    Skeleton { scopes: scopes.iter().map(scope).collect(), ..Skeleton::default() }
}

fn ban(scope: &str, subject: &str) -> Change {
    Change::Ban { scope: ScopeName::new(scope), subject: subject.parse().unwrap(), until: None }
}

fn subject(i: u32) -> Subject {
    Subject::host(std::net::Ipv4Addr::from_bits(0xc633_0000 + i).into())
}

fn start(firewall: impl Firewall + 'static) -> (Enforcer, Receiver<EnforcerEvent>) {
    let (sender, events) = channel();
    (Enforcer::spawn(Box::new(firewall), sender).unwrap(), events)
}

/// Waits for the first event that `wanted` takes.
fn wait<T>(events: &Receiver<EnforcerEvent>, wanted: impl Fn(EnforcerEvent) -> Option<T>) -> T {
    loop {
        match wanted(events.recv_timeout(PATIENCE).expect("the event")) {
            Some(found) => return found,
            None => continue,
        }
    }
}

fn is(expected: EnforcerEvent) -> impl Fn(EnforcerEvent) -> Option<()> {
    move |event| (event == expected).then_some(())
}

fn applied(event: EnforcerEvent) -> Option<Vec<Change>> {
    match event {
        EnforcerEvent::Applied { changes, .. } => Some(changes),
        _ => None,
    }
}

type Trouble = fn() -> FirewallError;

/// A firewall whose kernel is out of order while `broken` says so.
struct Fragile {
    inner: Memory,
    broken: Arc<Mutex<Option<Trouble>>>,
}

impl Fragile {
    fn check(&self) -> Result<(), FirewallError> {
        self.broken.lock().unwrap().map_or(Ok(()), |error| Err(error()))
    }
}

impl Firewall for Fragile {
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError> {
        self.check()?;
        self.inner.ensure(skeleton)
    }
    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError> {
        self.check()?;
        self.inner.apply(changes, now)
    }
    fn is_intact(&mut self) -> Result<bool, FirewallError> {
        self.check()?;
        self.inner.is_intact()
    }
    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError> {
        self.check()?;
        self.inner.counters()
    }

    fn limits(&mut self) -> Result<BTreeMap<ScopeName, crate::firewall::LimitCounts>, FirewallError> {
        self.check()?;
        self.inner.limits()
    }
    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError> {
        self.check()?;
        self.inner.caught()
    }
    fn teardown(&mut self) -> Result<(), FirewallError> {
        self.check()?;
        self.inner.teardown()
    }
}

#[test]
fn a_change_is_applied_at_once_and_acknowledged_with_its_time() {
    let memory = Memory::default();
    let (enforcer, events) = start(memory.clone());
    let before: Timestamp = jiff::Timestamp::now().into();
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    enforcer.send(Order::Changes(vec![ban("smtp", "198.51.100.7")])).unwrap();
    wait(&events, is(EnforcerEvent::Ensured));
    let (changes, at) = wait(&events, |event| match event {
        EnforcerEvent::Applied { changes, at, restored: false } => Some((changes, at)),
        _ => None,
    });
    assert_eq!(changes, [ban("smtp", "198.51.100.7")]);
    assert!(at >= before);
    assert!(memory.holds(&ScopeName::new("smtp"), "198.51.100.7".parse().unwrap(), at));
}

#[test]
fn changes_before_the_first_skeleton_wait_for_it() {
    let memory = Memory::default();
    let (enforcer, events) = start(memory.clone());
    enforcer.send(Order::Changes(vec![ban("smtp", "198.51.100.7")])).unwrap();
    enforcer.send(Order::Restore(vec![ban("smtp", "198.51.100.8")])).unwrap();
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    wait(&events, is(EnforcerEvent::Ensured));
    assert_eq!(wait(&events, applied), [ban("smtp", "198.51.100.7")]);
    assert_eq!(wait(&events, applied), [ban("smtp", "198.51.100.8")]);
}

#[test]
fn a_change_of_a_scope_that_does_not_exist_is_refused_and_holds_no_other_back() {
    let (enforcer, events) = start(Memory::default());
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    let both = vec![ban("imap", "198.51.100.7"), ban("smtp", "198.51.100.7")];
    enforcer.send(Order::Changes(both)).unwrap();
    let refused = wait(&events, |event| match event {
        EnforcerEvent::Refused { change, .. } => Some(change),
        _ => None,
    });
    assert_eq!(refused, ban("imap", "198.51.100.7"));
    assert_eq!(wait(&events, applied), [ban("smtp", "198.51.100.7")]);
}

#[test]
fn while_the_kernel_is_out_of_order_nothing_is_lost_and_trouble_is_said_once() {
    let (memory, broken) = (Memory::default(), Arc::new(Mutex::new(None::<Trouble>)));
    let (enforcer, events) = start(Fragile { inner: memory.clone(), broken: broken.clone() });
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    wait(&events, is(EnforcerEvent::Ensured));

    *broken.lock().unwrap() = Some(|| FirewallError::Refused("out of order".into()));
    for i in 0..500 {
        let change = Change::Ban { scope: ScopeName::new("smtp"), subject: subject(i), until: None };
        enforcer.send(Order::Changes(vec![change])).unwrap();
    }
    let words = wait(&events, |event| match event {
        EnforcerEvent::Failing(words) => Some(words),
        _ => None,
    });
    assert_eq!(words, "nft refused the ruleset: out of order");
    enforcer
        .send(Order::Changes(vec![Change::Lift { scope: ScopeName::new("smtp"), subject: subject(0) }]))
        .unwrap();
    *broken.lock().unwrap() = None;

    wait(&events, |event| {
        assert!(!matches!(event, EnforcerEvent::Failing(_)), "said twice");
        (event == EnforcerEvent::Recovered).then_some(())
    });
    let now = jiff::Timestamp::now().into();
    enforcer.stop();
    assert_eq!(memory.bans(now).len(), 499);
    assert!(!memory.holds(&ScopeName::new("smtp"), subject(0), now));
}

#[test]
fn a_table_that_was_removed_is_made_again_and_the_owner_is_told_to_restore() {
    let memory = Memory::default();
    let (enforcer, events) = start(memory.clone());
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    wait(&events, is(EnforcerEvent::Ensured));
    memory.clone().teardown().unwrap(); // behind the enforcer's back
    wait(&events, is(EnforcerEvent::Drifted));
    assert_eq!(memory.skeleton(), Some(skeleton(&["smtp"])));
    enforcer.send(Order::Restore(vec![ban("smtp", "198.51.100.7")])).unwrap();
    assert_eq!(wait(&events, applied), [ban("smtp", "198.51.100.7")]);
}

#[test]
fn stopping_does_what_waits_and_leaves_the_bans() {
    let memory = Memory::default();
    let (enforcer, events) = start(memory.clone());
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    for i in 0..5000 {
        let change = Change::Ban { scope: ScopeName::new("smtp"), subject: subject(i), until: None };
        enforcer.send(Order::Changes(vec![change])).unwrap();
    }
    enforcer.stop();
    assert_eq!(memory.bans(jiff::Timestamp::now().into()).len(), 5000);
    assert_eq!(events.iter().last(), Some(EnforcerEvent::Stopped));
    assert_eq!(enforcer.send(Order::Stop), Err(Gone));
}

#[test]
fn dropping_the_handle_removes_nothing_and_a_teardown_removes_everything() {
    let memory = Memory::default();
    let (enforcer, events) = start(memory.clone());
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    enforcer.send(Order::Changes(vec![ban("smtp", "198.51.100.7")])).unwrap();
    drop(enforcer);
    wait(&events, is(EnforcerEvent::Stopped));
    assert_eq!(memory.bans(jiff::Timestamp::now().into()).len(), 1);

    let (enforcer, events) = start(memory.clone());
    enforcer.send(Order::Teardown).unwrap();
    wait(&events, is(EnforcerEvent::TornDown));
    assert_eq!(memory.skeleton(), None);
}

#[test]
fn counters_are_answered_by_the_one_who_owns_the_firewall() {
    let (enforcer, _events) = start(Memory::default());
    enforcer.send(Order::Skeleton(skeleton(&["smtp"]))).unwrap();
    let (sender, answer) = channel();
    let ask = |sender: Sender<_>| Order::Counters(Box::new(move |counters| sender.send(counters).unwrap()));
    enforcer.send(Order::Changes(vec![ban("smtp", "198.51.100.7")])).unwrap();
    enforcer.send(ask(sender.clone())).unwrap();
    answer.recv_timeout(PATIENCE).unwrap().unwrap();
}
