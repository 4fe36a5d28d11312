//! Who belongs to the house as far as the cluster knows: never banned, whatever a log says.

use std::net::IpAddr;

use ipnet::IpNet;

use super::picture::Picture;
use crate::api::v1alpha1::{HouseMember, HouseRole};
use crate::engine::house::Why;

/// The cluster's prefixes and whose they are.
#[must_use]
pub fn house(picture: &Picture) -> Vec<(IpNet, Why)> {
    let node = &picture.node;
    let this = |what: &str| Why::Cluster(format!("{what} {}", node.name));
    let own = node.addresses.iter().map(|address| (IpNet::from(*address), this("node")));
    let pods = node.pods.iter().map(|range| (*range, this("pods of node")));
    let servers = picture.servers.iter().map(|a| (IpNet::from(*a), Why::Cluster("API server".into())));
    own.chain(pods).chain(servers).chain(members(&picture.house)).collect()
}

/// The prefixes of a House and whose they are.
pub fn members(house: &[HouseMember]) -> impl Iterator<Item = (IpNet, Why)> {
    house.iter().filter_map(|member| Some((prefix(member)?, why(member))))
}

/// Those of them that stand for others when a log shows them as clients.
#[must_use]
pub fn relays(picture: &Picture) -> Vec<IpNet> {
    let stands_for_others = |member: &&HouseMember| {
        matches!(member.role, HouseRole::Node | HouseRole::Service | HouseRole::LoadBalancer)
    };
    let own = picture.node.addresses.iter().map(|address| IpNet::from(*address));
    let mut relays: Vec<IpNet> =
        own.chain(picture.house.iter().filter(stands_for_others).filter_map(prefix)).collect();
    relays.sort_unstable();
    relays.dedup();
    relays
}

pub(super) fn prefix(member: &HouseMember) -> Option<IpNet> {
    let text = member.prefix.as_str();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn why(member: &HouseMember) -> Why {
    let what = match member.role {
        HouseRole::Node => "node",
        HouseRole::Pods => "pods of node",
        HouseRole::Service => "Service",
        HouseRole::LoadBalancer => "load balancer of Service",
        HouseRole::ApiServer => "API server",
    };
    Why::Cluster(match &member.name {
        Some(name) => format!("{what} {name}"),
        None => what.strip_suffix(" of node").or(what.strip_suffix(" of Service")).unwrap_or(what).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::picture::NodeSeen;
    use super::*;

    #[test]
    fn everybody_is_told_by_what_he_is_and_only_relays_stand_for_others() {
        let members = json!([
            {"prefix": "10.89.0.12", "role": "Node", "name": "n2"},
            {"prefix": "10.88.0.0/16", "role": "Pods"},
            {"prefix": "10.96.0.0/16", "role": "Service"},
            {"prefix": "198.51.100.25/32", "role": "LoadBalancer", "name": "mail/smtp"},
            {"prefix": "10.89.0.1", "role": "ApiServer"},
        ]);
        let picture = Picture {
            house: serde_json::from_value(members).unwrap(),
            node: NodeSeen {
                name: "n1".into(),
                addresses: vec!["10.89.0.11".parse().unwrap()],
                pods: vec!["10.88.1.0/24".parse().unwrap()],
                ..NodeSeen::default()
            },
            servers: vec!["10.89.0.2".parse().unwrap()],
            ..Picture::default()
        };
        let told: Vec<String> = house(&picture).iter().map(|(net, why)| format!("{net} {why}")).collect();
        assert_eq!(
            told,
            [
                "10.89.0.11/32 part of the cluster (node n1)",
                "10.88.1.0/24 part of the cluster (pods of node n1)",
                "10.89.0.2/32 part of the cluster (API server)",
                "10.89.0.12/32 part of the cluster (node n2)",
                "10.88.0.0/16 part of the cluster (pods)",
                "10.96.0.0/16 part of the cluster (Service)",
                "198.51.100.25/32 part of the cluster (load balancer of Service mail/smtp)",
                "10.89.0.1/32 part of the cluster (API server)",
            ]
        );
        let relays: Vec<String> = relays(&picture).iter().map(ToString::to_string).collect();
        assert_eq!(relays, ["10.89.0.11/32", "10.89.0.12/32", "10.96.0.0/16", "198.51.100.25/32"]);
    }
}
