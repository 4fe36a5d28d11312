//! The envelope of a manifest: which object it is, before anybody looks into its `spec`.

use crate::api::v1alpha1::{
    API_VERSION, AllowListSpec, BanListSpec, FilterSpec, GROUP, JailSpec, Kind, Name, PardonSpec,
    RateLimitSpec, explain,
};

use super::node::{Node, NodeValue};
use super::origin::{Notes, Origin};
use super::suggest::{closest, listed};
use super::{ObjectName, Problem, Severity, shape};

/// What a manifest declares.
#[derive(Clone, Debug)]
pub(super) enum Declared {
    Filter(FilterSpec),
    Jail(Box<JailSpec>),
    RateLimit(RateLimitSpec),
    BanList(BanListSpec),
    AllowList(AllowListSpec),
    Pardon(PardonSpec),
}

/// What a node turned out to be.
pub(super) enum Identified {
    /// One of our kinds.
    Ours { kind: Kind, name: ObjectName, namespace: Option<String> },
    /// Somebody else's object, with a warning.
    Foreign(Problem),
    /// An object that cannot be told from others.
    Unknown(Problem),
}

/// Kinds that machines write; a person who writes one is told so.
const MACHINE_KINDS: [&str; 4] = ["BanSlice", "SightingList", "House", "NodeAgent"];

/// Tells which object a document is. `cluster`: names of namespaced kinds begin with their namespace.
pub(super) fn identify(node: &Node, origin: &Origin, cluster: bool) -> Identified {
    let problem = |field: &str, message: String, fix: String| {
        let mut problem = origin.problem(Severity::Error, node.place(field), &message, &fix);
        problem.field = field.into();
        problem
    };
    if !matches!(node.value, NodeValue::Map(_)) {
        return Identified::Unknown(problem(
            "",
            format!("a manifest is a mapping, but this is {}", node.what()),
            format!("begin with `apiVersion: {API_VERSION}` and `kind: Jail`, each on its own line"),
        ));
    }
    let kinds = || Kind::ALL.map(Kind::as_str);
    let other = |field: &str, otherwise: String| {
        let other = node.get(field).filter(|n| n.value != NodeValue::Null && node.text(field).is_none())?;
        let (message, fix) = not_text(field, other, &otherwise);
        Some(Identified::Unknown(problem(field, message, fix)))
    };
    let written = node.text("kind").unwrap_or_default();
    let version = node.text("apiVersion").unwrap_or_default();
    let group = version.split('/').next().unwrap_or_default();
    let ours = group == GROUP || closest(group, [GROUP]).is_some();
    if !version.is_empty() && !ours && Kind::from_name(written).is_none() {
        let message = format!("`{version}` `{written}` is not ours and is ignored");
        let mut warning = problem("kind", message, String::new());
        warning.severity = Severity::Warning;
        return Identified::Foreign(warning);
    }
    if version != API_VERSION {
        if let Some(other) = other("apiVersion", format!("write `apiVersion: {API_VERSION}`")) {
            return other;
        }
        let message = if version.is_empty() {
            "`apiVersion` is missing".into()
        } else {
            format!("`apiVersion` cannot be `{version}`")
        };
        return Identified::Unknown(problem(
            "apiVersion",
            message,
            format!("write `apiVersion: {API_VERSION}`"),
        ));
    }
    let Some(kind) = Kind::from_name(written) else {
        let inside = node.get("kind").and_then(Node::only_scalar);
        if let Some(inside) = inside.filter(|inside| Kind::from_name(inside).is_none())
            && node.text("kind").is_none()
            && let Some(field) = node.get("kind")
        {
            let fix = match closest(&inside, kinds()) {
                Some(kind) => format!("write `kind: {kind}`"),
                None => format!("write `kind:` and one of {}", listed(kinds())),
            };
            let message = format!("`kind` must be text, but is {}", field.what());
            return Identified::Unknown(problem("kind", message, fix));
        }
        if let Some(other) = other("kind", format!("write `kind:` and one of {}", listed(kinds()))) {
            return other;
        }
        let (message, fix) = if written.is_empty() {
            ("`kind` is missing".into(), format!("write `kind:` and one of {}", listed(kinds())))
        } else if MACHINE_KINDS.contains(&written) {
            (format!("a `{written}` is written by Gaoler itself, not by people"), "remove it".into())
        } else {
            let fix = match closest(written, kinds()) {
                Some(kind) => format!("write `{kind}`"),
                None => format!("the kinds are {}", listed(kinds())),
            };
            (format!("there is no kind `{written}`"), fix)
        };
        return Identified::Unknown(problem("kind", message, fix));
    };
    let metadata = node.get("metadata");
    let Some(name) = metadata.and_then(|m| m.text("name")) else {
        let other = metadata.and_then(|m| m.get("name")).filter(|n| n.value != NodeValue::Null);
        let (message, fix) = match other {
            Some(name) => not_text("metadata.name", name, "write a name such as `name: james`"),
            None => match metadata.and_then(misspelt_name) {
                Some((key, value)) => (
                    format!("`metadata.name` is missing, but there is `{key}`"),
                    format!("write `name: {}`", value.unwrap_or_else(|| "...".into())),
                ),
                None => ("`metadata.name` is missing".into(), "write `metadata: {name: ...}`".to_owned()),
            },
        };
        let mut problem = problem("metadata.name", message, fix);
        problem.object = Some(ObjectName { kind: kind.as_str(), name: "(without a name)".into() });
        return Identified::Unknown(problem);
    };
    let namespace = metadata.and_then(|m| m.text("namespace")).map(str::to_owned);
    let full = match (&namespace, cluster && kind.is_namespaced()) {
        (Some(namespace), true) => format!("{namespace}/{name}"),
        _ => name.to_owned(),
    };
    Identified::Ours { kind, name: ObjectName { kind: kind.as_str(), name: full }, namespace }
}

/// What somebody wrote in place of `name`, and its value.
fn misspelt_name(metadata: &Node) -> Option<(&str, Option<String>)> {
    let NodeValue::Map(entries) = &metadata.value else { return None };
    let near = |key: &str| key.eq_ignore_ascii_case("name") || closest(key, METADATA) == Some("name");
    let unknown = entries.iter().filter(|(key, _)| !METADATA.contains(&key.name.as_str()));
    let (key, value) = unknown.into_iter().find(|(key, _)| near(&key.name))?;
    Some((&key.name, value.scalar()))
}

/// Labels and annotations are texts by name; an API server refuses all else.
fn texts(metadata: &Node, name: &str, notes: &mut Notes<'_>) {
    let Some(node) = metadata.get(name).filter(|node| node.value != NodeValue::Null) else { return };
    let field = format!("metadata.{name}");
    let NodeValue::Map(entries) = &node.value else {
        let message = format!("`{field}` must be a mapping, but is {}", node.what());
        return notes.error(&field, message, format!("write `{name}: {{key: value}}`, or remove it"));
    };
    for (key, value) in entries.iter().filter(|(_, value)| !matches!(value.value, NodeValue::Text(_))) {
        if value.value == NodeValue::Null {
            continue;
        }
        let field = format!("{field}.{}", key.name);
        let message = format!("`{field}` must be text, but is {}", value.what());
        let fix = match value.scalar() {
            Some(written) => format!("put it into quotes: `{}: '{written}'`", key.name),
            None => format!("write `{}: value`", key.name),
        };
        notes.error_at(key.at, &field, message, fix);
    }
}

/// What is said of a field that holds something else than text, and what to write; `otherwise` where what is meant cannot
/// be told.
fn not_text(field: &str, node: &Node, otherwise: &str) -> (String, String) {
    let last = field.rsplit('.').next().unwrap_or(field);
    let fix = match (node.scalar(), node.only_scalar()) {
        (Some(written), _) => format!("put it into quotes: `{last}: '{written}'`"),
        // Alone it would be no text either.
        (None, Some(inside)) if inside.parse::<f64>().is_ok() || matches!(&*inside, "true" | "false") => {
            format!("write `{last}: '{inside}'`")
        }
        (None, Some(inside)) => format!("write `{last}: {inside}`"),
        (None, None) => otherwise.to_owned(),
    };
    (format!("`{field}` must be text, but is {}", node.what()), fix)
}

/// Fields that API servers put into `metadata`; ignored, so that `kubectl get -o yaml` can be saved as a file.
const METADATA: [&str; 14] = [
    "name",
    "generateName",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

/// Checks envelope and `spec` against the schema and decodes. `None` when something is wrong; the notes say what.
pub(super) fn decode(
    kind: Kind,
    schema: &serde_json::Value,
    node: &Node,
    notes: &mut Notes<'_>,
) -> Option<Declared> {
    if let Some(name) = node.get("metadata").and_then(|m| m.text("name"))
        && let Err(fault) = explain(Name::PATTERN, name)
    {
        notes.error("metadata.name", fault.message, fault.fix);
    }
    fields(node, "", &["apiVersion", "kind", "metadata", "spec", "status"], notes);
    if let Some(metadata) = node.get("metadata") {
        fields(metadata, "metadata", &METADATA, notes);
        for name in ["labels", "annotations"] {
            texts(metadata, name, notes);
        }
    }
    let Some(spec) = node.get("spec") else {
        notes.error("spec", "`spec` is missing", "add `spec:` and the fields below it, indented");
        return None;
    };
    shape::check(schema, spec, "spec", notes);
    if notes.has_errors() {
        return None;
    }
    let json = spec.to_json();
    let decoded = match kind {
        Kind::Filter => serde_json::from_value(json).map(Declared::Filter),
        Kind::Jail => serde_json::from_value(json).map(|jail| Declared::Jail(Box::new(jail))),
        Kind::RateLimit => serde_json::from_value(json).map(Declared::RateLimit),
        Kind::BanList => serde_json::from_value(json).map(Declared::BanList),
        Kind::AllowList => serde_json::from_value(json).map(Declared::AllowList),
        Kind::Pardon => serde_json::from_value(json).map(Declared::Pardon),
    };
    match decoded {
        Ok(declared) => Some(declared),
        Err(error) => {
            notes.error("spec", error.to_string(), "");
            None
        }
    }
}

fn fields(node: &Node, path: &str, known: &[&str], notes: &mut Notes<'_>) {
    let NodeValue::Map(entries) = &node.value else { return };
    for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.name.as_str())) {
        let field = if path.is_empty() { key.name.clone() } else { format!("{path}.{}", key.name) };
        let fix = match closest(&key.name, known.iter().copied()) {
            Some(name) => format!("write `{name}`"),
            None if path.is_empty() => "move it below `spec:`, indented, or remove it".into(),
            None => "remove it".into(),
        };
        notes.error_at(key.at, &field, format!("unknown field `{}`", key.name), fix);
    }
}
