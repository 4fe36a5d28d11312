//! How many Jails and Filters of one namespace are in force in a cluster.
//!
//! Each costs every node memory, time for each line, and each Jail a scope in the kernel's ruleset, which is made whole:
//! without a bound whoever may edit one namespace could keep all nodes from guarding anybody.

use std::collections::{BTreeMap, BTreeSet};

use super::ObjectName;
use crate::api::v1alpha1::Kind;

/// Jails of one namespace in force at most, and Filters; the first by name.
pub(super) const MOST: usize = 100;

/// Those of these objects that are beyond it, each with how many its namespace has.
pub(super) fn beyond<'a>(
    objects: impl Iterator<Item = (Kind, Option<&'a str>, &'a ObjectName)>,
) -> BTreeMap<ObjectName, usize> {
    let mut crowds: BTreeMap<(&str, &str), BTreeSet<&ObjectName>> = BTreeMap::new();
    for (kind, namespace, name) in objects {
        if let (Kind::Jail | Kind::Filter, Some(namespace)) = (kind, namespace) {
            crowds.entry((name.kind, namespace)).or_default().insert(name);
        }
    }
    let crowds = crowds.values().filter(|crowd| crowd.len() > MOST);
    crowds.flat_map(|crowd| crowd.iter().skip(MOST).map(|name| ((*name).clone(), crowd.len()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::resources::{Object, assemble};
    use crate::config::{Loaded, Surroundings};

    fn object(kind: &str, namespace: &str, name: &str) -> Object {
        let spec = match kind {
            "Jail" => {
                json!({"filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"a": "b"}}}}})
            }
            _ => json!({"failRegex": ["^bad <HOST>$"]}),
        };
        let metadata = json!({"name": name, "namespace": namespace});
        let object =
            json!({"apiVersion": "gaoler.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        Object::from_json("cluster", object)
    }

    fn loaded(objects: Vec<Object>, previous: Option<&Loaded>) -> Loaded {
        let around = Surroundings { cluster: true, ..Surroundings::default() };
        assemble(objects, &[], previous, &around)
    }

    fn crowd(kind: &str, prefix: &str, many: usize) -> Vec<Object> {
        (0..many).map(|i| object(kind, "shop", &format!("{prefix}-{i:04}"))).collect()
    }

    #[test]
    fn a_namespace_has_so_many_jails_and_filters_in_force_and_its_neighbours_are_not_concerned() {
        let mut objects = crowd("Jail", "j", MOST + 30);
        objects.extend(crowd("Filter", "f", MOST + 20));
        objects.push(object("Jail", "mail", "james"));
        let loaded = loaded(objects, None);
        assert_eq!(loaded.config.jails.len(), MOST + 1);
        assert!(loaded.config.jails.iter().any(|jail| jail.name().as_str() == "mail/james"));
        assert_eq!(loaded.filters().count(), MOST);
        let refused: Vec<_> = loaded.objects.iter().filter(|object| !object.accepted).collect();
        assert_eq!(refused.len(), 50);
        let said = &refused.last().unwrap().problems[0];
        assert_eq!(
            (said.field.as_str(), refused.last().unwrap().name.name.as_str()),
            ("metadata.namespace", "shop/j-0129")
        );
        assert_eq!(said.message, "the namespace has 130 Jails, and only the first 100 by name are in force");
    }

    #[test]
    fn what_was_in_force_before_makes_no_more_of_them() {
        let mut before = loaded(crowd("Jail", "z", MOST), None);
        for prefix in ["y", "x", "w"] {
            let mut objects = crowd("Jail", prefix, MOST);
            objects.extend(crowd("Jail", "z", MOST));
            before = loaded(objects, Some(&before));
            assert_eq!(before.config.jails.len(), MOST, "{prefix}");
        }
    }
}
