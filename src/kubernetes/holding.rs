//! Objects of one kind as they were told, and whether a list without any is believed.
//!
//! A storage that was emptied lists nothing, and must take nothing back: what was declared stays until the server tells
//! of something of its kind. A storage that lists nothing because the last object was deleted is believed. Which of the
//! two it is, tells the storage's identity.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::mirror::Key;

/// The objects that are held, and what is being listed.
#[derive(Debug)]
pub(super) struct Holding<T> {
    objects: BTreeMap<Key, Arc<T>>,
    /// The storage that listed them; `None` as long as it was not asked.
    storage: Option<String>,
    /// What is being listed, or was listed and is in doubt.
    listing: BTreeMap<Key, Arc<T>>,
    /// The last list was empty, and nobody knows yet of which storage it is.
    doubt: bool,
    /// Those that the storage does not hold, as far as is known, and that stay nevertheless.
    kept: BTreeSet<Key>,
}

impl<T> Default for Holding<T> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            storage: None,
            listing: BTreeMap::new(),
            doubt: false,
            kept: BTreeSet::new(),
        }
    }
}

impl<T> Holding<T> {
    /// What an earlier process held that heard of it from this storage: an empty list of another takes nothing of it
    /// back either.
    pub(super) fn recalled(objects: impl IntoIterator<Item = (Key, T)>, storage: String) -> Self {
        let objects = objects.into_iter().map(|(key, object)| (key, Arc::new(object))).collect();
        Self { objects, storage: Some(storage), ..Self::default() }
    }

    /// The storage that listed what is there; `None` as long as that is not known.
    pub(super) fn storage(&self) -> Option<&str> {
        self.storage.as_deref()
    }

    /// Whether the server has it, as far as is known: what is held may be kept although another storage lists none.
    pub(super) fn is_there(&self, key: &Key) -> bool {
        self.objects.contains_key(key) && !self.kept.contains(key)
    }

    /// What is there.
    pub(super) fn objects(&self) -> &BTreeMap<Key, Arc<T>> {
        &self.objects
    }

    /// A list begins.
    pub(super) fn begin(&mut self) {
        self.listing.clear();
        self.doubt = false;
    }

    /// The list holds this.
    pub(super) fn list(&mut self, key: Key, object: T) {
        self.listing.insert(key, Arc::new(object));
    }

    /// The list is complete. [`Self::told`] is awaited.
    pub(super) fn listed(&mut self) {
        self.doubt = self.listing.is_empty() && !self.objects.is_empty();
        if !self.doubt {
            self.objects = std::mem::take(&mut self.listing);
            self.storage = None;
            self.kept.clear();
        }
    }

    /// It is there, as it is now.
    pub(super) fn apply(&mut self, key: Key, object: T) {
        let object = Arc::new(object);
        if self.doubt {
            self.listing.insert(key.clone(), Arc::clone(&object));
        }
        self.kept.remove(&key);
        self.objects.insert(key, object);
    }

    /// It is there no more.
    pub(super) fn delete(&mut self, key: &Key) {
        self.listing.remove(key);
        self.kept.remove(key);
        self.objects.remove(key);
    }

    /// The list was one of this storage. Whether that tells something new: objects are taken back, or are kept although
    /// they are not there.
    pub(super) fn told(&mut self, storage: String) -> bool {
        if !std::mem::take(&mut self.doubt) {
            self.storage = Some(storage);
            return false;
        }
        let same = self.storage.as_ref() == Some(&storage);
        if same {
            self.objects = std::mem::take(&mut self.listing);
        } else {
            self.kept = self.objects.keys().filter(|key| !self.listing.contains_key(*key)).cloned().collect();
            tracing::warn!(
                kept = self.kept.len(),
                "another storage lists none of a kind; the last ones stay"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        (String::new(), name.to_owned())
    }

    fn listed(holding: &mut Holding<u8>, names: &[&str]) {
        holding.begin();
        for name in names {
            holding.list(key(name), 0);
        }
        holding.listed();
    }

    fn names(holding: &Holding<u8>) -> Vec<&str> {
        holding.objects().keys().map(|(_, name)| name.as_str()).collect()
    }

    fn holding() -> Holding<u8> {
        let mut holding = Holding::default();
        listed(&mut holding, &["a", "b"]);
        assert!(!holding.told("one".into()));
        holding
    }

    #[test]
    fn an_empty_list_of_the_same_storage_is_believed_when_that_is_known() {
        let mut holding = holding();
        listed(&mut holding, &[]);
        assert_eq!(names(&holding), ["a", "b"]);
        assert!(holding.told("one".into()));
        assert!(names(&holding).is_empty());
    }

    #[test]
    fn an_empty_list_of_another_storage_takes_nothing_back_however_often_it_comes() {
        let mut holding = holding();
        for _ in 0..2 {
            listed(&mut holding, &[]);
            assert!(holding.is_there(&key("a")), "nobody knows yet");
            assert!(holding.told("two".into()));
            assert_eq!(names(&holding), ["a", "b"]);
            assert!(!holding.is_there(&key("a")) && !holding.is_there(&key("b")));
            holding.apply(key("a"), 1);
            assert!(holding.is_there(&key("a")) && !holding.is_there(&key("b")));
        }
        // It tells of something of the kind: the rest is gone.
        listed(&mut holding, &["c"]);
        assert!(!holding.told("two".into()));
        assert_eq!(names(&holding), ["c"]);
        listed(&mut holding, &[]);
        assert!(holding.told("two".into()));
    }

    #[test]
    fn what_no_storage_was_named_for_stays() {
        let mut holding = Holding::default();
        listed(&mut holding, &["a"]);
        listed(&mut holding, &[]);
        holding.told("one".into());
        assert_eq!(names(&holding), ["a"]);
    }

    #[test]
    fn what_an_earlier_process_held_goes_only_with_its_own_storage() {
        let recalled = || Holding::recalled([(key("a"), 0_u8)], "one".to_owned());
        let mut same = recalled();
        listed(&mut same, &[]);
        assert!(same.told("one".into()));
        assert!(names(&same).is_empty());
        let mut other = recalled();
        listed(&mut other, &[]);
        other.told("two".into());
        assert_eq!((names(&other), other.storage()), (vec!["a"], Some("one")));
        listed(&mut other, &["b"]);
        other.told("two".into());
        assert_eq!((names(&other), other.storage()), (vec!["b"], Some("two")));
    }

    #[test]
    fn what_comes_and_goes_while_a_list_is_in_doubt_counts_either_way() {
        for (storage, left) in [("one", vec!["c"]), ("two", vec!["b", "c"])] {
            let mut holding = holding();
            listed(&mut holding, &[]);
            holding.apply(key("c"), 1);
            holding.apply(key("d"), 1);
            holding.delete(&key("d"));
            holding.delete(&key("a"));
            holding.told(storage.into());
            assert_eq!(names(&holding), left, "{storage}");
        }
    }

    #[test]
    fn a_list_that_holds_something_replaces_all_at_once() {
        let mut holding = holding();
        listed(&mut holding, &["b", "c"]);
        assert_eq!(names(&holding), ["b", "c"]);
    }
}
