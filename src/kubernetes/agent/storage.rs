//! The last picture of the cluster on disk: with it a node guards at once when it starts, also without an API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::picture::Picture;
use crate::agent::report::Moment;
use crate::agent::state_file::{Found, StateError, StateFile};
use crate::engine::Timestamp;

/// What is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// When it was written.
    pub written: Moment,
    /// Whether the node was asked to clean up: then it guards nothing, also after a restart.
    #[serde(default)]
    pub cleaned_up: bool,
    /// Objects that were accepted once and are refused as they are now: what goes on.
    #[serde(default)]
    pub good: Vec<Arc<Value>>,
    /// The cluster.
    pub picture: Picture,
    /// The storage that each list of it came from, by what was listed. Another storage that lists nothing takes nothing
    /// of it back.
    #[serde(default)]
    pub storages: BTreeMap<String, String>,
}

impl Default for Stored {
    fn default() -> Self {
        Self {
            written: Moment(Timestamp::from(jiff::Timestamp::now())),
            cleaned_up: false,
            good: Vec::new(),
            picture: Picture::default(),
            storages: BTreeMap::new(),
        }
    }
}

/// The file.
#[derive(Clone, Debug)]
pub struct Storage(Arc<StateFile>);

impl Storage {
    /// Opens the file beside the state file `state`.
    ///
    /// # Errors
    /// When another process holds it, or its directory cannot be written.
    pub fn open(state: &Path) -> Result<Self, StateError> {
        let mut name = state.file_name().unwrap_or_default().to_owned();
        name.push("-cluster");
        Ok(Self(Arc::new(StateFile::open(&state.with_file_name(name))?)))
    }

    /// What the last run left.
    #[must_use]
    pub fn load(&self) -> Option<Stored> {
        let Found { state, troubles } = self.0.load();
        for trouble in troubles {
            tracing::error!("{trouble}");
        }
        state
    }

    /// Notes whether the node was asked to clean up.
    pub async fn mark(&self, cleaned_up: bool) {
        let stored = self.load().unwrap_or_default();
        self.save(Stored { cleaned_up, ..stored }).await;
    }

    /// Writes. Failing is logged: without a file the next start waits for the API server, which is no reason to end.
    pub async fn save(&self, stored: Stored) {
        let file = Arc::clone(&self.0);
        let write = tokio::task::spawn_blocking(move || file.stage(&stored)?.commit());
        match write.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, path = %self.0.path().display(), "cannot keep what the API server said");
            }
            Err(error) => tracing::error!(%error, "cannot keep what the API server said"),
        }
    }
}

/// Removes the state file and all that is kept beside it under its name. For a node that was cleaned up, when its agent
/// ends: nothing of Gaoler stays there then. Should an agent come back all the same, it guards nothing before the API
/// server says what, and there its NodeAgent still asks to clean up.
pub fn discard(state: &Path) {
    let (Some(directory), Some(name)) = (state.parent(), state.file_name()) else { return };
    let own = |file: &std::ffi::OsStr| file.as_encoded_bytes().starts_with(name.as_encoded_bytes());
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if own(&entry.file_name())
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(%error, path = %entry.path().display(), "cannot be removed");
        }
    }
}

/// How long ago that was, for people: `3m`.
#[must_use]
pub fn age(written: Moment) -> String {
    let seconds = Timestamp::from(jiff::Timestamp::now()).since(written.0).as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{pod, service};
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let picture = Picture {
            declared: vec![Arc::new(serde_json::json!({"kind": "Jail"}))],
            pods: vec![Arc::new(
                pod("mail", "a", &[("app", "james")]).ip("10.88.1.2").host("smtp", 25, 2525),
            )],
            services: vec![Arc::new(service(
                "mail",
                "smtp",
                "{app: james}",
                "[{port: 25, targetPort: smtp}]",
                "NodePort",
            ))],
            ..Picture::default()
        };
        let stored = Stored { cleaned_up: true, picture: picture.clone(), ..Stored::default() };
        Storage::open(&state).unwrap().save(stored).await;
        let found = Storage::open(&state).unwrap().load().unwrap();
        assert_eq!((found.picture, found.cleaned_up), (picture, true));
    }

    #[tokio::test]
    async fn what_is_discarded_is_all_of_ours_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let storage = Storage::open(&state).unwrap();
        storage.save(Stored::default()).await;
        storage.save(Stored::default()).await;
        std::fs::write(&state, "bans").unwrap();
        std::fs::write(dir.path().join("other"), "somebody's").unwrap();
        assert!(std::fs::read_dir(dir.path()).unwrap().count() > 4);
        discard(&state);
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["other"]);
    }
}
