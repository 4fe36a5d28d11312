//! Everything that goes on while the lease is ours.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::crier;
use super::hours;
use super::housekeeper::Housekeeper;
use super::judge::{Declared, Judgement};
use super::lease::Tenure;
use super::pen::{Counts, Pen};
use super::statuses;
use super::sweeper::Sweeper;
use crate::api::v1alpha1::{BanSlice, NodeAgent, Pardon};
use crate::kubernetes::cluster_time::ClusterClock;
use crate::kubernetes::mirror::Mirror;
use crate::kubernetes::versions;

/// Watches and writers. Dropping it ends them all, whatever they are about.
pub(super) struct Office {
    // Ends the watches when it is dropped.
    _watches: Watches,
    writers: JoinSet<()>,
}

/// Tasks that end with this, also while the office is still being opened.
#[derive(Default)]
struct Watches(Vec<JoinHandle<()>>);

impl Drop for Watches {
    fn drop(&mut self) {
        for watch in &self.0 {
            watch.abort();
        }
    }
}

impl Office {
    pub(super) async fn open(client: &Client, tenure: Tenure, counts: Arc<Counts>, me: &str) -> Self {
        let pen = Pen::new(client.clone(), tenure, counts);
        let clock = ClusterClock::default();
        let mut opened = Watches::default();
        let watches = &mut opened.0;
        watches.push(tokio::spawn(hours::follow(client.clone(), clock.clone())));
        let all = watcher::Config::default;
        let (nodes, watch_nodes) = Mirror::<Node>::spawn(Api::all(client.clone()), all());
        let (agents, watch_agents) = Mirror::<NodeAgent>::spawn(Api::all(client.clone()), all());
        let (slices, watch_slices) = Mirror::<BanSlice>::spawn(Api::all(client.clone()), all());
        let (pardons, watch_pardons) = Mirror::<Pardon>::spawn(Api::all(client.clone()), all());
        watches.extend([watch_nodes, watch_agents, watch_slices, watch_pardons]);
        let declared = Declared::open(client, watches);
        let housekeeper = Housekeeper::open(client, nodes.clone(), watches).await;

        // What is said of agents, bans and slices hangs on their age.
        clock.measured().await;
        let (house, house_known) = watch::channel(None);
        let (verdicts, judged) = watch::channel(Arc::new(Judgement::default()));
        watches.push(tokio::spawn(versions::run(client.clone())));
        let mut writers = JoinSet::new();
        writers.spawn(housekeeper.keep(pen.clone(), house));
        writers.spawn(declared.clone().judge(house_known, verdicts));
        writers.spawn(crier::cry(
            slices.clone(),
            declared.jails.clone(),
            pen.clone(),
            clock.clone(),
            me.to_owned(),
        ));
        writers.spawn(statuses::write(declared, agents.clone(), judged.clone(), pen.clone(), clock.clone()));
        writers.spawn(Sweeper { slices, pardons, agents, nodes, verdicts: judged, pen, clock }.sweep());
        Self { _watches: opened, writers }
    }

    /// Ends when a writer ends, which none should.
    pub(super) async fn work(&mut self) {
        let ended = self.writers.join_next().await;
        tracing::error!(?ended, "a part of the controller ended by itself");
    }
}
