//! One network namespace.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::process::{Command, Output};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A named network namespace; deleted when dropped.
pub struct Namespace {
    name: String,
    file: File,
}

impl Namespace {
    /// Makes it.
    ///
    /// # Panics
    /// When `ip netns add` refuses.
    pub fn new(name: &str) -> Self {
        check(Command::new("ip").args(["netns", "add", name]));
        let file = File::open(format!("/run/netns/{name}")).expect("the namespace just made");
        Self { name: name.into(), file }
    }

    /// The name `ip netns` knows it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a command inside and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&self, argv: &[&str]) -> String {
        let (program, args) = argv.split_first().expect("a command");
        check(self.command(program).args(args))
    }

    /// Runs a command inside with this on its standard input.
    ///
    /// # Panics
    /// When it fails.
    pub fn feed(&self, argv: &[&str], input: &str) {
        let (program, args) = argv.split_first().expect("a command");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(input.as_bytes()).and_then(|()| file.rewind()).expect("written");
        check(self.command(program).args(args).stdin(file));
    }

    /// Runs `ip` on this namespace.
    ///
    /// # Panics
    /// When it fails.
    pub fn ip(&self, args: &[&str]) -> String {
        check(Command::new("ip").args(["-n", &self.name]).args(args))
    }

    /// Sets a kernel parameter of this namespace, by its path below `/proc/sys`.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn set(&self, parameter: &str, value: &str) {
        self.inside(|| std::fs::write(format!("/proc/sys/{parameter}"), value))
            .unwrap_or_else(|error| panic!("cannot set {parameter}: {error}"));
    }

    /// Runs `work` on a thread inside. Sockets it opens and children it starts stay there.
    ///
    /// # Panics
    /// When `work` panics.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inner = scope.spawn(|| {
                self.enter();
                work()
            });
            match inner.join() {
                Ok(value) => value,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Moves the calling thread inside for good.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn enter(&self) {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

fn check(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?} failed ({status}): {stderr}{stdout}");
    stdout.into_owned()
}
