//! What loading led to.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::api::v1alpha1::{JailMode, LimitMode};
use crate::engine::{FilterName, FilterSpec};

use super::FilterLibrary as _;
use super::last_good::{Good, GoodObject};
use super::resolve::{Book, Found};
use super::{Config, JailConfig, ObjectName, Problem, Severity, Surroundings, library};

/// A configuration, and a verdict on each object it was made of.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Everything that is in force.
    pub config: Config,
    /// One for each object, sorted by name.
    pub objects: Vec<ObjectStatus>,
    /// Problems that belong to no object: files that cannot be read, documents that are not YAML.
    pub problems: Vec<Problem>,
    /// Declared filters in force, by name.
    filters: BTreeMap<FilterName, Arc<FilterSpec>>,
    pub(super) good: BTreeMap<ObjectName, Good>,
}

/// The verdict on one object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// Which.
    pub name: ObjectName,
    /// The file it stands in.
    pub file: Arc<Path>,
    /// The line of its name.
    pub line: u32,
    /// Whether it is in force as it stands.
    pub accepted: bool,
    /// Whether it is refused and an earlier state of it goes on.
    pub last_good: bool,
    /// What is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

impl Loaded {
    /// All problems, those of files first, then object by object.
    pub fn all_problems(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().chain(self.objects.iter().flat_map(|object| &object.problems))
    }

    /// How many errors there are.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.all_problems().filter(|p| p.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.all_problems().filter(|p| p.severity == Severity::Warning).count()
    }

    /// The filter of this name: declared, else built in.
    #[must_use]
    pub fn filter(&self, name: &FilterName) -> Option<Arc<FilterSpec>> {
        self.filters.get(name).cloned().or_else(|| library::built_in().get(name))
    }

    /// Declared filters in force.
    pub fn filters(&self) -> impl Iterator<Item = &Arc<FilterSpec>> {
        self.filters.values()
    }

    /// Takes over what is good and makes the configuration of it.
    pub(super) fn adopt(&mut self, good: BTreeMap<ObjectName, Good>, book: &Book<'_>, around: &Surroundings) {
        self.filters = book.declared().map(|(name, spec)| (name.clone(), Arc::clone(spec))).collect();
        for (name, object) in &good {
            match &object.object {
                GoodObject::Jail { config, mode, filters } if *mode != JailMode::Disabled => {
                    let namespace =
                        name.name.split_once('/').map(|(namespace, _)| namespace).filter(|_| around.cluster);
                    self.config.jails.push(with_current_filters(config, filters, namespace, book));
                }
                GoodObject::RateLimit { config, mode } if *mode != LimitMode::Disabled => {
                    self.config.rate_limits.push(Arc::clone(config));
                }
                GoodObject::RateLimit { config, .. } => {
                    self.config.disabled_limits.push(Arc::clone(config));
                }
                GoodObject::Jail { config, .. } => {
                    self.config.disabled_jails.push(config.name().clone());
                }
                GoodObject::BanList(entries) => self.config.ban_entries.extend(entries.iter().cloned()),
                GoodObject::AllowList(entries) => {
                    self.config.allow_lists.push(name.name.clone());
                    self.config.allowed.extend(entries.iter().cloned());
                }
                GoodObject::Filter { .. } | GoodObject::Checked => {}
            }
        }
        self.good = good;
    }
}

/// A jail that goes on in an earlier state still follows changes of its filters; one that is gone stays as it was.
fn with_current_filters(
    jail: &Arc<JailConfig>,
    names: &[crate::api::v1alpha1::Name],
    namespace: Option<&str>,
    book: &Book<'_>,
) -> Arc<JailConfig> {
    let mut current: Vec<Arc<FilterSpec>> = Vec::new();
    for name in names {
        let old = || {
            jail.filters.iter().find(|f| f.name.as_str().rsplit('/').next() == Some(name.as_str())).cloned()
        };
        let filter = match book.get(name, namespace) {
            Some(Found::Good(spec)) => Some(spec),
            _ => old(),
        };
        if let Some(filter) = filter
            && !current.iter().any(|known| known.name == filter.name)
        {
            current.push(filter);
        }
    }
    if current == jail.filters {
        Arc::clone(jail)
    } else {
        Arc::new(JailConfig { filters: current, ..(**jail).clone() })
    }
}
