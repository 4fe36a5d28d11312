//! What counting one match led to.

use super::{NodeIndex, RuleRef, Subject, Timestamp};

/// The answer of [`super::jail::Jail::count`].
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Counted; this much weight is within the window now, of `needed`.
    Counted {
        /// The subject the match was counted for.
        subject: Subject,
        /// Weight within `findTime`.
        weight: u32,
        /// Weight at which a ban falls.
        needed: u32,
    },
    /// The threshold was reached. Its end may be past already when old lines are read: the ledger then keeps it as
    /// history (the next one is the n-th) and nothing is set.
    Ban(Conviction),
    /// A failure during a ban moved its end.
    Extended {
        /// The banned subject.
        subject: Subject,
        /// The n of the running ban.
        n: u32,
        /// Its new end; `None` is permanent.
        until: Option<Timestamp>,
    },
    /// A success was noted.
    Trusted(Subject),
    /// Not counted, and why.
    Skipped(Skip),
}

/// Why a match was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The address is in the house, an allow list or the jail's `ignore`.
    NeverBan,
    /// Older than `findTime`.
    TooOld,
    /// Older than a pardon that covers it.
    Pardoned,
}

/// A threshold reached: who, the n-th time, from when until when, and on what evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct Conviction {
    /// Who.
    pub subject: Subject,
    /// The how many-th ban of this subject by this jail, from 1.
    pub n: u32,
    /// The deciding failure.
    pub since: Timestamp,
    /// The end; `None` is permanent.
    pub until: Option<Timestamp>,
    /// Weight that was in the window.
    pub weight: u32,
    /// The oldest failure in the window.
    pub first: Timestamp,
    /// Rules and how often each matched within the window.
    pub rules: Vec<(RuleRef, u32)>,
    /// Other nodes that saw some of these failures.
    pub nodes: Vec<NodeIndex>,
}

/// A ban of the past or present, as counting must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The how many-th.
    pub n: u32,
    /// Its beginning.
    pub since: Timestamp,
    /// Its end; `None` is permanent.
    pub until: Option<Timestamp>,
}

/// What is known of earlier bans. The ledger implements it; counting only reads.
pub trait History {
    /// The running or latest ban of `subject` by this jail that is not forgotten.
    fn latest(&self, subject: Subject) -> Option<Term>;
    /// The latest pardon that covers `subject` in this jail.
    fn pardoned(&self, subject: Subject) -> Option<Timestamp>;
}
