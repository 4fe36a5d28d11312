//! `gaoler man`

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Context, ExitStatus};
use crate::metrics::Metrics;

/// Print the manual page, or write one page per verb into a directory
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler man | man -l -
  gaoler man /usr/local/share/man/man1     gaoler.1, gaoler-run.1, gaoler-bans.1, …")]
pub struct Args {
    /// Directory for the pages; made when it is not there
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,

    /// Print what `/metrics` serves, with a series of each family: for the reference
    #[arg(long, hide = true, conflicts_with = "directory")]
    metrics: bool,
}

/// Prints or writes the pages.
///
/// # Errors
/// When stdout or the directory cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    if args.metrics {
        return metrics(context);
    }
    match &args.directory {
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(super::command(), directory))
                .with_context(|| format!("cannot write manual pages to {}", directory.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(super::command()).render(&mut page)?;
            std::io::stdout().lock().write_all(&page)?;
        }
    }
    Ok(ExitStatus::Success)
}

fn metrics(context: &Context) -> anyhow::Result<ExitStatus> {
    #[cfg(feature = "kubernetes")]
    {
        use crate::kubernetes::controller;
        use crate::kubernetes::{agent::tally::Tally, cluster_time::ClusterClock};
        let exchange = Tally::new(ClusterClock::default());
        context.say(format_args!("{}", Metrics::one_of_each().encode(&exchange)?.trim_end()))?;
        context.say(format_args!("{}", controller::metrics(false, 0, 0)?.trim_end()))?;
    }
    #[cfg(not(feature = "kubernetes"))]
    context.say(format_args!("{}", Metrics::one_of_each().encode(&())?.trim_end()))?;
    Ok(ExitStatus::Success)
}
