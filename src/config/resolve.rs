//! Names of filters to filters: the jail's own first, then the built-in ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::api::v1alpha1::Name;
use crate::engine::house::{NeverBan, Why};
use crate::engine::{FilterName, FilterSpec, Subject, Timestamp};

use super::library;
use super::origin::Notes;
use super::suggest::{closest, listed};
use super::{AllowEntry, Allowed, FilterLibrary, Surroundings};

/// What stands under a filter's name.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Good(Arc<FilterSpec>),
    /// Declared, but refused, and never good before.
    Refused,
}

/// All filters of this configuration by name.
pub(super) struct Book<'a> {
    filters: BTreeMap<FilterName, Found>,
    library: &'a dyn FilterLibrary,
    jails: BTreeSet<String>,
    /// Those of them that are `Disabled`.
    disabled: BTreeSet<String>,
    /// This moment, where somebody wants to know whom AllowLists spare.
    at: Option<Timestamp>,
    allowed: Vec<AllowEntry>,
    spared: NeverBan,
}

impl<'a> Book<'a> {
    pub(super) fn new(around: &'a Surroundings) -> Self {
        let library: &dyn FilterLibrary =
            if around.without_library { &library::Empty } else { library::built_in() };
        Self {
            filters: BTreeMap::new(),
            library,
            jails: BTreeSet::new(),
            disabled: BTreeSet::new(),
            at: around.at,
            allowed: Vec::new(),
            spared: NeverBan::default(),
        }
    }

    /// Notes whom AllowLists spare.
    pub(super) fn allow<'e>(&mut self, entries: impl Iterator<Item = &'e AllowEntry>) {
        let Some(at) = self.at else { return };
        self.allowed = entries.filter(|entry| entry.until.is_none_or(|until| until > at)).cloned().collect();
        self.spared = NeverBan::new(self.allowed.iter().filter_map(|entry| match &entry.who {
            Allowed::Prefix(net) => Some((*net, Why::AllowList(entry.list.clone()))),
            Allowed::Host(_) => None,
        }));
    }

    /// The entry of an AllowList that keeps a ban with this end from biting, of several the one that ends last.
    pub(super) fn sparing(&self, subject: Subject, until: Option<Timestamp>) -> Option<&AllowEntry> {
        let over = until.is_some_and(|until| self.at.is_some_and(|at| until <= at));
        if over || self.spared.overlap(subject).is_none() {
            return None;
        }
        let sparing = self.allowed.iter().rev().filter(|entry| match &entry.who {
            Allowed::Prefix(net) => subject.overlaps(*net),
            Allowed::Host(_) => false,
        });
        sparing.max_by_key(|entry| entry.until.unwrap_or(Timestamp::MAX))
    }

    /// The first declaration of a name counts; a second is refused elsewhere.
    pub(super) fn add(&mut self, name: FilterName, found: Found) {
        match self.filters.get(&name) {
            Some(Found::Good(_)) => {}
            _ => drop(self.filters.insert(name, found)),
        }
    }

    /// Notes that a jail of this name is declared, and whether it is `Disabled`.
    pub(super) fn add_jail(&mut self, name: &str, disabled: bool) {
        self.jails.insert(name.to_owned());
        if disabled {
            self.disabled.insert(name.to_owned());
        }
    }

    /// Whether the jail is declared and bans nobody.
    pub(super) fn is_disabled(&self, jail: &str) -> bool {
        self.disabled.contains(jail)
    }

    /// What to write for a jail that is not declared: the name that is meant, else `otherwise`. `None` when it is.
    pub(super) fn missing_jail(&self, name: &str, otherwise: &str) -> Option<String> {
        if self.jails.contains(name) {
            return None;
        }
        Some(match closest(name, self.jails.iter().map(String::as_str)) {
            Some(meant) => format!("write `{meant}`"),
            None => otherwise.to_owned(),
        })
    }

    pub(super) fn get(&self, name: &Name, namespace: Option<&str>) -> Option<Found> {
        let own = match namespace {
            Some(namespace) => FilterName::new(&format!("{namespace}/{}", name.as_str())),
            None => FilterName::new(name.as_str()),
        };
        self.filters
            .get(&own)
            .cloned()
            .or_else(|| self.library.get(&FilterName::new(name.as_str())).map(Found::Good))
    }

    /// The declared filters that are good.
    pub(super) fn declared(&self) -> impl Iterator<Item = (&FilterName, &Arc<FilterSpec>)> {
        self.filters.iter().filter_map(|(name, found)| match found {
            Found::Good(spec) => Some((name, spec)),
            Found::Refused => None,
        })
    }

    /// The filters a jail names.
    pub(super) fn filters_of(
        &self,
        names: &[Name],
        namespace: Option<&str>,
        notes: &mut Notes<'_>,
    ) -> Vec<Arc<FilterSpec>> {
        let mut result = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let field = format!("spec.filters[{i}]");
            if names.iter().take(i).any(|earlier| earlier == name) {
                notes.warning(
                    &field,
                    format!("the filter `{}` stands here twice", name.as_str()),
                    "remove one",
                );
                continue;
            }
            match self.get(name, namespace) {
                Some(Found::Good(spec)) => result.push(spec),
                Some(Found::Refused) => notes.error(
                    &field,
                    format!("the filter `{}` is refused itself", name.as_str()),
                    "correct the filter: its problems are reported with it",
                ),
                None => notes.error(
                    &field,
                    format!("there is no filter `{}`", name.as_str()),
                    self.advice(name, namespace),
                ),
            }
        }
        result
    }

    fn advice(&self, name: &Name, namespace: Option<&str>) -> String {
        let built_in = self.library.names();
        let own = self.filters.keys().filter_map(|known| match (namespace, known.as_str().split_once('/')) {
            (None, _) => Some(known.as_str()),
            (Some(namespace), Some((of, local))) if of == namespace => Some(local),
            (Some(_), _) => None,
        });
        let known: Vec<&str> = own.chain(built_in.iter().map(FilterName::as_str)).collect();
        // A name cut short is more likely than some letters of another.
        let longer =
            |known: &&&str| known.strip_prefix(name.as_str()).is_some_and(|more| more.starts_with('-'));
        let longer: Vec<&str> = known.iter().filter(longer).copied().collect();
        if !longer.is_empty() {
            return format!("write {}", listed(longer).replace(" and ", " or "));
        }
        match closest(name.as_str(), known) {
            Some(meant) => format!("write `{meant}`"),
            None => {
                "declare a Filter of this name, or choose a built-in one: `gaoler filters` lists them".into()
            }
        }
    }
}
