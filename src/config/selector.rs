//! Label selectors of pods, as Kubernetes understands them.

use std::collections::BTreeMap;
use std::fmt;

/// Which pods: every requirement must hold. Printed in kubectl's syntax.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodSelector(pub Vec<Requirement>);

/// What must hold of a pod's labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// The label has this value.
    Is(String, String),
    /// The label has one of these values.
    In(String, Vec<String>),
    /// The label is missing, or has none of these values.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is missing.
    DoesNotExist(String),
}

impl PodSelector {
    /// Whether a pod with these labels is chosen. An empty selector chooses every pod.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Is(key, value) => labels.get(key) == Some(value),
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}

impl fmt::Display for PodSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::Is(key, value) => write!(f, "{key}={value}")?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", values.join(","))?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", values.join(","))?,
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::DoesNotExist(key) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

/// Whether Kubernetes takes this as a label's key: a name, perhaps with a DNS subdomain and `/` before it.
#[must_use]
pub(super) fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_domain(domain) && !name.is_empty() && is_value(name),
        None => !text.is_empty() && is_value(text),
    }
}

/// Whether Kubernetes takes this as a label's value. Empty is one.
#[must_use]
pub(super) fn is_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.chars().all(inner)
        && text.starts_with(outer) == text.ends_with(outer)
        && (text.is_empty() || text.starts_with(outer))
}

fn is_domain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    !text.is_empty() && text.len() <= 253 && text.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn key() -> String {
        "tier".into()
    }

    #[test]
    fn each_operator_means_what_it_means_in_kubernetes() {
        let none = labels(&[("app", "james")]);
        let front = labels(&[("tier", "front")]);
        let back = labels(&[("tier", "back")]);
        let values = || vec!["front".to_owned(), "edge".to_owned()];
        for (requirement, of_none, of_front, of_back) in [
            (Requirement::Is(key(), "front".into()), false, true, false),
            (Requirement::In(key(), values()), false, true, false),
            (Requirement::NotIn(key(), values()), true, false, true),
            (Requirement::Exists(key()), false, true, true),
            (Requirement::DoesNotExist(key()), true, false, false),
        ] {
            let selector = PodSelector(vec![requirement]);
            let found = [&none, &front, &back].map(|labels| selector.matches(labels));
            assert_eq!(found, [of_none, of_front, of_back], "{selector}");
        }
    }

    #[test]
    fn every_requirement_must_hold() {
        let selector =
            PodSelector(vec![Requirement::Is("app".into(), "james".into()), Requirement::Exists(key())]);
        assert!(!selector.matches(&labels(&[("app", "james")])));
        assert!(selector.matches(&labels(&[("app", "james"), ("tier", "")])));
    }

    #[test]
    fn it_prints_as_kubectl_reads_it() {
        let selector = PodSelector(vec![
            Requirement::Is("app".into(), "james".into()),
            Requirement::In(key(), vec!["a".into(), "b".into()]),
            Requirement::NotIn(key(), vec!["c".into()]),
            Requirement::Exists("x".into()),
            Requirement::DoesNotExist("y".into()),
        ]);
        assert_eq!(selector.to_string(), "app=james,tier in (a,b),tier notin (c),x,!y");
    }

    #[test]
    fn keys_and_values_are_those_that_kubernetes_takes() {
        for good in ["app", "app.kubernetes.io/name", "a_B-c.d"] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "a,b", "-a", "a/", "/a", "a b", "A.b/c d", "UPPER.io/name", &"x".repeat(64)] {
            assert!(!is_key(bad), "{bad}");
        }
        assert!(is_value("") && is_value("james") && !is_value("james,tier=x") && !is_value("a-"));
    }
}
