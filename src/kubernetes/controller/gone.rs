//! Objects of nodes that are gone.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// A node that is made anew under its name within this time keeps what it had.
const GRACE: Duration = Duration::from_secs(300);

/// Since when the nodes of objects are missing.
#[derive(Debug, Default)]
pub(super) struct Absences(HashMap<String, Instant>);

impl Absences {
    /// Of `named` nodes, those that have been gone for long enough. Where there is no node at all, nothing is said: a
    /// cluster without nodes has no agents, more likely nodes cannot be seen.
    pub(super) fn over(
        &mut self,
        nodes: &HashSet<String>,
        named: &HashSet<String>,
        now: Instant,
    ) -> Vec<String> {
        if nodes.is_empty() {
            self.0.clear();
            return Vec::new();
        }
        self.0.retain(|name, _| named.contains(name) && !nodes.contains(name));
        let mut over = Vec::new();
        for name in named.difference(nodes) {
            let since = *self.0.entry(name.clone()).or_insert(now);
            if now.saturating_duration_since(since) >= GRACE {
                over.push(name.clone());
            }
        }
        over.sort_unstable();
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_node_is_gone_when_it_was_missing_all_the_time() {
        let mut absences = Absences::default();
        let named = names(&["n1", "n2"]);
        let start = Instant::now();
        let mut ask = |nodes: &[&str], seconds| {
            absences.over(&names(nodes), &named, start + Duration::from_secs(seconds))
        };
        assert!(ask(&["n1"], 0).is_empty());
        assert!(ask(&["n1", "n2"], 200).is_empty(), "it is back");
        assert!(ask(&["n1"], 300).is_empty());
        assert!(ask(&["n1"], 599).is_empty());
        assert_eq!(ask(&["n1"], 600), ["n2"]);
    }

    #[test]
    fn where_no_node_is_seen_none_is_gone() {
        let mut absences = Absences::default();
        let named = names(&["n1"]);
        let start = Instant::now();
        for seconds in [0, 1000, 2000] {
            let now = start + Duration::from_secs(seconds);
            assert!(absences.over(&names(&[]), &named, now).is_empty());
        }
    }
}
