//! What is left in the API server when the pods are gone.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::LOOK;
use crate::api::v1alpha1 as api;
use crate::kubernetes::view::{AskError, answer};

/// The pods that write objects.
const WRITERS: &str = "app.kubernetes.io/name=gaoler,app.kubernetes.io/component in (agent,controller)";
const LEASE: &str = "gaoler-controller";

/// Waits until no agent and no controller runs: they would write again what is removed. Gives those that still do.
///
/// # Errors
/// When the server does not answer.
pub async fn pods_end(client: &Client, namespace: &str, wait: Duration) -> Result<Vec<String>, AskError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let end = Instant::now() + wait;
    loop {
        let pods = answer("pods", api.list(&ListParams::default().labels(WRITERS))).await?;
        let names: Vec<String> = pods.iter().map(ResourceExt::name_any).collect();
        if names.is_empty() || Instant::now() >= end {
            return Ok(names);
        }
        sleep(LOOK).await;
    }
}

/// Removes what machines wrote: bans, pardons, counts, what agents say of themselves, the House, the Lease.
///
/// # Errors
/// When the server does not.
pub async fn records(client: &Client, namespace: &str) -> Result<(), AskError> {
    all::<api::BanSlice>(client).await?;
    all::<api::SightingList>(client).await?;
    all::<api::Pardon>(client).await?;
    all::<api::House>(client).await?;
    all::<api::NodeAgent>(client).await?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    match leases.delete(LEASE, &DeleteParams::default()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(AskError::of("leases", &error)),
    }
}

async fn all<K>(client: &Client) -> Result<(), AskError>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let (how, which) = (DeleteParams::default(), ListParams::default());
    answer(&K::plural(&()), api.delete_collection(&how, &which)).await.map(|_| ())
}
