//! How reports look to people, whether the daemon of one host tells them or a cluster.

#[cfg(feature = "standalone")]
mod absent;
mod bans;
mod limits;
mod orders;
mod why;

#[cfg(feature = "standalone")]
pub(super) use absent::{absent_jail, kept_list};
pub(super) use bans::{BanTable, ban_line, event_line, why};
#[cfg(feature = "kubernetes")]
pub(super) use limits::{Offended, Offending, offender_lines};
pub(super) use limits::{limit_table, limit_text, offenders_of};
pub(super) use orders::{banned, unbanned};
pub(super) use why::dossier;
