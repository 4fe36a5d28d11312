//! What survives the process: one moment of offsets, windows, ledger and pardons that fit together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kept_lists::KeptLists;
use super::left_closed::LeftClosed;
use super::readers::Readers;
use super::resolver::Answers;
use super::scans::Parked;
use super::set_clock::SavedClock;
use crate::bans::LedgerSnapshot;
use crate::engine::JailName;
use crate::engine::jail::JailSnapshot;
use crate::logs::Checkpoint;

/// One moment. What was read up to the offsets is in the windows and the ledger, nothing else is: so reading on from
/// here counts every record once.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Snapshot {
    /// By which clock all that follows is. Not in files of earlier versions.
    pub(super) clock: Option<SavedClock>,
    /// How far each file was read.
    pub(super) files: Vec<Checkpoint>,
    /// How far each journal was read, by its units.
    pub(super) journals: BTreeMap<String, String>,
    /// For which jails that was. Not in files of earlier versions.
    pub(super) readers: Readers,
    /// What scanners remember of each source.
    pub(super) scans: Parked,
    /// Failures below the threshold, by jail.
    pub(super) jails: BTreeMap<JailName, JailSnapshot>,
    /// What the bans of each jail close on this host. Not in files of earlier versions.
    pub(super) closed: BTreeMap<JailName, LeftClosed>,
    /// Bans, past bans, pardons.
    pub(super) ledger: LedgerSnapshot,
    /// What the allow lists said. Not in files of earlier versions.
    pub(super) allowed: KeptLists,
    /// Addresses of the allow lists' hosts.
    pub(super) hosts: Answers,
}
