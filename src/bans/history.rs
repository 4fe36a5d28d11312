//! The ledger's answers to counting.

use super::ledger::Book;
use super::pardon::Pardons;
use crate::engine::{History, JailName, Subject, Term, Timestamp};

/// What counting in one jail must know of the past.
///
/// Only the jail's own bans are in it: one that closes everything, ordered by hand or from a BanList, neither counts
/// towards the n-th time nor is moved by failures.
#[derive(Clone, Copy)]
pub struct JailHistory<'a> {
    book: Option<&'a Book>,
    pardons: &'a Pardons,
    jail: &'a JailName,
}

impl std::fmt::Debug for JailHistory<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JailHistory").field("jail", self.jail).finish_non_exhaustive()
    }
}

impl<'a> JailHistory<'a> {
    pub(super) fn new(book: Option<&'a Book>, pardons: &'a Pardons, jail: &'a JailName) -> Self {
        Self { book, pardons, jail }
    }
}

impl History for JailHistory<'_> {
    fn latest(&self, subject: Subject) -> Option<Term> {
        self.book?.rows.get(subject).map(super::row::Row::term)
    }

    fn pardoned(&self, subject: Subject) -> Option<Timestamp> {
        self.pardons.latest(Some(self.jail), subject)
    }
}
