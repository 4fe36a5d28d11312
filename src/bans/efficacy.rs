//! Bans that do not bite.

use std::net::IpAddr;

use smallvec::SmallVec;

use super::row::Row;
use super::{Ban, Ledger};
use crate::engine::{Duration, JailName, Subject, Timestamp};

/// What a server still logs of connections whose packets arrived before the ban did.
pub const GRACE: Duration = Duration::from_secs(5);

/// A ban the kernel has, and whose subject still fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Ineffective {
    /// The ban.
    pub ban: Ban,
    /// When the kernel had it.
    pub acknowledged: Timestamp,
    /// The failure that should not have been possible.
    pub failure: Timestamp,
}

impl Ledger {
    /// Notes that the kernel has the ban of (jail, subject). The first time counts: renewals do not grant new grace.
    pub fn acknowledge(&mut self, jail: Option<&JailName>, subject: Subject, at: Timestamp) {
        let Some(book) = self.books.iter_mut().find(|book| book.jail.as_ref() == jail) else { return };
        for listed in [false, true] {
            if let Some(row) = book.table_mut(listed).get_mut(subject)
                && row.acked == Timestamp::MIN
            {
                row.acked = at;
                self.acknowledged = true;
            }
        }
    }

    /// Forgets all acknowledgements: the kernel lost our table. What is put back is acknowledged anew.
    pub fn unacknowledge(&mut self) {
        for book in &mut self.books {
            for row in book.rows.values_mut().chain(book.listed.values_mut()) {
                row.acked = Timestamp::MIN;
            }
        }
        self.acknowledged = false;
    }

    /// The bans that should have prevented this failure, logged by `jail`: in force at its time, of the jail or of
    /// everything, and in the kernel for longer than [`GRACE`]. Each ban is reported once.
    ///
    /// Failures that the jail itself did not count (a running ban) are what this is to be asked about.
    pub fn seen_again(&mut self, jail: &JailName, address: IpAddr, failure: Timestamp) -> Vec<Ineffective> {
        let mut found = Vec::new();
        if !self.acknowledged {
            return found;
        }
        let host = Subject::host(address);
        for book in self.books.iter_mut().filter(|b| b.jail.is_none() || b.jail.as_ref() == Some(jail)) {
            for listed in [false, true] {
                let doubtful = |row: &Row| {
                    let bites =
                        row.acked == Timestamp::MIN || failure <= row.acked + GRACE || failure >= row.end;
                    !(row.reported || bites)
                };
                let covering = book.table(listed).covering(host);
                let covering: SmallVec<[Subject; 4]> =
                    covering.filter(|(_, row)| doubtful(row)).map(|(subject, _)| subject).collect();
                for subject in covering {
                    let Some(row) = book.table_mut(listed).get_mut(subject) else { continue };
                    row.reported = true;
                    let row = row.clone();
                    let ban = row.ban(book.jail.as_ref(), subject, &self.names);
                    found.push(Ineffective { ban, acknowledged: row.acked, failure });
                }
            }
        }
        found
    }
}
