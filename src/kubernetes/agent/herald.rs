//! Writes this node's NodeAgent, and obeys it where it asks to clean up.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::nodeagent::{Beside, differs_in_kind, differs_in_number, status_of};
use super::station::Station;
use super::storage::Storage;
use crate::agent::handle::Gone;
use crate::agent::report::Status;
use crate::api::v1alpha1::{API_VERSION, NodeAgent, NodeAgentStatus};
use crate::kubernetes::mirror::{Mirror, chain};

/// Who writes. One name for each writer.
const MANAGER: &str = "gaoler-agent";
/// How often to look whether there is something to say; what begins or ends is said then.
const LOOK: Duration = Duration::from_secs(3);
/// How often the kernel is asked what its rate limits do, where there are any: nothing else says that somebody is over
/// one.
const COUNT: Duration = Duration::from_secs(15);
/// How often numbers that moved are told.
const NUMBERS: Duration = Duration::from_secs(60);
/// When all is as it was, this long: whoever reads knows then that the agent lives.
const LONGEST: Duration = Duration::from_secs(300);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the herald ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The detector has ended.
    Gone,
    /// The node shall be guarded again: the process begins anew.
    Resume,
}

/// Writes the NodeAgent.
#[derive(Debug)]
pub struct Herald {
    station: Station,
    storage: Storage,
    /// Whether the node was cleaned up, perhaps by an earlier process.
    retired: bool,
    last: Option<(NodeAgentStatus, Instant)>,
    counted: Instant,
    /// The uid of the Node that the object was made for; empty as long as that is unknown.
    owner: Option<String>,
}

impl Herald {
    /// Has said nothing yet.
    #[must_use]
    pub fn new(station: Station, storage: Storage, retired: bool) -> Self {
        Self { station, storage, retired, last: None, counted: Instant::now(), owner: None }
    }

    /// Writes and obeys until there is a reason to end.
    pub async fn run(mut self) -> End {
        let api: Api<DeserializeGuard<NodeAgent>> = Api::all(self.station.client.clone());
        let name = self.station.node.as_str().to_owned();
        let own = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let (mut mirror, watch) = Mirror::spawn(api, own);
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = mirror.changed() => {}
            }
            let seen = mirror.is_ready().then(|| mirror.get("", &name));
            match self.obey(seen.as_ref().map(Option::as_deref)).await {
                Ok(None) => {}
                Ok(Some(end)) => break end,
                Err(Gone) => break End::Gone,
            }
            // Emptied storage, or somebody deleted it.
            if seen.is_some() && !mirror.is_there("", &name) {
                self.last = None;
                self.owner = None;
            }
            if let Err(Gone) = self.tell().await {
                break End::Gone;
            }
        };
        watch.abort();
        end
    }

    /// Does what `spec` asks. `None`: the server has not said yet.
    async fn obey(&mut self, seen: Option<Option<&NodeAgent>>) -> Result<Option<End>, Gone> {
        let Some(seen) = seen else { return Ok(None) };
        let asked = seen.is_some_and(|agent| agent.spec.clean_up);
        if asked == self.retired {
            return Ok(None);
        }
        if !asked {
            tracing::info!("asked to guard again; ending, so as to begin anew");
            self.storage.mark(false).await;
            return Ok(Some(End::Resume));
        }
        // First on disk: a crash in between must not make the table again.
        self.storage.mark(true).await;
        match tokio::time::timeout(PATIENCE, self.station.agent.retire()).await {
            Ok(done) => done?,
            // The enforcer goes on trying; the NodeAgent says why it fails.
            Err(_) => return Ok(None),
        }
        self.retired = true;
        self.last = None;
        Ok(None)
    }

    /// Writes when there is something to say.
    async fn tell(&mut self) -> Result<(), Gone> {
        let agent = &self.station.agent;
        let count =
            self.counted.elapsed() >= COUNT && !self.station.setup.borrow().config.rate_limits.is_empty();
        let status = if count { agent.status().await? } else { agent.glance().await? };
        if count {
            self.counted = Instant::now();
        }
        let glance = self.compose(&status);
        let due = match &self.last {
            None => true,
            Some((last, at)) => {
                let ago = at.elapsed();
                differs_in_kind(last, &glance)
                    || self.owner.as_ref() != Some(&self.station.setup.borrow().node.uid)
                    || ago >= LONGEST
                    || (ago >= NUMBERS && differs_in_number(last, &glance))
            }
        };
        if !due {
            return Ok(());
        }
        let status = self.compose(&self.station.agent.status().await?);
        match tokio::time::timeout(PATIENCE, self.write(&status)).await {
            Ok(Ok(())) => self.last = Some((status, Instant::now())),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "cannot write the NodeAgent; trying again");
            }
            Err(_) => tracing::warn!("the API server does not take the NodeAgent; trying again"),
        }
        Ok(())
    }

    fn compose(&self, status: &Status) -> NodeAgentStatus {
        let setup = self.station.setup.borrow().clone();
        let concerns = self.station.concerns.all();
        let clock_ahead = self.station.clock.reading().seconds * 1000;
        let beside = Beside { setup: &setup, concerns: &concerns, clock_ahead };
        let now = self.station.clock.stamp();
        status_of(status, beside, self.last.as_ref().map(|(last, _)| last), now)
    }

    async fn write(&mut self, status: &NodeAgentStatus) -> kube::Result<()> {
        let api: Api<NodeAgent> = Api::all(self.station.client.clone());
        let params = PatchParams::apply(MANAGER).force();
        let name = self.station.node.as_str().to_owned();
        let name = name.as_str();
        let mut object = json!({"apiVersion": API_VERSION, "kind": "NodeAgent", "metadata": {"name": name}});
        let node = self.station.setup.borrow().node.clone();
        if self.owner.as_ref() != Some(&node.uid) {
            // It goes with its node.
            if !node.uid.is_empty() {
                set(
                    &mut object["metadata"],
                    "ownerReferences",
                    json!([
                        {"apiVersion": "v1", "kind": "Node", "name": name, "uid": node.uid}
                    ]),
                );
            }
            set(&mut object, "spec", json!({}));
            api.patch(name, &params, &Patch::Apply(&object)).await?;
            self.owner = Some(node.uid);
        }
        let status = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        let whole = json!({"apiVersion": API_VERSION, "kind": "NodeAgent", "metadata": {"name": name}, "status": status});
        api.patch_status(name, &params, &Patch::Apply(&whole)).await?;
        Ok(())
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(field.into(), value);
    }
}
