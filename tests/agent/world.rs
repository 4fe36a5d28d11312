//! One host: a directory of manifests, a log, a state file, an agent.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gaoler::agent::handle::{AgentHandle, Unusable};
use gaoler::agent::report::{BanReport, Condition, ConditionType, JailReport, Status};
use gaoler::agent::state_file::StateFile;
use gaoler::agent::{self, Settings};
use gaoler::config::{self, Loaded};
use gaoler::engine::{Subject, Timestamp};
use gaoler::firewall::{Memory, Skeleton};

/// Nothing here takes so long; who waits for longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);

/// One host.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) firewall: Memory,
    running: Option<(AgentHandle, JoinHandle<()>)>,
    loaded: Loaded,
    pub(crate) observe: bool,
}

impl World {
    /// A host with an empty log and these jails, guarded.
    pub(crate) fn guarded(manifests: &str) -> Self {
        let mut world = Self::new(manifests);
        world.start();
        world
    }

    /// A host with an empty log and these jails, not guarded yet.
    pub(crate) fn new(manifests: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        fs::write(directory.path().join("james.log"), "").unwrap();
        let world = Self {
            directory,
            firewall: Memory::default(),
            running: None,
            loaded: Loaded::default(),
            observe: false,
        };
        world.declare("jails.yaml", manifests);
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a manifest. `$LOG` becomes the path of the log.
    pub(crate) fn declare(&self, name: &str, manifests: &str) {
        let log = self.path("james.log");
        let text = manifests.replace("$LOG", log.to_str().unwrap());
        fs::write(self.path("etc").join(name), text).unwrap();
    }

    /// Starts the agent on what is declared, with a firewall that has forgotten everything.
    pub(crate) fn start(&mut self) {
        self.firewall = Memory::default();
        let state = Some(StateFile::open(&self.path("lib/state")).unwrap());
        let settings = Settings { observe: self.observe, state };
        self.running = Some(agent::spawn(settings, Box::new(self.firewall.clone())).unwrap());
        self.loaded = Loaded::default();
        let unusable = self.reload();
        assert_eq!(unusable, [], "every jail can be used");
    }

    /// Reads the manifests again and hands them over.
    pub(crate) fn reload(&mut self) -> Vec<Unusable> {
        self.loaded = config::load(&[self.path("etc")], Some(&self.loaded));
        block_on(self.agent().configure(Arc::new(self.loaded.config.clone()))).unwrap()
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.loaded
    }

    /// What a configuration that stays as it is must outlive: being read again, and two starts.
    pub(crate) const AGAIN: [fn(&mut Self); 3] = [|world| drop(world.reload()), Self::restart, Self::restart];

    fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub(crate) fn agent(&self) -> AgentHandle {
        self.running.as_ref().unwrap().0.clone()
    }

    /// Ends the agent in good order.
    pub(crate) fn stop(&mut self) {
        let (agent, thread) = self.running.take().unwrap();
        block_on(agent.stop()).unwrap().unwrap();
        thread.join().unwrap();
    }

    /// Ends the agent as if it had been killed right after it had written the state that is on disk now.
    pub(crate) fn kill(&mut self) {
        let state = fs::read(self.path("lib/state")).unwrap();
        let (agent, thread) = self.running.take().unwrap();
        let _ = block_on(agent.stop()).unwrap();
        thread.join().unwrap();
        fs::write(self.path("lib/state"), state).unwrap();
    }

    /// Appends lines to the log.
    pub(crate) fn log(&self, lines: &[String]) {
        self.append(lines.iter().fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        }));
    }

    /// Appends bytes to the log.
    pub(crate) fn append(&self, text: impl AsRef<[u8]>) {
        let mut log = OpenOptions::new().append(true).open(self.path("james.log")).unwrap();
        log.write_all(text.as_ref()).unwrap();
    }

    pub(crate) fn status(&self) -> Status {
        block_on(self.agent().status()).unwrap()
    }

    pub(crate) fn jail(&self, name: &str) -> JailReport {
        self.status().jails.into_iter().find(|jail| jail.name.as_str() == name).unwrap()
    }

    pub(crate) fn condition(&self, jail: &str, kind: ConditionType) -> Option<Condition> {
        self.jail(jail).conditions.into_iter().find(|condition| condition.kind == kind)
    }

    pub(crate) fn bans(&self) -> Vec<BanReport> {
        block_on(self.agent().bans(None)).unwrap()
    }

    /// The banned, as text, sorted.
    pub(crate) fn banned(&self) -> Vec<String> {
        let mut banned: Vec<String> = self.bans().iter().map(|ban| ban.subject.to_string()).collect();
        banned.sort();
        banned
    }

    /// What the firewall was asked to keep out now: `scope subject`, sorted.
    pub(crate) fn kept_out(&self) -> Vec<String> {
        let bans = self.firewall.bans(now());
        bans.keys().map(|(scope, subject)| format!("{scope} {subject}")).collect()
    }

    pub(crate) fn skeleton(&self) -> Skeleton {
        self.firewall.skeleton().unwrap_or_default()
    }

    /// Waits until the agent has counted so many failures of any kind in a jail since it started.
    pub(crate) fn heard(&self, jail: &str, failures: u64) -> JailReport {
        until(|| {
            let report = self.jail(jail);
            let c = report.counters;
            let heard = c.failures + c.never_banned + c.too_late + c.while_banned;
            (heard >= failures).then_some(report)
        })
    }

    /// Waits until exactly these are kept out.
    pub(crate) fn keeps_out(&self, wanted: &[&str]) {
        until(|| (self.kept_out() == wanted).then_some(()));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.running.is_some() && !thread::panicking() {
            self.stop();
        }
    }
}

/// A failed login of James, at this moment, in the layout of the built-in filter `james-log4j2`.
pub(crate) fn failure(address: &str) -> String {
    let stamp = jiff::Timestamp::now()
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime("%Y-%m-%d %H:%M:%S.%3f +0000")
        .to_string();
    format!(
        "{stamp} - org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler [ip={address}] - \
         Rejected message. Unknown user: nobody@example.org"
    )
}

pub(crate) fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

pub(crate) fn subject(text: &str) -> Subject {
    text.parse().unwrap()
}

/// Polls until there is an answer.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// A jail on the log, two failures in twenty minutes.
pub(crate) const JAMES: &str = "
apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {name: james}
spec:
  filters: [james-log4j2]
  source: {files: [$LOG]}
  maxRetry: 2
  findTime: 20m
  banTime: 2h
  enforce: {ports: [25, 143]}
";
