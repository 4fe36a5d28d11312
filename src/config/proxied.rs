//! Who comes through a balancer: with a PROXY protocol James' `ip` and `remoteIP` may be the balancer's, and only
//! `proxy.source` is the client's. Who does not ask for it, or does not log it, accuses the balancer of everything.

use crate::engine::{AddressSource, FilterSpec};

use super::origin::Notes;

/// The client's own address, whatever stands between.
const CLIENT: &str = "proxy.source";
/// The client's or the balancer's.
const EITHER: [&str; 2] = ["ip", "remoteIP"];

/// Warns of a rule that takes `ip` or `remoteIP` without asking for `proxy.source` before.
pub(super) fn check_rule(field: &str, address: &[AddressSource], notes: &mut Notes<'_>) {
    let at = |keys: &[&str]| address.iter().position(|source| is_key(source, keys));
    if let Some(either) = at(&EITHER)
        && at(&[CLIENT]).is_none_or(|client| client > either)
    {
        notes.warning(
            &format!("{field}.address"),
            "behind a PROXY protocol `ip` and `remoteIP` may be the load balancer's address, which would be banned",
            "ask for the client first: `address: [proxy.source, remoteIP, ip]`",
        );
    }
}

/// Warns of a conversion pattern that prints `ip` or `remoteIP` for such rules, and no `proxy.source`.
pub(super) fn check_pattern<'f>(
    pattern: &str,
    filters: impl IntoIterator<Item = &'f FilterSpec>,
    notes: &mut Notes<'_>,
) {
    let Some(printed) = EITHER.into_iter().find(|key| prints(pattern, key)) else { return };
    let asks = |filter: &FilterSpec| {
        let rules = filter.rules.iter().chain(&filter.successes);
        rules.flat_map(|rule| &rule.address).any(|source| is_key(source, &[printed]))
    };
    if !prints(pattern, CLIENT) && filters.into_iter().any(asks) {
        notes.warning(
            "spec.source.layout.pattern",
            format!(
                "the pattern prints `{printed}` and no `{CLIENT}`: behind a PROXY protocol that is the load \
                 balancer, which would be banned"
            ),
            format!(
                "print `src=%X{{{CLIENT}}}` too, here and in James' configuration, or allow-list the balancer"
            ),
        );
    }
}

fn is_key(source: &AddressSource, keys: &[&str]) -> bool {
    matches!(source, AddressSource::Context(key) if keys.contains(&key.as_str()))
}

/// Whether a conversion pattern prints this key of the context, or all of them.
pub(super) fn prints(pattern: &str, wanted: &str) -> bool {
    ["X{", "mdc{", "MDC{"].iter().any(|word| {
        let mut pieces = pattern.split(word);
        let _before = pieces.next();
        pieces.any(|inside| {
            let keys = inside.split('}').next().unwrap_or_default();
            keys.split(',').any(|key| key.split(":-").next().map(str::trim) == Some(wanted))
        })
    }) || super::jails::prints_whole_context(pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_prints_the_keys_it_names() {
        for pattern in [
            "%d [ip=%X{ip}] %msg%n",
            "%d %-15X{ip:-} %msg%n",
            "%d %mdc{ip:-none} %msg%n",
            "%d %X{user, ip} %msg%n",
            "%d %msg | %X%n",
        ] {
            assert!(prints(pattern, "ip"), "{pattern}");
        }
        for pattern in ["%d %msg%n", "%d %X{remoteIP} %msg%n", "%d ip=%X{proxy.ip} %msg%n", "%d {ip} %msg%n"]
        {
            assert!(!prints(pattern, "ip"), "{pattern}");
        }
    }
}
