//! Bans as they begin and end, as the API server tells of them.

use std::time::Duration;

use futures::StreamExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::{self, Event as Change};
use kube::{Api, Client};

use super::ask::AskError;
use super::look::View;
use super::read::{Scope, configuration};
use super::report::SeenBan;
use crate::agent::report::EventKind;
use crate::api::v1alpha1 as api;
use crate::bans::{Ban, Recorded};
use crate::engine::Timestamp;
use crate::kubernetes::mirror::changes;

/// How long changes of lists are gathered before they are read.
const GATHER: Duration = Duration::from_millis(200);

/// Tells what happens after `view` was made, by the clock `now`, until `tell` fails or something cannot be read.
///
/// # Errors
/// What `tell` says.
pub async fn follow<E: From<AskError>>(
    client: Client,
    scope: Scope,
    mut view: View,
    now: impl Fn() -> Timestamp,
    mut tell: impl FnMut(EventKind, &SeenBan) -> Result<(), E>,
) -> Result<(), E> {
    let slices: Api<DeserializeGuard<api::BanSlice>> = Api::all(client.clone());
    let pardons: Api<DeserializeGuard<api::Pardon>> = Api::all(client.clone());
    let lists: Api<DeserializeGuard<api::BanList>> = Api::all(client.clone());
    let mut slices = std::pin::pin!(changes(slices, watcher::Config::default()));
    let mut pardons = std::pin::pin!(changes(pardons, watcher::Config::default()));
    let mut lists = std::pin::pin!(changes(lists, watcher::Config::default()));
    let mut read_lists_at: Option<tokio::time::Instant> = None;
    loop {
        let next_end = view.next_end().map(|end| tokio::time::Instant::now() + end.since(now()));
        let mut told: Vec<(EventKind, Ban)> = Vec::new();
        tokio::select! {
            biased;
            Some(change) = pardons.next() => {
                if let Change::Apply(pardon) | Change::InitApply(pardon) = change {
                    told.extend(view.pardon(&pardon, now()).into_iter().map(|ban| (EventKind::Unban, ban)));
                }
            }
            Some(change) = slices.next() => {
                if let Change::Apply(slice) | Change::InitApply(slice) = change {
                    told.extend(view.record(&slice.spec, now()).into_iter().filter_map(news));
                }
            }
            // The first list of each watch is known already.
            Some(change) = lists.next() => {
                if matches!(change, Change::Apply(_) | Change::Delete(_) | Change::InitDone) {
                    read_lists_at.get_or_insert_with(|| tokio::time::Instant::now() + GATHER);
                }
            }
            () = until(read_lists_at) => {
                read_lists_at = None;
                match configuration(&client, &scope).await {
                    Ok(loaded) => {
                        let changes = view.declare(loaded, now());
                        told.extend(changes.begun.into_iter().map(|ban| (EventKind::Ban, ban)));
                        told.extend(changes.ended.into_iter().map(|ban| (EventKind::Unban, ban)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot read the lists; trying again");
                        read_lists_at = Some(tokio::time::Instant::now() + Duration::from_secs(5));
                    }
                }
            }
            () = until(next_end) => {
                told.extend(view.expire(now()).into_iter().map(|ban| (EventKind::Expire, ban)));
            }
        }
        for (kind, ban) in told {
            tell(kind, &view.report(&ban))?;
        }
    }
}

fn news((recorded, ban): (Recorded, Ban)) -> Option<(EventKind, Ban)> {
    match recorded {
        Recorded::New => Some((EventKind::Ban, ban)),
        Recorded::Prolonged => Some((EventKind::Prolong, ban)),
        Recorded::Known | Recorded::Over | Recorded::Pardoned | Recorded::Refused => None,
    }
}

async fn until(moment: Option<tokio::time::Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
