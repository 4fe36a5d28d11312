//! A firewall that only remembers what it was asked: for dry runs (`--observe`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Applied, Caught, Change, Dropped, Firewall, FirewallError, LimitCounts, ScopeName, Skeleton};
use crate::engine::{Subject, Timestamp};

/// Remembers; drops nothing. Clones share their memory, so one can be asked while another is driven.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<Remembered>>);

#[derive(Debug, Default)]
struct Remembered {
    skeleton: Option<Skeleton>,
    bans: BTreeMap<(ScopeName, Subject), Option<Timestamp>>,
    /// Ended bans are forgotten when there are this many.
    tidy_at: usize,
}

impl Memory {
    /// The skeleton asked for last; `None` before the first and after a teardown.
    #[must_use]
    pub fn skeleton(&self) -> Option<Skeleton> {
        self.with(|memory| memory.skeleton.clone())
    }

    /// The bans that would be in force at `now`, with their ends.
    #[must_use]
    pub fn bans(&self, now: Timestamp) -> BTreeMap<(ScopeName, Subject), Option<Timestamp>> {
        let in_force = |until: &Option<Timestamp>| until.is_none_or(|until| until > now);
        self.with(|memory| memory.bans.clone().into_iter().filter(|(_, until)| in_force(until)).collect())
    }

    /// Whether `subject` would be kept out of `scope` at `now`.
    #[must_use]
    pub fn holds(&self, scope: &ScopeName, subject: Subject, now: Timestamp) -> bool {
        let key = (scope.clone(), subject);
        self.with(|memory| memory.bans.get(&key).is_some_and(|until| until.is_none_or(|until| until > now)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Remembered) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Firewall for Memory {
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError> {
        self.with(|memory| {
            memory.bans.retain(|(scope, _), _| skeleton.scopes.iter().any(|stays| stays.name == *scope));
            memory.skeleton = Some(skeleton.clone());
        });
        Ok(())
    }

    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError> {
        self.with(|memory| {
            let Some(skeleton) = &memory.skeleton else {
                return Err(FirewallError::Drifted("no skeleton was applied".into()));
            };
            let mut applied = Applied::default();
            if memory.bans.len() >= memory.tidy_at {
                memory.bans.retain(|_, until| until.is_none_or(|until| until > now));
                memory.tidy_at = memory.bans.len() * 2 + 1000;
            }
            for change in changes {
                match change {
                    Change::Ban { scope, .. }
                        if !skeleton.scopes.iter().any(|known| known.name == *scope) =>
                    {
                        applied.refused.push((change.clone(), format!("there is no scope {scope}")));
                        continue;
                    }
                    Change::Ban { until: Some(until), .. } if *until <= now => {}
                    Change::Ban { scope, subject, until } => {
                        memory.bans.insert((scope.clone(), *subject), *until);
                    }
                    Change::Lift { scope, subject } => {
                        memory.bans.remove(&(scope.clone(), *subject));
                    }
                }
                applied.done += 1;
            }
            Ok(applied)
        })
    }

    fn is_intact(&mut self) -> Result<bool, FirewallError> {
        Ok(self.with(|memory| memory.skeleton.is_some()))
    }

    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError> {
        Ok(self.with(|memory| {
            let scopes = memory.skeleton.iter().flat_map(|skeleton| &skeleton.scopes);
            scopes.map(|scope| (scope.name.clone(), Dropped::default())).collect()
        }))
    }

    fn limits(&mut self) -> Result<BTreeMap<ScopeName, LimitCounts>, FirewallError> {
        Ok(self.with(|memory| {
            let limits = memory.skeleton.iter().flat_map(|skeleton| &skeleton.limits);
            limits.map(|limit| (limit.name.clone(), LimitCounts::default())).collect()
        }))
    }

    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError> {
        // It sees no packets.
        Ok(BTreeMap::new())
    }

    fn teardown(&mut self) -> Result<(), FirewallError> {
        self.with(|memory| *memory = Remembered::default());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::firewall::{Action, Reach, Scope};

    #[test]
    fn it_remembers_bans_until_they_end_or_their_scope_goes() {
        let (memory, now) = (Memory::default(), Timestamp::from_secs(1000));
        let mut firewall = memory.clone();
        let scope = Scope { name: ScopeName::new("smtp"), reach: Reach::Everything, action: Action::Drop };
        let subject: Subject = "198.51.100.7".parse().unwrap();
        let until = Some(now + Duration::from_secs(60));
        let ban = |name: &str| Change::Ban { scope: ScopeName::new(name), subject, until };

        assert!(firewall.apply(&[ban("smtp")], now).is_err(), "nothing holds before the first skeleton");
        firewall.ensure(&Skeleton { scopes: vec![scope.clone()], ..Skeleton::default() }).unwrap();
        let applied = firewall.apply(&[ban("smtp"), ban("imap")], now).unwrap();
        assert_eq!((applied.done, applied.refused.len()), (1, 1));
        assert!(memory.holds(&scope.name, subject, now));
        assert!(!memory.holds(&scope.name, subject, now + Duration::from_secs(60)));

        firewall.ensure(&Skeleton::default()).unwrap();
        assert!(memory.bans(now).is_empty());
    }
}
