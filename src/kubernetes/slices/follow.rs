//! A watch that begins anew wherever it broke off.
//!
//! Going on where one stood is cheaper, and wrong after the server's storage was emptied or restored: its versions are
//! lower then, and a watch from a version that has not come yet is silent for ever, without an error.

use std::fmt::Debug;
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use crate::kubernetes::mirror::{chain, sound};

/// After the first failure; doubled each time, until something is heard.
const RETRY: Duration = Duration::from_millis(200);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(10);

/// The watch broke off. A list of all objects follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap;

struct Follow<K> {
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    events: BoxStream<'static, watcher::Result<Event<DeserializeGuard<K>>>>,
    patience: Duration,
    broken: bool,
}

/// The changes of all objects of a kind, for ever.
pub(super) fn followed<K>(
    client: &Client,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, Gap>> + Send + 'static
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let config = config.streaming_lists();
    let events = watcher::watcher(api.clone(), config.clone()).boxed();
    let follow = Follow { api, config, events, patience: RETRY, broken: false };
    stream::unfold(follow, |mut follow| async move {
        loop {
            if std::mem::take(&mut follow.broken) {
                tokio::time::sleep(follow.patience).await;
                follow.patience = RETRY_MOST.min(follow.patience * 2);
                follow.events = watcher::watcher(follow.api.clone(), follow.config.clone()).boxed();
            }
            match follow.events.next().await {
                Some(Ok(event)) => {
                    // That a list begins is said before anything was asked.
                    if !matches!(event, Event::Init) {
                        follow.patience = RETRY;
                    }
                    if let Some(event) = sound(event, &K::kind(&())) {
                        return Some((Ok(event), follow));
                    }
                }
                Some(Err(error)) => {
                    let (kind, error) = (K::kind(&()), chain(&error));
                    if follow.patience == RETRY {
                        tracing::warn!(%kind, error, "cannot watch; trying again");
                    } else {
                        tracing::debug!(%kind, error, "still cannot watch; trying again");
                    }
                    follow.broken = true;
                    return Some((Err(Gap), follow));
                }
                None => follow.broken = true,
            }
        }
    })
}
