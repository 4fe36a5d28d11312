//! Judges everything that is declared, as the agents do, so that a verdict is told once.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::api::v1alpha1::{AllowList, BanList, Filter, HouseSpec, Jail, RateLimit};
use crate::config::resources::{Object, assemble};
use crate::config::{Loaded, ObjectName, Surroundings};
use crate::engine::house::Why;
use crate::kubernetes::agent::house::members;
use crate::kubernetes::mirror::Mirror;
use crate::kubernetes::raw::Raw;

/// Objects that belong together are applied together.
const SETTLE: Duration = Duration::from_millis(500);

/// Everything that people declare.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    pub(super) filters: Mirror<Raw<Filter>>,
    pub(super) jails: Mirror<Raw<Jail>>,
    pub(super) rate_limits: Mirror<Raw<RateLimit>>,
    pub(super) ban_lists: Mirror<Raw<BanList>>,
    pub(super) allow_lists: Mirror<Raw<AllowList>>,
}

/// The object and the state of it that a verdict is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) uid: Option<String>,
    pub(super) generation: Option<i64>,
}

/// The state of each object, by kind and name.
type Versions = HashMap<ObjectName, Version>;

/// Verdicts on all objects.
#[derive(Debug, Default)]
pub(super) struct Judgement {
    pub(super) loaded: Loaded,
    pub(super) versions: Versions,
    /// Who is never banned, as the cluster is.
    pub(super) house: Vec<(ipnet::IpNet, Why)>,
}

impl Declared {
    /// Starts to watch. The tasks run until they are aborted.
    pub(super) fn open(client: &Client, tasks: &mut Vec<JoinHandle<()>>) -> Self {
        fn mirror<K>(client: &Client, tasks: &mut Vec<JoinHandle<()>>) -> Mirror<Raw<K>>
        where
            K: Resource<DynamicType = ()> + Debug + 'static,
        {
            let api: Api<DeserializeGuard<Raw<K>>> = Api::all(client.clone());
            let (mirror, task) = Mirror::spawn(api, watcher::Config::default());
            tasks.push(task);
            mirror
        }
        Self {
            filters: mirror(client, tasks),
            jails: mirror(client, tasks),
            rate_limits: mirror(client, tasks),
            ban_lists: mirror(client, tasks),
            allow_lists: mirror(client, tasks),
        }
    }

    /// Waits until all lists are complete.
    pub(super) async fn ready(&mut self) {
        self.filters.ready().await;
        self.jails.ready().await;
        self.rate_limits.ready().await;
        self.ban_lists.ready().await;
        self.allow_lists.ready().await;
    }

    /// Waits until an object changed, be it only its status.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = self.filters.changed() => {}
            () = self.jails.changed() => {}
            () = self.rate_limits.changed() => {}
            () = self.ban_lists.changed() => {}
            () = self.allow_lists.changed() => {}
        }
    }

    fn versions(&self) -> Versions {
        let mut versions = HashMap::new();
        add_versions("Filter", &self.filters, &mut versions);
        add_versions("Jail", &self.jails, &mut versions);
        add_versions("RateLimit", &self.rate_limits, &mut versions);
        add_versions("BanList", &self.ban_lists, &mut versions);
        add_versions("AllowList", &self.allow_lists, &mut versions);
        versions
    }

    fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::new();
        add_objects(&self.filters, &mut objects);
        add_objects(&self.jails, &mut objects);
        add_objects(&self.rate_limits, &mut objects);
        add_objects(&self.ban_lists, &mut objects);
        add_objects(&self.allow_lists, &mut objects);
        objects
    }

    /// Judges whenever a declaration or the House changed.
    pub(super) async fn judge(
        mut self,
        mut house: watch::Receiver<Option<HouseSpec>>,
        verdicts: watch::Sender<Arc<Judgement>>,
    ) {
        self.ready().await;
        // Without the House nobody would be told that a ban of a node bites not.
        if house.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut last: Option<(Versions, Vec<(ipnet::IpNet, Why)>)> = None;
        loop {
            let spared = house.borrow_and_update().as_ref().map(|house| members(&house.members).collect());
            let seen = (self.versions(), spared.unwrap_or_default());
            if last.as_ref() != Some(&seen) {
                // Both are taken before the await: no object changes in between.
                let objects = self.objects();
                let around = Surroundings { cluster: true, ..Surroundings::default() };
                let previous = Arc::clone(&verdicts.borrow());
                let judged = tokio::task::spawn_blocking(move || {
                    assemble(objects, &[], Some(&previous.loaded), &around)
                });
                let Ok(loaded) = judged.await else {
                    tracing::error!("the declarations could not be judged");
                    return;
                };
                let refused = loaded.objects.iter().filter(|object| !object.accepted).count();
                tracing::info!(objects = loaded.objects.len(), refused, "the declarations were judged");
                let (versions, house) = seen.clone();
                verdicts.send_replace(Arc::new(Judgement { loaded, versions, house }));
                last = Some(seen);
            }
            tokio::select! {
                () = self.changed() => {}
                changed = house.changed() => if changed.is_err() { return },
            }
            sleep(SETTLE).await;
        }
    }
}

/// The name under which [`crate::config`] speaks of an object.
pub(super) fn name_of<K: Resource>(kind: &'static str, object: &K) -> ObjectName {
    let name = match object.namespace() {
        Some(namespace) => format!("{namespace}/{}", object.name_any()),
        None => object.name_any(),
    };
    ObjectName { kind, name }
}

fn add_versions<K>(kind: &'static str, mirror: &Mirror<Raw<K>>, versions: &mut Versions)
where
    K: Resource<DynamicType = ()>,
{
    for object in mirror.all() {
        let metadata = &object.metadata;
        let version = Version { uid: metadata.uid.clone(), generation: metadata.generation };
        versions.insert(name_of(kind, &*object), version);
    }
}

fn add_objects<K>(mirror: &Mirror<Raw<K>>, objects: &mut Vec<Object>)
where
    K: Resource<DynamicType = ()>,
    Raw<K>: DeserializeOwned,
{
    objects.extend(mirror.all().iter().filter_map(|object| object.object()));
}
