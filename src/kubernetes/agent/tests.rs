//! Small objects for the tests of this node's agent.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::picture::{Container, ContainerPort, LocalPod, ServiceSeen};
use crate::config::resources::{Object, assemble};
use crate::config::{JailConfig, RateLimitConfig, Surroundings};

/// A jail `namespace/name` as the API server would have it; its parts as YAML.
pub(super) fn jail(name: &str, pods: &str, enforce: &str) -> JailConfig {
    let (namespace, name) = name.split_once('/').unwrap();
    let yaml = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
    let object = json!({
        "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": name, "namespace": namespace},
        "spec": {"filters": ["james-smtp-auth"], "source": {"pods": yaml(pods)}, "enforce": yaml(enforce)},
    });
    let around = Surroundings { cluster: true, ..Surroundings::default() };
    let loaded = assemble(vec![Object::from_json("cluster", object)], &[], None, &around);
    assert_eq!(loaded.errors(), 0, "{:?}", loaded.all_problems().collect::<Vec<_>>());
    (*loaded.config.jails[0]).clone()
}

/// A TCP rate limit `namespace/name`; where it counts as YAML.
pub(super) fn limit(name: &str, at: &str) -> RateLimitConfig {
    let (namespace, name) = name.split_once('/').unwrap();
    let mut spec: Value = serde_yaml::from_str(at).unwrap();
    spec["protocol"] = "TCP".into();
    spec["hits"] = 4.into();
    spec["window"] = "60s".into();
    let object = json!({
        "apiVersion": "gaoler.dev/v1alpha1", "kind": "RateLimit", "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    });
    let around = Surroundings { cluster: true, ..Surroundings::default() };
    let loaded = assemble(vec![Object::from_json("cluster", object)], &[], None, &around);
    assert_eq!(loaded.errors(), 0, "{:?}", loaded.all_problems().collect::<Vec<_>>());
    (*loaded.config.rate_limits[0]).clone()
}

/// A pod with one container, `james`.
pub(super) fn pod(namespace: &str, name: &str, labels: &[(&str, &str)]) -> LocalPod {
    LocalPod {
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-{name}"),
        labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        containers: vec![Container { name: "james".into(), ..Container::default() }],
        ..LocalPod::default()
    }
}

impl LocalPod {
    pub(super) fn container(mut self, name: &str) -> Self {
        self.containers.push(Container { name: name.into(), ..Container::default() });
        self
    }

    pub(super) fn init(mut self, name: &str) -> Self {
        self.containers.push(Container { name: name.into(), auxiliary: true, ports: vec![] });
        self
    }

    pub(super) fn ip(mut self, address: &str) -> Self {
        self.addresses.push(address.parse().unwrap());
        self
    }

    /// A port of the first container.
    pub(super) fn port(mut self, name: &str, port: u16) -> Self {
        let port = ContainerPort { name: name.into(), port, ..ContainerPort::default() };
        self.containers[0].ports.push(port);
        self
    }

    /// A port of the first container that the node passes on.
    pub(super) fn host(mut self, name: &str, port: u16, host: u16) -> Self {
        self = self.port(name, port);
        self.containers[0].ports.last_mut().unwrap().host_port = Some(host);
        self
    }

    /// The last port is passed on at this address of the node only.
    pub(super) fn bound(mut self, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        self.containers[0].ports.last_mut().unwrap().host_ip = Some(address);
        self
    }
}

/// A Service at 10.96.0.7; with `LoadBalancer` or a selector-less one also at 198.51.100.25, and with policy `Local`.
pub(super) fn service(namespace: &str, name: &str, selector: &str, ports: &str, kind: &str) -> ServiceSeen {
    let yaml = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
    ServiceSeen::of(
        &serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"type": kind, "selector": yaml(selector), "ports": yaml(ports), "clusterIPs": ["10.96.0.7"],
                     "externalTrafficPolicy": "Local"},
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.25"}]}},
        }))
        .unwrap(),
    )
}
