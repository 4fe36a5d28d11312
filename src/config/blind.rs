//! Jails that can accuse nobody, because what their layout prints holds no address their filters could take.

use std::sync::Arc;

use crate::engine::{AddressSource, FilterSpec, LayoutSpec, RuleSpec};

use super::origin::Notes;
use super::proxied::prints;

/// Warns of filters that can never find an address in lines of this layout.
pub(super) fn check(layout: &LayoutSpec, filters: &[Arc<FilterSpec>], notes: &mut Notes<'_>) {
    let blind: Vec<&str> =
        filters.iter().filter(|filter| is_blind(filter, layout)).map(|filter| filter.name.as_str()).collect();
    if blind.is_empty() {
        return;
    }
    let names = blind.join(", ");
    if *layout == LayoutSpec::Text {
        notes.warning(
            "spec.source",
            format!(
                "{names} can accuse nobody: its rules ask for the fields of events, and lines of layout `Text`, which a \
                 journal's are unless a layout is declared, have none"
            ),
            "write `layout: {type: Auto}`",
        );
        return;
    }
    let field = match layout {
        LayoutSpec::Pattern(_) => "spec.source.layout.pattern",
        _ => "spec.source.layout",
    };
    notes.warning(
        field,
        format!("failures that {names} understands are logged without the client's address in this layout"),
        "give James a log configuration with the diagnostic context (deploy/james/logback-*.xml, docs/james.md): its \
         layout is found without being declared; or print `src=%X{proxy.source} rip=%X{remoteIP} ip=%X{ip}` before \
         the message, there and here",
    );
}

/// Whether no rule for failures can find an address.
fn is_blind(filter: &FilterSpec, layout: &LayoutSpec) -> bool {
    filter.text.is_none()
        && !filter.rules.is_empty()
        && filter.rules.iter().all(|rule| {
            let in_message = rule.address.contains(&AddressSource::Message);
            match layout {
                LayoutSpec::Pattern(pattern) => !in_message && !prints_one(pattern, rule),
                LayoutSpec::JamesDefault => !in_message,
                LayoutSpec::Text => !in_message || rule.logger.is_some(),
                _ => false,
            }
        })
}

/// Whether the pattern prints a key that the rule takes an address from.
fn prints_one(pattern: &str, rule: &RuleSpec) -> bool {
    rule.address.iter().any(|source| match source {
        AddressSource::Context(key) => prints(pattern, key),
        AddressSource::Message => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FilterLibrary as _;
    use crate::config::library::built_in;
    use crate::engine::FilterName;

    fn is_blind(filter: &str, layout: &LayoutSpec) -> bool {
        super::is_blind(&built_in().get(&FilterName::new(filter)).unwrap(), layout)
    }

    #[test]
    fn a_filter_is_blind_where_neither_message_nor_context_can_name_a_client() {
        let pattern = |text: &str| LayoutSpec::Pattern(text.into());
        let bare = pattern("%d %-5level %logger - %msg%n");
        for (filter, layout, blind) in [
            ("james-imap-auth", &bare, true),
            ("james-imap-auth", &LayoutSpec::JamesDefault, true),
            ("james-imap-auth", &pattern("%d %-5level [user=%X{user}] %logger - %msg%n"), true),
            ("james-imap-auth", &pattern("%d %-5level [ip=%X{ip:-}] %logger - %msg%n"), false),
            ("james-smtp-recipient", &pattern("%d %-5level [rip=%X{remoteIP:-}] %logger - %msg%n"), false),
            ("james-imap-auth", &pattern("%d %-5level %logger - %msg %X%n"), false),
            ("james-imap-auth", &LayoutSpec::JsonEncoder, false),
            ("james-imap-auth", &LayoutSpec::Auto, false),
            ("james-imap-auth", &LayoutSpec::Text, true),
            ("james-smtp-auth", &bare, false),
            ("james-pop3-auth", &LayoutSpec::JamesDefault, false),
            ("james-log4j2", &LayoutSpec::Text, false),
            ("sshd", &LayoutSpec::Text, false),
        ] {
            assert_eq!(is_blind(filter, layout), blind, "{filter} {layout:?}");
        }
    }
}
