//! Active and past bans.

use std::collections::HashSet;

use super::calendar::{Calendar, Key};
use super::pardon::{Pardon, Pardons};
use super::prefixes::Prefixes;
use super::row::{Names, Row, end};
use super::{Ban, Origin};
use crate::engine::{Duration, JailName, Shift, Subject, Timestamp};

/// How much of the past the ledger keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerLimits {
    /// Bans over for longer than this, by the clock, are forgotten: at least the longest `forgetAfter` of all jails
    /// plus the longest `findTime`, because a record may be read that late. Each jail keeps to its own `forgetAfter`
    /// by the log's time.
    pub forget_after: Duration,
    /// Past bans kept at most; the one that ended first gives way.
    pub past: usize,
    /// Bans in force of one jail at most. Beyond it further ones are refused until some end: a ban ends by time or
    /// by a pardon, never because another one came. What a person orders is not refused, and entries of BanLists do
    /// not count.
    pub per_jail: usize,
    /// Bans in force of all jails together, from which on each jail has its even share alone: whoever fills the ledger
    /// takes nobody's place.
    pub in_force: usize,
}

impl LedgerLimits {
    /// Bans in force of one jail at most, unless told otherwise.
    pub const PER_JAIL: usize = 200_000;
    /// Bans in force from which on jails share evenly, unless told otherwise: some 50 MB.
    pub const IN_FORCE: usize = 300_000;

    /// Nothing is ever refused or forgotten.
    pub const NONE: Self =
        Self { forget_after: Duration::MAX, past: usize::MAX, per_jail: usize::MAX, in_force: usize::MAX };
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            forget_after: Duration::from_secs(31 * 86_400),
            past: 100_000,
            per_jail: Self::PER_JAIL,
            in_force: Self::IN_FORCE,
        }
    }
}

/// What became of a ban that was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// In force now, and was not before.
    New,
    /// Was in force and ends later now.
    Prolonged,
    /// Changed nothing for the firewall.
    Known,
    /// Over already. It is kept as history: the subject's next ban is its n+1-th.
    Over,
    /// Began before a pardon that covers it. Not kept.
    Pardoned,
    /// Its jail has as many as it may. Not kept.
    Refused,
}

/// What the firewall must be told after something changed. Both are already the sum of all records of a (jail,
/// subject): what a BanList still holds does not end with a pardon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Newly in force, or with another end.
    pub begun: Vec<Ban>,
    /// In force no longer.
    pub ended: Vec<Ban>,
}

/// A subject that is kept out, by everything that is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Until when; `None` is permanent.
    pub until: Option<Timestamp>,
}

/// Active and past bans by (jail, subject), pardons, and the entries of BanLists.
///
/// One ban is held per (jail, subject), see [`Ledger::record`] for how records merge, plus one entry of BanLists
/// beside it. 100,000 bans are about 12 MB, 1,000,000 about 170 MB.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pub(super) limits: LedgerLimits,
    pub(super) books: Vec<Book>,
    pub(super) names: Names,
    pub(super) pardons: Pardons,
    pub(super) ends: Calendar,
    /// Past bans by their end.
    pub(super) past: Calendar,
    pub(super) past_len: usize,
    pub(super) forgotten: u64,
    /// Whether some row may have been acknowledged. Without a firewall, as in a replay, none ever is.
    pub(super) acknowledged: bool,
}

/// The bans of one jail, or of none.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    pub(super) jail: Option<JailName>,
    pub(super) rows: Prefixes<Row>,
    /// How many of `rows` are over.
    pub(super) over: usize,
    pub(super) listed: Prefixes<Row>,
}

impl Book {
    pub(super) fn table(&self, listed: bool) -> &Prefixes<Row> {
        if listed { &self.listed } else { &self.rows }
    }

    pub(super) fn table_mut(&mut self, listed: bool) -> &mut Prefixes<Row> {
        if listed { &mut self.listed } else { &mut self.rows }
    }

    /// How many bans are in force, entries of BanLists aside.
    pub(super) fn in_force(&self) -> usize {
        self.rows.len() - self.over
    }

    /// The later end of what is counted and what is listed.
    pub(super) fn hold(&self, subject: Subject, now: Timestamp) -> Option<Timestamp> {
        let ends = [&self.rows, &self.listed].map(|table| table.get(subject).map(|row| row.end));
        ends.into_iter().flatten().max().filter(|end| *end > now)
    }
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(limits: LedgerLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes other limits; they act from the next [`Ledger::expire`] on.
    pub fn set_limits(&mut self, limits: LedgerLimits) {
        self.limits = limits;
    }

    /// Takes in a ban, from a jail, a person or another node.
    ///
    /// The identity of a ban is (jail, subject, n). Records that overlap in time are one ban: the highest n, the
    /// latest end. One that began after the known one had ended takes its place. Nothing recorded ever shortens a
    /// ban; only a [`Pardon`] does.
    ///
    /// A ban made from a conviction, `n` by hand: see [`Ledger::next_n`].
    pub fn record(&mut self, ban: &Ban, now: Timestamp) -> Recorded {
        if self.pardons.latest(ban.jail.as_ref(), ban.subject).is_some_and(|at| ban.since <= at) {
            return Recorded::Pardoned;
        }
        let row = Row::new(ban, &mut self.names);
        let Some(book) = self.book_id(ban.jail.as_ref()) else { return Recorded::Known };
        if ban.origin != Origin::Hand && row.is_active(now) && !self.has_place(book, ban.subject) {
            return Recorded::Refused;
        }
        let rows = &mut self.books[usize::from(book)].rows;
        let before = rows.get(ban.subject).map(|row| (row.over, row.is_active(now)));
        let moved = match rows.get_mut(ban.subject) {
            Some(held) => held.merge(row),
            None => rows.insert(ban.subject, row).is_none(),
        };
        self.settle(Key { book, listed: false, subject: ban.subject }, before, moved, now)
    }

    /// Moves the end of a running ban after [`crate::engine::Verdict::Extended`]; never to an earlier one. A ban that
    /// was over (its lines were read late) may come into force by it. One of another node becomes this node's by it:
    /// nobody else knows the new end.
    pub fn prolong(
        &mut self,
        jail: &JailName,
        subject: Subject,
        n: u32,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Recorded {
        let Some(book) = self.book_id(Some(jail)) else { return Recorded::Known };
        let row = self.books[usize::from(book)].rows.get_mut(subject);
        let Some(row) = row.filter(|row| row.n == n) else { return Recorded::Known };
        let before = Some((row.over, row.is_active(now)));
        let moved = end(until) > row.end;
        row.end = row.end.max(end(until));
        if moved && self.names.is_of_node(row.origin) {
            row.origin = self.names.origin(&Origin::Jail);
        }
        self.settle(Key { book, listed: false, subject }, before, moved, now)
    }

    /// Keeps calendars and counts true after a row changed. `before`: whether its end had been reported, and whether
    /// it was in force; `None` when it was not there.
    fn settle(&mut self, key: Key, before: Option<(bool, bool)>, moved: bool, now: Timestamp) -> Recorded {
        let Some(row) = self.books[usize::from(key.book)].rows.get_mut(key.subject) else {
            return Recorded::Known;
        };
        let (end, active) = (row.end, row.is_active(now));
        let (was_over, was_active) = before.unwrap_or((false, false));
        // An end that nobody was told of yet is left to `expire`; the calendar has it already.
        row.over = !active && (was_over || before.is_none());
        let is_over = row.over;
        self.past_len = self.past_len + usize::from(is_over) - usize::from(was_over);
        let book = &mut self.books[usize::from(key.book)];
        book.over = book.over + usize::from(is_over) - usize::from(was_over);
        if is_over && moved {
            self.past.add(end, key);
            self.forget(now);
        } else if active && (was_over || before.is_none()) && end != Timestamp::MAX {
            self.ends.add(end, key);
        }
        match (was_active, active) {
            (_, false) => Recorded::Over,
            (false, true) => Recorded::New,
            (true, true) if moved => Recorded::Prolonged,
            (true, true) => Recorded::Known,
        }
    }

    /// Ends every ban the pardon covers, and keeps the pardon for those that arrive later. Answers with the bans that
    /// are in force no longer; one that a BanList also holds is not among them.
    pub fn pardon(&mut self, pardon: Pardon, now: Timestamp) -> Vec<Ban> {
        let mut ended = Vec::new();
        for book in &mut self.books {
            if pardon.jail.is_some() && pardon.jail != book.jail {
                continue;
            }
            for subject in book.rows.within(pardon.prefix) {
                if book.rows.get(subject).is_none_or(|row| row.since > pardon.at) {
                    continue;
                }
                let Some(row) = book.rows.remove(subject) else { continue };
                self.past_len -= usize::from(row.over);
                book.over -= usize::from(row.over);
                if row.is_active(now) && book.hold(subject, now).is_none() {
                    ended.push(row.ban(book.jail.as_ref(), subject, &self.names));
                }
            }
        }
        self.pardons.add(pardon);
        self.tidy();
        ended
    }

    /// Bans that have ended since the last call and are in force no longer. Forgets what is over for long.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Ban> {
        let mut ended = Vec::new();
        while let Some((_, key)) = self.ends.take(now) {
            let Some(book) = self.books.get_mut(usize::from(key.book)) else { continue };
            let row = book.table_mut(key.listed).get_mut(key.subject);
            let Some(row) = row.filter(|row| !row.over) else { continue };
            let end = row.end;
            if end > now {
                // It was prolonged meanwhile. Permanent ones need no entry.
                if end != Timestamp::MAX {
                    self.ends.add(end, key);
                }
                continue;
            }
            row.over = true;
            if !key.listed {
                self.past.add(end, key);
                self.past_len += 1;
                book.over += 1;
            }
            if book.hold(key.subject, now).is_none()
                && let Some(row) = book.table(key.listed).get(key.subject)
            {
                ended.push(row.ban(book.jail.as_ref(), key.subject, &self.names));
            }
        }
        self.forget(now);
        ended
    }

    /// The clock was set: what is remembered happened, and ends, at other times by it. What is left of a ban stays; only
    /// an entry of a BanList ends when its list says, by whatever clock. A ban that is not over after all, because the
    /// clock had been known badly, is in force again.
    pub fn shift(&mut self, shift: Shift, now: Timestamp) {
        let mut again = Vec::new();
        for (id, book) in (0_u16..).zip(&mut self.books) {
            let revived = |row: &Row| row.over && row.end + shift > now;
            let subjects = book.rows.iter().filter(|(_, row)| revived(row)).map(|(subject, _)| subject);
            again.extend(subjects.map(|subject| Key { book: id, listed: false, subject }));
            book.rows.values_mut().for_each(|row| row.shift(shift));
            for row in book.listed.values_mut() {
                let end = row.end;
                row.shift(shift);
                row.end = end;
            }
        }
        self.pardons.shift(shift);
        let moved = |end: Timestamp, key: Key| if key.listed { end } else { end + shift };
        self.ends.move_all(moved);
        self.past.move_all(moved);
        for key in again {
            let Some(book) = self.books.get_mut(usize::from(key.book)) else { continue };
            let Some(row) = book.rows.get_mut(key.subject) else { continue };
            row.over = false;
            book.over -= 1;
            self.past_len -= 1;
            self.ends.add(row.end, key);
        }
    }

    /// Forgets past bans that are too old or too many, and pardons older than all that is remembered.
    fn forget(&mut self, now: Timestamp) {
        let horizon = now - self.limits.forget_after;
        while let Some((end, key)) = self.past.take(Timestamp::MAX) {
            let Some(book) = self.books.get_mut(usize::from(key.book)) else { continue };
            if book.rows.get(key.subject).is_none_or(|row| !row.over || row.end != end) {
                continue;
            }
            let old = end < horizon;
            if !old && self.past_len <= self.limits.past {
                self.past.add(end, key);
                break;
            }
            book.rows.remove(key.subject);
            book.over -= 1;
            self.past_len -= 1;
            self.forgotten += u64::from(!old);
        }
        self.pardons.forget_through(horizon);
        self.tidy();
    }

    /// Rebuilds calendars that mostly hold what is not true any more.
    pub(super) fn tidy(&mut self) {
        let books = &self.books;
        let row = |key: Key| books.get(usize::from(key.book))?.table(key.listed).get(key.subject);
        let all: usize = books.iter().map(|book| book.rows.len() + book.listed.len()).sum();
        if self.ends.len() > 2 * (all - self.past_len) + 1024 {
            let mut seen = HashSet::new();
            self.ends.keep(|_, key| row(key).is_some_and(|row| !row.over) && seen.insert(key));
        }
        if self.past.len() > 2 * self.past_len + 1024 {
            self.past.keep(|end, key| row(key).is_some_and(|row| row.over && row.end == end));
        }
    }

    /// Whether one more ban of this jail may be in force. One that is in force already needs no other place.
    fn has_place(&self, book: u16, subject: Subject) -> bool {
        let Some(book) = self.books.get(usize::from(book)) else { return false };
        book.rows.get(subject).is_some_and(|row| !row.over) || !self.is_full(book, || self.len())
    }

    /// Whether a jail has as many bans in force as it may, when there are `all` of all jails.
    pub(super) fn is_full(&self, book: &Book, all: impl FnOnce() -> usize) -> bool {
        let LedgerLimits { per_jail, in_force, .. } = self.limits;
        let own = book.in_force();
        own >= per_jail || (own >= in_force / self.books.len().max(1) && all() >= in_force)
    }

    pub(super) fn book(&self, jail: Option<&JailName>) -> Option<&Book> {
        // Few jails: comparing names costs less than making a key.
        self.books.iter().find(|book| book.jail.as_ref() == jail)
    }

    /// The number of a jail's book, made when it is not there. `None` beyond 65,536 jails.
    pub(super) fn book_id(&mut self, jail: Option<&JailName>) -> Option<u16> {
        if let Some(at) = self.books.iter().position(|book| book.jail.as_ref() == jail) {
            return u16::try_from(at).ok();
        }
        let id = u16::try_from(self.books.len()).ok()?;
        self.books.push(Book { jail: jail.cloned(), ..Book::default() });
        Some(id)
    }
}

#[cfg(test)]
#[path = "tests/ledger.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/ledger_clock.rs"]
mod clock;

#[cfg(test)]
#[path = "tests/ledger_full.rs"]
mod full;

#[cfg(test)]
#[path = "tests/listing.rs"]
mod listing;

#[cfg(test)]
#[path = "tests/ledger_properties.rs"]
mod properties;
