//! That the API server is away, told once by this process and not by each of its watches.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

static OUTAGE: Mutex<Outage> = Mutex::new(Outage { silent: 0, since: None });
/// How often watches broke off, by kind.
static BREAKS: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

#[derive(Debug)]
struct Outage {
    /// Watches that wait for the server.
    silent: usize,
    /// It was told that the server is away, and not yet that it is back.
    since: Option<Instant>,
}

impl Outage {
    /// One more watch broke off. Whether that is news.
    fn lose(&mut self, now: Instant) -> bool {
        self.silent += 1;
        let news = self.since.is_none();
        self.since.get_or_insert(now);
        news
    }

    /// A watch that waited waits no more: it heard something, or was given up.
    fn drop_one(&mut self) {
        self.silent = self.silent.saturating_sub(1);
    }

    /// Something was heard. Since when all had not been well, if all is well now.
    fn hear(&mut self) -> Option<Instant> {
        if self.silent == 0 { self.since.take() } else { None }
    }
}

/// A watch that waits for the server, until dropped.
#[derive(Debug)]
pub(super) struct Silence(());

impl Drop for Silence {
    fn drop(&mut self) {
        outage().drop_one();
    }
}

/// A watch broke off, for whatever reason.
pub(super) fn broke(kind: &str) {
    *lock(&BREAKS).entry(kind.to_owned()).or_default() += 1;
}

/// How often watches of this process broke off, by kind.
pub(super) fn breaks() -> BTreeMap<String, u64> {
    lock(&BREAKS).clone()
}

/// A watch broke off because the server is away.
pub(super) fn silent(kind: &str, error: &str) -> Silence {
    if outage().lose(Instant::now()) {
        tracing::warn!(kind, error, "the API server is not heard; trying again until it is");
    } else {
        tracing::debug!(kind, error, "another watch broke off");
    }
    Silence(())
}

/// A watch that began anew hears the server; `was`: it had waited for it.
pub(super) fn heard(was: Option<Silence>) {
    drop(was);
    let back = outage().hear();
    if let Some(since) = back {
        tracing::info!(seconds = since.elapsed().as_secs(), "the API server is heard again: all is watched");
    }
}

fn outage() -> MutexGuard<'static, Outage> {
    lock(&OUTAGE)
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outage() -> Outage {
        Outage { silent: 0, since: None }
    }

    #[test]
    fn of_many_watches_the_first_tells_the_outage_and_the_last_its_end() {
        let (mut outage, now) = (outage(), Instant::now());
        let told: Vec<bool> = (0..12).map(|_| outage.lose(now)).collect();
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
        assert!(told[0]);
        let ends: Vec<Option<Instant>> = (0..12)
            .map(|_| {
                outage.drop_one();
                outage.hear()
            })
            .collect();
        assert_eq!(ends.iter().flatten().count(), 1);
        assert_eq!(ends[11], Some(now));
        assert!(outage.lose(now), "the next one is news again");
    }

    #[test]
    fn the_end_is_told_also_when_all_that_waited_were_given_up() {
        let (mut outage, now) = (outage(), Instant::now());
        outage.lose(now);
        outage.drop_one();
        assert!(!outage.lose(now), "still the same outage");
        outage.drop_one();
        assert_eq!(outage.hear(), Some(now));
        assert_eq!(outage.hear(), None);
    }
}
