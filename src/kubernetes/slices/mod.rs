//! Bans shared by all nodes.
//!
//! ```text
//!  detector ── events ──► Outbox ── BanSlice ──► API server ── watch ──► every node's detector
//!                           ▲                        │
//!                           └── what is missing ── Shelf
//! ```
//!
//! Each agent writes what its own node decided and takes in what all the others did. What is on the API server is
//! never the truth about a ban that a node holds: a BanSlice that vanishes lifts nothing, and its node writes it
//! again, or another that holds the ban where that node is gone. A ban ends by time or by a Pardon.
//!
//! All times within this module are the cluster's. They are converted where bans leave the detector and where they are
//! handed to it.

mod code;
mod ends;
mod exchange;
mod orphans;
mod outbox;
mod publish;
mod receive;
mod refusals;
mod shelf;

pub use code::{Decoded, Fault, decode, moment, pardon};
pub use exchange::run;

/// Bans in one BanSlice at most, as its schema says.
pub const MOST_PER_SLICE: usize = 256;
/// Bans of one node that are kept published at most; of more, those that began last. About 25 MB in the API
/// server's storage.
pub const MOST_PER_NODE: usize = 100_000;

/// FNV-1a of a text: the same in every version and on every machine.
fn lot(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
