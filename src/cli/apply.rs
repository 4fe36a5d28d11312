//! `gaoler apply`

use std::path::PathBuf;

use anyhow::bail;
use serde_json::json;

use super::server::Server;
use super::{Context, ExitStatus};
use crate::config::files;
use crate::kubernetes::install::declare::{self, Declared};

/// Apply Jails, Filters, RateLimits and lists to a cluster, and delete those that are declared no longer
///
/// What the chart does with its values, by server-side apply. Nothing is applied when a document cannot be read; one
/// that the API server refuses keeps no other from being applied.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  everything is as declared
  1  the API server refused something

Examples:
  gaoler apply jails.yaml
  gaoler apply --owner mail-team manifests/      # and delete what mail-team applied before and left out now")]
pub struct Args {
    /// Files, directories (read with all below them)
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// Mark the objects with this name, and delete those so marked that are not among them
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// Applies.
///
/// # Errors
/// When a document cannot be read, or the API server does not answer.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    let declared = declared(&args.paths)?;
    let outcome = args
        .server
        .ask(async |client| Ok(declare::apply(&client, &declared, args.owner.as_deref()).await?))?;
    if context.data() {
        let refused = outcome.refused.iter();
        let refused: Vec<_> =
            refused.map(|(which, why)| json!({"object": which, "reason": why.to_string()})).collect();
        context.print_data(
            &json!({"applied": outcome.applied, "removed": outcome.removed, "refused": refused}),
        )?;
    } else {
        for which in &outcome.applied {
            context.say(format_args!("{which} is as declared"))?;
        }
        for which in &outcome.removed {
            context.say(format_args!("{which} is declared no longer and deleted"))?;
        }
        for (which, why) in &outcome.refused {
            context.say(format_args!("{} {which}: {why}", context.red("refused:")))?;
        }
    }
    Ok(ExitStatus::from_answer(outcome.refused.is_empty()))
}

fn declared(paths: &[PathBuf]) -> anyhow::Result<Vec<Declared>> {
    let read = files::read(paths);
    let mut wrong: Vec<String> = Vec::new();
    if !read.damaged.is_empty() {
        wrong.extend(read.problems.iter().map(ToString::to_string));
    }
    let mut declared = Vec::new();
    for object in read.objects {
        match Declared::of(object.node.to_json()) {
            Ok(it) => declared.push(it),
            Err(why) => {
                let (file, line) = (object.origin.file.display().to_string(), object.node.at.line);
                wrong.push(format!("{file}:{line}: {why}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("nothing was applied:\n{}", wrong.join("\n"));
    }
    Ok(declared)
}
