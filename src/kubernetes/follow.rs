//! A watch that begins anew wherever it broke off.
//!
//! Going on where one stood is cheaper, and wrong after the server's storage was emptied or restored: its versions are
//! lower then, and a watch from a version that has not come yet is silent for ever, without an error. Where a server
//! ends a watch in good order it is taken up where it stood all the same, as servers do that every few minutes: so
//! [`super::versions`] looks whether the storage went back, and then every watch begins anew.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::mirror::chain;
use super::outage::{self, Silence};
use super::versions;

/// After the first failure; doubled each time, until something is heard.
const RETRY: Duration = Duration::from_millis(200);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(10);

/// Changes when every watch of this process shall begin anew.
static RENEWALS: LazyLock<watch::Sender<u64>> = LazyLock::new(|| watch::channel(0).0);

/// Lets every watch of this process begin anew.
pub(super) fn renew() {
    RENEWALS.send_modify(|times| *times += 1);
}

/// How often that was.
pub(super) fn renewals() -> u64 {
    *RENEWALS.borrow()
}

/// The watch broke off. A list of all objects follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap;

struct Follow<K> {
    api: Api<K>,
    config: watcher::Config,
    events: BoxStream<'static, watcher::Result<Event<K>>>,
    patience: Duration,
    broken: bool,
    /// Nothing was heard since it began anew.
    new: bool,
    /// It waits for the server.
    silence: Option<Silence>,
    renewals: watch::Receiver<u64>,
}

/// The changes of what `api` and `config` select, for ever.
pub(super) fn followed<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, Gap>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = config.streaming_lists();
    let events = watcher::watcher(api.clone(), config.clone()).boxed();
    let renewals = RENEWALS.subscribe();
    let follow =
        Follow { api, config, events, patience: RETRY, broken: false, new: true, silence: None, renewals };
    stream::unfold(follow, |mut follow| async move {
        let next = follow.next().await;
        Some((next, follow))
    })
}

/// The same of objects that may be malformed: those are left out and named in the log.
pub(super) fn followed_sound<K>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, Gap>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    followed(api, config).filter_map(|event| {
        std::future::ready(match event {
            Ok(event) => sound(event, &K::kind(&())).map(Ok),
            Err(gap) => Some(Err(gap)),
        })
    })
}

impl<K> Follow<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    async fn next(&mut self) -> Result<Event<K>, Gap> {
        loop {
            if std::mem::take(&mut self.broken) {
                tokio::time::sleep(self.patience.mul_f64(chance())).await;
                self.patience = RETRY_MOST.min(self.patience * 2);
                self.events = watcher::watcher(self.api.clone(), self.config.clone()).boxed();
                self.new = true;
            }
            let next = tokio::select! {
                next = self.events.next() => next,
                Ok(()) = self.renewals.changed() => {
                    self.broken = true;
                    outage::broke(&K::kind(&()));
                    return Err(Gap);
                }
            };
            match next {
                Some(Ok(event)) => {
                    // That a list begins is said before anything was asked.
                    if !matches!(event, Event::Init) {
                        self.heard();
                    }
                    if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &event {
                        versions::note(&K::kind(&()), object.meta().resource_version.as_deref());
                    }
                    return Ok(event);
                }
                Some(Err(error)) => {
                    self.broken = true;
                    outage::broke(&K::kind(&()));
                    self.tell(&error);
                    return Err(Gap);
                }
                None => self.broken = true,
            }
        }
    }

    fn heard(&mut self) {
        self.patience = RETRY;
        if std::mem::take(&mut self.new) {
            outage::heard(self.silence.take());
        }
    }

    fn tell(&mut self, error: &watcher::Error) {
        let (kind, text) = (K::kind(&()), chain(error));
        match about(error) {
            About::Server if self.silence.is_none() => self.silence = Some(outage::silent(&kind, &text)),
            About::Kind if self.patience == RETRY => {
                tracing::warn!(%kind, error = text, "cannot watch; trying again");
            }
            About::Server | About::Kind | About::Age => {
                tracing::debug!(%kind, error = text, "the watch broke off; trying again");
            }
        }
    }
}

/// Between three quarters and five quarters: all watches of all nodes lose a server at the same moment.
fn chance() -> f64 {
    let [random, ..] = RandomState::new().hash_one(()).to_le_bytes();
    0.75 + f64::from(random) / 512.0
}

/// What an error tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The server, for all watches alike: it is away, or knows us no more.
    Server,
    /// This kind: it is not there, or we may not read it.
    Kind,
    /// Nothing: the server keeps changes for some minutes only.
    Age,
}

fn about(error: &watcher::Error) -> About {
    use watcher::Error::{InitialListFailed, NoResourceVersion, WatchError, WatchFailed, WatchStartFailed};
    let code = match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status.code,
        InitialListFailed(_) | WatchStartFailed(_) | WatchFailed(_) => return About::Server,
        NoResourceVersion => return About::Kind,
    };
    match code {
        410 => About::Age,
        401 | 429 | 500.. => About::Server,
        _ => About::Kind,
    }
}

fn sound<K: Resource<DynamicType = ()>>(event: Event<DeserializeGuard<K>>, kind: &str) -> Option<Event<K>> {
    let open = |guard: DeserializeGuard<K>| match guard.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let name = invalid.metadata.name.unwrap_or_default();
            tracing::warn!(kind, name, error = invalid.error, "an object cannot be read and is left out");
            None
        }
    };
    match event {
        Event::Apply(guard) => open(guard).map(Event::Apply),
        Event::Delete(guard) => open(guard).map(Event::Delete),
        Event::InitApply(guard) => open(guard).map(Event::InitApply),
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn what_a_kind_is_refused_for_is_told_apart_from_what_befalls_all_watches() {
        let answered = |code| {
            let status = Box::new(Status { code, ..Status::default() });
            about(&watcher::Error::WatchStartFailed(kube::Error::Api(status)))
        };
        assert_eq!([403, 404].map(answered), [About::Kind; 2]);
        assert_eq!([401, 429, 500, 503].map(answered), [About::Server; 4]);
        assert_eq!(answered(410), About::Age);
        assert_eq!(
            about(&watcher::Error::WatchFailed(kube::Error::LinesCodecMaxLineLengthExceeded)),
            About::Server
        );
    }

    #[test]
    fn no_wait_is_much_shorter_or_longer_than_meant() {
        let waits: Vec<f64> = (0..64).map(|_| chance()).collect();
        assert!(waits.iter().all(|wait| (0.75..=1.25).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| wait.to_bits() != waits[0].to_bits()), "{waits:?}");
    }
}
