//! How reports look to people, whether the daemon of one host tells them or a cluster.

mod bans;
mod orders;
mod why;

pub(super) use bans::{BanTable, ban_line, event_line, why};
pub(super) use orders::{banned, unbanned};
pub(super) use why::dossier;
