//! Changes that wait for the kernel: of each element only the latest, so that it stays as small as what it is about.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::engine::{Subject, Timestamp};
use crate::firewall::{Change, ScopeName};

type Key = (ScopeName, Subject);

/// Room that is kept while nothing waits.
const ROOM: usize = 4096;

/// A change without its key: a hundred thousand may wait.
#[derive(Clone, Copy, Debug)]
enum Wish {
    Ban(Option<Timestamp>),
    Lift,
}

/// What waits. Fresh changes go before those of a restoration.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    order: VecDeque<Key>,
    latest: HashMap<Key, Wish>,
    restoration: Vec<Change>,
    /// Elements with a fresher change than the restoration knows.
    overtaken: HashSet<Key>,
}

impl Backlog {
    /// A change just decided.
    pub(super) fn push(&mut self, change: Change) {
        let (key, wish) = split(change);
        if !self.restoration.is_empty() {
            self.overtaken.insert(key.clone());
        }
        if self.latest.insert(key.clone(), wish).is_none() {
            self.order.push_back(key);
        }
    }

    /// Everything that shall be in force, as known now; takes the place of an earlier restoration.
    pub(super) fn restore(&mut self, mut changes: Vec<Change>) {
        self.overtaken.clear();
        changes.retain(|change| match self.latest.get_mut(&key(change)) {
            Some(waiting) => {
                *waiting = wish(change);
                false
            }
            None => true,
        });
        changes.reverse(); // taken from the end
        self.restoration = changes;
    }

    /// Gives back changes that were taken and not done. Fresher ones stay.
    pub(super) fn put_back(&mut self, changes: Vec<Change>) {
        for change in changes.into_iter().rev() {
            let (key, wish) = split(change);
            if !self.latest.contains_key(&key) {
                self.order.push_front(key.clone());
                self.latest.insert(key, wish);
            }
        }
    }

    /// Drops what waits for the element of `change`.
    pub(super) fn forget(&mut self, change: &Change) {
        if !self.latest.is_empty() {
            self.latest.remove(&key(change));
        }
    }

    /// The oldest fresh changes of scopes that are `ready`, at most so many.
    pub(super) fn take_fresh(&mut self, most: usize, ready: impl Fn(&ScopeName) -> bool) -> Vec<Change> {
        let (mut taken, mut held) = (Vec::new(), Vec::new());
        while taken.len() < most
            && let Some(key) = self.order.pop_front()
        {
            if ready(&key.0) {
                taken.extend(self.latest.remove(&key).map(|wish| join(key, wish))); // unless forgotten
            } else {
                held.push(key);
            }
        }
        for key in held.into_iter().rev() {
            self.order.push_front(key);
        }
        if self.order.is_empty() && self.order.capacity() > ROOM {
            // Give the memory back: there may have been a hundred thousand.
            self.order = VecDeque::new();
            self.latest = HashMap::new();
        }
        taken
    }

    /// A part of the restoration, at most so many changes.
    pub(super) fn take_restoration(&mut self, most: usize) -> Vec<Change> {
        let rest = self.restoration.len().saturating_sub(most);
        let mut taken = self.restoration.split_off(rest);
        taken.reverse();
        taken.retain(|change| !self.overtaken.contains(&key(change)));
        if self.restoration.is_empty() {
            // Give the memory back: there may have been a hundred thousand.
            self.restoration = Vec::new();
            self.overtaken = HashSet::new();
        }
        taken
    }

    /// Whether fresh changes of `ready` scopes wait.
    pub(super) fn has_fresh(&self, ready: impl Fn(&ScopeName) -> bool) -> bool {
        self.order.iter().any(|key| ready(&key.0) && self.latest.contains_key(key))
    }

    pub(super) fn has_restoration(&self) -> bool {
        !self.restoration.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn key(change: &Change) -> Key {
    match change {
        Change::Ban { scope, subject, .. } | Change::Lift { scope, subject } => (scope.clone(), *subject),
    }
}

fn wish(change: &Change) -> Wish {
    match change {
        Change::Ban { until, .. } => Wish::Ban(*until),
        Change::Lift { .. } => Wish::Lift,
    }
}

fn split(change: Change) -> (Key, Wish) {
    let wish = wish(&change);
    match change {
        Change::Ban { scope, subject, .. } | Change::Lift { scope, subject } => ((scope, subject), wish),
    }
}

fn join((scope, subject): Key, wish: Wish) -> Change {
    match wish {
        Wish::Ban(until) => Change::Ban { scope, subject, until },
        Wish::Lift => Change::Lift { scope, subject },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Timestamp;

    fn ban(subject: &str, until: i64) -> Change {
        let until = Some(Timestamp::from_secs(until));
        Change::Ban { scope: ScopeName::new("smtp"), subject: subject.parse().unwrap(), until }
    }

    fn lift(subject: &str) -> Change {
        Change::Lift { scope: ScopeName::new("smtp"), subject: subject.parse().unwrap() }
    }

    #[test]
    fn only_the_latest_change_of_an_element_waits_at_its_first_place() {
        let mut backlog = Backlog::default();
        for change in
            [ban("198.51.100.1", 1), ban("198.51.100.2", 1), lift("198.51.100.1"), ban("198.51.100.1", 9)]
        {
            backlog.push(change);
        }
        assert_eq!(backlog.take_fresh(10, |_| true), [ban("198.51.100.1", 9), ban("198.51.100.2", 1)]);
        assert!(!backlog.has_fresh(|_| true));
    }

    #[test]
    fn what_could_not_be_done_comes_first_again_unless_something_fresher_came() {
        let mut backlog = Backlog::default();
        backlog.push(ban("198.51.100.1", 1));
        backlog.push(ban("198.51.100.2", 1));
        let taken = backlog.take_fresh(10, |_| true);
        backlog.push(lift("198.51.100.2"));
        backlog.push(ban("198.51.100.3", 1));
        backlog.put_back(taken);
        let again = backlog.take_fresh(10, |_| true);
        assert_eq!(again, [ban("198.51.100.1", 1), lift("198.51.100.2"), ban("198.51.100.3", 1)]);
    }

    #[test]
    fn a_scope_that_is_not_ready_holds_no_other_back() {
        let mut backlog = Backlog::default();
        let other = Change::Lift { scope: ScopeName::new("imap"), subject: "198.51.100.1".parse().unwrap() };
        backlog.push(other.clone());
        backlog.push(lift("198.51.100.1"));
        let ready = |scope: &ScopeName| scope.as_str() == "smtp";
        assert_eq!(backlog.take_fresh(10, ready), [lift("198.51.100.1")]);
        assert!(!backlog.has_fresh(ready));
        assert_eq!(backlog.take_fresh(10, |_| true), [other]);
    }

    #[test]
    fn a_restoration_never_undoes_a_fresher_change() {
        let mut backlog = Backlog::default();
        backlog.push(ban("198.51.100.9", 1));
        backlog.restore(vec![ban("198.51.100.1", 1), ban("198.51.100.2", 1), ban("198.51.100.9", 5)]);
        backlog.push(lift("198.51.100.2"));
        assert_eq!(backlog.take_fresh(10, |_| true), [ban("198.51.100.9", 5), lift("198.51.100.2")]);
        assert_eq!(backlog.take_restoration(1), [ban("198.51.100.1", 1)]);
        assert_eq!(backlog.take_restoration(1), []);
        assert!(!backlog.has_restoration());
    }
}
