//! Who is banned: the ledger of active and past bans, and what it asks of the firewall.

mod ban;
mod brake;
mod calendar;
mod efficacy;
mod history;
mod ledger;
mod listing;
mod lists;
mod pardon;
mod prefixes;
mod queries;
mod row;
mod snapshot;

pub use ban::{Ban, Evidence, Origin};
pub use brake::Brake;
pub use efficacy::{GRACE, Ineffective};
pub use history::JailHistory;
pub use ledger::{Changes, Hold, Ledger, LedgerLimits, Recorded};
pub use listing::Place;
pub use pardon::Pardon;
pub use snapshot::LedgerSnapshot;
