//! A declared Filter to the engine's.

use crate::api::v1alpha1 as api;
use crate::engine::filter::Filter;
use crate::engine::{AddressSource, FilterName, FilterSpec, OnePer, RuleSpec, TextSpec};

use super::origin::Notes;
use super::{claimed, compile, proxied};

/// Where James writes the client's address, the safest first. `proxy.ip` is the load balancer.
const JAMES_ADDRESS: [&str; 3] = ["proxy.source", "remoteIP", "ip"];

/// Tags that yield an address.
const ADDRESS_TAGS: [&str; 9] =
    ["<HOST>", "<ADDR>", "<IP4>", "<IP6>", "<SUBNET>", "<CIDR>", "<F-ID>", "<F-ID/>", "<DNS>"];

/// Whether a regex holds a tag that yields an address.
pub(super) fn yields_address(regex: &str) -> bool {
    ADDRESS_TAGS.iter().any(|tag| regex.contains(tag))
        || ["(?P<host>", "(?P<ip4>", "(?P<ip6>", "(?P<fid>", "(?P<dns>", "(?P<mlfid>"]
            .iter()
            .any(|g| regex.contains(g))
        || regex.contains("<F-MLFID>")
}

/// Turns a declared filter into the engine's, and compiles it once to see whether it can be. `None` when refused.
pub(super) fn lower(
    name: FilterName,
    filter: &api::FilterSpec,
    notes: &mut Notes<'_>,
) -> Option<(FilterSpec, Filter)> {
    let spec = lower_unseen(name, filter, notes)?;
    match compile::filter(&spec) {
        Ok((filter, warnings)) => {
            for fault in warnings {
                notes.warning(&format!("spec.{}", fault.field), fault.message, fault.fix);
            }
            Some((spec, filter))
        }
        Err(fault) => {
            notes.error(&format!("spec.{}", fault.field), fault.message, fault.fix);
            None
        }
    }
}

/// As [`lower`] for a filter that is known to compile.
pub(super) fn lower_unseen(
    name: FilterName,
    filter: &api::FilterSpec,
    notes: &mut Notes<'_>,
) -> Option<FilterSpec> {
    let rules = lower_rules("rules", filter.rules.as_deref(), notes);
    let successes = lower_rules("successes", filter.successes.as_deref(), notes);
    if rules.is_empty() && successes.is_empty() && filter.fail_regex.is_none() {
        notes.error(
            "spec",
            "the filter matches nothing: it has neither `rules` nor `failRegex`",
            "add one of them",
        );
    }
    let spec =
        FilterSpec { name, rules, successes, text: text(filter, notes), one_per: one_per(filter, notes) };
    (!notes.has_errors()).then_some(spec)
}

fn lower_rules(list: &str, rules: Option<&[api::Rule]>, notes: &mut Notes<'_>) -> Vec<RuleSpec> {
    let rules = rules.unwrap_or_default().iter().enumerate();
    rules.map(|(i, rule)| lower_rule(&format!("spec.{list}[{i}]"), rule, notes)).collect()
}

fn lower_rule(field: &str, rule: &api::Rule, notes: &mut Notes<'_>) -> RuleSpec {
    if rule.logger.is_none() && rule.message.is_none() {
        notes.error(
            field,
            "the rule matches every line: it has neither `logger` nor `message`",
            "add `message` (begin it with `^`) and, if there is one, `logger`",
        );
    }
    let tagged = rule.message.as_deref().is_some_and(yields_address);
    let address: Vec<AddressSource> = match &rule.address {
        Some(sources) => sources
            .iter()
            .map(|source| match source.as_str() {
                "message" => AddressSource::Message,
                key => AddressSource::Context(key.into()),
            })
            .collect(),
        None if tagged => vec![AddressSource::Message],
        None => JAMES_ADDRESS.map(|key| AddressSource::Context(key.into())).to_vec(),
    };
    if address.contains(&AddressSource::Message) && !tagged {
        notes.error(
            &format!("{field}.address"),
            "`address` names `message`, but the regex in `message` has no address",
            "put `<ADDR>` where the address is, e.g. '^login failed from <ADDR>$'",
        );
    }
    if tagged && !address.contains(&AddressSource::Message) {
        notes.warning(
            &format!("{field}.address"),
            "the address in `message` is not used: `address` does not name `message`",
            "add `message` to `address`, or remove the tag from the regex",
        );
    }
    if let Some(i) = rule.address.iter().flatten().position(|key| key == "proxy.ip") {
        notes.error(
            &format!("{field}.address[{i}]"),
            "`proxy.ip` is the address of the load balancer, which would be banned",
            "write `proxy.source`",
        );
    }
    if field.starts_with("spec.rules") {
        proxied::check_rule(field, &address, notes);
        claimed::check_rule(field, &address, notes);
    }
    RuleSpec {
        logger: rule.logger.clone(),
        message: rule.message.clone(),
        context: rule.context.clone().unwrap_or_default().into_iter().collect(),
        address,
        weight: rule.weight.unwrap_or(1),
    }
}

fn text(filter: &api::FilterSpec, notes: &mut Notes<'_>) -> Option<TextSpec> {
    let Some(fail_regex) = filter.fail_regex.clone() else {
        for (name, there) in [
            ("prefRegex", filter.pref_regex.is_some()),
            ("ignoreRegex", filter.ignore_regex.is_some()),
            ("datePatterns", filter.date_patterns.is_some()),
            ("maxLines", filter.max_lines.is_some()),
        ] {
            if there {
                notes.error(
                    &format!("spec.{name}"),
                    format!("`{name}` does nothing without `failRegex`"),
                    "add `failRegex`, or remove it",
                );
            }
        }
        return None;
    };
    let prefix_yields = filter.pref_regex.as_deref().is_some_and(yields_address);
    for (i, regex) in fail_regex.iter().enumerate() {
        if !prefix_yields && !yields_address(regex) {
            notes.error(
                &format!("spec.failRegex[{i}]"),
                "the regex yields no address: nobody could be banned",
                "put `<HOST>` where the address stands in the line",
            );
        }
    }
    for (i, pattern) in filter.date_patterns.iter().flatten().enumerate() {
        if let Err((message, fix)) = compile::date(pattern) {
            notes.error(&format!("spec.datePatterns[{i}]"), message, fix);
        }
    }
    Some(TextSpec {
        pref_regex: filter.pref_regex.clone(),
        fail_regex,
        ignore_regex: filter.ignore_regex.clone().unwrap_or_default(),
        date_patterns: filter.date_patterns.clone().unwrap_or_default(),
        max_lines: filter.max_lines.unwrap_or(1),
    })
}

fn one_per(filter: &api::FilterSpec, notes: &mut Notes<'_>) -> Option<OnePer> {
    let one_per = filter.one_per.as_ref()?;
    let within = one_per.within.0;
    if within.is_zero() || within.as_secs() > 3600 {
        notes.error(
            "spec.onePer.within",
            format!("lines of one event cannot be `{}` apart", one_per.within),
            "write a duration from `1ms` to `1h`; lines of one event are seldom more than `1s` apart",
        );
    }
    Some(OnePer { keys: one_per.keys.clone(), within })
}
