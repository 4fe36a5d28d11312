//! The cluster as one node sees it: of each object only what matters here. Kept on disk as it is, so that a node
//! guards at once when it starts without an API server.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claims::Holder;
use crate::api::v1alpha1::HouseMember;

/// Everything that decides what this node reads, closes and spares. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Picture {
    /// Filters, jails, limits and lists, as the API server has them.
    pub declared: Vec<Arc<Value>>,
    /// The house that the controller gathered.
    pub house: Vec<HouseMember>,
    /// This node.
    pub node: NodeSeen,
    /// Where the API server is.
    pub servers: Vec<IpAddr>,
    /// This node's pods.
    pub pods: Vec<Arc<LocalPod>>,
    /// Services in namespaces that have jails, or rate limits of Services.
    pub services: Vec<Arc<ServiceSeen>>,
    /// Services of all namespaces that hold an address which one of `services` claims; `None` where that is not known.
    pub holders: Option<Vec<Arc<Holder>>>,
    /// Labels of the pods that jails choose, on whatever node.
    pub labels: Vec<Arc<PodLabels>>,
}

/// This node, as the API server knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeSeen {
    /// Its name.
    pub name: String,
    /// The object's uid; empty when there is no object.
    pub uid: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where its pods' addresses come from.
    pub pods: Vec<IpNet>,
}

/// A pod of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LocalPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid in the name of its log directory.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it uses the node's own network.
    pub host_network: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its containers.
    pub containers: Vec<Container>,
    /// Whether it has ended: it writes no more, and its addresses may be another's.
    pub over: bool,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether it is an init container, or a sidecar among them: read only when named.
    pub auxiliary: bool,
    /// Its TCP ports.
    pub ports: Vec<ContainerPort>,
}

/// A TCP port of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Its name; empty when it has none.
    pub name: String,
    /// Where the container listens.
    pub port: u16,
    /// Where the node passes it on, if at all.
    pub host_port: Option<u16>,
    /// At which address of the node; `None`: at all.
    pub host_ip: Option<IpAddr>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSeen {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Labels of its pods; empty: somebody else says where it leads.
    pub selector: BTreeMap<String, String>,
    /// Cluster and load-balancer addresses: who may write the Service cannot choose them.
    pub assigned: Vec<IpAddr>,
    /// External addresses: whatever who wrote the Service says.
    pub claimed: Vec<IpAddr>,
    /// Its TCP ports.
    pub ports: Vec<ServicePort>,
    /// Whether it is reached from outside by nodes that pass on with their own address
    /// (`externalTrafficPolicy: Cluster`).
    pub masks_clients: bool,
}

/// A TCP port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Where it is asked.
    pub port: u16,
    /// Where it leads: a number, or the name of a container's port.
    pub target: Target,
    /// Where every node is asked.
    pub node_port: Option<u16>,
}

/// Where a Service's port leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Target {
    /// To this port.
    Number(u16),
    /// To the container's port of this name.
    Name(String),
}

impl Default for Target {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// The labels of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodLabels {
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl NodeSeen {
    /// What matters of a Node.
    #[must_use]
    pub fn of(node: &core::Node) -> Self {
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        let ranges = node.spec.iter().flat_map(|spec| spec.pod_cidrs.iter().flatten());
        Self {
            name: node.name_any(),
            uid: node.uid().unwrap_or_default(),
            // Host names among them are no addresses.
            addresses: addresses.filter_map(|address| address.address.parse().ok()).collect(),
            pods: ranges.filter_map(|range| range.parse().ok()).collect(),
        }
    }
}

impl LocalPod {
    /// The static pods of a kubelet have an object whose uid is not the one in the name of their log directory.
    const MIRROR: &'static str = "kubernetes.io/config.mirror";
    const HASH: &'static str = "kubernetes.io/config.hash";

    /// What matters of a Pod. `None` where its log directory cannot be told.
    #[must_use]
    pub fn of(pod: &core::Pod) -> Option<Self> {
        let notes = pod.annotations();
        let hash = notes.get(Self::MIRROR).map(|mirror| notes.get(Self::HASH).unwrap_or(mirror).clone());
        let uid = hash.or_else(|| pod.uid())?;
        // Annotations are anybody's text, and this one becomes part of a path.
        if uid.is_empty() || !uid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return None;
        }
        let spec = pod.spec.as_ref()?;
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let addresses = status.into_iter().flat_map(|status| status.pod_ips.iter().flatten());
        let main = spec.containers.iter().map(|c| (c, false));
        let init = spec.init_containers.iter().flatten().map(|c| (c, true));
        Some(Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            uid,
            labels: pod.labels().clone(),
            host_network: spec.host_network == Some(true),
            addresses: addresses.filter_map(|address| address.ip.parse().ok()).collect(),
            containers: main.chain(init).map(|(c, auxiliary)| Container::of(c, auxiliary)).collect(),
            over: matches!(phase, "Succeeded" | "Failed"),
        })
    }
}

impl Container {
    fn of(container: &core::Container, auxiliary: bool) -> Self {
        let tcp = container.ports.iter().flatten().filter(|port| is_tcp(port.protocol.as_deref()));
        let ports = tcp.filter_map(|port| {
            Some(ContainerPort {
                name: port.name.clone().unwrap_or_default(),
                port: number(port.container_port)?,
                host_port: port.host_port.and_then(number),
                host_ip: port
                    .host_ip
                    .as_ref()
                    .and_then(|ip| ip.parse().ok())
                    .map(|ip: IpAddr| ip.to_canonical())
                    .filter(|ip| !ip.is_unspecified()),
            })
        });
        Self { name: container.name.clone(), auxiliary, ports: ports.collect() }
    }
}

impl ServiceSeen {
    /// What matters of a Service.
    #[must_use]
    pub fn of(service: &core::Service) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        let ingress = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = ingress.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
        // `None` of a headless Service is no address.
        let own = spec.cluster_ips.iter().flatten();
        let assigned = addresses(own.chain(ingress.filter_map(|ingress| ingress.ip.as_ref())));
        let mut claimed = addresses(spec.external_ips.iter().flatten());
        claimed.retain(|address| !assigned.contains(address));
        let external = matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"));
        let ports = spec.ports.iter().flatten().filter(|port| is_tcp(port.protocol.as_deref()));
        Self {
            namespace: service.namespace().unwrap_or_default(),
            name: service.name_any(),
            selector: spec.selector.clone().unwrap_or_default(),
            assigned,
            claimed,
            ports: ports.filter_map(|port| ServicePort::of(port, external)).collect(),
            masks_clients: external && spec.external_traffic_policy.as_deref() != Some("Local"),
        }
    }

    /// Whether it leads to a pod with these labels.
    #[must_use]
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl ServicePort {
    fn of(port: &core::ServicePort, external: bool) -> Option<Self> {
        let number_of_service = number(port.port)?;
        let target = match &port.target_port {
            None => Target::Number(number_of_service),
            Some(IntOrString::Int(target)) => Target::Number(number(*target)?),
            Some(IntOrString::String(name)) => Target::Name(name.clone()),
        };
        let node_port = port.node_port.and_then(number).filter(|_| external);
        Some(Self { port: number_of_service, target, node_port })
    }
}

/// What of these are addresses, each once.
fn addresses<'a>(texts: impl Iterator<Item = &'a String>) -> Vec<IpAddr> {
    let parsed = texts.filter_map(|text| text.parse().ok());
    let mut addresses: Vec<IpAddr> = parsed.map(|address: IpAddr| address.to_canonical()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn is_tcp(protocol: Option<&str>) -> bool {
    protocol.is_none_or(|protocol| protocol == "TCP")
}

/// A port; 0 is none.
fn number(port: i32) -> Option<u16> {
    u16::try_from(port).ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: Value) -> Option<LocalPod> {
        LocalPod::of(&serde_json::from_value(value).unwrap())
    }

    fn service(value: Value) -> ServiceSeen {
        ServiceSeen::of(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn a_static_pod_logs_under_its_hash() {
        let metadata = |notes: Value| json!({"name": "etcd-n1", "namespace": "kube-system", "uid": "1-2", "annotations": notes});
        let spec = json!({"containers": [{"name": "etcd"}]});
        let of = |notes: Value| pod(json!({"metadata": metadata(notes), "spec": spec})).map(|pod| pod.uid);
        let both = json!({"kubernetes.io/config.mirror": "abc", "kubernetes.io/config.hash": "abc"});
        assert_eq!(of(both), Some("abc".into()));
        assert_eq!(of(json!({})), Some("1-2".into()));
        // Without the mirror's mark the hash is anybody's annotation.
        assert_eq!(of(json!({"kubernetes.io/config.hash": "abc"})), Some("1-2".into()));
    }

    #[test]
    fn an_annotation_leads_no_path_astray() {
        let of = |hash: &str| {
            let notes = json!({"kubernetes.io/config.mirror": hash});
            pod(
                json!({"metadata": {"name": "p", "namespace": "ns", "uid": "1", "annotations": notes}, "spec": {"containers": []}}),
            )
        };
        assert_eq!(of("../../other"), None);
        assert_eq!(of("*"), None);
        assert!(of("abc").is_some());
    }

    #[test]
    fn of_a_pods_ports_only_those_of_tcp_count() {
        let seen = pod(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "1"},
            "spec": {"hostNetwork": true, "initContainers": [{"name": "setup"}], "containers": [{"name": "james", "ports": [
                {"containerPort": 25, "name": "smtp", "hostPort": 2525, "hostIP": "192.0.2.1"},
                {"containerPort": 53, "protocol": "UDP"}, {"containerPort": 143, "hostPort": 143, "hostIP": "0.0.0.0"}]}]},
            "status": {"phase": "Failed", "podIPs": [{"ip": "10.88.1.2"}, {"ip": "fd00::2"}]},
        }))
        .unwrap();
        assert!(seen.over && seen.host_network);
        assert_eq!(seen.addresses.len(), 2);
        assert_eq!(
            seen.containers.iter().map(|c| (c.name.as_str(), c.auxiliary)).collect::<Vec<_>>(),
            [("james", false), ("setup", true)]
        );
        let ports: Vec<_> =
            seen.containers[0].ports.iter().map(|p| (p.port, p.host_port, p.host_ip)).collect();
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(ports, [(25, Some(2525), Some(one)), (143, Some(143), None)]);
    }

    #[test]
    fn a_service_is_known_by_the_addresses_it_was_given_and_those_it_claims() {
        let seen = service(json!({
            "metadata": {"name": "smtp", "namespace": "mail"},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7", "fd00:10::7"],
                     "externalIPs": ["203.0.113.5", "198.51.100.25"], "selector": {"app": "james"}, "healthCheckNodePort": 31999,
                     "ports": [{"port": 25, "targetPort": "smtp", "nodePort": 30025}, {"port": 53, "protocol": "UDP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.25"}, {"hostname": "lb.example.org"}]}},
        }));
        let texts = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&seen.assigned), ["10.96.0.7", "198.51.100.25", "fd00:10::7"]);
        assert_eq!(texts(&seen.claimed), ["203.0.113.5"]);
        let port = ServicePort { port: 25, target: Target::Name("smtp".into()), node_port: Some(30025) };
        assert_eq!(seen.ports, [port]);
        assert!(seen.masks_clients);
    }

    #[test]
    fn only_what_comes_from_outside_by_way_of_a_node_masks_its_clients() {
        let masks = |spec: Value| {
            service(json!({"metadata": {"name": "s", "namespace": "n"}, "spec": spec})).masks_clients
        };
        assert!(!masks(json!({"type": "ClusterIP"})));
        assert!(masks(json!({"type": "NodePort"})));
        assert!(masks(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"})));
        assert!(!masks(json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"})));
    }

    #[test]
    fn a_headless_service_has_no_address_and_a_cluster_ip_no_node_port() {
        let seen = service(json!({"metadata": {"name": "s", "namespace": "n"},
            "spec": {"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ports": [{"port": 25, "nodePort": 30025}]}}));
        assert_eq!((seen.assigned, seen.claimed, seen.ports[0].node_port), (vec![], vec![], None));
        assert_eq!(seen.ports[0].target, Target::Number(25));
    }

    #[test]
    fn a_service_without_a_selector_selects_nobody() {
        assert!(!ServiceSeen::default().selects(&BTreeMap::new()));
    }
}
