//! Objects, from files or an API server, to one [`Loaded`] configuration. Reads nothing itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::api::v1alpha1::{JailMode, Kind, LimitMode};
use crate::engine::{FilterName, JailName};

use super::last_good::{Good, GoodObject};
use super::loaded::{Loaded, ObjectStatus};
use super::manifest::{Declared, Identified, decode, identify};
use super::node::{Node, Position};
use super::origin::{Notes, Origin};
use super::resolve::{Book, Found};
use super::{
    ObjectName, Problem, Severity, Surroundings, crowd, examples, filters, jails, lint, lists, memory,
    rate_limit,
};

/// One document and where it comes from.
#[derive(Clone, Debug)]
pub struct Object {
    /// Where it comes from.
    pub origin: Origin,
    /// What it says.
    pub node: Node,
}

impl Object {
    /// An object as an API server sends it.
    #[must_use]
    pub fn from_json(name: &str, value: Value) -> Self {
        let origin = Origin { file: Path::new(name).into(), text: "".into() };
        Self { origin, node: Node::from_json(value) }
    }
}

/// An identified object on its way.
struct Entry {
    object: Object,
    kind: Kind,
    name: ObjectName,
    namespace: Option<String>,
    declared: Option<Declared>,
    problems: Vec<Problem>,
    /// Its namespace has too many of its kind: nothing of it is in force, nor what it was before.
    left_out: bool,
}

impl Entry {
    fn notes(&self) -> Notes<'_> {
        Notes::new(&self.object.origin, &self.object.node, self.name.clone())
    }

    fn refused(&self) -> bool {
        self.problems.iter().any(|p| p.severity == Severity::Error)
    }
}

/// Makes a configuration out of objects. Each object is accepted or refused as a whole; a refused one goes on in its
/// last good state from `previous`. `damaged` are files of which something could not be read: what they declared
/// before goes on too.
#[must_use]
pub fn assemble(
    objects: Vec<Object>,
    damaged: &[Arc<Path>],
    previous: Option<&Loaded>,
    around: &Surroundings,
) -> Loaded {
    let mut loaded = Loaded::default();
    let mut damaged: HashSet<Arc<Path>> = damaged.iter().cloned().collect();
    let mut entries = identify_all(objects, around, &mut loaded, &mut damaged);
    if around.cluster {
        leave_out(&mut entries);
    }

    let mut book = Book::new(around);
    let mut good = BTreeMap::new();
    entries.sort_by_key(|entry| entry.kind != Kind::Filter);
    let (filter_entries, other_entries): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|e| e.kind == Kind::Filter);
    // What a broken or lost file declared before takes part in the search for filters.
    let lost = previous
        .map(|previous| lost(previous, &damaged, &filter_entries, &other_entries))
        .unwrap_or_default();
    for (name, object) in &lost {
        if let GoodObject::Filter { spec, .. } = &object.object {
            book.add(FilterName::new(&name.name), Found::Good(Arc::clone(spec)));
        }
    }
    for entry in other_entries.iter().filter(|entry| entry.kind == Kind::Jail) {
        let mode = match &entry.declared {
            Some(Declared::Jail(jail)) => Some(jail.mode),
            _ => None,
        };
        book.add_jail(&entry.name.name, mode == Some(JailMode::Disabled));
    }
    let (allow_entries, other_entries): (Vec<_>, Vec<_>) =
        other_entries.into_iter().partition(|e| e.kind == Kind::AllowList);
    let mut statuses = Vec::new();
    for entry in allow_entries {
        statuses.push(accept(entry, &book, previous, around, &mut good));
    }
    book.allow(good.values().chain(lost.iter().map(|(_, object)| object)).flat_map(
        |good| match &good.object {
            GoodObject::AllowList(entries) => &entries[..],
            _ => &[],
        },
    ));
    for entry in filter_entries {
        let status = accept(entry, &book, previous, around, &mut good);
        let name = FilterName::new(&status.name.name);
        match good.get(&status.name).map(|g: &Good| &g.object) {
            Some(GoodObject::Filter { spec, .. }) => book.add(name, Found::Good(Arc::clone(spec))),
            _ => book.add(name, Found::Refused),
        }
        statuses.push(status);
    }
    let limits = other_entries.iter().filter(|entry| entry.kind == Kind::RateLimit);
    let limits: Vec<memory::Declared> = limits
        .map(|entry| memory::Declared::new(&entry.name, &entry.notes(), &entry.object.origin))
        .collect();
    for entry in other_entries {
        statuses.push(accept(entry, &book, previous, around, &mut good));
    }
    let in_force = good.iter().filter_map(|(name, good)| match &good.object {
        GoodObject::RateLimit { config, mode } if *mode != LimitMode::Disabled => Some((name, &**config)),
        _ => None,
    });
    if let Some(problem) = memory::together(in_force, &limits)
        && let Some(status) = statuses.iter_mut().find(|status| problem.object.as_ref() == Some(&status.name))
    {
        status.problems.push(problem);
    }
    for (name, object) in lost {
        statuses.push(ObjectStatus {
            name: name.clone(),
            file: Arc::clone(&object.file),
            line: object.line,
            accepted: false,
            last_good: true,
            problems: Vec::new(),
        });
        good.insert(name, object);
    }
    statuses.sort_by(|a, b| a.name.cmp(&b.name).then(a.line.cmp(&b.line)));
    let missing = |status: &ObjectStatus| !status.accepted && !status.last_good;
    let refused = |kind: Kind| {
        let refused =
            statuses.iter().filter(move |status| status.name.kind == kind.as_str() && missing(status));
        refused.map(|status| status.name.name.as_str())
    };
    loaded.config.refused_jails = refused(Kind::Jail).map(JailName::new).collect();
    loaded.config.refused_lists = refused(Kind::AllowList).map(Into::into).collect();
    loaded.config.unread = !damaged.is_empty();
    loaded.objects = statuses;
    loaded.adopt(good, &book, around);
    loaded
}

fn identify_all(
    objects: Vec<Object>,
    around: &Surroundings,
    loaded: &mut Loaded,
    damaged: &mut HashSet<Arc<Path>>,
) -> Vec<Entry> {
    let mut schemas: HashMap<Kind, Value> = HashMap::new();
    let mut seen: HashMap<ObjectName, (Arc<Path>, Position)> = HashMap::new();
    let mut entries = Vec::new();
    for object in objects {
        let (kind, name, namespace) = match identify(&object.node, &object.origin, around.cluster) {
            Identified::Ours { kind, name, namespace } => (kind, name, namespace),
            Identified::Foreign(problem) => {
                loaded.problems.push(problem);
                continue;
            }
            Identified::Unknown(problem) => {
                loaded.problems.push(problem);
                damaged.insert(Arc::clone(&object.origin.file));
                continue;
            }
        };
        let schema = schemas.entry(kind).or_insert_with(|| kind.spec_schema().to_value());
        let mut notes = Notes::new(&object.origin, &object.node, name.clone());
        let declared = decode(kind, schema, &object.node, &mut notes);
        let at = object.node.place("metadata.name");
        match seen.get(&name) {
            None => {
                seen.insert(name.clone(), (Arc::clone(&object.origin.file), at));
            }
            Some((file, first)) => {
                let message =
                    format!("there are two of this name; the first is {}:{}", file.display(), first.line);
                notes.error("metadata.name", message, "give it another name, or remove one of the two");
            }
        }
        let problems = notes.finish();
        entries.push(Entry { object, kind, name, namespace, declared, problems, left_out: false });
    }
    entries
}

/// Refuses what is too many of one namespace.
fn leave_out(entries: &mut [Entry]) {
    let each = |entry: &'_ Entry| (entry.kind, entry.namespace.clone(), entry.name.clone());
    let all: Vec<_> = entries.iter().map(each).collect();
    let beyond = crowd::beyond(all.iter().map(|(kind, namespace, name)| (*kind, namespace.as_deref(), name)));
    if beyond.is_empty() {
        return;
    }
    for entry in entries {
        let Some(there) = beyond.get(&entry.name) else { continue };
        let mut notes = entry.notes();
        let (kind, most) = (entry.name.kind, crowd::MOST);
        let message =
            format!("the namespace has {there} {kind}s, and only the first {most} by name are in force");
        notes.error("metadata.namespace", message, "remove some");
        let problems = notes.finish();
        entry.problems = problems;
        entry.left_out = true;
    }
}

/// What was good before in files that are damaged now, and is not declared anywhere else.
fn lost(
    previous: &Loaded,
    damaged: &HashSet<Arc<Path>>,
    filters: &[Entry],
    others: &[Entry],
) -> Vec<(ObjectName, Good)> {
    let declared: HashSet<&ObjectName> = filters.iter().chain(others).map(|entry| &entry.name).collect();
    let is_damaged = |file: &Path| damaged.iter().any(|d| file == &**d || file.starts_with(d));
    let good = previous.good.iter();
    good.filter(|(name, good)| is_damaged(&good.file) && !declared.contains(name))
        .map(|(name, good)| (name.clone(), good.clone()))
        .collect()
}

/// Lowers one object. What is good of it (now, or before) goes into `good`.
fn accept(
    mut entry: Entry,
    book: &Book<'_>,
    previous: Option<&Loaded>,
    around: &Surroundings,
    good: &mut BTreeMap<ObjectName, Good>,
) -> ObjectStatus {
    let at = entry.object.node.place("metadata.name");
    let before = previous.and_then(|previous| previous.good.get(&entry.name)).filter(|_| !entry.left_out);
    let duplicate = good.contains_key(&entry.name);
    let mut made = None;
    if !entry.refused()
        && let Some(declared) = entry.declared.take()
    {
        let mut notes = entry.notes();
        made = lower(&entry, declared, before, book, around, &mut notes);
        let problems = notes.finish();
        entry.problems.extend(problems);
    }
    let accepted = !entry.refused() && made.is_some();
    let mut last_good = false;
    if let (true, Some(object)) = (accepted, made) {
        let file = Arc::clone(&entry.object.origin.file);
        good.insert(entry.name.clone(), Good { file, line: at.line, object });
    } else if let (false, Some(before)) = (duplicate, before) {
        last_good = true;
        good.insert(entry.name.clone(), before.clone());
    }
    ObjectStatus {
        name: entry.name,
        file: entry.object.origin.file,
        line: at.line,
        accepted,
        last_good,
        problems: entry.problems,
    }
}

fn lower(
    entry: &Entry,
    declared: Declared,
    before: Option<&Good>,
    book: &Book<'_>,
    around: &Surroundings,
    notes: &mut Notes<'_>,
) -> Option<GoodObject> {
    let name = entry.name.name.as_str();
    match declared {
        Declared::Filter(filter) => {
            // The same declaration as before needs no second proof.
            if let Some(GoodObject::Filter { declared, spec }) = before.map(|good| &good.object)
                && **declared == filter
            {
                return Some(GoodObject::Filter { declared: Arc::clone(declared), spec: Arc::clone(spec) });
            }
            let (spec, compiled) = filters::lower(name.into(), &filter, notes)?;
            let compiled = Arc::new(compiled);
            let mut scanners = examples::Scanners::new(&compiled);
            examples::run(&mut scanners, filter.examples.as_deref().unwrap_or_default(), notes);
            if around.lint && !notes.has_errors() {
                lint::run(&mut scanners, &compiled, filter.examples.as_deref().unwrap_or_default(), notes);
            }
            Some(GoodObject::Filter { declared: Arc::new(filter), spec: Arc::new(spec) })
        }
        Declared::Jail(jail) => {
            let namespace = entry.namespace.as_deref().filter(|_| around.cluster);
            let found = book.filters_of(&jail.filters, namespace, notes);
            let config = jails::lower(name.into(), &jail, found, around.cluster, notes);
            Some(GoodObject::Jail { config: Arc::new(config), mode: jail.mode, filters: jail.filters })
        }
        Declared::RateLimit(limit) => {
            let config = rate_limit::lower(name, &limit, book, around.cluster, notes);
            Some(GoodObject::RateLimit { config: Arc::new(config), mode: limit.mode })
        }
        Declared::BanList(list) => {
            let written = lists::written(&entry.object.node).filter(|_| around.cluster);
            Some(GoodObject::BanList(lists::bans(name, &list, written, book, notes).into()))
        }
        Declared::AllowList(list) => Some(GoodObject::AllowList(lists::allowed(name, &list, notes).into())),
        Declared::Pardon(pardon) => {
            lists::pardon(&pardon, around.cluster, notes);
            Some(GoodObject::Checked)
        }
    }
}
