//! Pods that are gone: what they wrote last is still read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::picture::LocalPod;

/// The kubelet removes a pod's logs after its object is gone, and the last lines may come later than that.
const GRACE: Duration = Duration::from_secs(60);

/// The pods that were here, and those of them that left.
#[derive(Debug, Default)]
pub struct Farewell {
    known: BTreeMap<String, Arc<LocalPod>>,
    gone: BTreeMap<String, (Arc<LocalPod>, Instant)>,
}

impl Farewell {
    /// The pods whose logs are read: those here, and those gone for less than a minute or whose logs are still there.
    /// The latter are over: nothing else of them counts.
    #[must_use]
    pub fn read(
        &mut self,
        here: Vec<Arc<LocalPod>>,
        now: Instant,
        has_logs: impl Fn(&LocalPod) -> bool,
    ) -> Vec<Arc<LocalPod>> {
        let here_now: BTreeMap<String, Arc<LocalPod>> =
            here.iter().map(|pod| (pod.uid.clone(), Arc::clone(pod))).collect();
        for (uid, pod) in std::mem::take(&mut self.known) {
            if !here_now.contains_key(&uid) {
                let over = Arc::new(LocalPod { over: true, ..(*pod).clone() });
                self.gone.entry(uid).or_insert((over, now));
            }
        }
        self.gone.retain(|uid, (pod, since)| {
            !here_now.contains_key(uid) && (now.duration_since(*since) < GRACE || has_logs(pod))
        });
        self.known = here_now;
        here.into_iter().chain(self.gone.values().map(|(pod, _)| Arc::clone(pod))).collect()
    }

    /// Whether somebody is gone whose logs are still read.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.gone.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::pod;
    use super::*;

    fn names(pods: &[Arc<LocalPod>]) -> Vec<(&str, bool)> {
        pods.iter().map(|pod| (pod.name.as_str(), pod.over)).collect()
    }

    #[test]
    fn a_pod_that_is_gone_is_read_for_a_minute_and_as_long_as_its_logs_are_there() {
        let (a, b) = (Arc::new(pod("mail", "a", &[])), Arc::new(pod("mail", "b", &[])));
        let mut farewell = Farewell::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let both = vec![Arc::clone(&a), Arc::clone(&b)];
        assert_eq!(names(&farewell.read(both, start, |_| false)), [("a", false), ("b", false)]);
        let only = || vec![Arc::clone(&a)];
        assert_eq!(names(&farewell.read(only(), at(1), |_| false)), [("a", false), ("b", true)]);
        assert!(farewell.is_waiting());
        assert_eq!(names(&farewell.read(only(), at(60), |_| false)), [("a", false), ("b", true)]);
        assert_eq!(names(&farewell.read(only(), at(90), |_| true)), [("a", false), ("b", true)]);
        assert_eq!(names(&farewell.read(only(), at(91), |_| false)), [("a", false)]);
        assert!(!farewell.is_waiting());
    }

    #[test]
    fn one_that_comes_back_is_itself_again() {
        let a = Arc::new(pod("mail", "a", &[]));
        let mut farewell = Farewell::default();
        let now = Instant::now();
        let _ = farewell.read(vec![Arc::clone(&a)], now, |_| true);
        assert_eq!(names(&farewell.read(vec![], now, |_| true)), [("a", true)]);
        assert_eq!(names(&farewell.read(vec![a], now, |_| true)), [("a", false)]);
        assert!(!farewell.is_waiting());
    }
}
