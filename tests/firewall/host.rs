//! An agent on a real kernel.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gaoler::agent::handle::AgentHandle;
use gaoler::agent::report::{
    FirewallState, RateLimitReport, Refusal, Status, UnbanOrder, Unbanned, WhyReport,
};
use gaoler::agent::{self, Settings};
use gaoler::config;
use gaoler::engine::{Source, Timestamp};
use gaoler::firewall::{
    Applied, Caught, Change, Dropped, DryRun, Firewall, FirewallError, LimitCounts, Nftables, ScopeName,
    Skeleton,
};

use crate::limits::address;

pub(crate) const SMTP: &str = "\
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec: {protocol: TCP, ports: [25], hits: 3, window: 1h, penalty: 2h}
";

/// The kernel's firewall, which answers no question while somebody holds `busy`.
struct Busy {
    kernel: Nftables,
    busy: Arc<Mutex<()>>,
}

impl Busy {
    fn wait(&self) {
        drop(self.busy.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Firewall for Busy {
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError> {
        self.kernel.ensure(skeleton)
    }

    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError> {
        self.kernel.apply(changes, now)
    }

    fn is_intact(&mut self) -> Result<bool, FirewallError> {
        self.kernel.is_intact()
    }

    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError> {
        self.wait();
        self.kernel.counters()
    }

    fn limits(&mut self) -> Result<BTreeMap<ScopeName, LimitCounts>, FirewallError> {
        self.kernel.limits()
    }

    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError> {
        self.kernel.caught()
    }

    fn offences(&mut self, of: IpAddr) -> Result<Vec<(ScopeName, Duration)>, FirewallError> {
        self.wait();
        self.kernel.offences(of)
    }

    fn release(&mut self, from: Source, age: Duration) -> Result<Vec<ScopeName>, FirewallError> {
        self.wait();
        self.kernel.release(from, age)
    }

    fn teardown(&mut self) -> Result<(), FirewallError> {
        self.kernel.teardown()
    }
}

/// An agent that guards the calling thread's namespace.
pub(crate) struct Host {
    pub(crate) agent: AgentHandle,
    thread: Option<JoinHandle<()>>,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) busy: Arc<Mutex<()>>,
}

impl Host {
    pub(crate) fn guarded(manifests: &str) -> Self {
        let busy = Arc::new(Mutex::new(()));
        let firewall = Busy { kernel: Nftables::open().expect("netlink"), busy: Arc::clone(&busy) };
        Self::started(&read(manifests), Settings::default(), Box::new(firewall), busy).standing()
    }

    /// One that makes its table with this `nft`; it may not have made it yet.
    pub(crate) fn making(manifests: &str, nft: &Path) -> Self {
        let firewall = Nftables::open().expect("netlink").with_nft(nft);
        Self::started(&read(manifests), Settings::default(), Box::new(firewall), Arc::default())
    }

    /// One that only observes.
    pub(crate) fn observed() -> Self {
        let settings = Settings { observe: true, ..Settings::default() };
        Self::started(&read(SMTP), settings, Box::new(DryRun::new()), Arc::default()).standing()
    }

    /// The same when its table stands.
    fn standing(self) -> Self {
        self.wait_for(&[FirewallState::Enforcing, FirewallState::Observing]);
        self
    }

    fn started(
        config: &config::Config,
        settings: Settings,
        firewall: Box<dyn Firewall>,
        busy: Arc<Mutex<()>>,
    ) -> Self {
        let (agent, thread) = agent::spawn(settings, firewall).expect("an agent");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let host = Self { agent, thread: Some(thread), runtime, busy };
        host.configure(config);
        host
    }

    pub(crate) fn configure(&self, config: &config::Config) {
        self.runtime.block_on(self.agent.configure(Arc::new(config.clone()))).expect("configured");
    }

    pub(crate) fn wait_for(&self, states: &[FirewallState]) {
        while !states.contains(&self.status().firewall.state) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.runtime.block_on(self.agent.status()).expect("a status")
    }

    pub(crate) fn limit(&self) -> RateLimitReport {
        self.status().rate_limits.remove(0)
    }

    pub(crate) fn why(&self, from: &str) -> WhyReport {
        self.runtime.block_on(self.agent.why(address(from))).expect("told")
    }

    pub(crate) fn unban(&self, prefix: &str) -> Unbanned {
        self.order(prefix).expect("pardoned")
    }

    pub(crate) fn order(&self, prefix: &str) -> Result<Unbanned, Refusal> {
        let prefix = prefix.parse().ok().or_else(|| Some(address(prefix).into()));
        let order = UnbanOrder { prefix, jail: None, reason: None };
        self.runtime.block_on(self.agent.unban(order)).expect("alive")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take().filter(|_| !std::thread::panicking()) {
            self.runtime.block_on(self.agent.stop()).expect("stopped").expect("saved");
            thread.join().expect("ended");
        }
    }
}

pub(crate) fn read(manifests: &str) -> config::Config {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("all.yaml"), manifests).expect("written");
    let loaded = config::load(&[directory.path().into()], None);
    assert_eq!(loaded.errors(), 0, "{:?}", loaded.objects);
    loaded.config
}

/// An `nft` that fails while a file `broken` is beside it.
pub(crate) fn breakable(place: &Path) -> PathBuf {
    let (program, broken) = (place.join("nft"), place.join("broken"));
    let script = format!("#!/bin/sh\ntest ! -e {} || exit 1\nexec nft \"$@\"\n", broken.display());
    std::fs::write(&program, script).expect("a script");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
    program
}
