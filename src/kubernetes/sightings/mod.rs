//! Failures counted across replicas: tells other nodes what this one saw below the threshold, and takes in what they
//! saw.
//!
//! ```text
//!  detector ── news ──► own SightingList ──► API server ── watch ──► every node that counts ──► its detector
//! ```
//!
//! Only nodes that read pods of a jail with `count: Cluster` take part. The first change is written at once, then at
//! most one a second; what has merely slid out of the windows is not written, so an idle cluster writes nothing. When
//! the server is away each node counts for itself, and what it saw is told afterwards.

mod book;
mod form;

use std::sync::Arc;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DeserializeGuard;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::agent::station::{Setup, Station};
use super::agent::tally::Tally;
use super::cluster_time::ClusterClock;
use super::mirror::{Mirror, chain};
use crate::agent::handle::{AgentHandle, Gone};
use crate::api::v1alpha1::{NodeName, SightingList, SightingListSpec};
use crate::config::JailConfig;
use crate::engine::JailName;
use book::{Book, says_more};

/// Who writes our part of the object.
const MANAGER: &str = "gaoler-sightings";
/// Between two writes.
const PAUSE: Duration = Duration::from_secs(1);
/// After a write that failed; doubled each time.
const RETRY: Duration = Duration::from_millis(500);
/// Never longer than this.
const RETRY_MOST: Duration = Duration::from_secs(15);
/// A write that takes longer has failed.
const ANSWER: Duration = Duration::from_secs(15);
/// A list that was written so long ago has been seen on the watch.
const SEEN: Duration = Duration::from_secs(15);
/// How long a list in which everything has slid out may stand.
const STALE: Duration = Duration::from_secs(60);
/// How long no jail may count here before the list says so: pods that are moved come back.
const GRACE: Duration = Duration::from_secs(60);

/// Runs until the detector ends.
pub async fn run(station: Station) {
    let Station { client, node, agent, mut setup, clock, tally, .. } = station;
    // What is told and heard is converted from the first on.
    clock.measured().await;
    loop {
        if counting(&setup.borrow_and_update()).is_empty() {
            match timeout(GRACE, begin(&mut setup)).await {
                Ok(Ok(())) => {}
                Ok(Err(Gone)) => return,
                Err(_) => {
                    withdraw(&client, &node).await;
                    if begin(&mut setup).await.is_err() {
                        return;
                    }
                }
            }
        }
        let mut desk = Desk::new(&client, node.clone(), clock.clone(), Arc::clone(&tally));
        let ended = desk.work(&agent, &mut setup).await;
        desk.watching.abort();
        if ended.is_err() {
            return;
        }
        withdraw(&client, &node).await;
    }
}

/// Waits until some jail counts here.
async fn begin(setup: &mut watch::Receiver<Setup>) -> Result<(), Gone> {
    setup.wait_for(|setup| !counting(setup).is_empty()).await.map(|_| ()).map_err(|_| Gone)
}

/// The jails that add up over nodes and whose pods are read here.
fn counting(setup: &Setup) -> Vec<&JailConfig> {
    let here = |jail: &&JailConfig| jail.adds_up && !setup.situation.logs(jail.name()).is_empty();
    setup.config.jails.iter().map(AsRef::as_ref).filter(here).take(form::MOST_JAILS).collect()
}

/// Takes back that this node counts. Others keep what its list said until that has aged.
async fn withdraw(client: &Client, node: &NodeName) {
    let api: Api<SightingList> = Api::all(client.clone());
    let list = SightingListSpec { node: node.clone(), jails: Vec::new(), left_out: 0 };
    let take_back = async {
        match api.get_opt(node.as_str()).await? {
            Some(standing) if !standing.spec.jails.is_empty() => apply(&api, node, list).await.map(drop),
            _ => Ok(()),
        }
    };
    match timeout(ANSWER, take_back).await {
        Ok(Ok(())) => {}
        // It stands a little longer and only makes others tell more than they must.
        Ok(Err(error)) => tracing::info!(error = %chain(&error), "cannot take the own sightings back"),
        Err(_) => tracing::info!("the API server does not answer; the own sightings stay"),
    }
}

/// Writes the list of a node.
async fn apply(
    api: &Api<SightingList>,
    node: &NodeName,
    list: SightingListSpec,
) -> kube::Result<SightingList> {
    let list = SightingList::new(node.as_str(), list);
    api.patch(node.as_str(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(&list)).await
}

/// The work while some jail counts here.
struct Desk {
    client: Client,
    node: NodeName,
    clock: ClusterClock,
    tally: Arc<Tally>,
    book: Book,
    mirror: Mirror<SightingList>,
    watching: JoinHandle<()>,
    /// What was written last.
    published: Option<SightingListSpec>,
    written: Instant,
    not_before: Instant,
    patience: Duration,
}

impl Desk {
    fn new(client: &Client, node: NodeName, clock: ClusterClock, tally: Arc<Tally>) -> Self {
        let api: Api<DeserializeGuard<SightingList>> = Api::all(client.clone());
        let (mirror, watching) = Mirror::spawn(api, watcher::Config::default());
        let now = Instant::now();
        Self {
            client: client.clone(),
            book: Book::new(node.clone()),
            node,
            clock,
            tally,
            mirror,
            watching,
            published: None,
            written: now,
            not_before: now,
            patience: RETRY,
        }
    }

    /// Until no jail has counted here for a while.
    async fn work(&mut self, agent: &AgentHandle, setup: &mut watch::Receiver<Setup>) -> Result<(), Gone> {
        let mut news = agent.news();
        let mut clock = self.clock.watch();
        let mut idle_since: Option<Instant> = None;
        let mut quotas = Vec::new();
        let mut turn = None;
        // Whether what the detector knows may be more than what is published.
        let mut due = true;
        loop {
            let in_force = setup.borrow_and_update().clone();
            let jails = counting(&in_force);
            if turn.replace(in_force.turn) != Some(in_force.turn) {
                // A jail that is new here has heard nothing yet.
                self.book.forget();
                quotas.clear();
                due = true;
            }
            if !jails.is_empty() {
                idle_since = None;
            } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= GRACE {
                return Ok(());
            }
            let lists = self.mirror.all();
            if clock.has_changed().unwrap_or(false) {
                clock.borrow_and_update();
                // What was told is at other times now.
                due = true;
            }
            for (node, accounts) in self.book.hear(&lists, self.clock.now()) {
                self.tally.sightings_received.inc();
                agent.hear(node, accounts).await?;
            }
            let specs: Vec<_> = jails.iter().map(|jail| &jail.spec).collect();
            let wanted = self.book.quotas(&specs, &lists);
            if wanted != quotas {
                agent.share(wanted.clone()).await?;
                quotas = wanted;
                due = true;
            }
            let vanished = self.vanished();
            if vanished.is_some_and(|at| at <= Instant::now()) {
                self.published = None;
                due = true;
            }
            // While no jail counts the list stays as it is: the pods may be on their way back.
            let may_write = Instant::now() >= self.not_before;
            if due && may_write && !jails.is_empty() {
                // Before it is asked, so that what comes up meanwhile is asked for again.
                news.borrow_and_update();
                let names: Vec<JailName> = jails.iter().map(|jail| jail.name().clone()).collect();
                let told = agent.sightings().await?;
                let list = form::write(&self.node, &names, told);
                due = !self.tell(list).await;
            }
            let pause = due && !jails.is_empty();
            let wake = if pause { self.not_before } else { Instant::now() + STALE };
            let wake = vanished.filter(|at| *at > Instant::now()).map_or(wake, |at| wake.min(at));
            tokio::select! {
                () = self.mirror.changed() => {}
                _ = clock.changed() => clock.mark_changed(),
                changed = setup.changed() => if changed.is_err() { return Err(Gone) },
                // What came up since is asked for when writing is allowed again.
                changed = news.changed(), if !pause => match changed {
                    Ok(()) => due = true,
                    Err(_) => return Err(Gone),
                },
                () = sleep_until(wake) => due = true,
            }
        }
    }

    /// Where somebody took our list away, or the storage was emptied: from when on that is sure. The watch may not have
    /// told yet of what was just written.
    fn vanished(&self) -> Option<Instant> {
        let gone = self.published.is_some() && !self.mirror.is_there("", self.node.as_str());
        gone.then(|| self.written + SEEN)
    }

    /// Writes the list when it says more than the one that stands, or when all in that one has slid out. Whether there
    /// is nothing left to write.
    async fn tell(&mut self, wanted: SightingListSpec) -> bool {
        let empty = |list: &SightingListSpec| list.jails.iter().all(|jail| jail.subjects.is_empty());
        let more = says_more(self.published.as_ref(), &wanted);
        let stale = self.written.elapsed() >= STALE
            && empty(&wanted)
            && self.published.as_ref().is_some_and(|published| !empty(published));
        if !more && !stale {
            return true;
        }
        if wanted.left_out > 0 {
            tracing::warn!(subjects = wanted.left_out, "more subjects than other nodes can be told of");
        }
        let api: Api<SightingList> = Api::all(self.client.clone());
        let problem = match timeout(ANSWER, apply(&api, &self.node, wanted.clone())).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(chain(&error)),
            Err(_) => Some("no answer".into()),
        };
        self.written = Instant::now();
        let well = problem.is_none();
        match problem {
            None => {
                self.tally.sightings_written.inc();
                self.published = Some(wanted);
                self.patience = RETRY;
                self.not_before = self.written + PAUSE;
            }
            Some(error) => {
                self.tally.failed("SightingList");
                tracing::warn!(error, "cannot tell other nodes what was seen; trying again");
                // Whether it was written is not known.
                self.published = None;
                self.not_before = self.written + self.patience;
                self.patience = (self.patience * 2).min(RETRY_MOST);
            }
        }
        well
    }
}
