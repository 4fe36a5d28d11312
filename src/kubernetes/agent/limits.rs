//! Where a rate limit that names Services counts on this node: the same (destination, port) pairs that a jail closes.
//!
//! A node counts what comes in by it. Nodes and pods are of the house and never limited, so what goes between them, also
//! by a Service's address, passes.

use super::picture::{Picture, ServiceSeen};
use super::scopes::{Found, guard_service};
use super::surroundings::left_out;
use crate::agent::report::{Condition, ConditionType};
use crate::agent::situation::Doors;
use crate::config::{Hit, RateLimitConfig};

/// Where a limit counts; `None` for one that names no Services: its ports are those of every node.
#[must_use]
pub fn doors(limit: &RateLimitConfig, picture: &Picture) -> Option<Doors> {
    let (Hit::Tcp(ports), false) = (&limit.hit, limit.services.is_empty()) else { return None };
    let around = picture.services.iter().filter(|service| service.namespace == limit.namespace());
    let named: Vec<&ServiceSeen> =
        around.map(|service| &**service).filter(|service| limit.services.contains(&service.name)).collect();
    let mut found = Found::default();
    for service in &named {
        let mut meant = (*service).clone();
        meant.ports.retain(|port| ports.is_empty() || ports.contains(&port.port));
        guard_service(&meant, &[], picture, &mut found);
    }
    let is_missing = |name: &&String| !named.iter().any(|service| service.name == **name);
    let missing: Vec<&str> = limit.services.iter().filter(is_missing).map(String::as_str).collect();
    let remark = |reason: &str, message: String| Condition {
        kind: ConditionType::ServiceMissing,
        status: true,
        reason: reason.into(),
        message,
    };
    let mut remarks = Vec::new();
    if !missing.is_empty() {
        let plural = if missing.len() == 1 { "Service" } else { "Services" };
        remarks.push(remark("NotFound", format!("the namespace has no {plural} {}", missing.join(", "))));
    } else if found.guards.is_empty() {
        let message = "its Services have no such TCP port, or no address: nothing is limited";
        remarks.push(remark("NothingToLimit", message.into()));
    }
    remarks.extend(left_out(&found.left_out));
    Some(Doors { guards: found.guards.into_iter().collect(), remarks })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::{limit, pod, service};
    use super::*;
    use crate::firewall::{Destination, Guard};

    fn words(doors: &Doors) -> Vec<String> {
        let word = |guard: &Guard| match guard.destination {
            Destination::Local => format!("here:{}", guard.port),
            Destination::Address(address) => format!("{address}:{}", guard.port),
        };
        doors.guards.iter().map(word).collect()
    }

    fn reasons(doors: &Doors) -> Vec<&str> {
        doors.remarks.iter().map(|remark| remark.reason.as_str()).collect()
    }

    fn picture() -> Picture {
        let ports = "[{port: 25, targetPort: smtp, nodePort: 30025}, {port: 143, targetPort: 1143}]";
        let james = service("mail", "james", "{app: james}", ports, "LoadBalancer");
        let theirs = service("tenant", "james", "{app: james}", "[{port: 25, nodePort: 31025}]", "NodePort");
        let ours =
            pod("mail", "a", &[("app", "james")]).host("smtp", 2525, 25).ip("10.88.1.2").ip("fd00:88::2");
        let other = pod("tenant", "b", &[("app", "james")]).host("smtp", 2525, 26).ip("10.88.1.3");
        Picture {
            services: vec![Arc::new(james), Arc::new(theirs)],
            pods: vec![Arc::new(ours), Arc::new(other)],
            ..Picture::default()
        }
    }

    #[test]
    fn a_limit_counts_at_all_ways_to_its_services_and_at_no_neighbours() {
        let doors = doors(&limit("mail/smtp", "{services: [james], ports: [25]}"), &picture()).unwrap();
        assert_eq!(
            words(&doors),
            [
                "here:25",
                "here:30025",
                "10.88.1.2:2525",
                "10.96.0.7:25",
                "198.51.100.25:25",
                "fd00:88::2:2525"
            ]
        );
        assert_eq!(doors.remarks, vec![]);
    }

    #[test]
    fn without_ports_all_ports_of_its_services_are_meant() {
        let doors = doors(&limit("mail/all", "{services: [james]}"), &picture()).unwrap();
        for pair in ["198.51.100.25:25", "198.51.100.25:143", "10.88.1.2:1143"] {
            assert!(words(&doors).contains(&pair.to_owned()), "{pair}");
        }
    }

    #[test]
    fn a_limit_of_ports_alone_is_not_placed() {
        assert_eq!(doors(&limit("mail/smtp", "{ports: [25]}"), &picture()), None);
    }

    #[test]
    fn a_service_that_is_not_there_and_a_port_that_it_has_not_are_told() {
        let missing = doors(&limit("mail/smtp", "{services: [james, gone]}"), &picture()).unwrap();
        assert_eq!(reasons(&missing), ["NotFound"]);
        assert!(missing.remarks[0].message.contains("no Service gone"));
        let nothing = doors(&limit("mail/smtp", "{services: [james], ports: [26]}"), &picture()).unwrap();
        assert_eq!((reasons(&nothing), nothing.guards.len()), (vec!["NothingToLimit"], 0));
    }
}
