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
use super::storage::Stored;
use crate::api::v1alpha1::{
    AllowList, BanList, Filter, House, HouseMember, HouseSpec, Jail, NodeName, RateLimit,
};
use crate::config::{Config, JailConfig, Source};
use crate::kubernetes::mirror::{Key, Mirror, Recalled};
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
    /// By namespace; where there are too many, of every namespace.
    services: BTreeMap<String, Watched<ServiceSeen>>,
    /// Whose Services matter.
    namespaces: BTreeSet<String>,
    /// The addresses of all Services there are: watched only as long as a Service of a jail's namespace claims some.
    holders: Option<Watched<Holder>>,
    labels: BTreeMap<(String, String), Watched<PodLabels>>,
    /// What the last run left, until all of it was listed.
    recalled: Stored,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

impl Sources {
    /// Starts the watches that every node has. `bell` rings whenever something changed. Of what the last run left nothing
    /// is taken back by a storage that was emptied since.
    #[must_use]
    pub fn start(client: &Client, node: &NodeName, bell: &Arc<Notify>, recalled: Stored) -> Self {
        let picture = &recalled.picture;
        let before_house = (!picture.house.is_empty())
            .then(|| ((String::new(), HouseSpec::NAME.to_owned()), picture.house.clone()));
        let before_node = (!picture.node.uid.is_empty())
            .then(|| ((String::new(), picture.node.name.clone()), picture.node.clone()));
        let before_pods =
            picture.pods.iter().map(|pod| ((pod.namespace.clone(), pod.name.clone()), Some(Arc::clone(pod))));
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let on_node = watcher::Config::default().fields(&format!("spec.nodeName={}", node.as_str()));
        let house = Mirror::spawn_as(
            Api::<DeserializeGuard<House>>::all(client.clone()),
            named(HouseSpec::NAME),
            before(&recalled, HOUSE, before_house),
            |house: House| house.spec.members,
        );
        let this = Mirror::spawn_as(
            Api::<DeserializeGuard<Node>>::all(client.clone()),
            named(node.as_str()),
            before(&recalled, NODE, before_node),
            |node: Node| NodeSeen::of(&node),
        );
        let pods = Mirror::spawn_as(
            Api::<DeserializeGuard<Pod>>::all(client.clone()),
            on_node,
            before(&recalled, PODS, before_pods),
            |pod: Pod| LocalPod::of(&pod).map(Arc::new),
        );
        Self {
            client: client.clone(),
            bell: Arc::clone(bell),
            declared: vec![
                declared::<Filter>(client, bell, &recalled),
                declared::<Jail>(client, bell, &recalled),
                declared::<RateLimit>(client, bell, &recalled),
                declared::<BanList>(client, bell, &recalled),
                declared::<AllowList>(client, bell, &recalled),
            ],
            house: Watched::new(HOUSE, house, bell),
            node: Watched::new(NODE, this, bell),
            pods: Watched::new(PODS, pods, bell),
            services: BTreeMap::new(),
            namespaces: BTreeSet::new(),
            holders: None,
            labels: BTreeMap::new(),
            recalled,
        }
    }

    /// All was listed: what is watched from now on has no past.
    pub fn forget_recalled(&mut self) {
        self.recalled = Stored::default();
    }

    /// The storage that each list came from, as far as that is known.
    #[must_use]
    pub fn storages(&self) -> BTreeMap<String, String> {
        fn of<T>(watched: &Watched<T>) -> Option<(String, String)> {
            Some((watched.what.clone(), watched.mirror.storage()?))
        }
        let declared = self.declared.iter().filter_map(of);
        let own = [of(&self.house), of(&self.node), of(&self.pods), self.holders.as_ref().and_then(of)];
        let services = self.services.values().filter_map(of);
        let labels = self.labels.values().filter_map(of);
        declared.chain(own.into_iter().flatten()).chain(services).chain(labels).collect()
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
        let selectors = bounded(&selectors);
        let watched = gathered(&namespaces);
        self.namespaces = namespaces;
        self.services.retain(|namespace, _| watched.contains(namespace));
        self.labels.retain(|key, _| selectors.contains(key));
        for namespace in watched {
            let (client, bell, recalled) = (&self.client, &self.bell, &self.recalled);
            self.services.entry(namespace).or_insert_with_key(|namespace| {
                let everywhere = namespace.is_empty();
                let api: Api<DeserializeGuard<Service>> = match everywhere {
                    true => Api::all(client.clone()),
                    false => Api::namespaced(client.clone(), namespace),
                };
                let take = |service: Service| ServiceSeen::of(&service);
                let what = if everywhere { EVERYWHERE.into() } else { format!("Service in {namespace}") };
                let of = recalled.picture.services.iter();
                let of = of.filter(|service| everywhere || service.namespace == *namespace);
                let key = |service: &ServiceSeen| (service.namespace.clone(), service.name.clone());
                let of = of.map(|service| (key(service), (**service).clone()));
                let before = before(recalled, &what, of);
                let mirror = Mirror::spawn_as(api, watcher::Config::default(), before, take);
                Watched::new(what, mirror, bell)
            });
        }
        if self.claims().is_empty() {
            self.holders = None;
        } else if self.holders.is_none() {
            let api = Api::<DeserializeGuard<Service>>::all(self.client.clone());
            let take = |service: Service| Holder::of(&service);
            let of = self.recalled.picture.holders.iter().flatten().enumerate();
            let of = of.map(|(i, holder)| ((holder.namespace.clone(), nameless(i)), (**holder).clone()));
            let before = before(&self.recalled, HOLDERS, of);
            let mirror = Mirror::spawn_as(api, watcher::Config::default(), before, take);
            self.holders = Some(Watched::new(HOLDERS, mirror, &self.bell));
        }
        for key in selectors {
            let (client, bell, recalled) = (&self.client, &self.bell, &self.recalled);
            self.labels.entry(key).or_insert_with_key(|(namespace, selector)| {
                let api = Api::<PartialObjectMeta<Pod>>::namespaced(client.clone(), namespace);
                let what = format!("Pod with {selector} in {namespace}");
                // Perhaps of another selector: who asks for them selects once more.
                let of = recalled.picture.labels.iter().filter(|pod| pod.namespace == *namespace).enumerate();
                let of = of.map(|(i, pod)| ((namespace.clone(), nameless(i)), (**pod).clone()));
                let before = before(recalled, &what, of);
                let only = watcher::Config::default().labels(selector);
                let mirror = Mirror::spawn_metadata(api, only, before, |pod| {
                    let namespace = pod.namespace().unwrap_or_default();
                    PodLabels { namespace, labels: pod.labels().clone() }
                });
                Watched::new(what, mirror, bell)
            });
        }
    }

    /// The Services of the namespaces that matter.
    fn services(&self) -> impl Iterator<Item = Arc<ServiceSeen>> {
        let all = self.services.values().flat_map(|watched| watched.mirror.all());
        all.filter(|service| self.namespaces.contains(&service.namespace))
    }

    /// The addresses that Services of the jails' namespaces claim.
    fn claims(&self) -> BTreeSet<IpAddr> {
        self.services().flat_map(|service| service.claimed.clone()).collect()
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
            services: self.services().collect(),
            holders: holders.map(of_claims),
            labels,
        }
    }
}

/// What the watches are called.
const HOUSE: &str = "House";
const NODE: &str = "Node";
const PODS: &str = "Pod";
/// What a watch of all Services is called.
const HOLDERS: &str = "Service in every namespace";
/// Watches of pods' labels in one namespace at most; of more selectors one watch of all its pods serves all. Each costs
/// the API server a watcher for each node, and whoever may write jails writes selectors.
const MOST_SELECTORS: usize = 8;

/// What one watch of the Services of every namespace is called, where their namespaces are too many.
const EVERYWHERE: &str = "Service";
/// Watches of Services of one namespace at most. Each costs the API server a watcher and a connection for each node; of
/// more namespaces one watch of all Services serves all. They seldom change. Pods change all the time, so of their labels
/// there is no watch over all namespaces, however many watches that makes.
const MOST_NAMESPACES: usize = 64;

/// The namespaces to watch: as they are, or all at once (`""`) where there are too many.
fn gathered(namespaces: &BTreeSet<String>) -> BTreeSet<String> {
    if namespaces.len() > MOST_NAMESPACES { BTreeSet::from([String::new()]) } else { namespaces.clone() }
}

/// The selectors to watch, by namespace: as they are, or everything where there are too many.
fn bounded(selectors: &BTreeSet<(String, String)>) -> BTreeSet<(String, String)> {
    let mut of_namespaces: BTreeMap<&str, usize> = BTreeMap::new();
    for (namespace, _) in selectors {
        *of_namespaces.entry(namespace).or_default() += 1;
    }
    let watched = selectors.iter().map(|(namespace, selector)| {
        let many = of_namespaces.get(namespace.as_str()).is_some_and(|count| *count > MOST_SELECTORS);
        (namespace.clone(), if many { String::new() } else { selector.clone() })
    });
    watched.collect()
}

/// What the last run left of a list.
fn before<T>(recalled: &Stored, what: &str, objects: impl IntoIterator<Item = (Key, T)>) -> Recalled<T> {
    match recalled.storages.get(what) {
        Some(storage) => Recalled::from_storage(storage, objects),
        None => Recalled::nothing(),
    }
}

/// Stands for a name that was not kept.
fn nameless(number: usize) -> String {
    format!("#{number}")
}

/// Namespace and name of something declared.
fn key_of(declared: &Value) -> Key {
    let text = |field| declared["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

fn declared<K>(client: &Client, bell: &Arc<Notify>, recalled: &Stored) -> Watched<Value>
where
    K: Resource<DynamicType = ()> + std::fmt::Debug + 'static,
{
    let api = Api::<DeserializeGuard<Raw<K>>>::all(client.clone());
    let kind = K::kind(&());
    let of = recalled.picture.declared.iter().filter(|object| object["kind"].as_str() == Some(&*kind));
    let before = before(recalled, &kind, of.map(|object| (key_of(object), (**object).clone())));
    let mirror = Mirror::spawn_as(api, watcher::Config::default(), before, |raw| declaration(&raw));
    Watched::new(kind, mirror, bell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_namespaces_the_services_are_one_watch() {
        let of = |many: usize| (0..many).map(|i| format!("mail-{i}")).collect::<BTreeSet<_>>();
        assert_eq!(gathered(&of(MOST_NAMESPACES)), of(MOST_NAMESPACES));
        assert_eq!(gathered(&of(MOST_NAMESPACES + 1)), BTreeSet::from([String::new()]));
    }

    #[test]
    fn many_selectors_of_one_namespace_are_one_watch() {
        let of = |namespace: &str, many: usize| {
            (0..many).map(|i| (namespace.to_owned(), format!("app=a{i}"))).collect::<BTreeSet<_>>()
        };
        let few = of("mail", MOST_SELECTORS);
        assert_eq!(bounded(&few), few);
        let mut all = few.clone();
        all.extend(of("shop", 5000));
        let mut expected = few;
        expected.insert(("shop".into(), String::new()));
        assert_eq!(bounded(&all), expected);
    }
}
