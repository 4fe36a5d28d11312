//! How reports look to people, whether the daemon of one host tells them or a cluster.

mod bans;
mod limits;
mod orders;
mod why;

pub(super) use bans::{BanTable, ban_line, event_line, why};
#[cfg(feature = "kubernetes")]
pub(super) use limits::{Offended, Offending, offender_lines};
pub(super) use limits::{limit_table, limit_text, offenders_of};
pub(super) use orders::{banned, unbanned};
pub(super) use why::dossier;
