//! The ledger in the state file.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calendar::Key;
use super::ledger::{Ledger, LedgerLimits};
use super::row::{Row, pack};
use super::{Origin, Pardon};
use crate::engine::words::{WordRow, Words, WordsError, count, put_subject, relative};
use crate::engine::{JailName, Timestamp};

/// Everything the ledger knows: names once, bans as one row of integers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LedgerSnapshot {
    jails: Vec<Option<JailName>>,
    rules: Vec<Arc<str>>,
    origins: Vec<Origin>,
    reasons: Vec<String>,
    nodes: Vec<Arc<str>>,
    bans: WordRow,
    pardons: Vec<Pardon>,
    forgotten: u64,
}

/// Stands for [`Timestamp::MIN`] and [`Timestamp::MAX`], which are not relative to anything.
const NEVER: i64 = i64::MIN;

const LISTED: u8 = 1;
const OVER: u8 = 2;
const REPORTED: u8 = 4;
/// The numbers of other nodes follow at the end.
const WITNESSED: u8 = 8;

impl Ledger {
    /// What goes into the state file.
    #[must_use]
    pub fn snapshot(&self) -> LedgerSnapshot {
        let mut snapshot = LedgerSnapshot {
            jails: self.books.iter().map(|book| book.jail.clone()).collect(),
            rules: self.names.rules().to_vec(),
            origins: self.names.origins().to_vec(),
            nodes: self.names.nodes().to_vec(),
            pardons: self.pardons().collect(),
            forgotten: self.forgotten,
            ..LedgerSnapshot::default()
        };
        for (id, book) in self.books.iter().enumerate() {
            for (listed, table) in [(0, &book.rows), (LISTED, &book.listed)] {
                for (subject, row) in table.iter() {
                    snapshot.bans.push(count(id));
                    put_subject(&mut snapshot.bans, subject);
                    snapshot.put(row, listed);
                }
            }
        }
        snapshot
    }

    /// The ledger a snapshot was taken of. Bans that have ended meanwhile come out of the next [`Ledger::expire`].
    ///
    /// # Errors
    /// When the snapshot is damaged.
    pub fn restore(limits: LedgerLimits, snapshot: &LedgerSnapshot) -> Result<Self, WordsError> {
        let mut ledger = Self::new(limits);
        for jail in &snapshot.jails {
            ledger.book_id(jail.as_ref());
        }
        for pardon in &snapshot.pardons {
            ledger.pardons.add(pardon.clone());
        }
        ledger.forgotten = snapshot.forgotten;
        let rules: Vec<u16> = snapshot.rules.iter().map(|name| ledger.names.rule(name)).collect();
        let nodes: Vec<u16> = snapshot.nodes.iter().map(|name| ledger.names.node(name)).collect();
        let origins: Vec<u32> = snapshot.origins.iter().map(|origin| ledger.names.origin(origin)).collect();
        let mut words = Words::new(&snapshot.bans);
        while !words.is_done() {
            let id: u16 = words.number()?;
            let subject = words.subject()?;
            let (mut row, listed) = snapshot.read(&mut words)?;
            let place =
                |table: &[u32], id: u32| table.get(id as usize).copied().ok_or(WordsError::Range(id.into()));
            row.origin = place(&origins, row.origin)?;
            for (rule, _) in &mut row.rules {
                *rule = rules.get(usize::from(*rule)).copied().unwrap_or(super::row::NO_RULE);
            }
            if let Some(more) = &mut row.more {
                more.rules.retain_mut(|(rule, _)| match rules.get(usize::from(*rule)) {
                    Some(known) => {
                        *rule = *known;
                        true
                    }
                    None => false,
                });
                more.nodes =
                    more.nodes.iter().filter_map(|node| nodes.get(usize::from(*node)).copied()).collect();
            }
            ledger.acknowledged |= row.acked != Timestamp::MIN;
            let key = Key { book: id, listed, subject };
            match (row.over, listed) {
                (false, _) if row.end != Timestamp::MAX => ledger.ends.add(row.end, key),
                (true, false) => {
                    ledger.past.add(row.end, key);
                    ledger.past_len += 1;
                }
                _ => {}
            }
            let book = ledger.books.get_mut(usize::from(id)).ok_or(WordsError::Range(id.into()))?;
            book.over += usize::from(row.over && !listed);
            if let Some(double) = book.table_mut(listed).insert(subject, row) {
                ledger.past_len -= usize::from(double.over && !listed);
                book.over -= usize::from(double.over && !listed);
            }
        }
        Ok(ledger)
    }
}

impl LedgerSnapshot {
    fn put(&mut self, row: &Row, listed: u8) {
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = listed
            | flag(row.over, OVER)
            | flag(row.reported, REPORTED)
            | flag(!row.nodes().is_empty(), WITNESSED);
        let near = |time: Timestamp| match time {
            Timestamp::MIN | Timestamp::MAX => NEVER,
            time => relative(time, row.since),
        };
        let reason = match row.reason() {
            None => 0,
            Some(reason) => {
                self.reasons.push(reason.into());
                count(self.reasons.len())
            }
        };
        let counts: Vec<(u16, u32)> = row.counts().collect();
        self.bans.extend([
            i64::from(flags),
            i64::from(row.n),
            row.since.as_micros(),
            near(row.end),
            near(row.first),
            near(row.acked),
            i64::from(row.weight),
            i64::from(row.origin),
            reason,
            count(counts.len()),
        ]);
        self.bans.extend(counts.iter().flat_map(|(rule, times)| [i64::from(*rule), i64::from(*times)]));
        if !row.nodes().is_empty() {
            self.bans.push(count(row.nodes().len()));
            self.bans.extend(row.nodes().iter().map(|node| i64::from(*node)));
        }
    }

    fn read(&self, words: &mut Words<'_>) -> Result<(Row, bool), WordsError> {
        let flags: u8 = words.number()?;
        let n = words.number()?;
        let since = words.time()?;
        let mut near = |never| {
            let word = words.word()?;
            let time = since.as_micros().wrapping_add(word);
            Ok(if word == NEVER { never } else { Timestamp::from_micros(time) })
        };
        let (end, first, acked) = (near(Timestamp::MAX)?, near(Timestamp::MIN)?, near(Timestamp::MIN)?);
        let (weight, origin) = (words.number()?, words.number()?);
        let reason: usize = words.number()?;
        let mut counts = Vec::new();
        for _ in 0..words.number::<usize>()? {
            counts.push((words.number()?, words.number()?));
        }
        let mut nodes: Vec<u16> = Vec::new();
        if flags & WITNESSED != 0 {
            for _ in 0..words.number::<usize>()? {
                nodes.push(words.number()?);
            }
        }
        let reason = reason.checked_sub(1).and_then(|at| self.reasons.get(at));
        let (rules, more) = pack(counts, nodes, reason.map(String::as_str));
        let (over, reported) = (flags & OVER != 0, flags & REPORTED != 0);
        let row = Row { since, end, first, acked, more, n, weight, origin, rules, over, reported };
        Ok((row, flags & LISTED != 0))
    }
}
