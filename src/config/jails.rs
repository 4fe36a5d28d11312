//! A declared Jail to a [`JailConfig`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::api::v1alpha1 as api;
use crate::engine::{FilterSpec, JailName, JailSpec, LayoutSpec, PrefixPolicy, SentenceSpec};
use crate::firewall::Action;

use super::origin::Notes;
use super::selector::{is_key, is_value};
use super::{Enforce, JailConfig, Mode, PodSelector, Requirement, Source, blind, compile, prefix, proxied};

/// Subjects below the threshold that one jail remembers at most.
const MAX_TRACKED: usize = 100_000;
const YEAR: Duration = Duration::from_secs(8760 * 3600);

/// Turns a declared jail into the runtime's. `cluster`: whether it runs in Kubernetes. Problems go to `notes`; the
/// result counts only when none is an error.
pub(super) fn lower(
    name: JailName,
    jail: &api::JailSpec,
    filters: Vec<Arc<FilterSpec>>,
    cluster: bool,
    notes: &mut Notes<'_>,
) -> JailConfig {
    let find_time = jail.find_time.0;
    if find_time < Duration::from_secs(1) || find_time > YEAR {
        notes.error(
            "spec.findTime",
            format!("`findTime` cannot be `{}`", jail.find_time),
            "write `1s` to `8760h`",
        );
    }
    let prefix = jail.prefix.clone().unwrap_or_default();
    let trusted = jail.trusted.clone();
    if trusted.as_ref().is_some_and(|t| t.factor > 1)
        && !filters.is_empty()
        && filters.iter().all(|filter| filter.successes.is_empty())
    {
        notes.warning(
            "spec.trusted",
            "`trusted` does nothing: no filter of this jail knows a successful login",
            "add a filter with `successes`, or remove `trusted`",
        );
    }
    let layout = source_layout(&jail.source, notes);
    if let LayoutSpec::Pattern(pattern) = &layout {
        proxied::check_pattern(pattern, filters.iter().map(|filter| &**filter), notes);
    }
    blind::check(&layout, &filters, notes);
    let spec = JailSpec {
        name,
        max_retry: jail.max_retry,
        find_time,
        sentence: sentence(jail, notes),
        trusted_factor: trusted.unwrap_or_default().factor,
        prefix: PrefixPolicy { ipv4: prefix.ipv4, ipv6: prefix.ipv6 },
        ignore: ignore(jail, notes),
        max_tracked: MAX_TRACKED,
    };
    JailConfig {
        spec,
        mode: match jail.mode {
            api::JailMode::Observe => Mode::Observe,
            api::JailMode::Enforce | api::JailMode::Disabled => Mode::Enforce,
        },
        filters,
        layout,
        source: source(&jail.source, cluster, notes),
        enforce: enforce(jail.enforce.as_ref(), cluster, notes),
        bans_per_minute: jail.brake.clone().unwrap_or_default().bans_per_minute,
        ban_private: jail.ban_private.unwrap_or(!cluster),
        adds_up: cluster && jail.count == api::Count::Cluster,
    }
}

fn sentence(jail: &api::JailSpec, notes: &mut Notes<'_>) -> SentenceSpec {
    let ban_time = match jail.ban_time {
        api::BanTime::For(span) => {
            if span.0 < Duration::from_secs(1) {
                notes.error(
                    "spec.banTime",
                    format!("`banTime` cannot be `{span}`"),
                    "write at least `1s`, or `Permanent`",
                );
            }
            Some(span.0)
        }
        api::BanTime::Permanent => None,
    };
    let Some(escalation) = &jail.escalation else {
        return SentenceSpec {
            ban_time,
            factor: 1.0,
            max_ban_time: ban_time.unwrap_or(YEAR * 10),
            jitter: Duration::ZERO,
            forget_after: Duration::from_secs(720 * 3600),
        };
    };
    let max = escalation.max_ban_time.0;
    match ban_time {
        None => notes.warning(
            "spec.escalation",
            "`escalation` does nothing: the first ban is permanent already",
            "remove it, or write a duration for `banTime`",
        ),
        Some(first) if max < first => notes.error(
            "spec.escalation.maxBanTime",
            format!(
                "`maxBanTime` ({}) is shorter than `banTime` ({})",
                escalation.max_ban_time, jail.ban_time
            ),
            format!("write at least `{}`", jail.ban_time),
        ),
        Some(_) => {}
    }
    if escalation.forget_after.0 < Duration::from_secs(1) {
        notes.error(
            "spec.escalation.forgetAfter",
            format!("`forgetAfter` cannot be `{}`", escalation.forget_after),
            "write a duration such as `720h`",
        );
    }
    SentenceSpec {
        ban_time,
        factor: escalation.factor,
        max_ban_time: max,
        jitter: escalation.jitter.0,
        forget_after: escalation.forget_after.0,
    }
}

fn ignore(jail: &api::JailSpec, notes: &mut Notes<'_>) -> Vec<IpNet> {
    let list = jail.ignore.iter().flatten().enumerate();
    list.filter_map(|(i, text)| {
        let field = format!("spec.ignore[{i}]");
        let net = prefix::read(text, &field, notes)?;
        if net.prefix_len() == 0 {
            notes.error(
                &field,
                format!("`{}` ignores everybody: the jail would never ban", text.as_str()),
                "write a smaller prefix; to switch the jail off write `mode: Disabled`",
            );
        }
        Some(net)
    })
    .collect()
}

/// Records of the journal have no layout; for files it is found out when none is declared.
fn source_layout(source: &api::Source, notes: &mut Notes<'_>) -> LayoutSpec {
    match (&source.layout, &source.journal) {
        (None, Some(_)) => LayoutSpec::Text,
        (declared, _) => layout(declared.as_ref(), "spec.source.layout", notes),
    }
}

/// A layout of a source or an example, checked.
pub(super) fn layout(layout: Option<&api::Layout>, field: &str, notes: &mut Notes<'_>) -> LayoutSpec {
    let Some(layout) = layout else { return LayoutSpec::Auto };
    let spec = match (layout.type_, &layout.pattern) {
        (api::LayoutType::Pattern, Some(pattern)) => LayoutSpec::Pattern(pattern.as_str().into()),
        (api::LayoutType::Pattern, None) => {
            notes.error(
                field,
                "layout `Pattern` needs the `pattern`",
                "add `pattern:` with the conversion pattern from logback.xml or log4j2.xml, in single quotes",
            );
            return LayoutSpec::Auto;
        }
        (_, Some(_)) => {
            notes.error(
                &format!("{field}.pattern"),
                "`pattern` is read only with `type: Pattern`",
                "write `type: Pattern`, or remove `pattern`",
            );
            return LayoutSpec::Auto;
        }
        (kind, None) => plain_layout(kind),
    };
    if spec != LayoutSpec::Auto
        && let Err((message, fix)) = compile::layout(&spec)
    {
        notes.error(&format!("{field}.pattern"), message, fix);
    }
    if let LayoutSpec::Pattern(pattern) = &spec
        && field.starts_with("spec.source")
        && prints_whole_context(pattern)
    {
        notes.warning(
            &format!("{field}.pattern"),
            "`%X` prints the whole context in one piece: what stands behind a client's own text (its greeting, its \
             names) could be forged and is not believed",
            "name the keys: `ip=%X{ip} rip=%X{remoteIP} src=%X{proxy.source} sid=%X{sessionId}`",
        );
    }
    spec
}

/// Whether a conversion pattern holds `%X`, `%mdc` or `%MDC` without a key.
pub(super) fn prints_whole_context(pattern: &str) -> bool {
    ["%X", "%mdc", "%MDC"].iter().any(|word| {
        let mut pieces = pattern.split(word);
        let _before = pieces.next();
        pieces.any(|after| !after.starts_with('{') && !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

/// The engine's name of a layout without a pattern.
pub(super) fn plain_layout(kind: api::LayoutType) -> LayoutSpec {
    match kind {
        api::LayoutType::Auto | api::LayoutType::Pattern => LayoutSpec::Auto,
        api::LayoutType::JamesDefault => LayoutSpec::JamesDefault,
        api::LayoutType::JsonEncoder => LayoutSpec::JsonEncoder,
        api::LayoutType::JsonLayout => LayoutSpec::JsonLayout,
        api::LayoutType::Logstash => LayoutSpec::Logstash,
        api::LayoutType::Text => LayoutSpec::Text,
    }
}

fn source(source: &api::Source, cluster: bool, notes: &mut Notes<'_>) -> Source {
    let given = [
        ("pods", source.pods.is_some()),
        ("files", source.files.is_some()),
        ("journal", source.journal.is_some()),
    ];
    let given: Vec<&str> = given.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
    let (wanted, example) = if cluster {
        ("`pods`", "`pods: {selector: {matchLabels: {app: james}}}`")
    } else {
        ("`files` or `journal`", "`files: [/opt/james/log/james.log]` or `journal: {units: [ssh.service]}`")
    };
    match given.as_slice() {
        [] => notes.error("spec.source", "the jail has no log to read", format!("add {example}")),
        ["pods"] if !cluster => notes.error(
            "spec.source.pods",
            "`pods` can be read only in Kubernetes; this is a plain host",
            format!("write {example} in its place"),
        ),
        ["pods"] => {}
        [one] if cluster => notes.error(
            &format!("spec.source.{one}"),
            format!("`{one}` can be read only on a plain host; this is Kubernetes"),
            format!("write {example} in its place"),
        ),
        [_] => {}
        [_, second, ..] => notes.error(
            &format!("spec.source.{second}"),
            format!("a jail reads one kind of source, but has {}", given.len()),
            format!("keep one; for both make two jails (a plain host reads {wanted})"),
        ),
    }
    if let Some(pods) = &source.pods {
        return Source::Pods {
            selector: selector(&pods.selector, notes),
            containers: pods.containers.clone().unwrap_or_default(),
        };
    }
    if let Some(journal) = &source.journal {
        return Source::Journal(units(&journal.units, notes));
    }
    Source::Files(files(source.files.as_deref().unwrap_or_default(), notes))
}

fn files(files: &[String], notes: &mut Notes<'_>) -> Vec<PathBuf> {
    for (i, file) in files.iter().enumerate() {
        let field = format!("spec.source.files[{i}]");
        if !file.starts_with('/') {
            notes.error(
                &field,
                format!("`{file}` is not an absolute path"),
                "write the path from the root, e.g. `/opt/james/log/james.log`",
            );
        } else if let Err(error) = glob::Pattern::new(file) {
            notes.error(
                &field,
                format!("`{file}` is not a file pattern: {}", error.msg),
                "for a plain `[` write `[[]`",
            );
        }
    }
    files.iter().map(PathBuf::from).collect()
}

fn units(units: &[String], notes: &mut Notes<'_>) -> Vec<String> {
    let known = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@*?[]".contains(c);
    for (i, unit) in units.iter().enumerate() {
        if !unit.chars().all(known) || unit.starts_with('-') {
            notes.error(
                &format!("spec.source.journal.units[{i}]"),
                format!("`{unit}` is not the name of a unit"),
                "write a name such as `ssh.service`; `systemctl list-units` shows them",
            );
        }
    }
    units.to_vec()
}

/// The declared selector, checked.
fn selector(declared: &api::LabelSelector, notes: &mut Notes<'_>) -> PodSelector {
    const FIELD: &str = "spec.source.pods.selector";
    let fix = "a key is like `app.kubernetes.io/name`, a value like `james`: letters, digits, `-`, `_`, `.`";
    let mut requirements = Vec::new();
    for (key, value) in declared.match_labels.iter().flatten() {
        if !is_key(key) || !is_value(value) {
            notes.error(&format!("{FIELD}.matchLabels"), format!("no pod has a label `{key}: {value}`"), fix);
        }
        requirements.push(Requirement::Is(key.clone(), value.clone()));
    }
    for (i, requirement) in declared.match_expressions.iter().flatten().enumerate() {
        let field = format!("{FIELD}.matchExpressions[{i}]");
        let key = requirement.key.clone();
        let values = requirement.values.clone().unwrap_or_default();
        let needs_values = matches!(requirement.operator, api::Operator::In | api::Operator::NotIn);
        if needs_values == values.is_empty() {
            notes.error(
                &field,
                "`values` belongs to `In` and `NotIn`, and only there",
                "add `values`, or remove it",
            );
        }
        if !is_key(&key) || !values.iter().all(|value| is_value(value)) {
            notes.error(&field, format!("no pod has a label `{key}` like this"), fix);
        }
        requirements.push(match requirement.operator {
            api::Operator::In => Requirement::In(key, values),
            api::Operator::NotIn => Requirement::NotIn(key, values),
            api::Operator::Exists => Requirement::Exists(key),
            api::Operator::DoesNotExist => Requirement::DoesNotExist(key),
        });
    }
    if requirements.is_empty() {
        notes.error(
            FIELD,
            "the selector is empty: every pod of the namespace would be read",
            "write labels, e.g. `matchLabels: {app: james}`",
        );
    }
    PodSelector(requirements)
}

fn enforce(enforce: Option<&api::Enforce>, cluster: bool, notes: &mut Notes<'_>) -> Enforce {
    let enforce = enforce.cloned().unwrap_or_default();
    let mut ports = enforce.ports.unwrap_or_default();
    let services: Vec<String> =
        enforce.services.unwrap_or_default().into_iter().map(|name| name.as_str().to_owned()).collect();
    let all_ports = enforce.all_ports;
    if all_ports == Some(true) && !(ports.is_empty() && services.is_empty()) {
        notes.error(
            "spec.enforce.allPorts",
            "`allPorts` closes everything already; `ports` beside it would mean nothing",
            "keep `allPorts: true` or `ports`, not both",
        );
    }
    if !services.is_empty() && !cluster {
        notes.error(
            "spec.enforce.services",
            "`services` exist only in Kubernetes; this is a plain host",
            "write `ports: [25, 465, 587]` in its place",
        );
    }
    if all_ports == Some(false) && ports.is_empty() && services.is_empty() && !cluster {
        notes.error(
            "spec.enforce",
            "a ban would close nothing: `allPorts` is false and there are no `ports`",
            "add `ports`, or remove `allPorts: false`",
        );
    }
    let written = ports.len();
    ports.sort_unstable();
    ports.dedup();
    if ports.len() < written {
        notes.warning("spec.enforce.ports", "a port stands here twice", "remove one");
    }
    // On a plain host there are no Services to ask: a jail that names no ports closes everything.
    let everything = all_ports.unwrap_or(!cluster && ports.is_empty());
    Enforce {
        ports,
        services,
        all_ports: everything,
        action: match enforce.action {
            api::EnforceAction::Drop => Action::Drop,
            api::EnforceAction::Reject => Action::Reject,
        },
    }
}
