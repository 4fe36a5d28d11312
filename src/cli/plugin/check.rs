//! `kubectl gaoler check`

use std::path::PathBuf;

use super::Session;
use crate::cli::{ExitStatus, check};
use crate::kubernetes::view::readable;

/// Validate what the cluster declares, or manifests before they are applied, and run every filter's examples
///
/// The same code as in the nodes. Every problem is printed with its object or file, field, and what to write instead.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  everything is accepted (there may be warnings)
  1  something is refused; with --strict: or there is a warning

Examples:
  kubectl gaoler check                   what the cluster has
  kubectl gaoler check jails.yaml        before it is applied; asks no server
  kustomize build . | kubectl gaoler check -")]
pub(super) struct Args {
    /// Files, directories (read with all below them), or `-` for standard input [default: the cluster]
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Warnings count as problems
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args, session: &Session<'_>) -> anyhow::Result<ExitStatus> {
    let loaded = if args.paths.is_empty() {
        session.ask(async |client| Ok(readable(&client, &session.scope()).await?))?
    } else {
        check::judged(&args.paths, true)?
    };
    check::tell(&loaded, args.strict, session.context)
}
