//! Whether the server's storage went back to an earlier state, as one that was restored does.
//!
//! A version counts every change of the whole storage, so it only grows, unless the storage is another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::time::{sleep, timeout};

use super::follow;

/// How often to look. One small request; what watches tell in between is remembered too.
const LOOK: Duration = Duration::from_secs(60);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this process has seen of the storage.
static SEEN: Mutex<Seen> =
    Mutex::new(Seen { looked: 0, told: BTreeMap::new(), ahead: BTreeSet::new(), elsewhere: BTreeSet::new() });

/// Looks for ever; lets all watches begin anew when the storage went back.
pub(super) async fn run(client: Client) {
    let nodes: Api<Node> = Api::all(client);
    loop {
        // What is told, or seen by another look, while the answer is on its way may be newer than that.
        let before = seen().known();
        // Without a version of its own the answer is of the storage as it is now, whichever server gives it.
        let listed = timeout(PATIENCE, nodes.list_metadata(&ListParams::default().limit(1))).await;
        let version = listed.ok().and_then(Result::ok).and_then(|list| list.metadata.resource_version);
        if let Some(version) = version.and_then(|version| version.parse().ok())
            && seen().went_back(&before, version)
        {
            tracing::warn!(version, "the API server's storage went back; everything is listed anew");
            follow::renew();
        }
        sleep(LOOK).await;
    }
}

/// A watch told of an object of this version: so far the storage had come by then.
pub(super) fn note(kind: &str, version: Option<&str>) {
    if let Some(version) = version.and_then(|version| version.parse().ok()) {
        seen().note(kind, version);
    }
}

fn seen() -> MutexGuard<'static, Seen> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far the storage had come when it was asked.
#[derive(Debug)]
struct Known {
    looked: u64,
    told: BTreeMap<String, u64>,
}

/// How far the storage has come.
#[derive(Debug, Default)]
struct Seen {
    /// At the last look.
    looked: u64,
    /// As watches told, by kind.
    told: BTreeMap<String, u64>,
    /// Kinds that were ahead of the storage at the last look.
    ahead: BTreeSet<String>,
    /// Kinds that are ahead of it always: they are in another storage, which has versions of its own.
    elsewhere: BTreeSet<String>,
}

impl Seen {
    fn note(&mut self, kind: &str, version: u64) {
        match self.told.get_mut(kind) {
            Some(told) => *told = version.max(*told),
            None => drop(self.told.insert(kind.to_owned(), version)),
        }
    }

    fn known(&self) -> Known {
        Known { looked: self.looked, told: self.told.clone() }
    }

    /// Takes note of the storage's version; whether it is lower than what was known `before` it was asked for.
    fn went_back(&mut self, before: &Known, version: u64) -> bool {
        let mut back = version < before.looked;
        let ahead: BTreeSet<String> =
            before.told.iter().filter(|(_, told)| **told > version).map(|(kind, _)| kind.clone()).collect();
        // Everything was listed anew meanwhile.
        self.elsewhere.extend(ahead.intersection(&self.ahead).cloned());
        self.ahead = ahead;
        back |= self.ahead.iter().any(|kind| !self.elsewhere.contains(kind));
        if back {
            self.told.clear();
        }
        self.looked = if back { version } else { version.max(self.looked) };
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(seen: &mut Seen, version: u64) -> bool {
        let before = seen.known();
        seen.went_back(&before, version)
    }

    #[test]
    fn only_a_lower_version_is_another_storage_and_that_is_told_once() {
        let mut seen = Seen::default();
        let told = [10, 10, 5000, 300, 300, 400].map(|version| look(&mut seen, version));
        assert_eq!(told, [false, false, false, true, false, false]);
    }

    #[test]
    fn a_storage_that_went_back_since_the_last_look_is_known_by_what_watches_told() {
        let mut seen = Seen::default();
        assert!(!look(&mut seen, 10));
        for (kind, version) in [("Jail", 500), ("Jail", 40), ("Pod", 450)] {
            seen.note(kind, version);
        }
        assert!(look(&mut seen, 60), "it had come to 500");
        seen.note("Jail", 55);
        assert!(!look(&mut seen, 70), "told once");
        // Once more.
        seen.note("Jail", 500);
        assert!(look(&mut seen, 80));
    }

    #[test]
    fn what_is_told_while_the_answer_is_on_its_way_says_nothing() {
        let mut seen = Seen::default();
        let before = seen.known();
        seen.note("Jail", 500);
        assert!(!seen.went_back(&before, 499));
    }

    #[test]
    fn an_answer_overtaken_by_that_to_a_later_question_says_nothing() {
        let mut seen = Seen::default();
        assert!(!look(&mut seen, 490));
        let before = seen.known();
        assert!(!look(&mut seen, 500), "asked later, answered sooner");
        assert!(!seen.went_back(&before, 495));
        assert!(look(&mut seen, 497), "the storage had come to 500");
    }

    #[test]
    fn a_kind_with_a_storage_of_its_own_is_known_after_one_needless_list() {
        let mut seen = Seen::default();
        let told = [100, 110, 120].map(|version| {
            seen.note("Event", 9000);
            look(&mut seen, version)
        });
        assert_eq!(told, [true, false, false]);
    }
}
