//! The definitions of our kinds, as this version has them, in the cluster.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep};

use super::LOOK;
use crate::api::v1alpha1::crds::crds;
use crate::kubernetes::FIELD_MANAGER;
use crate::kubernetes::view::{AskError, answer};

const KIND: &str = "customresourcedefinitions";

/// Their names: `jails.gaoler.dev`, …
fn names() -> impl Iterator<Item = String> {
    crds().into_iter().filter_map(|crd| Some(crd["metadata"]["name"].as_str()?.to_owned()))
}

/// Applies all of them, whoever wrote them last, and waits until the server serves them. Gives their names.
///
/// # Errors
/// When the server does not take one, or does not serve it within `wait`.
pub async fn apply(client: &Client, wait: Duration) -> Result<Vec<String>, AskError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let how = PatchParams::apply(FIELD_MANAGER).force();
    for crd in crds() {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default();
        answer(KIND, api.patch(name, &how, &Patch::Apply(&crd))).await?;
    }
    let end = Instant::now() + wait;
    for name in names() {
        loop {
            let Some(why) = missing(&answer(KIND, api.get(&name)).await?) else { break };
            if Instant::now() >= end {
                return Err(AskError::Refused(format!("{name} is not served: {why}")));
            }
            sleep(LOOK).await;
        }
    }
    Ok(names().collect())
}

/// Removes all of them, and with them every object of these kinds. Gives the names of those that were there.
///
/// # Errors
/// When the server does not.
pub async fn remove(client: &Client) -> Result<Vec<String>, AskError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let mut removed = Vec::new();
    for name in names() {
        match api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => removed.push(name),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(AskError::of(KIND, &error)),
        }
    }
    Ok(removed)
}

/// Why the server does not serve the kind (yet).
fn missing(crd: &CustomResourceDefinition) -> Option<String> {
    let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let known: Vec<_> = conditions.collect();
    if known.iter().any(|c| c.type_ == "Established" && c.status == "True") {
        return None;
    }
    let said = known.iter().find(|c| c.status == "False").and_then(|c| c.message.clone());
    Some(said.unwrap_or_else(|| "nothing is said of it".into()))
}
