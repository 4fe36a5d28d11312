//! Addresses that a Service names by itself (`spec.externalIPs`), and whose they are.
//!
//! Whoever may edit a Service may write any address there, a neighbour's or a node's, and a jail of his would close it.
//! So a claim is guarded only where the address is nobody else's. What was assigned goes before every claim: cluster IPs
//! by the API server, load balancers' addresses by their controllers, who alone may write a status. Of two namespaces
//! that claim the same address and port neither gets it, as nobody can say whose it is; at different ports both do, or one
//! could have the other's guard ended by a claim that costs nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use serde::{Deserialize, Serialize};

use super::house::prefix;
use super::picture::{Picture, ServiceSeen};
use crate::api::v1alpha1::HouseRole;

/// The addresses of a Service, of whatever namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Holder {
    /// Its namespace.
    pub namespace: String,
    /// Those that were assigned to it.
    pub assigned: Vec<IpAddr>,
    /// Those that it claims.
    pub claimed: Vec<IpAddr>,
    /// At which ports; none means any.
    pub ports: Vec<u16>,
}

impl Holder {
    /// What matters of a Service of which only the addresses do.
    #[must_use]
    pub fn of(service: &core::Service) -> Self {
        let ServiceSeen { namespace, assigned, claimed, ports, .. } = ServiceSeen::of(service);
        Self { namespace, assigned, claimed, ports: ports.iter().map(|port| port.port).collect() }
    }

    /// Whether it has one of these addresses, or claims one.
    #[must_use]
    pub fn holds_any(&self, addresses: &BTreeSet<IpAddr>) -> bool {
        self.assigned.iter().chain(&self.claimed).any(|address| addresses.contains(address))
    }
}

/// Why an address that a Service of this namespace claims is not guarded at this port; `None` where it is.
///
/// Who the other is stays untold: his namespace is no business of whoever reads this jail.
#[must_use]
pub fn objection(address: IpAddr, port: u16, namespace: &str, picture: &Picture) -> Option<&'static str> {
    if picture.node.addresses.is_empty() {
        return Some("which addresses are this node's is not known yet");
    }
    if picture.node.addresses.contains(&address) {
        return Some("it is a node's");
    }
    if picture.servers.contains(&address) {
        return Some("it is the API server's");
    }
    if picture.node.pods.iter().any(|range| range.contains(&address)) {
        return Some("it is a pod's");
    }
    let covers = |member: &&crate::api::v1alpha1::HouseMember| {
        prefix(member).is_some_and(|prefix| prefix.contains(&address))
    };
    for member in picture.house.iter().filter(covers) {
        match member.role {
            HouseRole::Node => return Some("it is a node's"),
            HouseRole::Pods => return Some("it is a pod's"),
            HouseRole::ApiServer => return Some("it is the API server's"),
            // Whose those are stands in the Services themselves.
            HouseRole::Service | HouseRole::LoadBalancer => {}
        }
    }
    let Some(holders) = &picture.holders else { return Some("whose it is, is not known yet") };
    let others = || holders.iter().filter(|holder| holder.namespace != namespace);
    if others().any(|other| other.assigned.contains(&address)) {
        return Some("a Service of another namespace has it");
    }
    let at_port = |other: &&std::sync::Arc<Holder>| other.ports.is_empty() || other.ports.contains(&port);
    if others().filter(at_port).any(|other| other.claimed.contains(&address)) {
        return Some("a Service of another namespace claims it too");
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::picture::NodeSeen;
    use super::*;

    fn service(namespace: &str, spec: &serde_json::Value, ingress: &str) -> Arc<Holder> {
        let service = json!({
            "metadata": {"name": "smtp", "namespace": namespace}, "spec": spec,
            "status": {"loadBalancer": {"ingress": [{"ip": ingress}]}},
        });
        Arc::new(Holder::of(&serde_json::from_value(service).unwrap()))
    }

    fn picture() -> Picture {
        let house = json!([
            {"prefix": "10.89.0.12", "role": "Node", "name": "n2"},
            {"prefix": "10.88.0.0/16", "role": "Pods"},
            {"prefix": "10.96.0.0/16", "role": "Service"},
            {"prefix": "198.51.100.25", "role": "LoadBalancer", "name": "mail/smtp"},
            {"prefix": "10.89.0.3", "role": "ApiServer"},
        ]);
        let holders = vec![
            service(
                "mail",
                &json!({"clusterIPs": ["10.96.0.7"], "externalIPs": ["203.0.113.5", "203.0.113.6"]}),
                "198.51.100.25",
            ),
            service(
                "shop",
                &json!({"clusterIPs": ["10.96.0.8"], "externalIPs": ["203.0.113.6"]}),
                "198.51.100.26",
            ),
        ];
        Picture {
            node: NodeSeen {
                addresses: vec!["10.89.0.11".parse().unwrap()],
                pods: vec!["10.77.1.0/24".parse().unwrap()],
                ..NodeSeen::default()
            },
            servers: vec!["10.89.0.2".parse().unwrap()],
            house: serde_json::from_value(house).unwrap(),
            holders: Some(holders),
            ..Picture::default()
        }
    }

    fn objected(address: &str, namespace: &str) -> Option<&'static str> {
        objection(address.parse().unwrap(), 25, namespace, &picture())
    }

    #[test]
    fn a_claim_of_another_port_ends_no_guard() {
        let at = |port: u16| {
            let claim = |namespace: &str, port: u16| {
                service(
                    namespace,
                    &json!({"externalIPs": ["203.0.113.9"], "ports": [{"port": port}]}),
                    "198.51.100.27",
                )
            };
            let holders = Some(vec![claim("mail", 25), claim("shop", port)]);
            objection("203.0.113.9".parse().unwrap(), 25, "mail", &Picture { holders, ..picture() })
        };
        assert_eq!(at(9), None);
        assert_eq!(at(25), Some("a Service of another namespace claims it too"));
    }

    #[test]
    fn a_claim_gives_way_to_what_is_assigned_and_never_the_reverse() {
        for (address, why) in [
            ("10.89.0.11", "it is a node's"),
            ("10.89.0.12", "it is a node's"),
            ("10.89.0.2", "it is the API server's"),
            ("10.89.0.3", "it is the API server's"),
            ("10.77.1.9", "it is a pod's"),
            ("10.88.200.1", "it is a pod's"),
            ("10.96.0.8", "a Service of another namespace has it"),
            ("198.51.100.26", "a Service of another namespace has it"),
            ("203.0.113.6", "a Service of another namespace claims it too"),
        ] {
            assert_eq!(objected(address, "mail"), Some(why), "{address}");
        }
        assert_eq!(objected("203.0.113.6", "shop"), Some("a Service of another namespace claims it too"));
        assert_eq!(objected("203.0.113.5", "shop"), Some("a Service of another namespace claims it too"));
        assert_eq!(objected("10.96.0.7", "shop"), Some("a Service of another namespace has it"));
    }

    #[test]
    fn what_nobody_else_holds_is_guarded() {
        for address in ["203.0.113.5", "203.0.113.77", "10.96.0.7", "198.51.100.25"] {
            assert_eq!(objected(address, "mail"), None, "{address}");
        }
    }

    #[test]
    fn before_this_nodes_addresses_are_known_no_claim_is_believed() {
        let unknown = Picture { node: NodeSeen::default(), ..picture() };
        assert!(objection("203.0.113.77".parse().unwrap(), 25, "mail", &unknown).is_some());
    }

    #[test]
    fn before_all_services_are_known_no_claim_is_believed() {
        let unknown = Picture { holders: None, ..picture() };
        assert!(objection("203.0.113.5".parse().unwrap(), 25, "mail", &unknown).is_some());
    }
}
