//! Keeps the one House object as the cluster is.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::house::{Premises, house_of};
use super::pace::Pace;
use super::pen::{Pen, Written};
use crate::api::v1alpha1::{House, HouseSpec};
use crate::kubernetes::mirror::{Mirror, chain};

/// Changes of nodes and Services come in crowds.
const SETTLE: Duration = Duration::from_secs(1);
const APART: Duration = Duration::from_secs(5);

/// What the House is made of, and the House.
pub(super) struct Housekeeper {
    nodes: Mirror<Node>,
    services: Mirror<Service>,
    api_server: Mirror<EndpointSlice>,
    service_cidrs: Option<Mirror<ServiceCIDR>>,
    house: Mirror<House>,
}

impl Housekeeper {
    /// Starts to watch. The tasks run until they are aborted.
    pub(super) async fn open(client: &Client, nodes: Mirror<Node>, tasks: &mut Vec<JoinHandle<()>>) -> Self {
        fn mirror<K>(
            api: Api<kube::core::DeserializeGuard<K>>,
            config: watcher::Config,
            tasks: &mut Vec<JoinHandle<()>>,
        ) -> Mirror<K>
        where
            K: kube::Resource<DynamicType = ()>
                + Clone
                + std::fmt::Debug
                + serde::de::DeserializeOwned
                + Send
                + Sync
                + 'static,
        {
            let (mirror, task) = Mirror::spawn(api, config);
            tasks.push(task);
            mirror
        }
        let all = watcher::Config::default;
        let own = all().labels("kubernetes.io/service-name=kubernetes");
        let service_cidrs = match can_list(client).await {
            Ok(()) => Some(mirror(Api::all(client.clone()), all(), tasks)),
            Err(why) => {
                tracing::info!(
                    why,
                    "the ranges of Services cannot be read; each Service's address is taken instead"
                );
                None
            }
        };
        Self {
            nodes,
            services: mirror(Api::all(client.clone()), all(), tasks),
            api_server: mirror(Api::namespaced(client.clone(), "default"), own, tasks),
            service_cidrs,
            house: mirror(Api::all(client.clone()), all(), tasks),
        }
    }

    /// Writes the House whenever it is not what the cluster is, and tells `known` what it is.
    pub(super) async fn keep(mut self, pen: Pen, known: watch::Sender<Option<HouseSpec>>) {
        self.nodes.ready().await;
        self.services.ready().await;
        self.api_server.ready().await;
        self.house.ready().await;
        if let Some(ranges) = &mut self.service_cidrs {
            ranges.ready().await;
        }
        let mut pace = Pace::new(APART);
        loop {
            let house = self.now();
            known.send_if_modified(|known| {
                let new = known.as_ref() != Some(&house);
                if new {
                    *known = Some(house.clone());
                }
                new
            });
            let written = self.house.get("", HouseSpec::NAME);
            if written.is_none_or(|written| written.spec != house) {
                if let Some(wait) = pace.wait((), Instant::now()) {
                    sleep(wait).await;
                    continue;
                }
                if pen.spec::<House>(HouseSpec::NAME, &house).await == Written::Done {
                    tracing::info!(members = house.members.len(), "the House is written");
                }
                sleep(SETTLE).await;
                continue;
            }
            self.changed().await;
            sleep(SETTLE).await;
        }
    }

    fn now(&self) -> HouseSpec {
        let (nodes, services, slices) = (self.nodes.all(), self.services.all(), self.api_server.all());
        let ranges = self.service_cidrs.as_ref().map(Mirror::all).unwrap_or_default();
        let premises = Premises {
            nodes: nodes.iter().map(AsRef::as_ref).collect(),
            services: services.iter().map(AsRef::as_ref).collect(),
            service_cidrs: ranges.iter().map(AsRef::as_ref).collect(),
            api_server: slices.iter().map(AsRef::as_ref).collect(),
        };
        let (house, left_out) = house_of(&premises);
        if left_out > 0 {
            tracing::error!(
                left_out,
                "the House has no place for all prefixes of the cluster: put them into an AllowList"
            );
        }
        house
    }

    async fn changed(&mut self) {
        let ranges = async {
            match &mut self.service_cidrs {
                Some(ranges) => ranges.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.nodes.changed() => {}
            () = self.services.changed() => {}
            () = self.api_server.changed() => {}
            () = self.house.changed() => {}
            () = ranges => {}
        }
    }
}

/// Whether the API server has Service ranges (stable since Kubernetes 1.33) and lets us read them.
async fn can_list(client: &Client) -> Result<(), String> {
    let api: Api<ServiceCIDR> = Api::all(client.clone());
    api.list(&ListParams::default().limit(1)).await.map(drop).map_err(|error| chain(&error))
}
