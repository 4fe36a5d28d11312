//! Who is banned: the ledger of active and past bans, and what it asks of the firewall.

mod ban;

pub use ban::{Ban, Evidence, Origin};
