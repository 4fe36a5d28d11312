//! What a jail's bans close on this node: (destination, port) pairs of Services and of the jail's own pods.
//!
//! Which Services lead to a jail's pods is told by the pods' labels wherever they run: a node without such a pod
//! must guard the Service too, as clients may come in by it. EndpointSlices are not asked. They say nothing of labels,
//! change with every probe of every pod, and their addresses are whatever somebody with the right to write them
//! says: a tenant could name another's pod there and close its port. Addresses of pods are guarded on their own node,
//! by which all their packets come.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::claims::objection;
use super::picture::{ContainerPort, LocalPod, Picture, ServicePort, ServiceSeen, Target};
use super::pods::{chooses, namespace_of};
use crate::config::{JailConfig, Source};
use crate::firewall::{Destination, Guard};

/// What bans of one jail close.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// The pairs, sorted, each once.
    pub guards: Vec<Guard>,
    /// Services that the jail names and that are not there.
    pub missing: Vec<String>,
    /// Services whose addresses are guarded.
    pub services: Vec<String>,
    /// Those of them that may put a node's address in place of the client's.
    pub masking: Vec<String>,
    /// What is not guarded though somebody names it, and why.
    pub left_out: BTreeSet<String>,
}

/// Guards as they are found, and what is left out of them.
#[derive(Default)]
pub(super) struct Found {
    /// The pairs.
    pub(super) guards: BTreeSet<Guard>,
    /// What is not guarded though somebody names it, and why.
    pub(super) left_out: BTreeSet<String>,
}

/// What bans of this jail close, besides the ports it declares.
#[must_use]
pub fn closed(jail: &JailConfig, picture: &Picture) -> Closed {
    let mut closed = Closed::default();
    let Source::Pods { .. } = &jail.source else { return closed };
    let local: Vec<&LocalPod> =
        picture.pods.iter().map(|pod| &**pod).filter(|pod| !pod.over && chooses(jail, pod)).collect();
    let mut found = Found::default();
    for service in services(jail, &local, picture, &mut closed.missing) {
        closed.services.push(service.name.clone());
        if service.masks_clients {
            closed.masking.push(service.name.clone());
        }
        guard_service(service, &local, picture, &mut found);
    }
    // Who names ports or Services wants those. Else the way in may as well be a port of the node that leads to a pod.
    if jail.enforce.services.is_empty() && jail.enforce.ports.is_empty() {
        for pod in &local {
            guard_host_ports(pod, picture, &mut found);
        }
    }
    closed.guards = found.guards.into_iter().collect();
    closed.left_out = found.left_out;
    closed
}

/// The Services a jail closes: those it names; else, where it names no ports either, those that lead to its pods.
fn services<'a>(
    jail: &JailConfig,
    local: &[&LocalPod],
    picture: &'a Picture,
    missing: &mut Vec<String>,
) -> Vec<&'a ServiceSeen> {
    let Source::Pods { selector, .. } = &jail.source else { return Vec::new() };
    let namespace = namespace_of(jail);
    let around = picture.services.iter().map(|service| &**service).filter(|s| s.namespace == namespace);
    let named = &jail.enforce.services;
    if !named.is_empty() {
        let found: Vec<&ServiceSeen> = around.filter(|service| named.contains(&service.name)).collect();
        let is_missing = |name: &&String| !found.iter().any(|service| service.name == **name);
        missing.extend(named.iter().filter(is_missing).cloned());
        return found;
    }
    if !jail.enforce.ports.is_empty() {
        return Vec::new();
    }
    let elsewhere = picture.labels.iter().filter(|pod| pod.namespace == namespace).map(|pod| &pod.labels);
    let chosen: Vec<_> = elsewhere
        .filter(|labels| selector.matches(labels))
        .chain(local.iter().map(|pod| &pod.labels))
        .collect();
    around.filter(|service| chosen.iter().any(|labels| service.selects(labels))).collect()
}

/// Every way to a Service. `local`: the pods that one without a selector leads to.
pub(super) fn guard_service(
    service: &ServiceSeen,
    local: &[&LocalPod],
    picture: &Picture,
    found: &mut Found,
) {
    let led_to = picture
        .pods
        .iter()
        .map(|pod| &**pod)
        .filter(|pod| pod.namespace == service.namespace && !pod.over && service.selects(&pod.labels));
    // A Service without a selector leads where somebody says; of that, the jail's own pods are taken.
    let pods: Vec<&LocalPod> = if service.selector.is_empty() { local.to_vec() } else { led_to.collect() };
    for port in &service.ports {
        found.guards.extend(service.assigned.iter().map(|address| at(*address, port.port)));
        for address in &service.claimed {
            if let Some(why) = objection(*address, port.port, &service.namespace, picture) {
                let name = &service.name;
                found.left_out.insert(format!("{address} of `externalIPs` of Service {name}: {why}"));
            } else {
                found.guards.insert(at(*address, port.port));
            }
        }
        found.guards.extend(port.node_port.map(here));
        for pod in &pods {
            guard_target(port, pod, picture, found);
        }
    }
}

/// Where a Service's port comes out at a pod.
fn guard_target(port: &ServicePort, pod: &LocalPod, picture: &Picture, found: &mut Found) {
    let declared = pod.containers.iter().flat_map(|container| &container.ports);
    let number = match &port.target {
        Target::Number(number) => Some(*number),
        Target::Name(name) => {
            declared.clone().find(|port| port.name == *name && !name.is_empty()).map(|port| port.port)
        }
    };
    let Some(number) = number else { return };
    if pod.host_network {
        found.guards.insert(here(number));
        return;
    }
    found.guards.extend(pod.addresses.iter().map(|address| at(*address, number)));
    for port in declared.filter(|port| port.port == number) {
        guard_host_port(port, pod, picture, found);
    }
}

/// The ways into a pod that go without any Service.
fn guard_host_ports(pod: &LocalPod, picture: &Picture, found: &mut Found) {
    for port in pod.containers.iter().flat_map(|container| &container.ports) {
        if pod.host_network {
            found.guards.insert(here(port.port));
        } else {
            guard_host_port(port, pod, picture, found);
        }
    }
}

/// A port that the node passes on to a pod. `hostIP` is whatever who wrote the pod says: of all addresses only this
/// node's are guarded.
fn guard_host_port(port: &ContainerPort, pod: &LocalPod, picture: &Picture, found: &mut Found) {
    let Some(host) = port.host_port else { return };
    match port.host_ip {
        None => {
            found.guards.insert(here(host));
        }
        Some(address) if picture.node.addresses.contains(&address) => {
            found.guards.insert(at(address, host));
        }
        // Nobody comes in by it.
        Some(address) if address.is_loopback() => {}
        Some(address) => {
            let (name, node) = (&pod.name, &picture.node.name);
            found
                .left_out
                .insert(format!("{address} of `hostIP` of pod {name}: it is no address of node {node}"));
        }
    }
}

fn at(address: IpAddr, port: u16) -> Guard {
    Guard { destination: Destination::Address(address), port }
}

fn here(port: u16) -> Guard {
    Guard { destination: Destination::Local, port }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::claims::Holder;
    use super::super::picture::{NodeSeen, PodLabels};
    use super::super::tests::{jail, pod, service};
    use super::*;

    const JAMES: &str = "{selector: {matchLabels: {app: james}}}";

    fn of(enforce: &str, picture: &Picture) -> Closed {
        closed(&jail("mail/auth", JAMES, enforce), picture)
    }

    fn words(closed: &Closed) -> Vec<String> {
        let word = |guard: &Guard| match guard.destination {
            Destination::Local => format!("here:{}", guard.port),
            Destination::Address(address) => format!("{address}:{}", guard.port),
        };
        closed.guards.iter().map(word).collect()
    }

    fn elsewhere(namespace: &str, labels: &[(&str, &str)]) -> Arc<PodLabels> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Arc::new(PodLabels { namespace: namespace.into(), labels })
    }

    fn n1() -> NodeSeen {
        NodeSeen { name: "n1".into(), addresses: vec!["192.0.2.1".parse().unwrap()], ..NodeSeen::default() }
    }

    fn smtp() -> ServiceSeen {
        service(
            "mail",
            "smtp",
            "{app: james}",
            "[{port: 25, targetPort: smtp, nodePort: 30025}]",
            "LoadBalancer",
        )
    }

    #[test]
    fn a_service_that_leads_to_the_pods_is_closed_by_all_its_ways() {
        let pod =
            pod("mail", "james-0", &[("app", "james")]).port("smtp", 2525).ip("10.88.1.2").ip("fd00:88::2");
        let picture =
            Picture { pods: vec![Arc::new(pod)], services: vec![Arc::new(smtp())], ..Picture::default() };
        let found = of("{}", &picture);
        assert_eq!(
            words(&found),
            ["here:30025", "10.88.1.2:2525", "10.96.0.7:25", "198.51.100.25:25", "fd00:88::2:2525"]
        );
        assert_eq!(found.services, ["smtp"]);
    }

    #[test]
    fn a_node_without_the_pods_closes_the_service_but_no_pod() {
        let picture = Picture {
            services: vec![Arc::new(smtp())],
            labels: vec![elsewhere("mail", &[("app", "james"), ("x", "y")])],
            ..Picture::default()
        };
        assert_eq!(words(&of("{}", &picture)), ["here:30025", "10.96.0.7:25", "198.51.100.25:25"]);
    }

    #[test]
    fn neither_a_neighbours_service_nor_one_of_other_pods_is_closed() {
        let mine = pod("mail", "james-0", &[("app", "james")]).ip("10.88.1.2");
        let other = pod("tenant", "james-0", &[("app", "james")]).ip("10.88.1.3").host("smtp", 25, 25);
        let picture = Picture {
            pods: vec![Arc::new(mine), Arc::new(other)],
            services: vec![
                Arc::new(service(
                    "tenant",
                    "smtp",
                    "{app: james}",
                    "[{port: 25, nodePort: 31025}]",
                    "NodePort",
                )),
                Arc::new(service("mail", "web", "{app: web}", "[{port: 80}]", "ClusterIP")),
            ],
            labels: vec![elsewhere("tenant", &[("app", "james")])],
            ..Picture::default()
        };
        assert_eq!(of("{}", &picture), Closed::default());
    }

    #[test]
    fn ports_of_the_node_that_lead_to_its_pods_are_closed_without_any_service() {
        let pods = [
            pod("mail", "a", &[("app", "james")]).host("smtp", 25, 2525).port("admin", 8000),
            pod("mail", "b", &[("app", "james")]).host("imap", 143, 143).bound("192.0.2.1"),
        ];
        let picture = Picture { pods: pods.map(Arc::new).into(), node: n1(), ..Picture::default() };
        assert_eq!(words(&of("{}", &picture)), ["here:2525", "192.0.2.1:143"]);
    }

    #[test]
    fn a_host_port_at_an_address_that_is_not_this_nodes_closes_nothing() {
        let neighbour = pod("shop", "a", &[("app", "shop")]).ip("10.88.1.9");
        let bound =
            |name: &str, to: &str| pod("mail", name, &[("app", "james")]).host("smtp", 25, 25).bound(to);
        let pods = [neighbour, bound("a", "10.88.1.9"), bound("b", "198.51.100.26"), bound("c", "127.0.0.1")];
        let services = vec![Arc::new(service("mail", "smtp", "{app: james}", "[{port: 25}]", "ClusterIP"))];
        let mut picture = Picture { pods: pods.map(Arc::new).into(), node: n1(), ..Picture::default() };
        let found = of("{}", &picture);
        assert_eq!(words(&found), Vec::<String>::new());
        let told = [
            "10.88.1.9 of `hostIP` of pod a: it is no address of node n1",
            "198.51.100.26 of `hostIP` of pod b: it is no address of node n1",
        ];
        assert!(found.left_out.iter().eq(told), "{:?}", found.left_out);
        // By way of a Service as well.
        picture.services = services;
        let found = of("{}", &picture);
        assert_eq!(words(&found), ["10.96.0.7:25", "198.51.100.25:25"]);
        assert!(found.left_out.iter().eq(told), "{:?}", found.left_out);
    }

    #[test]
    fn an_address_that_a_service_claims_is_closed_unless_it_is_anothers() {
        let mut smtp = smtp();
        smtp.claimed = ["203.0.113.5", "192.0.2.1", "198.51.100.26"].map(|a| a.parse().unwrap()).into();
        let rival = Holder {
            namespace: "shop".into(),
            assigned: vec!["198.51.100.26".parse().unwrap()],
            ..Holder::default()
        };
        let picture = Picture {
            services: vec![Arc::new(smtp)],
            holders: Some(vec![Arc::new(rival)]),
            labels: vec![elsewhere("mail", &[("app", "james")])],
            node: n1(),
            ..Picture::default()
        };
        let found = of("{}", &picture);
        assert_eq!(words(&found), ["here:30025", "10.96.0.7:25", "198.51.100.25:25", "203.0.113.5:25"]);
        let told = [
            "192.0.2.1 of `externalIPs` of Service smtp: it is a node's",
            "198.51.100.26 of `externalIPs` of Service smtp: a Service of another namespace has it",
        ];
        assert!(found.left_out.iter().eq(told), "{:?}", found.left_out);
    }

    #[test]
    fn a_pod_in_the_nodes_network_listens_on_the_node() {
        let mut pod = pod("mail", "a", &[("app", "james")]).port("smtp", 25).ip("10.89.0.11");
        pod.host_network = true;
        let picture =
            Picture { pods: vec![Arc::new(pod)], services: vec![Arc::new(smtp())], ..Picture::default() };
        let found = words(&of("{}", &picture));
        assert_eq!(found, ["here:25", "here:30025", "10.96.0.7:25", "198.51.100.25:25"]);
    }

    #[test]
    fn what_is_over_leaves_no_address_behind() {
        let mut pod = pod("mail", "a", &[("app", "james")]).host("smtp", 25, 25).ip("10.88.1.2");
        pod.over = true;
        let picture = Picture {
            pods: vec![Arc::new(pod)],
            services: vec![Arc::new(service("mail", "smtp", "{app: james}", "[{port: 25}]", "ClusterIP"))],
            ..Picture::default()
        };
        assert_eq!(of("{}", &picture), Closed::default());
    }

    #[test]
    fn services_that_are_named_are_closed_and_those_not_there_are_told() {
        let pod = pod("mail", "a", &[("app", "james")]).ip("10.88.1.2").host("pop3", 110, 110);
        let picture = Picture {
            pods: vec![Arc::new(pod)],
            services: vec![
                Arc::new(smtp()),
                Arc::new(service("mail", "by-hand", "{}", "[{port: 587}]", "ClusterIP")),
                Arc::new(service("other", "gone", "{}", "[{port: 587}]", "ClusterIP")),
            ],
            ..Picture::default()
        };
        let found = of("{services: [by-hand, gone]}", &picture);
        // The jail's pods are where a Service without a selector leads.
        assert_eq!(words(&found), ["10.88.1.2:587", "10.96.0.7:587", "198.51.100.25:587"]);
        assert_eq!((found.services, found.missing), (vec!["by-hand".into()], vec!["gone".into()]));
    }

    #[test]
    fn who_names_ports_gets_those_alone() {
        let pod = pod("mail", "a", &[("app", "james")]).host("smtp", 25, 25);
        let picture =
            Picture { pods: vec![Arc::new(pod)], services: vec![Arc::new(smtp())], ..Picture::default() };
        assert_eq!(of("{ports: [143]}", &picture), Closed::default());
        assert_eq!(of("{ports: [143], services: [smtp]}", &picture).services, ["smtp"]);
    }

    #[test]
    fn services_that_hide_their_clients_are_told() {
        let mut masking = smtp();
        masking.masks_clients = true;
        let picture = Picture {
            services: vec![Arc::new(masking)],
            labels: vec![elsewhere("mail", &[("app", "james")])],
            ..Picture::default()
        };
        assert_eq!(of("{}", &picture).masking, ["smtp"]);
    }
}
