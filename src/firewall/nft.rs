//! Runs `nft`. Only the skeleton goes this way, a few times a day; bans go over netlink.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nftables::batch::Batch;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use super::FirewallError;

/// After this long `nft` is ended.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Of nft's complaints no more than this is kept.
const COMPLAINT: usize = 2000;

/// The `nft` program.
#[derive(Clone, Debug)]
pub(super) struct Nft {
    program: PathBuf,
    time_limit: Duration,
}

impl Default for Nft {
    fn default() -> Self {
        Self::at(Path::new("nft"))
    }
}

impl Nft {
    pub(super) fn at(program: &Path) -> Self {
        Self { program: program.into(), time_limit: TIME_LIMIT }
    }

    /// Applies a batch as one transaction.
    pub(super) fn apply(&self, batch: Batch<'_>) -> Result<(), FirewallError> {
        self.feed(batch, &["-j", "-f", "-"])
    }

    /// Has the kernel judge a batch without applying it.
    pub(super) fn check(&self, batch: Batch<'_>) -> Result<(), FirewallError> {
        self.feed(batch, &["-j", "-c", "-f", "-"])
    }

    fn feed(&self, batch: Batch<'_>, args: &[&str]) -> Result<(), FirewallError> {
        let unwritable = |error| FirewallError::Refused(format!("cannot write its commands: {error}"));
        let mut commands = serde_json::to_value(batch.to_nftables()).map_err(unwritable)?;
        limits_into_elements(&mut commands);
        let commands = serde_json::to_vec(&commands).map_err(unwritable)?;
        self.run(Command::new(&self.program).args(args), &commands).map(drop)
    }

    /// Runs a command that ends in nft's arguments and returns what it printed.
    ///
    /// Input and output are files in memory: nothing can block half-way, whoever writes how much.
    pub(super) fn run(&self, command: &mut Command, input: &[u8]) -> Result<String, FirewallError> {
        let spawn = FirewallError::Spawn;
        let mut stdin = memory().map_err(spawn)?;
        stdin.write_all(input).and_then(|()| stdin.rewind()).map_err(spawn)?;
        let (mut stdout, mut stderr) = (memory().map_err(spawn)?, memory().map_err(spawn)?);
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout.try_clone().map_err(spawn)?))
            .stderr(Stdio::from(stderr.try_clone().map_err(spawn)?));
        let mut running = Running(command.spawn().map_err(spawn)?);
        if !running.ends_within(self.time_limit).map_err(spawn)? {
            return Err(FirewallError::Timeout(self.time_limit));
        }
        let status = running.0.wait().map_err(spawn)?;
        if status.success() {
            return contents(&mut stdout).map_err(spawn);
        }
        let complaint: String = contents(&mut stderr).map_err(spawn)?.chars().take(COMPLAINT).collect();
        let complaint = complaint.trim();
        Err(FirewallError::Refused(if complaint.is_empty() { status.to_string() } else { complaint.into() }))
    }
}

/// Makes a `limit` behind a statement that adds to a set part of that statement: each element is limited by itself.
/// The types of the `nftables` crate have no room for it. No rule of ours means the two side by side.
fn limits_into_elements(commands: &mut Value) {
    let objects = commands.get_mut("nftables").and_then(Value::as_array_mut);
    for object in objects.into_iter().flatten() {
        let Some(Value::Array(statements)) = object.pointer_mut("/add/rule/expr") else { continue };
        let pair =
            |pair: &[Value]| matches!(pair, [a, b] if a.get("set").is_some() && b.get("limit").is_some());
        let Some(at) = statements.windows(2).position(pair) else { continue };
        let limit = statements.remove(at + 1);
        if let Some(set) =
            statements.get_mut(at).and_then(|s| s.get_mut("set")).and_then(Value::as_object_mut)
        {
            set.insert("stmt".into(), Value::Array(vec![limit]));
        }
    }
}

fn memory() -> io::Result<File> {
    Ok(memfd_create("gaoler-nft", MemfdFlags::CLOEXEC)?.into())
}

fn contents(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A child that is ended when dropped.
struct Running(Child);

impl Running {
    fn ends_within(&mut self, limit: Duration) -> io::Result<bool> {
        let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) else {
            return Err(io::Error::other("the child has no process id"));
        };
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        let ready =
            rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)))?;
        Ok(ready > 0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both do nothing when the child was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_the_program_prints_is_returned() {
        let out = Nft::default().run(&mut shell("cat; echo complaint >&2"), b"input").unwrap();
        assert_eq!(out, "input");
    }

    #[test]
    fn the_complaint_of_a_program_that_fails_is_the_error() {
        let error =
            Nft::default().run(&mut shell("echo nonsense; echo no such thing >&2; exit 1"), b"").unwrap_err();
        assert_eq!(error.to_string(), "nft refused the ruleset: no such thing");
        let error = Nft::default().run(&mut shell("exit 3"), b"").unwrap_err();
        assert_eq!(error.to_string(), "nft refused the ruleset: exit status: 3");
    }

    #[test]
    fn a_program_that_hangs_is_ended() {
        let nft = Nft { time_limit: Duration::from_millis(50), ..Nft::default() };
        let error = nft.run(&mut shell("exec sleep 1000"), b"").unwrap_err();
        assert!(matches!(error, FirewallError::Timeout(_)), "{error}");
    }

    #[test]
    fn a_missing_program_is_said_so() {
        let nft = Nft::at(Path::new("/nonexistent/nft"));
        let error = nft.apply(Batch::new()).unwrap_err();
        assert!(error.to_string().starts_with("cannot run nft: "), "{error}");
    }

    #[test]
    fn more_output_than_a_pipe_holds_does_not_block() {
        let input = vec![b'x'; 1 << 20];
        let out = Nft::default()
            .run(&mut shell("cat >&2; cat /dev/stdin; head -c 1000000 /dev/zero"), &input)
            .unwrap();
        assert!(out.len() >= 1_000_000);
    }
}
