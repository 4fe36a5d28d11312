//! `gaoler crds`

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use super::{Context, ExitStatus};
use crate::api::v1alpha1::crds;

/// Print the custom resource definitions of Kubernetes
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler crds | kubectl apply --server-side -f -
  gaoler crds --to crds          # one file each, as in the source tree")]
pub struct Args {
    /// Write one file each into this directory
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// When stdout or a file cannot be written.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
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
