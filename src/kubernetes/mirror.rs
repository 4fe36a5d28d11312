//! Objects of one kind as the API server has them, kept up to date by a watch.
//!
//! A malformed object is left out and named in the log; it never breaks the watch. When the server is away, the last
//! state stays; when it comes back with another storage that lists nothing, too ([`super::holding`]).

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::follow::{followed, followed_sound};
use super::holding::Holding;
use super::identity::Question;

/// How long to wait before a server that did not say which storage it has is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// Namespace (empty for cluster-scoped kinds) and name.
pub type Key = (String, String);

/// The key of an object.
#[must_use]
pub fn key_of<K: ResourceExt>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// The changes of one kind, for ever: where the watch broke off, a list of all objects follows.
pub fn changes<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
) -> impl Stream<Item = Event<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    followed_sound(api, config).filter_map(|event| std::future::ready(event.ok()))
}

/// An error with what caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

/// What an earlier process held of one kind.
#[derive(Debug)]
pub struct Recalled<T>(Holding<T>);

impl<T> Recalled<T> {
    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self(Holding::default())
    }

    /// These, from this storage.
    #[must_use]
    pub fn from_storage(storage: &str, objects: impl IntoIterator<Item = (Key, T)>) -> Self {
        Self(Holding::recalled(objects, storage.to_owned()))
    }
}

/// All objects of one kind that a watch selects. Clones share them.
#[derive(Debug)]
pub struct Mirror<K> {
    objects: Arc<Mutex<Holding<K>>>,
    version: watch::Receiver<u64>,
}

impl<K> Clone for Mirror<K> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects), version: self.version.clone() }
    }
}

impl<K> Mirror<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// Starts to mirror. The task runs until it is aborted.
    #[must_use]
    pub fn spawn(api: Api<DeserializeGuard<K>>, config: watcher::Config) -> (Self, JoinHandle<()>) {
        Self::spawn_as(api, config, Recalled::nothing(), |object| object)
    }
}

impl<T: Send + Sync + 'static> Mirror<T> {
    /// Starts to mirror what `take` makes of each object: what is not needed takes no memory. The task runs until it
    /// is aborted.
    #[must_use]
    pub fn spawn_as<K>(
        api: Api<DeserializeGuard<K>>,
        config: watcher::Config,
        recalled: Recalled<T>,
        take: impl Fn(K) -> T + Send + 'static,
    ) -> (Self, JoinHandle<()>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        let client = api.clone().into_client();
        Self::spawn_from(client, changes(api, config), recalled, take)
    }

    /// Starts to mirror what `take` makes of each object's metadata; nothing else is sent by the server.
    #[must_use]
    pub fn spawn_metadata<K>(
        api: Api<PartialObjectMeta<K>>,
        config: watcher::Config,
        recalled: Recalled<T>,
        take: impl Fn(PartialObjectMeta<K>) -> T + Send + 'static,
    ) -> (Self, JoinHandle<()>)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    {
        let client = api.clone().into_client();
        let events = followed(api, config).filter_map(|event| std::future::ready(event.ok()));
        Self::spawn_from(client, events, recalled, take)
    }

    fn spawn_from<K: ResourceExt + Send + 'static>(
        client: Client,
        events: impl Stream<Item = Event<K>> + Send + 'static,
        Recalled(recalled): Recalled<T>,
        take: impl Fn(K) -> T + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let objects = Arc::new(Mutex::new(recalled));
        let (turn, version) = watch::channel(0);
        let mirror = Self { objects: Arc::clone(&objects), version };
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(events);
            let mut began = Instant::now();
            let mut asked = Question::default();
            loop {
                let event = tokio::select! {
                    event = events.next() => match event {
                        Some(event) => event,
                        None => return,
                    },
                    storage = asked.answer() => {
                        let Some(storage) = storage else {
                            asked = Question::put(client.clone(), began, ASK_AGAIN);
                            continue;
                        };
                        if lock(&objects).told(storage) {
                            turn.send_modify(|version| *version += 1);
                        }
                        continue;
                    }
                };
                let mut held = lock(&objects);
                match event {
                    Event::Init => {
                        held.begin();
                        (began, asked) = (Instant::now(), Question::default());
                        continue;
                    }
                    Event::InitApply(object) => {
                        held.list(key_of(&object), take(object));
                        continue;
                    }
                    Event::InitDone => {
                        held.listed();
                        asked = Question::put(client.clone(), began, Duration::ZERO);
                    }
                    Event::Apply(object) => held.apply(key_of(&object), take(object)),
                    Event::Delete(object) => held.delete(&key_of(&object)),
                }
                drop(held);
                turn.send_modify(|version| *version += 1);
            }
        });
        (mirror, task)
    }
}

fn lock<T>(objects: &Mutex<Holding<T>>) -> std::sync::MutexGuard<'_, Holding<T>> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K> Mirror<K> {
    /// Waits until the first list is complete.
    pub async fn ready(&mut self) {
        // An error means that the task ended: then nothing will come any more, and waiting would be for ever.
        let _ = self.version.wait_for(|version| *version > 0).await;
    }

    /// Whether the first list is complete.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.version.borrow() > 0
    }

    /// Waits until something changed since this clone last waited.
    pub async fn changed(&mut self) {
        if self.version.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// All objects, by key.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        lock(&self.objects).objects().values().cloned().collect()
    }

    /// Whether the server has it, as far as is known. [`Self::get`] gives what is kept of an emptied storage too.
    #[must_use]
    pub fn is_there(&self, namespace: &str, name: &str) -> bool {
        lock(&self.objects).is_there(&(namespace.to_owned(), name.to_owned()))
    }

    /// The storage that listed what is there; `None` as long as that is not known.
    #[must_use]
    pub fn storage(&self) -> Option<String> {
        lock(&self.objects).storage().map(str::to_owned)
    }

    /// One object.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        lock(&self.objects).objects().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}
