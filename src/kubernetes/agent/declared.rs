//! Declared objects to a configuration, and what of them goes on when a newer state is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::config::resources::{Object, assemble};
use crate::config::{Config, Loaded, Severity, Surroundings};

/// The configuration in force and what it was made of.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The objects as they are now.
    pub objects: Vec<Arc<Value>>,
    /// What became of them.
    pub loaded: Loaded,
    /// Each object in the state it was accepted in last, by kind and name.
    good: BTreeMap<(String, String), Arc<Value>>,
}

impl Declared {
    /// Takes other objects. Those that are refused go on as they were accepted last.
    #[must_use]
    pub fn next(&self, objects: Vec<Arc<Value>>) -> Self {
        let around = Surroundings { cluster: true, ..Surroundings::default() };
        let each = |value: &Arc<Value>| Object::from_json("cluster", (**value).clone());
        let loaded = assemble(objects.iter().map(each).collect(), &[], Some(&self.loaded), &around);
        let now: BTreeMap<(String, String), &Arc<Value>> =
            objects.iter().map(|value| (key(value), value)).collect();
        let mut good = BTreeMap::new();
        for status in &loaded.objects {
            let key = (status.name.kind.to_owned(), status.name.name.clone());
            let from = if status.accepted { now.get(&key).copied() } else { self.good.get(&key) };
            if let Some(value) = from.filter(|_| status.accepted || status.last_good) {
                good.insert(key, Arc::clone(value));
            }
        }
        Self { objects, loaded, good }
    }

    /// What an earlier run left: `good` are the accepted states of objects that it had to refuse.
    #[must_use]
    pub fn recall(objects: Vec<Arc<Value>>, good: Vec<Arc<Value>>) -> Self {
        Self::default().next(good).next(objects)
    }

    /// The accepted states of objects that are refused as they are now.
    #[must_use]
    pub fn held(&self) -> Vec<Arc<Value>> {
        let refused = self.loaded.objects.iter().filter(|status| status.last_good);
        refused
            .filter_map(|status| {
                self.good.get(&(status.name.kind.to_owned(), status.name.name.clone())).cloned()
            })
            .collect()
    }

    /// What is in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// Logs what is wrong now and was not before.
    pub fn tell_since(&self, before: &Self) {
        let known: std::collections::HashSet<String> =
            before.loaded.all_problems().map(ToString::to_string).collect();
        for problem in self.loaded.all_problems().filter(|problem| !known.contains(&problem.to_string())) {
            let object = problem.object.as_ref().map(ToString::to_string).unwrap_or_default();
            let (field, fix) = (&problem.field, &problem.fix);
            match problem.severity {
                Severity::Error => tracing::error!(object, field, fix, "{}", problem.message),
                Severity::Warning => tracing::warn!(object, field, fix, "{}", problem.message),
            }
        }
    }
}

/// Kind and name, as the configuration names objects of a cluster.
fn key(value: &Value) -> (String, String) {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let metadata = value.get("metadata");
    let (namespace, name) =
        (text(metadata.and_then(|m| m.get("namespace"))), text(metadata.and_then(|m| m.get("name"))));
    let name = if namespace.is_empty() { name } else { format!("{namespace}/{name}") };
    (text(value.get("kind")), name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn jail(spec: &Value) -> Arc<Value> {
        Arc::new(json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": "a", "namespace": "mail"}, "spec": spec,
        }))
    }

    fn good(max_retry: u32) -> Arc<Value> {
        jail(&json!({
            "filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "james"}}}},
            "maxRetry": max_retry,
        }))
    }

    fn bad() -> Arc<Value> {
        jail(&json!({"filters": 7}))
    }

    fn retries(declared: &Declared) -> Vec<u32> {
        declared.config().jails.iter().map(|jail| jail.spec.max_retry).collect()
    }

    #[test]
    fn a_jail_that_is_refused_goes_on_as_it_was_also_after_a_restart() {
        let first = Declared::default().next(vec![good(3)]);
        let second = first.next(vec![bad()]);
        assert_eq!((retries(&first), retries(&second)), (vec![3], vec![3]));
        let again = Declared::recall(second.objects.clone(), second.held());
        assert_eq!(retries(&again), [3]);
        // And over one more.
        let again = Declared::recall(again.objects.clone(), again.held());
        assert_eq!(retries(&again), [3]);
        assert_eq!(retries(&again.next(vec![good(4)])), [4]);
    }

    #[test]
    fn what_is_deleted_does_not_go_on() {
        let declared = Declared::default().next(vec![good(3)]).next(vec![bad()]).next(vec![]);
        assert_eq!((retries(&declared), declared.held().len()), (vec![], 0));
    }

    #[test]
    fn what_is_accepted_needs_no_second_copy() {
        assert!(Declared::default().next(vec![good(3)]).held().is_empty());
    }
}
