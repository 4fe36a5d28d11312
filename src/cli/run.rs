//! `gaoler run`

use std::path::PathBuf;

use super::listen::Listen;
use super::{Context, ExitStatus};
use crate::firewall::{DryRun, Firewall, Nftables};
use crate::standalone::{self, RunOptions};

/// Guard this host: read logs, count failures, drop offenders
///
/// Stays in the foreground until SIGTERM. Bans stay in the kernel when it ends, however it ends; `gaoler cleanup`
/// removes them. Configuration is read again on SIGHUP and when a file changes.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler run --config /etc/gaoler
  gaoler run --config /etc/gaoler --observe      try it: drops nothing itself
  gaoler run --config jails.yaml --config filters/ --state /tmp/state --socket /tmp/gaoler.sock
  gaoler run --config /etc/gaoler --events - | jq -r .subject")]
pub struct Args {
    /// Manifests: a file, or a directory of .yaml files; may be given several times
    #[arg(short, long, value_name = "PATH", default_value = "/etc/gaoler")]
    config: Vec<PathBuf>,
    /// Every jail observes only; the firewall is not touched
    #[arg(long)]
    observe: bool,
    /// Where offsets, windows and bans are kept
    #[arg(long, value_name = "FILE", default_value = "/var/lib/gaoler/state")]
    state: PathBuf,
    /// Where /metrics, /healthz and /readyz are served, or `off`
    #[arg(long, value_name = "ADDR:PORT|off", default_value = "127.0.0.1:9102")]
    metrics: Listen,
    /// Write one line of JSON per ban and unban to this file, or `-` for stdout
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
}

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let options = RunOptions {
        config: args.config.clone(),
        observe: args.observe,
        state: args.state.clone(),
        socket: context.socket.clone(),
        metrics: args.metrics.0,
        events: args.events.clone(),
    };
    let firewall: Box<dyn Firewall> = if args.observe {
        let mut kernel = DryRun::new();
        if kernel.has_leftovers() {
            eprintln!(
                "{}: what an earlier run left in this host's firewall goes on dropping, bans until they end and rate \
                 limits for ever; `gaoler cleanup` removes it",
                context.yellow("warning")
            );
        }
        Box::new(kernel)
    } else {
        Box::new(Nftables::open()?)
    };
    standalone::run(options, firewall)?;
    Ok(ExitStatus::Success)
}
