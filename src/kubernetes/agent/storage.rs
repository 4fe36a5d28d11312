//! The last picture of the cluster on disk: with it a node guards at once when it starts, also without an API server.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::picture::Picture;
use crate::agent::report::Moment;
use crate::agent::state_file::{Found, Staged, StateError, StateFile};
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

/// The file. Whoever changes it reads and writes in one turn.
#[derive(Clone, Debug)]
pub struct Storage(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    file: StateFile,
    /// Nothing is written any more, also not by who waits for its turn still.
    discarded: bool,
}

impl Storage {
    /// Opens the file beside the state file `state`.
    ///
    /// # Errors
    /// When another process holds it, or its directory cannot be written.
    pub fn open(state: &Path) -> Result<Self, StateError> {
        let mut name = state.file_name().unwrap_or_default().to_owned();
        name.push("-cluster");
        let file = StateFile::open(&state.with_file_name(name))?;
        Ok(Self(Arc::new(Mutex::new(Kept { file, discarded: false }))))
    }

    /// What the last run left.
    #[must_use]
    pub fn load(&self) -> Option<Stored> {
        self.turn().load()
    }

    /// Notes whether the node was asked to clean up.
    pub async fn mark(&self, cleaned_up: bool) {
        self.change(move |before| Stored { cleaned_up, ..before.unwrap_or_default() }).await;
    }

    /// Writes all but that mark, which stays.
    pub async fn save(&self, stored: Stored) {
        self.change(move |before| Stored {
            cleaned_up: before.is_some_and(|before| before.cleaned_up),
            ..stored
        })
        .await;
    }

    /// Failing is logged: without a file the next start waits for the API server, which is no reason to end. The write
    /// goes on where nobody waits for it any more.
    async fn change(&self, change: impl FnOnce(Option<Stored>) -> Stored + Send + 'static) {
        let storage = self.clone();
        let write = tokio::task::spawn_blocking(move || {
            let kept = storage.turn();
            if kept.discarded {
                return;
            }
            let stored = change(kept.load());
            if let Err(error) = kept.file.stage(&stored).and_then(Staged::commit) {
                tracing::error!(%error, path = %kept.file.path().display(), "cannot keep what the API server said");
            }
        });
        if let Err(error) = write.await {
            tracing::error!(%error, "cannot keep what the API server said");
        }
    }

    /// Removes the state file and all that is kept beside it under its name, for good. For a node that was cleaned up,
    /// when its agent ends: nothing of Gaoler stays there then. Should an agent come back all the same, it guards
    /// nothing before the API server says what, and there its NodeAgent still asks to clean up.
    pub fn discard(&self, state: &Path) {
        let mut kept = self.turn();
        kept.discarded = true;
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

    fn turn(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn load(&self) -> Option<Stored> {
        let Found { state, troubles } = self.file.load();
        for trouble in troubles {
            tracing::error!("{trouble}");
        }
        state
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
        let stored = Stored { picture: picture.clone(), ..Stored::default() };
        let storage = Storage::open(&state).unwrap();
        storage.save(stored).await;
        storage.mark(true).await;
        drop(storage);
        let found = Storage::open(&state).unwrap().load().unwrap();
        assert_eq!((found.picture, found.cleaned_up), (picture, true));
    }

    #[tokio::test]
    async fn a_mark_and_a_picture_of_the_same_moment_are_both_kept() {
        let dir = tempfile::tempdir().unwrap();
        let storage = Storage::open(&dir.path().join("state")).unwrap();
        for round in 0..50 {
            let cleaned_up = round % 2 == 0;
            let declared = vec![Arc::new(serde_json::json!({"kind": "Jail", "round": round}))];
            let picture = Picture { declared, ..Picture::default() };
            let stored = Stored { picture: picture.clone(), ..Stored::default() };
            tokio::join!(storage.save(stored), storage.mark(cleaned_up));
            let found = storage.load().unwrap();
            assert_eq!((found.picture, found.cleaned_up), (picture, cleaned_up), "round {round}");
        }
        assert!(!dir.path().join("state-cluster.damaged").exists());
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
        storage.discard(&state);
        // Somebody's turn that came too late.
        storage.mark(true).await;
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["other"]);
    }
}
