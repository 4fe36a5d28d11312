//! All bans in force, told in portions: whoever lists a hundred thousand holds none of them twice.

use super::Ban;
use super::ledger::Ledger;
use crate::engine::{JailName, Subject, Timestamp};

/// Where one ban stands in the ledger: a tenth of what the [`Ban`] takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What it is listed by.
    end: Timestamp,
    subject: Subject,
    jail: Option<JailName>,
    /// An entry of a BanList, and not counted or ordered.
    listed: bool,
}

impl Ledger {
    /// The places of all bans in force, of one jail or of all, those that end first first.
    #[must_use]
    pub fn places(&self, jail: Option<&JailName>, now: Timestamp) -> Vec<Place> {
        let mut places = Vec::new();
        for book in self.books.iter().filter(|book| jail.is_none() || book.jail.as_ref() == jail) {
            for listed in [false, true] {
                let active = book.table(listed).iter().filter(|(_, row)| row.is_active(now));
                places.extend(active.map(|(subject, row)| Place {
                    end: row.end,
                    subject,
                    jail: book.jail.clone(),
                    listed,
                }));
            }
        }
        places.sort_unstable();
        places
    }

    /// The ban at this place; `None` when it has ended since.
    #[must_use]
    pub fn at(&self, place: &Place, now: Timestamp) -> Option<Ban> {
        let book = self.book(place.jail.as_ref())?;
        let row = book.table(place.listed).get(place.subject).filter(|row| row.is_active(now))?;
        Some(row.ban(book.jail.as_ref(), place.subject, &self.names))
    }
}
