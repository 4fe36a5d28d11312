//! Filters that come with Gaoler. A declared Filter of the same name takes the place of a built-in one.

use std::collections::BTreeMap;
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

/// All built-in filters by name. Each is read when it is first asked for: a daemon that needs two of them does not
/// hold the examples of all.
#[derive(Debug)]
pub struct Library(BTreeMap<FilterName, Shelf>);

/// The place of one filter.
#[derive(Debug)]
struct Shelf {
    file: &'static str,
    text: &'static str,
    filter: OnceLock<Option<BuiltIn>>,
}

impl Shelf {
    fn filter(&self) -> Option<&BuiltIn> {
        self.filter.get_or_init(|| read(self.file, self.text)).as_ref()
    }
}

/// The built-in filters.
pub fn built_in() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        // A test holds that the filter in a file has the file's name.
        let shelf = |(file, text): &(&'static str, &'static str)| {
            let name = FilterName::new(file.trim_end_matches(".yaml"));
            (name, Shelf { file, text, filter: OnceLock::new() })
        };
        Library(FILES.iter().map(shelf).collect())
    })
}

fn read(file: &str, text: &'static str) -> Option<BuiltIn> {
    let origin = Origin { file: Path::new(file).into(), text: text.into() };
    let node = yaml::documents(text).into_iter().next()?.ok()?;
    let Identified::Ours { kind: Kind::Filter, name, .. } = identify(&node, &origin, false) else {
        return None;
    };
    let schema = Kind::Filter.spec_schema().to_value();
    let mut notes = Notes::new(&origin, &node, name.clone());
    let Some(Declared::Filter(declared)) = decode(Kind::Filter, &schema, &node, &mut notes) else {
        return None;
    };
    let filter_name = FilterName::new(&name.name);
    let (spec, _) = filters::lower(filter_name, &declared, &mut notes)?;
    let named_like_its_file = file.strip_suffix(".yaml") == Some(name.name.as_str());
    let good = named_like_its_file && !notes.has_errors();
    good.then(|| BuiltIn { declared, spec: Arc::new(spec), manifest: text })
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
        self.0.iter().filter_map(|(name, shelf)| Some((name, shelf.filter()?)))
    }

    /// The whole of a filter, with its text.
    #[must_use]
    pub fn built_in(&self, name: &FilterName) -> Option<&BuiltIn> {
        self.0.get(name)?.filter()
    }
}

impl FilterLibrary for Library {
    fn get(&self, name: &FilterName) -> Option<Arc<FilterSpec>> {
        self.built_in(name).map(|filter| Arc::clone(&filter.spec))
    }

    fn names(&self) -> Vec<FilterName> {
        self.0.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

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
        let names: Vec<String> = built_in().iter().map(|(name, _)| name).map(|name| format!("{name}.yaml")).collect();
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
    fn every_built_in_rule_is_anchored_and_runs_in_linear_time() {
        for (name, filter) in built_in().iter() {
            let compiled = crate::engine::filter::Filter::compile(&filter.spec).unwrap();
            assert_eq!(compiled.bounded(), Vec::<String>::new(), "{name}");
            let rules = filter.spec.rules.iter().chain(&filter.spec.successes);
            let messages = rules.filter_map(|rule| rule.message.as_deref());
            let texts = filter.spec.text.iter().flat_map(|text| text.fail_regex.iter().map(String::as_str));
            for regex in messages.chain(texts) {
                assert!(regex.starts_with('^'), "{name}: {regex}");
            }
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
