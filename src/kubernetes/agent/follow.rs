//! Follows the cluster: what changed within a moment becomes one change of the detector's configuration and
//! surroundings.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::declared::Declared;
use super::farewell::Farewell;
use super::picture::Picture;
use super::pods::directory;
use super::sources::Sources;
use super::station::{Concerns, Setup};
use super::storage::{Storage, Stored, age};
use super::surroundings::{pods_by_jail, pods_read, situation};
use crate::agent::handle::{AgentHandle, Gone, Unusable};
use crate::agent::report::{Condition, ConditionType};
use crate::kubernetes::connect::Server;

/// Changes are taken when nothing more came for this long…
const QUIET: Duration = Duration::from_millis(50);
/// …and at the latest after this long.
const LONGEST: Duration = Duration::from_millis(250);
/// How long a change of the jails waits for what is to be known of their namespaces: what they close meanwhile is what
/// they closed before.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often to look at what no watch tells: logs of pods that are gone, what waits for the disk.
const LOOK: Duration = Duration::from_secs(1);
/// How often the server's name is resolved.
const RESOLVE: Duration = Duration::from_secs(60);
/// How often a wait at start is told.
const TELL: Duration = Duration::from_secs(30);

/// Keeps the detector at what the cluster says.
#[derive(Debug)]
pub struct Follower {
    agent: AgentHandle,
    storage: Storage,
    root: PathBuf,
    server: Server,
    concerns: Concerns,
    setup: watch::Sender<Setup>,
    declared: Declared,
    picture: Picture,
    farewell: Farewell,
    servers: Vec<IpAddr>,
    resolved: Instant,
    /// Whether something was ever handed over.
    guards: bool,
    unsaved: bool,
    /// The storages that what is kept came from.
    storages: BTreeMap<String, String>,
}

/// What a follower is made of.
#[derive(Debug)]
pub struct Parts {
    /// The detector.
    pub agent: AgentHandle,
    /// Where the last picture is kept.
    pub storage: Storage,
    /// The kubelet's directory of logs.
    pub root: PathBuf,
    /// Where the API server is.
    pub server: Server,
    /// What a person should know.
    pub concerns: Concerns,
    /// Who wants to know what is in force.
    pub setup: watch::Sender<Setup>,
}

impl Follower {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { agent, storage, root, server, concerns, setup } = parts;
        Self {
            agent,
            storage,
            root,
            server,
            concerns,
            setup,
            declared: Declared::default(),
            picture: Picture::default(),
            farewell: Farewell::default(),
            servers: Vec::new(),
            resolved: Instant::now(),
            guards: false,
            unsaved: false,
            storages: BTreeMap::new(),
        }
    }

    /// Guards with what the last run left, before the API server is asked.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn recall(&mut self, stored: Stored) -> Result<(), Gone> {
        let Stored { written, good, mut picture, .. } = stored;
        let objects = picture.declared.clone();
        let Some(declared) = aside(move || Declared::recall(objects, good)).await else { return Ok(()) };
        let jails = declared.config().jails.len();
        tracing::info!(
            jails,
            age = age(written),
            "guarding with what the API server said last, until it answers"
        );
        self.servers.clone_from(&picture.servers);
        picture.pods = self.farewell(picture.pods);
        self.take(declared, picture).await?;
        self.unsaved = false;
        Ok(())
    }

    /// Follows until the detector ends.
    pub async fn run(mut self, mut sources: Sources, bell: Arc<Notify>) -> Gone {
        if let Err(gone) = self.begin(&mut sources, &bell).await {
            return gone;
        }
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Since when something is awaited of the namespaces.
        let mut waiting: Option<Instant> = None;
        loop {
            let rang = tokio::select! {
                () = bell.notified() => true,
                _ = looks.tick() => false,
            };
            if rang {
                settle(&bell).await;
            } else {
                self.look(&sources).await;
            }
            if !rang && waiting.is_none() && !self.farewell.is_waiting() {
                continue;
            }
            match self.follow(&mut sources, &mut waiting).await {
                Ok(()) => {}
                Err(gone) => return gone,
            }
        }
    }

    /// Waits until everything was listed once, so that nothing is lifted because it was not heard of yet.
    async fn begin(&mut self, sources: &mut Sources, bell: &Notify) -> Result<(), Gone> {
        let servers = self.server.addresses().await;
        if !servers.is_empty() {
            self.servers = servers;
        }
        sources.follow(self.declared.config());
        let began = Instant::now();
        let mut told = began;
        loop {
            if let Some(declared) = sources.declared() {
                let next = self.declare(declared).await;
                sources.follow(next.config());
                if sources.waiting().is_empty() {
                    self.settle_with(next, sources).await?;
                    sources.forget_recalled();
                    tracing::info!(
                        jails = self.declared.config().jails.len(),
                        "the API server told everything; following it"
                    );
                    self.concerns.say(NAME, Vec::new());
                    return Ok(());
                }
            }
            if timeout(LOOK, bell.notified()).await.is_ok() {
                settle(bell).await;
            }
            if self.agent.is_gone() {
                return Err(Gone);
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                let missing = sources.waiting().join(", ");
                let guards = self.guards;
                tracing::warn!(missing, guards, "still waiting for the API server");
                self.concerns.say(NAME, vec![disconnected(&missing)]);
            }
        }
    }

    async fn follow(&mut self, sources: &mut Sources, waiting: &mut Option<Instant>) -> Result<(), Gone> {
        let Some(declared) = sources.declared() else { return Ok(()) };
        let next = self.declare(declared).await;
        sources.follow(next.config());
        let missing = sources.waiting();
        if !missing.is_empty() {
            let since = *waiting.get_or_insert_with(Instant::now);
            if since.elapsed() < PATIENCE {
                return Ok(());
            }
            let missing = missing.join(", ");
            tracing::warn!(missing, "the API server does not tell these; going on without");
            self.concerns.say(NAME, vec![disconnected(&missing)]);
        } else if waiting.take().is_some() {
            self.concerns.say(NAME, Vec::new());
        }
        self.settle_with(next, sources).await
    }

    async fn settle_with(&mut self, next: Declared, sources: &Sources) -> Result<(), Gone> {
        let mut picture = sources.picture(next.objects.clone(), self.servers.clone());
        picture.pods = self.farewell(picture.pods);
        self.take(next, picture).await
    }

    fn farewell(&mut self, pods: Vec<Arc<super::picture::LocalPod>>) -> Vec<Arc<super::picture::LocalPod>> {
        let root = self.root.clone();
        self.farewell.read(pods, Instant::now(), |pod| directory(pod, &root).exists())
    }

    /// The configuration of these objects.
    async fn declare(&self, objects: Vec<Arc<serde_json::Value>>) -> Declared {
        if objects == self.declared.objects {
            return self.declared.clone();
        }
        let before = self.declared.clone();
        // Compiling filters and running their examples takes time.
        let next = aside(move || {
            let next = before.next(objects);
            next.tell_since(&before);
            next
        });
        next.await.unwrap_or_else(|| self.declared.clone())
    }

    /// Hands over what changed.
    async fn take(&mut self, declared: Declared, picture: Picture) -> Result<(), Gone> {
        let configure = !self.guards || declared.objects != self.declared.objects;
        if !configure && picture == self.picture {
            return Ok(());
        }
        let setup = self.setup.borrow().clone();
        let situation = Arc::new(situation(declared.config(), &picture, &self.root));
        if *situation != *setup.situation || !self.guards {
            self.agent.situate(Arc::clone(&situation)).await?;
        }
        let config = if configure {
            let config = Arc::new(declared.config().clone());
            for Unusable { jail, reason } in self.agent.configure(Arc::clone(&config)).await? {
                tracing::error!(%jail, reason, "a jail cannot be used as it is");
            }
            config
        } else {
            setup.config
        };
        let pods = pods_by_jail(&config, &picture);
        let read = pods_read(&config, &picture);
        self.setup.send_replace(Setup {
            turn: setup.turn + 1,
            config,
            situation,
            pods,
            read,
            node: picture.node.clone(),
        });
        self.declared = declared;
        self.picture = picture;
        self.guards = true;
        self.unsaved = true;
        Ok(())
    }

    /// What no watch tells.
    async fn look(&mut self, sources: &Sources) {
        let due = self.resolved.elapsed() >= RESOLVE;
        let servers = if due { self.server.addresses().await } else { Vec::new() };
        // A name that does not resolve now is no reason to forget what it was.
        if !servers.is_empty() {
            self.servers = servers;
        }
        if due {
            self.resolved = Instant::now();
        }
        let storages = sources.storages();
        if storages != self.storages {
            self.storages = storages;
            self.unsaved = true;
        }
        // Also of a node that was cleaned up.
        if std::mem::take(&mut self.unsaved) {
            let stored = Stored {
                good: self.declared.held(),
                picture: self.picture.clone(),
                storages: self.storages.clone(),
                ..Stored::default()
            };
            self.storage.save(stored).await;
        }
    }
}

/// Under which name it says what is wrong.
const NAME: &str = "follow";

fn disconnected(missing: &str) -> Condition {
    Condition {
        kind: ConditionType::Disconnected,
        status: true,
        reason: "NotListed".into(),
        message: format!("the API server does not list: {missing}"),
    }
}

/// Waits until nothing more comes.
async fn settle(bell: &Notify) {
    let until = Instant::now() + LONGEST;
    while Instant::now() < until && timeout(QUIET, bell.notified()).await.is_ok() {}
}

/// Does what takes time beside this thread. `None` when it broke, which is logged.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work)
        .await
        .inspect_err(|error| tracing::error!(%error, "what was declared could not be read"))
        .ok()
}
