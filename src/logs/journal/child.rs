//! The child process and its pipe, without waiting.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};

use memchr::memchr;

/// A longer line of JSON is passed over. A message of 64 KiB as an array of numbers has 256 KiB.
const LINE_CAP: usize = 1024 * 1024;
const BLOCK: usize = 64 * 1024;
/// How much of its complaints is kept.
const COMPLAINT: usize = 512;

/// What the child has to say.
pub(super) enum Next<'a> {
    /// A line, without its newline.
    Line(&'a [u8]),
    /// A line over the cap; this many bytes of it were passed over.
    TooLong(u64),
    /// Nothing now.
    Nothing,
    /// It ended, and this is why.
    Ended(String),
}

pub(super) struct Child {
    process: std::process::Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    buffer: Vec<u8>,
    /// Start of what was not handed out yet, and how far it was searched for a newline.
    start: usize,
    searched: usize,
    passing: bool,
    complaint: Vec<u8>,
}

impl Child {
    pub(super) fn spawn(program: &Path, arguments: &[String]) -> io::Result<Self> {
        let mut process = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .env("SYSTEMD_COLORS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(stdout), Some(stderr)) = (process.stdout.take(), process.stderr.take()) else {
            return Err(io::Error::other("no pipe"));
        };
        rustix::io::ioctl_fionbio(&stdout, true)?;
        rustix::io::ioctl_fionbio(&stderr, true)?;
        Ok(Self {
            process,
            stdout,
            stderr,
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            passing: false,
            complaint: Vec::new(),
        })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.stdout.as_fd()
    }

    pub(super) fn next(&mut self) -> Next<'_> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(i) = memchr(b'\n', unsearched) {
                let (from, to) = (self.start, self.searched + i);
                self.start = to + 1;
                self.searched = to + 1;
                if std::mem::take(&mut self.passing) {
                    return Next::TooLong((to + 1 - from) as u64);
                }
                return Next::Line(self.buffer.get(from..to).unwrap_or_default());
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            self.searched = self.buffer.len();
            if self.searched > LINE_CAP || (self.passing && self.searched > 0) {
                let passed = self.searched as u64;
                self.passing = true;
                self.buffer.clear();
                self.searched = 0;
                return Next::TooLong(passed);
            }
            match self.fill() {
                Ok(0) => return self.end(),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.listen();
                    return Next::Nothing;
                }
                Err(e) => return Next::Ended(format!("its output cannot be read: {e}")),
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let old = self.buffer.len();
        self.buffer.resize(old + BLOCK, 0);
        let got = self.stdout.read(self.buffer.get_mut(old..).unwrap_or_default());
        self.buffer.truncate(old + got.as_ref().copied().unwrap_or(0));
        got
    }

    /// Takes its complaints off the pipe, so that it never waits for us, and keeps the last ones.
    fn listen(&mut self) {
        let mut block = [0; 4096];
        while let Ok(n @ 1..) = self.stderr.read(&mut block) {
            self.complaint.extend_from_slice(block.get(..n).unwrap_or_default());
            let excess = self.complaint.len().saturating_sub(COMPLAINT);
            self.complaint.drain(..excess);
        }
    }

    fn end(&mut self) -> Next<'_> {
        self.listen();
        // The pipe is closed: it has ended or is about to.
        let _ = self.process.kill();
        let status = self.process.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
        let complaint = String::from_utf8_lossy(&self.complaint);
        let last = complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let colon = if last.is_empty() { "" } else { ": " };
        Next::Ended(format!("journalctl ended with {status}{colon}{}", last.escape_debug()))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
