//! Many agents in one process, each as it runs on a node: its own connections, watches, writes, logs and state. Only the
//! firewall is none: it notes who was to be kept out, and when.
//!
//! `crowd DIRECTORY`: each directory in it is a node of that name, with `agent.kubeconfig`, `pods/` and room for the
//! state. Writes `DIRECTORY/applied`: node, subject and microseconds since 1970, a line for each. Ends with SIGTERM.
//!
//! Driven by `tests/cluster/bench_crowd.py`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use gaoler::api::v1alpha1::NodeName;
use gaoler::engine::Timestamp;
use gaoler::firewall::{
    Applied, Caught, Change, Dropped, Firewall, FirewallError, LimitCounts, Memory, ScopeName, Skeleton,
};
use gaoler::kubernetes::agent::{self, AgentOptions};
use gaoler::kubernetes::connect::Access;
use gaoler::telemetry::{self, LogFormat};
use tracing_subscriber::filter::LevelFilter;

/// How often the notes are brought to disk.
const FLUSH: Duration = Duration::from_millis(200);

type Notes = Arc<Mutex<BufWriter<File>>>;

fn main() -> anyhow::Result<()> {
    telemetry::init(LogFormat::Text, LevelFilter::WARN);
    let Some(root) = std::env::args_os().nth(1).map(PathBuf::from) else { bail!("usage: crowd DIRECTORY") };
    let notes = File::create(root.join("applied")).context("cannot write the notes")?;
    let notes: Notes = Arc::new(Mutex::new(BufWriter::new(notes)));
    let mut agents = Vec::new();
    for entry in fs::read_dir(&root).context("cannot read the directory")? {
        let directory = entry?.path();
        if directory.is_dir() {
            let notes = Arc::clone(&notes);
            agents.push(thread::Builder::new().stack_size(512 << 10).spawn(move || run(&directory, notes))?);
        }
    }
    let flushed = Arc::clone(&notes);
    thread::spawn(move || {
        loop {
            thread::sleep(FLUSH);
            if let Err(error) = flushed.lock().unwrap_or_else(PoisonError::into_inner).flush() {
                tracing::error!(%error, "cannot write the notes");
            }
        }
    });
    for agent in agents {
        if agent.join().is_err() {
            bail!("an agent ended badly");
        }
    }
    Ok(notes.lock().unwrap_or_else(PoisonError::into_inner).flush()?)
}

fn run(directory: &Path, notes: Notes) {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let options = AgentOptions {
        node: NodeName::from(name.as_str()),
        pod_logs: directory.join("pods"),
        state: directory.join("state"),
        metrics: None,
        observe: false,
        access: Access { kubeconfig: Some(directory.join("agent.kubeconfig")), context: None },
    };
    let firewall = Noting { node: name.clone(), notes, memory: Memory::default() };
    if let Err(error) = agent::run(options, Box::new(firewall)) {
        tracing::error!(node = name, %error, "an agent ended");
    }
}

/// Does what [`Memory`] does, and notes when.
struct Noting {
    node: String,
    notes: Notes,
    memory: Memory,
}

impl Firewall for Noting {
    fn ensure(&mut self, skeleton: &Skeleton) -> Result<(), FirewallError> {
        self.memory.ensure(skeleton)
    }

    fn apply(&mut self, changes: &[Change], now: Timestamp) -> Result<Applied, FirewallError> {
        let applied = self.memory.apply(changes, now)?;
        let at = Timestamp::from(jiff::Timestamp::now()).as_micros();
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            if let Change::Ban { subject, .. } = change {
                writeln!(notes, "{} {subject} {at}", self.node).map_err(FirewallError::Netlink)?;
            }
        }
        Ok(applied)
    }

    fn is_intact(&mut self) -> Result<bool, FirewallError> {
        self.memory.is_intact()
    }

    fn counters(&mut self) -> Result<BTreeMap<ScopeName, Dropped>, FirewallError> {
        self.memory.counters()
    }

    fn limits(&mut self) -> Result<BTreeMap<ScopeName, LimitCounts>, FirewallError> {
        self.memory.limits()
    }

    fn caught(&mut self) -> Result<BTreeMap<ScopeName, Vec<Caught>>, FirewallError> {
        self.memory.caught()
    }

    fn teardown(&mut self) -> Result<(), FirewallError> {
        self.memory.teardown()
    }
}
