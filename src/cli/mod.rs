//! The command line: one file per verb.
//!
//! A verb is a module with `pub struct Args` (clap's derive; its doc comment is the help) and
//! `pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus>`. To add one, write its `mod` line and
//! its line in `verbs!` below, both in alphabetical order.

#[cfg(feature = "kubernetes")]
pub mod agent;
#[cfg(feature = "kubernetes")]
pub mod apply;
#[cfg(feature = "standalone")]
pub mod ban;
#[cfg(feature = "standalone")]
pub mod bans;
mod called;
pub mod check;
pub mod cleanup;
pub mod completions;
mod context;
#[cfg(feature = "kubernetes")]
pub mod controller;
#[cfg(feature = "kubernetes")]
pub mod crds;
mod days;
pub mod doctor;
mod exit;
pub mod explain;
pub mod filters;
pub mod import;
#[cfg(any(feature = "kubernetes", feature = "standalone"))]
mod listen;
pub mod man;
#[cfg(feature = "kubernetes")]
pub mod plugin;
mod plural;
pub mod regex;
#[cfg(feature = "standalone")]
pub mod reload;
pub mod replay;
#[cfg(feature = "standalone")]
pub mod run;
pub mod schema;
#[cfg(feature = "kubernetes")]
mod server;
#[cfg(any(feature = "standalone", feature = "kubernetes"))]
mod show;
#[cfg(feature = "standalone")]
pub mod status;
mod table;
#[cfg(feature = "standalone")]
pub mod unban;
#[cfg(feature = "kubernetes")]
pub mod uninstall;
mod when;
#[cfg(any(feature = "standalone", feature = "kubernetes"))]
mod who;
#[cfg(feature = "standalone")]
pub mod why;

use clap::{CommandFactory, Parser, Subcommand};

pub use called::Called;
pub use context::{Context, Format, Global};
pub use exit::ExitStatus;
pub use table::Table;
use tracing_subscriber::filter::LevelFilter;

#[cfg(feature = "kubernetes")]
use crate::kubernetes::view::AskError;
#[cfg(feature = "standalone")]
use crate::standalone::client::ClientError;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; the answer is yes
  1  the answer is no, or problems were found
  2  wrong usage, or an error that kept the command from its work
  3  no answer on the control socket: `gaoler run` is not running

Examples:
  gaoler check /etc/gaoler                validate manifests and run every filter's examples
  gaoler run --config /etc/gaoler         guard this host
  gaoler status james                     what a jail (or rate limit) sees and holds
  gaoler why 203.0.113.7                  is it banned, by whom, on what evidence, until when";

/// Bans who guesses passwords: reads logs, counts failures against jails, drops the offender in the kernel.
#[derive(Parser, Debug)]
#[command(name = "gaoler", version, after_help = EXIT_CODES, propagate_version = true, max_term_width = 110)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// What is said on stderr: the daemon tells what it does, other verbs only what went wrong.
    #[must_use]
    pub fn log_level(&self) -> LevelFilter {
        match self.global.verbose {
            0 if self.verb.is_daemon() => LevelFilter::INFO,
            0 => LevelFilter::WARN,
            1 if !self.verb.is_daemon() => LevelFilter::INFO,
            1 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

/// The exit status that an error of a verb leads to.
#[must_use]
pub fn status_of(error: &anyhow::Error) -> ExitStatus {
    #[cfg(feature = "standalone")]
    if let Some(ClientError::NotRunning { .. }) = error.downcast_ref() {
        return ExitStatus::NotRunning;
    }
    #[cfg(feature = "kubernetes")]
    if error.downcast_ref::<AskError>().is_some_and(AskError::is_unreachable) {
        return ExitStatus::NotRunning;
    }
    let _ = error;
    ExitStatus::Failure
}

/// The whole command tree, for completions and manual pages.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Does what the command line says.
///
/// # Errors
/// What kept the verb from its work; `main` prints it and exits with 2.
pub fn run(cli: &Cli) -> anyhow::Result<ExitStatus> {
    cli.verb.run(&Context::new(&cli.global))
}

macro_rules! verbs {
    ($($(#[$attribute:meta])* $verb:ident = $module:ident,)*) => {
        /// The verbs. What each does is said at its `Args`.
        #[derive(Subcommand, Debug)]
        #[allow(missing_docs)]
        pub enum Verb {
            $($(#[$attribute])* $verb($module::Args),)*
        }

        impl Verb {
            /// Whether the verb stays and works until it is stopped.
            fn is_daemon(&self) -> bool {
                match self {
                    #[cfg(feature = "kubernetes")]
                    Self::Agent(_) => true,
                    #[cfg(feature = "standalone")]
                    Self::Run(_) => true,
                    #[cfg(feature = "kubernetes")]
                    Self::Controller(_) => true,
                    _ => false,
                }
            }

            fn run(&self, context: &Context) -> anyhow::Result<ExitStatus> {
                match self {
                    $($(#[$attribute])* Self::$verb(args) => $module::run(args, context),)*
                }
            }
        }
    };
}

verbs! {
    #[cfg(feature = "kubernetes")]
    Agent = agent,
    #[cfg(feature = "kubernetes")]
    Apply = apply,
    #[cfg(feature = "standalone")]
    Ban = ban,
    #[cfg(feature = "standalone")]
    Bans = bans,
    Check = check,
    Cleanup = cleanup,
    Completions = completions,
    #[cfg(feature = "kubernetes")]
    Controller = controller,
    #[cfg(feature = "kubernetes")]
    Crds = crds,
    Doctor = doctor,
    Explain = explain,
    Filters = filters,
    Import = import,
    Man = man,
    Regex = regex,
    #[cfg(feature = "standalone")]
    Reload = reload,
    Replay = replay,
    #[cfg(feature = "standalone")]
    Run = run,
    Schema = schema,
    #[cfg(feature = "standalone")]
    Status = status,
    #[cfg(feature = "standalone")]
    Unban = unban,
    #[cfg(feature = "kubernetes")]
    Uninstall = uninstall,
    #[cfg(feature = "standalone")]
    Why = why,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_verb_says_what_it_does_and_shows_an_example() {
        for verb in command().get_subcommands() {
            let name = verb.get_name();
            assert!(verb.get_about().is_some(), "{name} has no description");
            let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("Examples:") && after.contains("gaoler "), "{name} shows no example");
        }
    }
}
