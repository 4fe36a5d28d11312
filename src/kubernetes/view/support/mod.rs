//! What whoever shall help wants to know of a cluster, and nothing else of it.

mod masks;
mod shape;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use serde::Serialize;
use serde_json::{Value, json};

pub use masks::Masks;

use super::ask::{AskError, answer};
use super::read::{Scope, raw, read};
use super::status::status;
use crate::api::v1alpha1 as api;
use crate::engine::Timestamp;

/// Our own pods, whatever namespace they are in.
const PODS: &str = "app.kubernetes.io/name=gaoler";

/// One file of the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// Collects everything. What the server does not let us read is named in the bundle and left out.
///
/// # Errors
/// When the server does not answer, or knows nothing of us.
pub async fn collect(
    client: &Client,
    scope: &Scope,
    masks: Option<&Masks>,
    now: Timestamp,
) -> Result<Vec<File>, AskError> {
    let mut bundle = Bundle { masks, files: Vec::new(), missing: Vec::new() };
    let server = answer("the version", client.apiserver_version()).await?;
    let jails = raw::<api::Jail>(client, Some(scope)).await?;
    bundle.add(
        "versions",
        &json!({"kubectl-gaoler": env!("CARGO_PKG_VERSION"), "kubernetes": server.git_version, "collected": now.to_string()}),
    );
    match read(client, scope).await {
        Ok(objects) => {
            bundle.add("numbers", &shape::numbers(&objects));
            bundle.add("status", &status(objects, now));
        }
        Err(error) => bundle.missing.push(format!("status: {error}")),
    }
    bundle.objects("jails", Ok(jails));
    bundle.objects("filters", raw::<api::Filter>(client, Some(scope)).await);
    bundle.objects("ratelimits", raw::<api::RateLimit>(client, Some(scope)).await);
    bundle.objects("banlists", raw::<api::BanList>(client, None).await);
    bundle.objects("allowlists", raw::<api::AllowList>(client, None).await);
    bundle.objects("pardons", raw::<api::Pardon>(client, None).await);
    bundle.objects("houses", raw::<api::House>(client, None).await);
    bundle.objects("nodeagents", raw::<api::NodeAgent>(client, None).await);
    bundle.objects("banslices", raw::<api::BanSlice>(client, None).await);
    bundle.objects("sightinglists", raw::<api::SightingList>(client, None).await);
    let pods: Api<Pod> = Api::all(client.clone());
    let pods = answer("pods", pods.list(&ListParams::default().labels(PODS))).await;
    bundle.list("pods", pods.map(|pods| pods.iter().map(shape::pod).collect()));
    let events: Api<Event> = match scope {
        Scope::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        Scope::All => Api::all(client.clone()),
    };
    let events = answer("events", events.list(&ListParams::default())).await;
    bundle.list("events", events.map(|events| events.iter().filter_map(shape::event).collect()));
    Ok(bundle.finish())
}

struct Bundle<'a> {
    masks: Option<&'a Masks>,
    files: Vec<File>,
    missing: Vec<String>,
}

impl Bundle<'_> {
    fn add(&mut self, name: &str, content: &impl Serialize) {
        let mut value = serde_json::to_value(content).unwrap_or_default();
        if let Some(masks) = self.masks {
            masks.cover(&mut value);
        }
        let text = serde_yaml::to_string(&value).unwrap_or_else(|error| error.to_string());
        self.files.push(File { name: format!("{name}.yaml"), text });
    }

    fn list(&mut self, name: &str, found: Result<Vec<Value>, AskError>) {
        match found {
            Ok(found) => self.add(name, &found),
            Err(error) => self.missing.push(format!("{name}: {error}")),
        }
    }

    fn objects(&mut self, name: &str, found: Result<Vec<(String, Value)>, AskError>) {
        self.list(name, found.map(|found| found.into_iter().map(|(_, it)| shape::object(it)).collect()));
    }

    fn finish(mut self) -> Vec<File> {
        let mut text =
            String::from("What `kubectl gaoler support` found. No line of a log and no Secret is in it.\n");
        text += match self.masks {
            Some(_) => {
                "Addresses are replaced by names: the same address has the same name in this bundle only.\n"
            }
            None => "Addresses stand in it as they are.\n",
        };
        for missing in &self.missing {
            text += &format!("Left out: {missing}\n");
        }
        self.files.insert(0, File { name: "README.txt".into(), text });
        self.files
    }
}
