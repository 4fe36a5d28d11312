//! Filters that come with Gaoler. A declared Filter of the same name takes the place of a built-in one.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::engine::{FilterName, FilterSpec};

use super::manifest::{Declared, Identified, decode, identify};
use super::origin::{Notes, Origin};
use super::{FilterLibrary, filters, yaml};
use crate::api::v1alpha1::{FilterSpec as DeclaredFilter, Kind};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// File name and text of every built-in filter. A test holds it against the directory.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../filters/", $name)))),*];
    };
}

files![
    "james-imap-auth.yaml",
    "james-jmap.yaml",
    "james-log4j2.yaml",
    "james-pop3-auth.yaml",
    "james-smtp-abuse.yaml",
    "james-smtp-auth.yaml",
    "james-smtp-recipient.yaml",
    "james-smtp-relay.yaml",
    "james-webadmin.yaml",
    "sshd.yaml",
];

/// One built-in filter.
#[derive(Clone, Debug)]
pub struct BuiltIn {
    /// As declared, with description and examples.
    pub declared: DeclaredFilter,
    /// As the engine takes it.
    pub spec: Arc<FilterSpec>,
    /// The manifest's text.
    pub manifest: &'static str,
}

/// All built-in filters by name. Each is read when it is first asked for: a host that uses two of them neither
/// waits for the others nor keeps them in memory.
#[derive(Debug)]
pub struct Library(Vec<Entry>);

/// A file, and the filter in it once somebody asked.
#[derive(Debug)]
struct Entry {
    name: FilterName,
    file: &'static str,
    text: &'static str,
    read: OnceLock<Option<BuiltIn>>,
}

impl Entry {
    fn filter(&self) -> Option<&BuiltIn> {
        self.read.get_or_init(|| read(self.file, self.text, &self.name)).as_ref()
    }
}

/// The built-in filters.
pub fn built_in() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let entries = FILES.iter().map(|&(file, text)| {
            let name = FilterName::new(file.strip_suffix(".yaml").unwrap_or(file));
            Entry { name, file, text, read: OnceLock::new() }
        });
        Library(entries.collect())
    })
}

/// `None` when the file is refused, or its filter has another name than the file; a test sees to it that neither is so.
fn read(file: &str, text: &'static str, expected: &FilterName) -> Option<BuiltIn> {
    static SCHEMA: OnceLock<serde_json::Value> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| Kind::Filter.spec_schema().to_value());
    let origin = Origin { file: Path::new(file).into(), text: text.into() };
    let node = yaml::documents(text).into_iter().next()?.ok()?;
    let Identified::Ours { kind: Kind::Filter, name, .. } = identify(&node, &origin, false) else {
        return None;
    };
    let mut notes = Notes::new(&origin, &node, name.clone());
    let Some(Declared::Filter(declared)) = decode(Kind::Filter, schema, &node, &mut notes) else {
        return None;
    };
    let filter_name = FilterName::new(&name.name);
    let spec = filters::lower_unseen(filter_name.clone(), &declared, &mut notes)?;
    (!notes.has_errors() && filter_name == *expected).then(|| BuiltIn {
        declared,
        spec: Arc::new(spec),
        manifest: text,
    })
}

/// No built-in filters at all.
pub(super) struct Empty;

impl FilterLibrary for Empty {
    fn get(&self, _: &FilterName) -> Option<Arc<FilterSpec>> {
        None
    }

    fn names(&self) -> Vec<FilterName> {
        Vec::new()
    }
}

impl Library {
    /// Names and filters, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&FilterName, &BuiltIn)> {
        self.0.iter().filter_map(|entry| Some((&entry.name, entry.filter()?)))
    }

    /// The whole of a filter, with its text.
    #[must_use]
    pub fn built_in(&self, name: &FilterName) -> Option<&BuiltIn> {
        self.0.iter().find(|entry| entry.name == *name)?.filter()
    }
}

impl FilterLibrary for Library {
    fn get(&self, name: &FilterName) -> Option<Arc<FilterSpec>> {
        self.built_in(name).map(|filter| Arc::clone(&filter.spec))
    }

    fn names(&self) -> Vec<FilterName> {
        self.0.iter().map(|entry| entry.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::engine::filter::Filter;

    fn directory() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("filters")
    }

    #[test]
    fn every_file_of_the_directory_is_built_in() {
        let mut present: Vec<String> = std::fs::read_dir(directory())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        present.sort();
        assert_eq!(FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), present);
        let names: Vec<String> = built_in().iter().map(|(name, _)| format!("{name}.yaml")).collect();
        assert_eq!(names, present, "a file is refused, or its filter has another name");
    }

    #[test]
    fn every_built_in_filter_has_examples_and_all_come_out_right() {
        let loaded = crate::config::load(&[directory()], None);
        let problems: Vec<String> = loaded.all_problems().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        for (name, filter) in built_in().iter() {
            let examples = filter.declared.examples.as_deref().unwrap_or_default();
            let positive = examples.iter().filter(|example| example.matches).count();
            assert!(positive >= 3 && examples.len() - positive >= 2, "{name} has too few examples");
            assert!(filter.declared.description.is_some(), "{name} has no description");
        }
    }

    #[test]
    fn every_built_in_rule_is_anchored_and_runs_in_linear_time_behind_a_literal() {
        for (name, filter) in built_in().iter() {
            let compiled = Filter::compile(&filter.spec).unwrap();
            assert!(!compiled.is_empty());
            assert_eq!(compiled.slow(), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn a_rule_that_is_not_so_is_noticed() {
        let (_, sshd) = built_in().iter().find(|(name, _)| name.as_str() == "sshd").unwrap();
        for regex in [
            "refused from <ADDR>$",
            "^refused|from <ADDR>$",
            "^(?=r)refused from <ADDR>$",
            r"^\d+ \S+ <ADDR>$",
        ] {
            let mut spec = sshd.spec.as_ref().clone();
            spec.text.as_mut().unwrap().fail_regex[1] = regex.into();
            assert_eq!(Filter::compile(&spec).unwrap().slow(), ["failRegex[1]"], "{regex}");
        }
    }

    #[test]
    fn no_example_of_a_hostile_line_accuses_the_address_it_names() {
        let mut hostile = 0;
        for (name, filter) in built_in().iter() {
            for example in filter.declared.examples.iter().flatten().filter(|e| e.line.contains("8.8.8.8")) {
                hostile += 1;
                assert_ne!(example.address.as_deref(), Some("8.8.8.8"), "{name}: {}", example.line);
            }
        }
        assert!(hostile > 20, "{hostile}");
    }
}
