//! The prefixes of the cluster itself, from its objects.

use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::ResourceExt;

use crate::api::v1alpha1::{HouseMember, HouseRole, HouseSpec, Prefix};
use crate::engine::Subject;

/// Above this many members names are given up and neighbouring prefixes of one role are written as one: each change
/// costs every node the whole object.
const DETAILED: usize = 2000;
/// What the kind allows.
const MOST: usize = 10_000;

/// What a House is made of.
#[derive(Debug, Default)]
pub(super) struct Premises<'a> {
    pub(super) nodes: Vec<&'a Node>,
    pub(super) services: Vec<&'a Service>,
    /// Ranges of which the cluster takes addresses for Services; empty where the API server does not tell them.
    pub(super) service_cidrs: Vec<&'a ServiceCIDR>,
    /// Where the API server listens: the slices of the Service `default/kubernetes`.
    pub(super) api_server: Vec<&'a EndpointSlice>,
}

/// The House of a cluster, sorted, without prefixes inside others. The number is of prefixes that found no place.
pub(super) fn house_of(premises: &Premises<'_>) -> (HouseSpec, usize) {
    let mut members = Vec::new();
    for node in &premises.nodes {
        add_node(node, &mut members);
    }
    for service in &premises.services {
        add_service(service, &mut members);
    }
    for range in &premises.service_cidrs {
        let cidrs = range.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
        members.extend(cidrs.filter_map(|cidr| member(cidr, HouseRole::Service, None)));
    }
    for endpoint in premises.api_server.iter().flat_map(|slice| &slice.endpoints) {
        let addresses = endpoint.addresses.iter();
        members.extend(addresses.filter_map(|address| member(address, HouseRole::ApiServer, None)));
    }
    let mut members = outermost(members);
    if members.len() > DETAILED {
        members = aggregated(&members);
    }
    let left_out = members.len().saturating_sub(MOST);
    // Where there is no place for all, pods and Services give way: their addresses are private, mostly.
    members.sort_by_key(|member| (rank(member.role), member.prefix_net));
    members.truncate(MOST);
    members.sort_by_key(|member| (member.prefix_net, member.role));
    (HouseSpec { members: members.into_iter().map(Member::written).collect() }, left_out)
}

#[derive(Clone, Debug)]
struct Member {
    prefix_net: IpNet,
    role: HouseRole,
    name: Option<String>,
}

impl Member {
    fn written(self) -> HouseMember {
        let net = self.prefix_net;
        let whole = net.prefix_len() == net.max_prefix_len();
        let prefix = if whole { net.addr().to_string() } else { net.to_string() };
        HouseMember { prefix: Prefix(prefix), role: self.role, name: self.name }
    }
}

fn rank(role: HouseRole) -> u8 {
    match role {
        HouseRole::ApiServer => 0,
        HouseRole::Node => 1,
        HouseRole::LoadBalancer => 2,
        HouseRole::Service => 3,
        HouseRole::Pods => 4,
    }
}

fn read(text: &str) -> Option<IpNet> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

/// `None` for what is no address, and for what would spare a large part of the Internet whoever wrote it there.
fn member(text: &str, role: HouseRole, name: Option<String>) -> Option<Member> {
    let net = Subject::new(read(text)?).net();
    let least = if matches!(net, IpNet::V4(_)) { 8 } else { 16 };
    let address = net.addr();
    let usable = net.prefix_len() >= least && !address.is_unspecified() && !address.is_loopback();
    usable.then_some(Member { prefix_net: net, role, name })
}

fn add_node(node: &Node, members: &mut Vec<Member>) {
    let name = Some(node.name_any());
    let status = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let addresses = status.filter(|address| matches!(address.type_.as_str(), "InternalIP" | "ExternalIP"));
    members.extend(addresses.filter_map(|a| member(&a.address, HouseRole::Node, name.clone())));
    let spec = node.spec.iter();
    let cidrs = spec.flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr));
    members.extend(cidrs.filter_map(|cidr| member(cidr, HouseRole::Pods, name.clone())));
}

fn add_service(service: &Service, members: &mut Vec<Member>) {
    let name = Some(format!("{}/{}", service.namespace().unwrap_or_default(), service.name_any()));
    if let Some(spec) = &service.spec {
        // Not `externalIPs`: who edits a Service writes there whom he likes, and would have him spared everywhere.
        let own = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
        // "None" and "" are no addresses and fall out.
        members.extend(own.filter_map(|address| member(address, HouseRole::Service, name.clone())));
    }
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.into_iter().flat_map(|balancer| balancer.ingress.iter().flatten());
    let addresses = ingress.filter_map(|ingress| ingress.ip.as_deref());
    members.extend(addresses.filter_map(|a| member(a, HouseRole::LoadBalancer, name.clone())));
}

/// Leaves out prefixes inside others. Of equal ones the first in order of role and name stays.
fn outermost(mut members: Vec<Member>) -> Vec<Member> {
    members.sort_by(|a, b| (a.prefix_net, rank(a.role), &a.name).cmp(&(b.prefix_net, rank(b.role), &b.name)));
    // An outer prefix sorts before what it holds.
    let mut kept: Vec<Member> = Vec::with_capacity(members.len());
    for member in members {
        if kept.last().is_none_or(|outer| !outer.prefix_net.contains(&member.prefix_net)) {
            kept.push(member);
        }
    }
    kept
}

/// The same addresses in fewer prefixes, without names.
fn aggregated(members: &[Member]) -> Vec<Member> {
    let roles =
        [HouseRole::ApiServer, HouseRole::Node, HouseRole::LoadBalancer, HouseRole::Service, HouseRole::Pods];
    let of = |role: HouseRole| {
        let nets: Vec<IpNet> = members.iter().filter(|m| m.role == role).map(|m| m.prefix_net).collect();
        let whole = IpNet::aggregate(&nets);
        whole.into_iter().map(move |prefix_net| Member { prefix_net, role, name: None })
    };
    outermost(roles.into_iter().flat_map(of).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::agent::house::members;

    fn node(name: &str, addresses: &[(&str, &str)], cidrs: &[&str]) -> Node {
        let addresses: Vec<_> = addresses.iter().map(|(t, a)| json!({"type": t, "address": a})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"podCIDR": cidrs.first(), "podCIDRs": cidrs},
            "status": {"addresses": addresses},
        }))
        .unwrap()
    }

    fn service(name: &str, spec: &serde_json::Value, ingress: &[&str]) -> Service {
        let ingress: Vec<_> = ingress.iter().map(|ip| json!({"ip": ip})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "mail"},
            "spec": spec,
            "status": {"loadBalancer": {"ingress": ingress}},
        }))
        .unwrap()
    }

    fn told(house: &HouseSpec) -> Vec<String> {
        let members = house.members.iter();
        members
            .map(|m| format!("{} {:?} {}", m.prefix.as_str(), m.role, m.name.as_deref().unwrap_or("-")))
            .collect()
    }

    #[test]
    fn it_holds_nodes_pods_services_balancers_and_the_api_server_sorted_and_nothing_that_is_only_claimed() {
        let n1 = node(
            "n1",
            &[
                ("InternalIP", "10.89.0.11"),
                ("ExternalIP", "192.0.2.11"),
                ("Hostname", "n1"),
                ("InternalIP", "fd00:89::11"),
            ],
            &["10.88.1.0/24", "fd00:88:0:1::/64"],
        );
        let smtp = service(
            "smtp",
            &json!({"clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "externalIPs": ["198.51.100.9"]}),
            &["198.51.100.25"],
        );
        let headless = service("pods", &json!({"clusterIP": "None", "clusterIPs": ["None"]}), &[]);
        let api: EndpointSlice = serde_json::from_value(json!({
            "metadata": {"name": "kubernetes"}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.89.0.1"]}],
        }))
        .unwrap();
        let premises = Premises {
            nodes: vec![&n1],
            services: vec![&smtp, &headless],
            api_server: vec![&api],
            ..Premises::default()
        };
        let (house, left_out) = house_of(&premises);
        assert_eq!(
            told(&house),
            [
                "10.88.1.0/24 Pods n1",
                "10.89.0.1 ApiServer -",
                "10.89.0.11 Node n1",
                "10.96.0.7 Service mail/smtp",
                "192.0.2.11 Node n1",
                "198.51.100.25 LoadBalancer mail/smtp",
                "fd00:88:0:1::/64 Pods n1",
                "fd00:89::11 Node n1",
            ]
        );
        assert_eq!(left_out, 0);
        assert_eq!(members(&house.members).count(), 8);
    }

    #[test]
    fn addresses_inside_the_range_of_services_are_not_written_one_by_one() {
        let many: Vec<Service> = (0..50)
            .map(|i| service(&format!("s{i}"), &json!({"clusterIP": format!("10.96.3.{i}")}), &[]))
            .collect();
        let range: ServiceCIDR = serde_json::from_value(
            json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00:10::/112"]}}),
        )
        .unwrap();
        let premises =
            Premises { services: many.iter().collect(), service_cidrs: vec![&range], ..Premises::default() };
        assert_eq!(told(&house_of(&premises).0), ["10.96.0.0/16 Service -", "fd00:10::/112 Service -"]);
    }

    #[test]
    fn the_order_in_which_objects_are_seen_changes_nothing() {
        let nodes: Vec<Node> = (0..40)
            .map(|i| {
                node(
                    &format!("n{i}"),
                    &[("InternalIP", &format!("10.89.0.{i}"))],
                    &[&format!("10.88.{i}.0/24")],
                )
            })
            .collect();
        let straight = Premises { nodes: nodes.iter().collect(), ..Premises::default() };
        let backwards = Premises { nodes: nodes.iter().rev().collect(), ..Premises::default() };
        assert_eq!(house_of(&straight), house_of(&backwards));
    }

    #[test]
    fn a_large_cluster_is_written_in_few_prefixes_that_hold_the_same_addresses() {
        let nodes: Vec<Node> = (0..4096u32)
            .map(|i| {
                let address = format!("10.{}.{}.10", 200 + i / 256, i % 256);
                node(
                    &format!("n{i}"),
                    &[("InternalIP", &address)],
                    &[&format!("10.{}.{}.0/24", i / 256, i % 256)],
                )
            })
            .collect();
        let premises = Premises { nodes: nodes.iter().collect(), ..Premises::default() };
        let (house, left_out) = house_of(&premises);
        assert!(left_out == 0 && house.members.len() == 4097, "{}", house.members.len());
        assert!(told(&house).contains(&"10.0.0.0/12 Pods -".to_owned()));
    }

    #[test]
    fn nobody_is_spared_by_a_default_route_or_an_unspecified_address() {
        let odd = node(
            "odd",
            &[("InternalIP", "0.0.0.0"), ("InternalIP", "not an address")],
            &["0.0.0.0/0", "::/0"],
        );
        let premises = Premises { nodes: vec![&odd], ..Premises::default() };
        assert!(house_of(&premises).0.members.is_empty());
    }
}
