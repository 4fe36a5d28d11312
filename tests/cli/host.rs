//! A host that observes only: needs no privilege and touches no firewall.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Nothing here takes so long; who waits for longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(30);

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

pub(crate) struct Host {
    pub(crate) directory: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("etc")).unwrap();
        fs::write(directory.path().join("james.log"), "").unwrap();
        let host = Self { directory, daemon: None };
        host.declare(JAMES);
        host
    }

    pub(crate) fn guarded() -> Self {
        let mut host = Self::new();
        host.start(&[]);
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn declare(&self, manifests: &str) {
        let text = manifests.replace("$LOG", self.path("james.log").to_str().unwrap());
        fs::write(self.path("etc/jails.yaml"), text).unwrap();
    }

    /// `gaoler run --observe` with these further options.
    pub(crate) fn run(&self, options: &[&str]) -> Command {
        let mut command = gaoler(&["run", "--observe", "--config"]);
        command.arg(self.path("etc")).arg("--socket").arg(self.path("sock"));
        if !options.contains(&"--state") {
            command.arg("--state").arg(self.path("state"));
        }
        if !options.contains(&"--metrics") {
            command.args(["--metrics", "off"]);
        }
        command.args(options);
        command
    }

    pub(crate) fn start(&mut self, options: &[&str]) {
        let messages = OpenOptions::new().create(true).append(true).open(self.path("messages")).unwrap();
        let mut command = self.run(options);
        self.daemon = Some(command.stdout(Stdio::null()).stderr(messages).spawn().unwrap());
        until(|| {
            assert!(self.is_running(), "{}", self.messages());
            (self.ask(&["status"]).status.code() != Some(3)).then_some(())
        });
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.daemon.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    pub(crate) fn messages(&self) -> String {
        fs::read_to_string(self.path("messages")).unwrap()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Ends it as a service manager does; the exit code.
    pub(crate) fn stop(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.daemon.take().unwrap().wait().unwrap().code()
    }

    /// One verb at this host's socket.
    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        gaoler(arguments).arg("--socket").arg(self.path("sock")).output().unwrap()
    }

    /// One verb that must succeed, its answer as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.ask(&[arguments, &["-o", "json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&output)))
    }

    /// A failed login of each of these, now.
    pub(crate) fn fail(&self, addresses: &[&str]) {
        let mut log = OpenOptions::new().append(true).open(self.path("james.log")).unwrap();
        let stamp = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M:%S.%3f %z").to_string();
        for address in addresses {
            let logger = "org.apache.james.protocols.smtp.core.fastfail.AbstractValidRcptHandler";
            writeln!(log, "{stamp} - {logger} [ip={address}] - Rejected message. Unknown user: x@y.z")
                .unwrap();
        }
    }

    /// Waits until so many are banned.
    pub(crate) fn holds(&self, bans: usize) {
        until(|| {
            let output = self.ask(&["bans", "-o", "json"]);
            (output.stdout.iter().filter(|b| **b == b'\n').count() == bans).then_some(())
        });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// The binary under test, without what the caller's environment would change.
pub(crate) fn gaoler(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gaoler"));
    command.args(arguments).stdin(Stdio::null());
    for name in
        ["GAOLER_SOCKET", "GAOLER_LOG", "NO_COLOR", "NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC"]
    {
        command.env_remove(name);
    }
    command
}

/// Everything a finished command said.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain");
        thread::sleep(Duration::from_millis(10));
    }
}
