//! BanLists: presence is being in force.

use std::collections::HashMap;

use super::calendar::Key;
use super::ledger::{Changes, Ledger};
use super::row::{Row, end, until};
use super::{Ban, Origin};
use crate::engine::{Subject, Timestamp};

impl Ledger {
    /// Replaces the entries of all BanLists: what is not among `entries` is in force no longer, unless a counted ban
    /// holds it. Pardons do not touch entries, nor do entries count towards the n-th time. Of several for the same
    /// (jail, subject) the latest end holds. An entry that stays keeps its beginning.
    pub fn set_list(&mut self, entries: impl IntoIterator<Item = Ban>, now: Timestamp) -> Changes {
        let mut wanted: HashMap<(u16, Subject), Ban> = HashMap::new();
        for ban in entries {
            let Some(book) = self.book_id(ban.jail.as_ref()) else { continue };
            match wanted.entry((book, ban.subject)) {
                std::collections::hash_map::Entry::Occupied(mut held) => {
                    if end(ban.until) > end(held.get().until) {
                        held.insert(ban);
                    }
                }
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(ban);
                }
            }
        }
        let mut changes = Changes::default();
        self.unlist(&wanted, now, &mut changes);
        for ((book, subject), ban) in wanted {
            self.list(book, subject, &ban, now, &mut changes);
        }
        self.tidy();
        changes
    }

    fn unlist(&mut self, wanted: &HashMap<(u16, Subject), Ban>, now: Timestamp, changes: &mut Changes) {
        for (id, book) in self.books.iter_mut().enumerate() {
            let gone: Vec<Subject> = book
                .listed
                .iter()
                .map(|(subject, _)| subject)
                .filter(|subject| !wanted.contains_key(&(id as u16, *subject)))
                .collect();
            for subject in gone {
                let before = book.hold(subject, now);
                let Some(row) = book.listed.remove(subject) else { continue };
                let mut ban = row.ban(book.jail.as_ref(), subject, &self.names);
                match book.hold(subject, now) {
                    None if before.is_some() => changes.ended.push(ban),
                    Some(end) if before != Some(end) => {
                        ban.until = until(end);
                        changes.begun.push(ban);
                    }
                    _ => {}
                }
            }
        }
    }

    fn list(&mut self, id: u16, subject: Subject, ban: &Ban, now: Timestamp, changes: &mut Changes) {
        let mut row = Row::new(ban, &mut self.names);
        let Some(book) = self.books.get_mut(usize::from(id)) else { return };
        let before = book.hold(subject, now);
        if let Some(known) = book.listed.get(subject) {
            row = Row { since: known.since, acked: known.acked, reported: known.reported, ..row };
        }
        row.over = !row.is_active(now);
        if !row.over && row.end != Timestamp::MAX {
            self.ends.add(row.end, Key { book: id, listed: true, subject });
        }
        let mut told = row.ban(book.jail.as_ref(), subject, &self.names);
        book.listed.insert(subject, row);
        match book.hold(subject, now) {
            None if before.is_some() => changes.ended.push(told),
            Some(end) if before != Some(end) => {
                told.until = until(end);
                changes.begun.push(told);
            }
            _ => {}
        }
    }

    /// How many entries of BanLists there are.
    #[must_use]
    pub fn listed(&self) -> usize {
        self.books.iter().map(|book| book.listed.len()).sum()
    }
}

impl Origin {
    /// Whether this is an entry of a BanList.
    #[must_use]
    pub fn is_list(&self) -> bool {
        matches!(self, Self::List(_))
    }
}
