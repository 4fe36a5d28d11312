//! The watches of one node. What is needed follows the jails: Services and labels of pods only where jails are, Services
//! also where rate limits name them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::claims::Holder;
use super::declared::declaration;
use super::picture::{LocalPod, NodeSeen, Picture, PodLabels, ServiceSeen};
use super::pods::namespace_of;
use crate::api::v1alpha1::{
    AllowList, BanList, Filter, House, HouseMember, HouseSpec, Jail, NodeName, RateLimit,
};
use crate::config::{Config, JailConfig, Source};
use crate::kubernetes::mirror::Mirror;
use crate::kubernetes::raw::Raw;

/// One mirror; its watch ends with it.
struct Watched<T> {
    what: String,
    mirror: Mirror<T>,
    tasks: [JoinHandle<()>; 2],
}

impl<T: Send + Sync + 'static> Watched<T> {
    fn new(
        what: impl Into<String>,
        (mirror, watch): (Mirror<T>, JoinHandle<()>),
        bell: &Arc<Notify>,
    ) -> Self {
        let (mut changes, bell) = (mirror.clone(), Arc::clone(bell));
        let ring = tokio::spawn(async move {
            loop {
                changes.changed().await;
                bell.notify_one();
            }
        });
        Self { what: what.into(), mirror, tasks: [watch, ring] }
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Every watch of this node.
pub struct Sources {
    client: Client,
    bell: Arc<Notify>,
    declared: Vec<Watched<Value>>,
    house: Watched<Vec<HouseMember>>,
    node: Watched<NodeSeen>,
    pods: Watched<Option<Arc<LocalPod>>>,
    services: BTreeMap<String, Watched<ServiceSeen>>,
    /// The addresses of all Services there are: watched only as long as a Service of a jail's namespace claims some.
    holders: Option<Watched<Holder>>,
    labels: BTreeMap<(String, String), Watched<PodLabels>>,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Sources {
    /// Starts the watches that every node has. `bell` rings whenever something changed.
    #[must_use]
    pub fn start(client: &Client, node: &NodeName, bell: &Arc<Notify>) -> Self {
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let on_node = watcher::Config::default().fields(&format!("spec.nodeName={}", node.as_str()));
        let house = Mirror::spawn_as(
            Api::<DeserializeGuard<House>>::all(client.clone()),
            named(HouseSpec::NAME),
            |house: House| house.spec.members,
        );
        let this = Mirror::spawn_as(
            Api::<DeserializeGuard<Node>>::all(client.clone()),
            named(node.as_str()),
            |node: Node| NodeSeen::of(&node),
        );
        let pods =
            Mirror::spawn_as(Api::<DeserializeGuard<Pod>>::all(client.clone()), on_node, |pod: Pod| {
                LocalPod::of(&pod).map(Arc::new)
            });
        Self {
            client: client.clone(),
            bell: Arc::clone(bell),
            declared: vec![
                declared::<Filter>(client, bell),
                declared::<Jail>(client, bell),
                declared::<RateLimit>(client, bell),
                declared::<BanList>(client, bell),
                declared::<AllowList>(client, bell),
            ],
            house: Watched::new("House", house, bell),
            node: Watched::new("Node", this, bell),
            pods: Watched::new("Pod", pods, bell),
            services: BTreeMap::new(),
            holders: None,
            labels: BTreeMap::new(),
        }
    }

    /// What is declared; `None` before all of it was listed.
    #[must_use]
    pub fn declared(&self) -> Option<Vec<Arc<Value>>> {
        if !self.declared.iter().all(|watched| watched.mirror.is_ready()) {
            return None;
        }
        Some(self.declared.iter().flat_map(|watched| watched.mirror.all()).collect())
    }

    /// Watches what these jails and limits need, and no longer what only others needed.
    pub fn follow(&mut self, config: &Config) {
        let reads_pods = |jail: &&JailConfig| matches!(jail.source, Source::Pods { .. });
        let mut namespaces = BTreeSet::new();
        let mut selectors = BTreeSet::new();
        for jail in config.jails.iter().map(Borrow::<JailConfig>::borrow).filter(reads_pods) {
            let namespace = namespace_of(jail).to_owned();
            // Who names Services or ports needs no pods to find them.
            if let Source::Pods { selector, .. } = &jail.source
                && jail.enforce.services.is_empty()
                && jail.enforce.ports.is_empty()
            {
                selectors.insert((namespace.clone(), selector.to_string()));
            }
            namespaces.insert(namespace);
        }
        let limits = config.rate_limits.iter().filter(|limit| !limit.services.is_empty());
        namespaces.extend(limits.map(|limit| limit.namespace().to_owned()));
        let selectors = bounded(selectors);
        self.services.retain(|namespace, _| namespaces.contains(namespace));
        self.labels.retain(|key, _| selectors.contains(key));
        for namespace in namespaces {
            let (client, bell) = (&self.client, &self.bell);
            self.services.entry(namespace).or_insert_with_key(|namespace| {
                let api = Api::<DeserializeGuard<Service>>::namespaced(client.clone(), namespace);
                let take = |service: Service| ServiceSeen::of(&service);
                let mirror = Mirror::spawn_as(api, watcher::Config::default(), take);
                Watched::new(format!("Service in {namespace}"), mirror, bell)
            });
        }
        if self.claims().is_empty() {
            self.holders = None;
        } else if self.holders.is_none() {
            let api = Api::<DeserializeGuard<Service>>::all(self.client.clone());
            let take = |service: Service| Holder::of(&service);
            let mirror = Mirror::spawn_as(api, watcher::Config::default(), take);
            self.holders = Some(Watched::new(HOLDERS, mirror, &self.bell));
        }
        for key in selectors {
            let (client, bell) = (&self.client, &self.bell);
            self.labels.entry(key).or_insert_with_key(|(namespace, selector)| {
                let api = Api::<PartialObjectMeta<Pod>>::namespaced(client.clone(), namespace);
                let mirror =
                    Mirror::spawn_metadata(api, watcher::Config::default().labels(selector), |pod| {
                        let namespace = pod.namespace().unwrap_or_default();
                        PodLabels { namespace, labels: pod.labels().clone() }
                    });
                Watched::new(format!("Pod with {selector} in {namespace}"), mirror, bell)
            });
        }
    }

    /// The addresses that Services of the jails' namespaces claim.
    fn claims(&self) -> BTreeSet<IpAddr> {
        let services = self.services.values().flat_map(|watched| watched.mirror.all());
        services.flat_map(|service| service.claimed.clone()).collect()
    }

    /// What was not listed yet.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        fn add<T>(into: &mut Vec<String>, watched: &Watched<T>) {
            if !watched.mirror.is_ready() {
                into.push(watched.what.clone());
            }
        }
        let mut waiting = Vec::new();
        self.declared.iter().for_each(|watched| add(&mut waiting, watched));
        add(&mut waiting, &self.house);
        add(&mut waiting, &self.node);
        add(&mut waiting, &self.pods);
        self.services.values().for_each(|watched| add(&mut waiting, watched));
        match &self.holders {
            Some(holders) => add(&mut waiting, holders),
            // They came up after what is followed was decided.
            None if !self.claims().is_empty() => waiting.push(HOLDERS.into()),
            None => {}
        }
        self.labels.values().for_each(|watched| add(&mut waiting, watched));
        waiting
    }

    /// Everything as it is now, with what is declared as given.
    #[must_use]
    pub fn picture(&self, declared: Vec<Arc<Value>>, servers: Vec<IpAddr>) -> Picture {
        let mut labels: Vec<Arc<PodLabels>> =
            self.labels.values().flat_map(|watched| watched.mirror.all()).collect();
        // Pods of one workload are all alike to us.
        labels.sort_unstable_by(|a, b| (&a.namespace, &a.labels).cmp(&(&b.namespace, &b.labels)));
        labels.dedup();
        let claims = self.claims();
        let holders = self.holders.as_ref().filter(|holders| holders.mirror.is_ready());
        let of_claims = |holders: &Watched<Holder>| {
            holders.mirror.all().into_iter().filter(|holder| holder.holds_any(&claims)).collect()
        };
        Picture {
            declared,
            house: self.house.mirror.all().iter().flat_map(|members| (**members).clone()).collect(),
            node: self.node.mirror.all().first().map(|node| (**node).clone()).unwrap_or_default(),
            servers,
            pods: self.pods.mirror.all().iter().filter_map(|pod| (**pod).clone()).collect(),
            services: self.services.values().flat_map(|watched| watched.mirror.all()).collect(),
            holders: holders.map(of_claims),
            labels,
        }
    }
}

/// What a watch of all Services is called.
const HOLDERS: &str = "Service in every namespace";
/// Watches of pods' labels in one namespace at most; of more selectors one watch of all its pods serves all. Each costs
/// the API server a watcher for each node, and whoever may write jails writes selectors.
const MOST_SELECTORS: usize = 8;

/// The selectors to watch, by namespace: as they are, or everything where there are too many.
fn bounded(selectors: BTreeSet<(String, String)>) -> BTreeSet<(String, String)> {
    let mut of_namespaces: BTreeMap<&str, usize> = BTreeMap::new();
    for (namespace, _) in &selectors {
        *of_namespaces.entry(namespace).or_default() += 1;
    }
    let watched = selectors.iter().map(|(namespace, selector)| {
        let many = of_namespaces.get(namespace.as_str()).is_some_and(|count| *count > MOST_SELECTORS);
        (namespace.clone(), if many { String::new() } else { selector.clone() })
    });
    watched.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_selectors_of_one_namespace_are_one_watch() {
        let of = |namespace: &str, many: usize| {
            (0..many).map(|i| (namespace.to_owned(), format!("app=a{i}"))).collect::<BTreeSet<_>>()
        };
        let few = of("mail", MOST_SELECTORS);
        assert_eq!(bounded(few.clone()), few);
        let mut all = few.clone();
        all.extend(of("shop", 5000));
        let mut expected = few;
        expected.insert(("shop".into(), String::new()));
        assert_eq!(bounded(all), expected);
    }
}

fn declared<K>(client: &Client, bell: &Arc<Notify>) -> Watched<Value>
where
    K: Resource<DynamicType = ()> + std::fmt::Debug + 'static,
{
    let api = Api::<DeserializeGuard<Raw<K>>>::all(client.clone());
    Watched::new(
        K::kind(&()),
        Mirror::spawn_as(api, watcher::Config::default(), |raw| declaration(&raw)),
        bell,
    )
}
