//! Who may import whom (DESIGN §3), read from the sources themselves.
//!
//! Every `crate::…` and `super::…` path under `src/` is resolved to the layer it names. What a layer may name
//! stands in [`TABLE`]; everything else is a violation. Tests inside a layer obey the same table.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

mod layers {
    pub(crate) mod paths;
}
use layers::paths::{CratePath, crate_paths};

/// What a layer may name of another.
#[derive(Clone, Copy)]
enum May {
    /// Anything public.
    All,
    /// Only the types at the layer's root: `crate::engine::Timestamp`, never `crate::engine::scanner`.
    Types,
    /// Those types, and these modules.
    TypesAnd(&'static [&'static str]),
    /// Only these names at the layer's root.
    Only(&'static [&'static str]),
}
use May::{All, Only, Types, TypesAnd};

/// Layer, and what it may import. A layer always may import itself.
const TABLE: &[(&str, &[(&str, May)])] = &[
    ("engine", &[]),
    ("api", &[]),
    ("config", &[("engine", All), ("api", All), ("firewall", Only(&["Action"]))]),
    // `layout` tells a line's time of day: where the last day of a log without dates begins.
    ("logs", &[("engine", TypesAnd(&["layout"]))]),
    // `words` is how counting windows and bans are written into one snapshot.
    ("bans", &[("engine", TypesAnd(&["words"]))]),
    ("firewall", &[("bans", Types), ("engine", Types)]),
    ("telemetry", &[]),
    ("agent", AGENT),
    ("metrics", &[("agent", All), ("engine", Types)]),
    ("http", &[("agent", All), ("metrics", All)]),
    ("service", &[("agent", All), ("http", All), ("metrics", All)]),
    ("standalone", ABOVE_AGENT),
    ("kubernetes", ABOVE_AGENT),
    ("cli", CLI),
    ("lib", &[]),
    ("main", &[("cli", All), ("telemetry", All)]),
];
const AGENT: &[(&str, May)] =
    &[("engine", All), ("api", All), ("config", All), ("logs", All), ("bans", All), ("firewall", All)];
const ABOVE_AGENT: &[(&str, May)] = &[
    ("engine", All),
    ("api", All),
    ("config", All),
    ("logs", All),
    ("bans", All),
    ("firewall", All),
    ("metrics", All),
    ("agent", All),
    ("http", All),
    ("service", All),
    ("telemetry", All),
];
const CLI: &[(&str, May)] = &[
    ("engine", All),
    ("api", All),
    ("config", All),
    ("logs", All),
    ("bans", All),
    ("firewall", All),
    ("metrics", All),
    ("agent", All),
    ("http", All),
    ("telemetry", All),
    ("standalone", All),
    ("kubernetes", All),
];

/// One path that the table does not allow.
struct Violation {
    file: PathBuf,
    line: usize,
    layer: String,
    path: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, layer, path } = self;
        write!(f, "{}:{line}: {layer} may not name {path}", file.display())
    }
}

/// The module path of a source file: `src/engine/time.rs` is `[engine, time]`, `src/lib.rs` is empty.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") || parts == ["lib"] || parts == ["main"] {
        parts.pop();
    }
    parts
}

fn allowed(layer: &str, path: &[String]) -> bool {
    let Some(target) = path.first() else { return true };
    if target == layer {
        return true;
    }
    let Some((_, table)) = TABLE.iter().find(|(name, _)| *name == layer) else { return false };
    match table.iter().find(|(name, _)| name == target) {
        None => false,
        Some((_, All)) => true,
        Some((_, Types)) => is_type(path.get(1)),
        Some((_, TypesAnd(modules))) => {
            is_type(path.get(1)) || path.get(1).is_some_and(|name| modules.contains(&name.as_str()))
        }
        Some((_, Only(names))) => path.get(1).is_some_and(|name| names.contains(&name.as_str())),
    }
}

fn is_type(name: Option<&String>) -> bool {
    name.is_some_and(|name| name.starts_with(char::is_uppercase))
}

fn violations(file: &Path, source: &str) -> Vec<Violation> {
    let module = module_of(file);
    // The root files have no layer of their own: their names stand in the table.
    let layer = module
        .first()
        .cloned()
        .unwrap_or_else(|| file.file_stem().expect("a source file has a name").to_string_lossy().into());
    let known: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    crate_paths(source, &module)
        .into_iter()
        // A path whose first part is no layer names a macro or an item of the crate's root.
        .filter(|CratePath { path, .. }| path.first().is_some_and(|first| known.contains(&first.as_str())))
        .filter(|CratePath { path, .. }| !allowed(&layer, path))
        .map(|CratePath { line, path }| Violation {
            file: file.to_owned(),
            line,
            layer: layer.clone(),
            path: path.join("::"),
        })
        .collect()
}

fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, root: &Path, into: &mut BTreeMap<PathBuf, String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                into.insert(path.strip_prefix(root).unwrap().to_owned(), text);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeMap::new();
    walk(&root, &root, &mut found);
    found
}

#[test]
fn layers_import_only_what_the_table_allows() {
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|(file, text)| violations(file, text))
        .map(|violation| violation.to_string())
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn every_layer_stands_in_the_table() {
    let known: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    for file in sources().keys() {
        let layer = file.iter().next().unwrap().to_string_lossy().replace(".rs", "");
        assert!(known.contains(&layer.as_str()), "src/{} belongs to no layer of the table", file.display());
    }
}

#[test]
fn the_sources_are_really_read() {
    let paths: usize = sources().iter().map(|(file, text)| crate_paths(text, &module_of(file)).len()).sum();
    assert!(paths > 20, "only {paths} paths found under src/");
}

/// What each of these says must be found; otherwise the test above would pass on anything.
#[test]
fn a_forbidden_import_is_caught_however_it_is_written() {
    for (file, source) in [
        ("engine/window.rs", "use crate::config::Config;"),
        ("engine/window.rs", "use super::super::logs::Files;"),
        ("engine/window.rs", "fn f() { let x = crate::bans::Ledger::new(); }"),
        ("engine/mod.rs", "use super::agent;"),
        ("engine/mod.rs", "mod tests { use super::super::agent::Agent; }"),
        ("engine/window.rs", "use crate::{engine::Match, firewall::Change};"),
        ("engine/window.rs", "use crate::{\n    bans::{self, Ban},\n};"),
        ("engine/window.rs", "impl Trait for pub_in::X where T: crate::api::v1alpha1::Jail {}"),
        ("config/load.rs", "use crate::firewall::{Action, Change};"),
        ("config/load.rs", "use crate::firewall;"),
        ("logs/files.rs", "use crate::engine::scanner::Scanner;"),
        ("logs/files.rs", "use crate::engine::{Timestamp, jail::Jail};"),
        ("logs/files.rs", "use crate::engine::*;"),
        ("bans/ledger.rs", "use crate::engine as e;"),
        ("firewall/nft.rs", "use crate::config::Config;"),
        ("standalone/run.rs", "use crate::kubernetes::Watch;"),
        ("kubernetes/watch.rs", "use crate::standalone::socket;"),
        ("agent.rs", "use crate::standalone::socket;"),
        ("agent/detector.rs", "use crate::cli;"),
        ("agent/mod.rs", "use crate::http::Http;"),
        ("http.rs", "use crate::standalone::client::Client;"),
        ("bans/ledger.rs", "use crate::engine::{words::Words, jail::Jail};"),
        ("new_layer/mod.rs", "use crate::engine::Match;"),
        ("engine/a.rs", "#[doc = \"x\"] use /* why */ crate :: config :: Config;"),
        ("engine/a.rs", "fn a() { let c = '\"'; } use crate::config::X; // \""),
        ("engine/a.rs", "fn a<'a>(x: &'a str) { b(r#\"\"\"#) } use crate::config::X;"),
    ] {
        let found = violations(Path::new(file), source);
        assert!(!found.is_empty(), "not caught in {file}: {source}");
    }
}

#[test]
fn an_allowed_import_is_not_a_violation() {
    for (file, source) in [
        (
            "engine/window.rs",
            "use super::{Match, time::Timestamp};\nmod tests { use super::*; use crate::engine::x; }",
        ),
        (
            "engine/window.rs",
            "// use crate::config::Config;\n/* crate::bans::X /* nested */ crate::api::Y */",
        ),
        (
            "engine/window.rs",
            "const X: &str = \"use crate::config::Config;\"; const Y: &str = r#\"crate::bans\"#;",
        ),
        ("engine/window.rs", "pub(in crate::engine) fn f() {} pub(crate) fn g() {}"),
        (
            "config/load.rs",
            "use crate::firewall::Action;\nuse crate::{api::v1alpha1 as api, engine::filter};",
        ),
        ("logs/files.rs", "use crate::engine::{Timestamp, Duration};"),
        ("firewall/plan.rs", "use crate::bans::Ban;\nuse crate::engine::Subject;"),
        ("bans/snapshot.rs", "use crate::engine::{Subject, words::{Words, WordsError}};"),
        ("http.rs", "use crate::agent::Agent;"),
        ("cli/status.rs", "use crate::{standalone, kubernetes::client, agent};"),
        ("main.rs", "use gaoler::cli;"),
    ] {
        let found: Vec<String> =
            violations(Path::new(file), source).iter().map(ToString::to_string).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}
