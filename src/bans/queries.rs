//! What the ledger can be asked.

use std::collections::HashSet;
use std::iter;
use std::net::IpAddr;

use ipnet::IpNet;

use super::ledger::{Book, Hold, Ledger, LedgerLimits};
use super::row::{Row, until};
use super::{Ban, JailHistory, Origin, Pardon};
use crate::engine::{JailName, Subject, Timestamp};

impl Ledger {
    /// When [`Ledger::expire`] has something to do next; perhaps earlier than it really has.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.ends.next()
    }

    /// Every ban in force, BanLists included, in no order. A (jail, subject) that is both counted and listed comes
    /// twice; see [`Ledger::holds`].
    pub fn active(&self, now: Timestamp) -> impl Iterator<Item = Ban> {
        self.books.iter().flat_map(move |book| {
            book.rows
                .iter()
                .chain(book.listed.iter())
                .filter(move |(_, row)| row.is_active(now))
                .map(|(subject, row)| row.ban(book.jail.as_ref(), subject, &self.names))
        })
    }

    /// Every ban that was decided here, by a jail or by hand, and is not forgotten; those that are over included.
    pub fn own(&self) -> impl Iterator<Item = Ban> {
        self.books.iter().flat_map(move |book| {
            book.rows
                .iter()
                .map(|(subject, row)| row.ban(book.jail.as_ref(), subject, &self.names))
                .filter(|ban| matches!(ban.origin, Origin::Jail | Origin::Hand))
        })
    }

    /// Every ban in force that another node decided.
    pub fn foreign(&self, now: Timestamp) -> impl Iterator<Item = Ban> {
        self.books.iter().flat_map(move |book| {
            book.rows
                .iter()
                .filter(move |(_, row)| row.is_active(now) && self.names.is_of_node(row.origin))
                .map(|(subject, row)| row.ban(book.jail.as_ref(), subject, &self.names))
        })
    }

    /// Everybody who is kept out now and until when, each (jail, subject) once: what the kernel should hold.
    pub fn holds(&self, now: Timestamp) -> impl Iterator<Item = (Option<&JailName>, Subject, Hold)> {
        self.books.iter().flat_map(move |book| {
            let listed = book.listed.iter().filter(|(subject, _)| book.rows.get(*subject).is_none());
            book.rows.iter().chain(listed).filter_map(move |(subject, _)| {
                let end = book.hold(subject, now)?;
                Some((book.jail.as_ref(), subject, Hold { until: until(end) }))
            })
        })
    }

    /// Whether `subject` is kept out of the scope of `jail` (`None`: of everything) and until when.
    #[must_use]
    pub fn in_force(&self, jail: Option<&JailName>, subject: Subject, now: Timestamp) -> Option<Hold> {
        self.book(jail)?.hold(subject, now).map(|end| Hold { until: until(end) })
    }

    /// The ban of this jail on exactly this subject, when it is in force. Entries of BanLists are not asked.
    #[must_use]
    pub fn counted(&self, jail: &JailName, subject: Subject, now: Timestamp) -> Option<Ban> {
        let book = self.book(Some(jail))?;
        let row = book.rows.get(subject).filter(|row| row.is_active(now))?;
        Some(row.ban(book.jail.as_ref(), subject, &self.names))
    }

    /// The bans in force that keep this address out, of every jail, BanLists included.
    #[must_use]
    pub fn covering(&self, address: IpAddr, now: Timestamp) -> Vec<Ban> {
        self.about(address, |row| row.is_active(now))
    }

    /// Bans on this address that are over and not forgotten.
    #[must_use]
    pub fn past(&self, address: IpAddr, now: Timestamp) -> Vec<Ban> {
        self.about(address, |row| !row.is_active(now))
    }

    fn about(&self, address: IpAddr, wanted: impl Fn(&Row) -> bool) -> Vec<Ban> {
        let host = Subject::host(address);
        // A prefix too short to mean IPv4 addresses covers the packets that NAT64 makes of theirs.
        let around = IpNet::new(address, 95).ok().map(Subject::new).filter(|_| host.addr() != address);
        let mut bans = Vec::new();
        for book in &self.books {
            for host in iter::once(host).chain(around) {
                for (subject, row) in book.rows.covering(host).chain(book.listed.covering(host)) {
                    if wanted(row) {
                        bans.push(row.ban(book.jail.as_ref(), subject, &self.names));
                    }
                }
            }
        }
        bans
    }

    /// What counting in `jail` must know of the past.
    #[must_use]
    pub fn history<'a>(&'a self, jail: &'a JailName) -> JailHistory<'a> {
        JailHistory::new(self.book(Some(jail)), &self.pardons, jail)
    }

    /// The n of a ban ordered by hand at `since`: that of the running one, else one more than the last. `forgetAfter`
    /// is the ledger's.
    #[must_use]
    pub fn next_n(&self, jail: Option<&JailName>, subject: Subject, since: Timestamp) -> u32 {
        match self.book(jail).and_then(|book| book.rows.get(subject)) {
            Some(row) if row.end >= since => row.n,
            Some(row) if since.since(row.end) <= self.limits.forget_after => row.n.saturating_add(1),
            _ => 1,
        }
    }

    /// Whether this pardon, or a later one of the same jail and prefix, is remembered.
    #[must_use]
    pub fn knows(&self, pardon: &Pardon) -> bool {
        self.pardons.knows(pardon)
    }

    /// All pardons that are remembered.
    pub fn pardons(&self) -> impl Iterator<Item = Pardon> {
        self.pardons.iter()
    }

    /// How many bans are in force, as of the last [`Ledger::expire`]; entries of BanLists are not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.books.iter().map(|book| book.rows.len()).sum::<usize>() - self.past_len
    }

    /// Whether no ban is in force, BanLists aside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The jails that have as many bans in force as they may: further ones are refused until some end.
    #[must_use]
    pub fn full(&self) -> HashSet<&JailName> {
        let all = self.len();
        let full = self.books.iter().filter(|book| self.is_full(book, || all));
        full.filter_map(|book| book.jail.as_ref()).collect()
    }

    /// How many more bans of a jail may be in force.
    #[must_use]
    pub fn room(&self, jail: Option<&JailName>) -> usize {
        let LedgerLimits { per_jail, in_force, .. } = self.limits;
        let own = self.book(jail).map_or(0, Book::in_force);
        let share = (in_force / self.books.len().max(1)).saturating_sub(own);
        per_jail.saturating_sub(own).min(in_force.saturating_sub(self.len()).max(share))
    }

    /// How many past bans are kept.
    #[must_use]
    pub fn past_len(&self) -> usize {
        self.past_len
    }

    /// How many past bans gave way to [`LedgerLimits::past`] before their time.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Bytes held, heap included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let tables = self.books.iter().flat_map(|book| [&book.rows, &book.listed]);
        tables.map(|table| table.bytes() + table.values().map(Row::heap_bytes).sum::<usize>()).sum::<usize>()
            + self.ends.bytes()
            + self.past.bytes()
    }
}
