//! What this process is asked for: by the name it was called by, and by its arguments.

use std::ffi::OsString;
#[cfg(feature = "kubernetes")]
use std::path::Path;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

#[cfg(feature = "kubernetes")]
use super::plugin;
use super::{Cli, ExitStatus};
use crate::telemetry::LogFormat;

/// A command line that was understood.
#[derive(Debug)]
pub enum Called {
    /// `gaoler`: this host.
    Gaoler(Cli),
    /// `kubectl-gaoler`: an API server.
    #[cfg(feature = "kubernetes")]
    Plugin(plugin::Cli),
    /// `kubectl_complete-gaoler`: what a word of the plugin's command line may become.
    #[cfg(feature = "kubernetes")]
    Completion(Vec<String>),
}

impl Called {
    /// Reads this process's command line; ends the process where it is wrong or asks for help.
    #[must_use]
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        #[cfg(feature = "kubernetes")]
        match name(&arguments) {
            "kubectl-gaoler" => return Self::Plugin(plugin::parse(arguments)),
            "kubectl_complete-gaoler" => {
                let words = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned());
                return Self::Completion(words.collect());
            }
            _ => {}
        }
        Self::Gaoler(Cli::parse_from(arguments))
    }

    /// What is said on stderr.
    #[must_use]
    pub fn log_level(&self) -> LevelFilter {
        match self {
            Self::Gaoler(cli) => cli.log_level(),
            #[cfg(feature = "kubernetes")]
            Self::Plugin(cli) => cli.log_level(),
            #[cfg(feature = "kubernetes")]
            Self::Completion(_) => LevelFilter::OFF,
        }
    }

    /// How it is said.
    #[must_use]
    pub fn log_format(&self) -> LogFormat {
        match self {
            Self::Gaoler(cli) => cli.global.log_format,
            #[cfg(feature = "kubernetes")]
            Self::Plugin(_) | Self::Completion(_) => LogFormat::Text,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// What kept it from its work; `main` prints it.
    pub fn run(&self) -> anyhow::Result<ExitStatus> {
        match self {
            Self::Gaoler(cli) => super::run(cli),
            #[cfg(feature = "kubernetes")]
            Self::Plugin(cli) => cli.run(),
            #[cfg(feature = "kubernetes")]
            Self::Completion(words) => {
                println!("{}", plugin::complete::proposals(words));
                Ok(ExitStatus::Success)
            }
        }
    }
}

/// The name of the program, without directory and `.exe`.
#[cfg(feature = "kubernetes")]
fn name(arguments: &[OsString]) -> &str {
    let program = arguments.first().map(Path::new).and_then(Path::file_stem);
    program.and_then(|name| name.to_str()).unwrap_or_default()
}
