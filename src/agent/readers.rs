//! Which jails were given what was read of each source.
//!
//! A place in a log says what was counted only as long as somebody remembers the counting. Windows go with their
//! jail; a place whose jails are all gone would hide what was written before from whoever comes next.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::JailName;

/// The jails of each source: a path, or what a journal's scans are kept under.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Readers(BTreeMap<String, BTreeSet<JailName>>);

impl Readers {
    /// These jails are given what is read of the source.
    pub(super) fn note(&mut self, source: &str, jails: impl IntoIterator<Item = JailName>) {
        self.0.entry(source.to_owned()).or_default().extend(jails);
    }

    /// Jails that remember nothing any more are no readers; returns the sources that have none left. A source nobody
    /// was noted for is none of them.
    pub(super) fn forget(&mut self, remembers: impl Fn(&JailName) -> bool) -> BTreeSet<String> {
        let mut unread = BTreeSet::new();
        self.0.retain(|source, jails| {
            jails.retain(|jail| remembers(jail));
            if jails.is_empty() {
                unread.insert(source.clone());
            }
            !jails.is_empty()
        });
        unread
    }

    /// Whether one of these jails was given what was read of the source.
    pub(super) fn any_of(&self, source: &str, jails: &[JailName]) -> bool {
        self.0.get(source).is_some_and(|readers| jails.iter().any(|jail| readers.contains(jail)))
    }

    /// These jails read another source from now on, beginning at the place of this one; whether nobody is left.
    pub(super) fn release(&mut self, source: &str, jails: &[JailName]) -> bool {
        let Some(readers) = self.0.get_mut(source) else { return true };
        readers.retain(|jail| !jails.contains(jail));
        let nobody = readers.is_empty();
        if nobody {
            self.0.remove(source);
        }
        nobody
    }

    /// Keeps only these sources.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|source, _| keep(source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_unread_once_the_last_of_its_jails_forgot_it() {
        let mut readers = Readers::default();
        readers.note("/a.log", ["one".into(), "two".into()]);
        readers.note("/b.log", ["one".into()]);
        readers.note("/b.log", ["one".into()]);
        assert_eq!(readers.forget(|_| true), BTreeSet::new());
        assert_eq!(readers.forget(|jail| *jail != "one".into()), BTreeSet::from(["/b.log".to_owned()]));
        assert_eq!(readers.forget(|jail| *jail != "one".into()), BTreeSet::new(), "told once");
        assert_eq!(readers.forget(|_| false), BTreeSet::from(["/a.log".to_owned()]));
    }
}
