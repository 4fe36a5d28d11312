//! What a log line says and what follows from it. Pure and synchronous: no clock, no files, no network.
//!
//! A [`scanner::Scanner`] turns blocks of lines into [`Match`]es; a [`jail::Jail`] counts them and pronounces
//! [`Verdict`]s. Everything here may be called with any bytes: a log is written by attackers.

pub mod address;
pub mod cri;
pub mod dates;
pub mod layout;

mod civil;
mod clock;
mod elsewhere;
mod event;
pub mod filter;
pub mod house;
pub mod jail;
mod keyed;
mod matched;
mod name;
mod ranked;
mod roster;
pub mod scanner;
pub mod sentence;
mod sighting;
mod source;
mod spec;
mod subject;
mod time;
pub mod trust;
mod verdict;
pub mod well_known;
pub mod window;
pub mod words;

pub use clock::ReadClock;
pub use event::{Context, Event};
pub(crate) use keyed::KeyedMap;
pub use matched::{Match, Outcome, RuleRef};
pub use name::{FilterName, JailName};
pub use sighting::{NodeIndex, Sighting};
pub use source::{Source, hides_all_of_ipv4, holds_nat64};
pub use spec::{AddressSource, FilterSpec, JailSpec, LayoutSpec, OnePer, RuleSpec, SentenceSpec, TextSpec};
pub use subject::{AddressPolicy, PrefixPolicy, Subject};
pub use time::{Duration, Shift, Timestamp};
pub use verdict::{Conviction, History, Skip, Term, Verdict};
