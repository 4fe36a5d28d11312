//! `gaoler crds`

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::server::Server;
use super::{Context, ExitStatus};
use crate::api::v1alpha1::crds;
use crate::kubernetes::install::definitions;

/// A server that has taken a definition serves it within a second.
const WAIT: Duration = Duration::from_secs(60);

/// Print the custom resource definitions of Kubernetes, or apply them
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler crds | kubectl apply --server-side -f -
  gaoler crds --apply            # and wait until the API server serves them
  gaoler crds --to crds          # one file each, as in the source tree")]
pub struct Args {
    /// Write one file each into this directory
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Apply them to the cluster, by server-side apply, and wait until they are served
    #[arg(long, conflicts_with = "to")]
    apply: bool,
    #[command(flatten)]
    server: Server,
}

/// Prints, writes or applies them.
///
/// # Errors
/// When stdout or a file cannot be written, or the API server does not take them.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    if args.apply {
        for name in args.server.ask(async |client| Ok(definitions::apply(&client, WAIT).await?))? {
            context.say(format_args!("{name} is served as this version has it"))?;
        }
        return Ok(ExitStatus::Success);
    }
    match &args.to {
        Some(directory) => {
            fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
            for (name, text) in crds::files()? {
                let path = directory.join(name);
                fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        None if context.data() => context.print_data(&crds::crds())?,
        None => {
            for (_, text) in crds::files()? {
                context.say(format_args!("---\n{}", text.trim_end()))?;
            }
        }
    }
    Ok(ExitStatus::Success)
}
