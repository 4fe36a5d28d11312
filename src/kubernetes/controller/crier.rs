//! Tells new bans as events on their jails.

use std::collections::HashSet;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;
use kube::{Resource, ResourceExt};
use tokio::time::sleep;

use super::merge::Fnv;
use super::notices::{Herald, Notice};
use super::pen::Pen;
use crate::api::v1alpha1::{BanSlice, Jail};
use crate::kubernetes::cluster_time::ClusterClock;
use crate::kubernetes::mirror::Mirror;
use crate::kubernetes::raw::Raw;

/// How often slices are looked at: an event is for people.
const TICK: Duration = Duration::from_secs(1);
/// The same for both replicas, so that one continues what the other told.
const REPORTER: &str = "gaoler.dev/controller";

/// Tells until it is aborted.
pub(super) async fn cry(
    mut slices: Mirror<BanSlice>,
    mut jails: Mirror<Raw<Jail>>,
    pen: Pen,
    clock: ClusterClock,
    me: String,
) {
    slices.ready().await;
    jails.ready().await;
    let mut herald = Herald::default();
    let mut seen: HashSet<String> = HashSet::new();
    loop {
        let now = clock.now();
        let all = slices.all();
        let mut notices = Vec::new();
        for slice in &all {
            if slice.uid().is_some_and(|uid| seen.insert(uid)) {
                let bans = slice.spec.bans.iter();
                notices.extend(bans.filter_map(|ban| herald.hear(slice.spec.node.as_str(), ban, now)));
            }
        }
        if seen.len() > all.len() {
            let alive: HashSet<String> = all.iter().filter_map(|slice| slice.uid()).collect();
            seen.retain(|uid| alive.contains(uid));
        }
        notices.extend(herald.summaries(now));
        for notice in notices {
            tell(&pen, &jails, clock.stamp(), &me, notice).await;
        }
        sleep(TICK).await;
    }
}

async fn tell(pen: &Pen, jails: &Mirror<Raw<Jail>>, now: jiff::Timestamp, me: &str, notice: Notice) {
    let Some((namespace, name)) = notice.jail.split_once('/') else { return };
    // Bans outlive their jail; then there is nothing to tell them on.
    let Some(jail) = jails.get(namespace, name) else { return };
    let mut hash = Fnv::default();
    hash.add(&notice.key);
    // The same ban has the same name: two controllers in a row tell it once.
    let event_name = format!("{name}.{:016x}", hash.0);
    let event = Event {
        metadata: ObjectMeta {
            name: Some(event_name.clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        action: Some("Ban".into()),
        reason: Some(notice.reason.into()),
        note: Some(notice.note),
        type_: Some("Normal".into()),
        event_time: Some(MicroTime(now)),
        regarding: Some(ObjectReference {
            api_version: Some(Jail::api_version(&()).into_owned()),
            kind: Some(Jail::kind(&()).into_owned()),
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            uid: jail.uid(),
            ..ObjectReference::default()
        }),
        reporting_controller: Some(REPORTER.into()),
        reporting_instance: Some(super::conditions::shortened(me.to_owned(), 128)),
        ..Event::default()
    };
    pen.create_in(namespace, &event_name, &event).await;
}
