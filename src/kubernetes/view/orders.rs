//! What people order by hand, written to the API server.
//!
//! A ban by hand is an entry of one BanList, [`BY_HAND`]; an unban is a Pardon. Entries of other BanLists belong to
//! whoever wrote them.

use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt};

use super::ask::{AskError, answer};
use crate::api::v1alpha1::{self as api, BanListEntry};
use crate::engine::{JailName, Subject, Timestamp};
use crate::kubernetes::FIELD_MANAGER;
use ipnet::IpNet;

/// The name of the BanList that `ban` writes.
pub const BY_HAND: &str = "by-hand";
/// Entries in a BanList at most, as its schema says.
const MOST: usize = 10_000;
/// How often the list is read again when somebody else wrote it meanwhile.
const TRIES: usize = 8;

/// Adds an entry, or gives the known one a later end and the newer words.
///
/// # Errors
/// When the server does not take it, or the list is full.
pub async fn add(client: &Client, entry: &BanListEntry, now: Timestamp) -> Result<(), AskError> {
    change(client, |entries| {
        entries.retain(|known| !is_over(known, now) && !is_same(known, entry));
        entries.push(entry.clone());
        true
    })
    .await
}

/// Writes a Pardon for each prefix and removes the entries inside, of one jail or all: a Pardon does not touch those.
/// Both, or neither.
///
/// # Errors
/// When the server does not take one of it. Pardons that it took are removed again.
pub async fn unban(
    client: &Client,
    nets: &[IpNet],
    jail: Option<&JailName>,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), AskError> {
    // What can be taken back goes first.
    let pardons = pardon(client, nets, jail, reason).await?;
    let removed = remove(client, nets, jail, now).await;
    if removed.is_err() {
        withdraw(client, &pardons).await;
    }
    removed
}

/// Removes the entries inside `nets`, of one jail or all.
async fn remove(
    client: &Client,
    nets: &[IpNet],
    jail: Option<&JailName>,
    now: Timestamp,
) -> Result<(), AskError> {
    let meant = |entry: &BanListEntry| {
        let of = entry.scope.as_ref().map(api::Scope::as_str).filter(|scope| *scope != "All");
        let subject: Option<Subject> = entry.prefix.as_str().parse().ok();
        jail.is_none_or(|jail| of == Some(jail.as_str()))
            && subject.is_some_and(|subject| nets.iter().any(|net| subject.is_within(*net)))
    };
    change(client, |entries| {
        let before = entries.len();
        entries.retain(|entry| !is_over(entry, now) && !meant(entry));
        entries.len() != before
    })
    .await
}

fn is_over(entry: &BanListEntry, now: Timestamp) -> bool {
    let until = entry.until.as_ref().and_then(|until| super::status::moment(until.as_str()));
    until.is_some_and(|until| until <= now)
}

fn is_same(one: &BanListEntry, other: &BanListEntry) -> bool {
    let whose = |entry: &BanListEntry| {
        let scope =
            entry.scope.as_ref().map(|scope| scope.as_str().to_owned()).filter(|scope| scope != "All");
        (entry.prefix.as_str().parse::<Subject>().ok(), scope)
    };
    whose(one) == whose(other)
}

/// Reads the list, changes it, and writes it if nobody else did meanwhile; else again.
async fn change(client: &Client, edit: impl Fn(&mut Vec<BanListEntry>) -> bool) -> Result<(), AskError> {
    const KIND: &str = "banlists";
    let lists: Api<api::BanList> = Api::all(client.clone());
    let how = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    for _ in 0..TRIES {
        let known = answer(KIND, lists.get_opt(BY_HAND)).await?;
        let fresh = known.is_none();
        let mut list = known.unwrap_or_else(|| api::BanList::new(BY_HAND, api::BanListSpec::default()));
        if !edit(&mut list.spec.entries) {
            return Ok(());
        }
        if list.spec.entries.len() > MOST {
            return Err(AskError::Refused(format!("the BanList {BY_HAND} has {MOST} entries and is full")));
        }
        list.metadata.managed_fields = None;
        let written = if fresh {
            tokio::time::timeout(super::REACH, lists.create(&how, &list)).await
        } else {
            tokio::time::timeout(super::REACH, lists.replace(BY_HAND, &how, &list)).await
        };
        match written {
            // Somebody was faster.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => return Err(AskError::of(KIND, &error)),
            Err(_) => {
                return Err(AskError::Unreachable(format!("the BanList {BY_HAND} was not taken in time")));
            }
        }
    }
    Err(AskError::Refused(format!("others write the BanList {BY_HAND} all the time; try again")))
}

/// Writes a Pardon for each prefix, all or none. What the server says was written.
async fn pardon(
    client: &Client,
    nets: &[IpNet],
    jail: Option<&JailName>,
    reason: Option<&str>,
) -> Result<Vec<api::Pardon>, AskError> {
    let pardons: Api<api::Pardon> = Api::all(client.clone());
    let how = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    let jail = jail
        .and_then(|jail| jail.as_str().split_once('/'))
        .map(|(namespace, name)| api::JailReference { namespace: namespace.into(), name: name.into() });
    let mut written: Vec<api::Pardon> = Vec::new();
    for net in nets {
        let spec = api::PardonSpec {
            prefix: api::Prefix(Subject::new(*net).to_string()),
            jail: jail.clone(),
            reason: reason.map(ToOwned::to_owned),
        };
        let mut pardon = api::Pardon::new("", spec);
        pardon.metadata.name = None;
        pardon.metadata.generate_name = Some("unban-".into());
        match answer("pardons", pardons.create(&how, &pardon)).await {
            Ok(taken) => written.push(taken),
            Err(error) => {
                withdraw(client, &written).await;
                return Err(error);
            }
        }
    }
    Ok(written)
}

/// Removes Pardons again. Nodes may have acted on them already; the records at least go.
async fn withdraw(client: &Client, written: &[api::Pardon]) {
    let pardons: Api<api::Pardon> = Api::all(client.clone());
    for pardon in written {
        let name = pardon.name_any();
        if let Err(error) = answer("pardons", pardons.delete(&name, &DeleteParams::default())).await {
            tracing::warn!(pardon = name, %error, "a Pardon stays that was written in vain; delete it");
        }
    }
}
