//! What the process says about itself, on stderr.
//!
//! Log lines of the guarded services are never repeated above debug level: James can log passwords.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How messages on stderr are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts writing messages. `level` holds unless `GAOLER_LOG` says otherwise (`GAOLER_LOG=gaoler::firewall=trace`).
/// A second call does nothing.
pub fn init(format: LogFormat, level: LevelFilter) {
    let mut filter =
        EnvFilter::builder().with_default_directive(level.into()).with_env_var("GAOLER_LOG").from_env_lossy();
    // The client repeats each failed request and each broken watch; whoever sent it says so once, with the consequence.
    let asked_for =
        std::env::var_os("GAOLER_LOG").is_some_and(|wish| wish.to_string_lossy().contains("kube_client"));
    if let (false, Ok(quiet)) = (asked_for, "kube_client=off".parse()) {
        filter = filter.add_directive(quiet);
    }
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Under systemd the journal stamps each line itself.
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let colors = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let started = match format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text if journal => builder.without_time().with_ansi(false).with_target(false).try_init(),
        LogFormat::Text => builder.with_ansi(colors).with_target(false).try_init(),
    };
    if started.is_err() {
        tracing::debug!("messages are being written already");
    }
}
