//! `gaoler uninstall`

use std::collections::BTreeSet;
use std::time::Duration;

use super::plural::counted;
use super::server::Server;
use super::{Context, ExitStatus};
use crate::api::v1alpha1::GoDuration;
use crate::kubernetes::install::{declare, definitions, farewell, remove};

/// Take Gaoler out of a cluster: what `helm uninstall` does before and after it deletes the pods
///
/// Without it, bans stay in the kernel until they end, permanent ones until the node restarts.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler uninstall nodes                              every agent removes its table
  kubectl delete -k deploy/kubernetes                 or what else made the pods
  gaoler uninstall objects --namespace gaoler --records")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    Nodes(Nodes),
    Objects(Objects),
}

/// Ask every agent to remove its table and to guard no longer; names the nodes that do not answer
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0  every node is clean
  1  some did not answer

Examples:
  gaoler uninstall nodes --wait 5m
  kubectl patch nodeagent n1 --type=merge -p '{\"spec\":{\"cleanUp\":false}}'      # guard n1 again")]
struct Nodes {
    /// How long to wait for answers
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    wait: GoDuration,
    #[command(flatten)]
    server: Server,
}

/// Remove what is left in the API server when agents and controllers are gone
///
/// Jails, Filters and lists that people applied themselves stay, unless the definitions go.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler uninstall objects --records                  bans, pardons, counts, what agents said of themselves
  gaoler uninstall objects --owner gaoler             what `gaoler apply --owner gaoler` applied
  gaoler uninstall objects --records --definitions    everything")]
struct Objects {
    /// Where agents and controllers ran: it is waited for their end
    #[arg(long, value_name = "NAME", default_value = "gaoler")]
    namespace: String,
    /// How long to wait for it
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    wait: GoDuration,
    /// What `gaoler apply` applied for this owner
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// What machines wrote
    #[arg(long)]
    records: bool,
    /// The definitions of our kinds, and with them every Jail, Filter and list
    #[arg(long)]
    definitions: bool,
    #[command(flatten)]
    server: Server,
}

/// Uninstalls.
///
/// # Errors
/// When the API server does not answer, or does not let us.
pub fn run(args: &Args, context: &Context) -> anyhow::Result<ExitStatus> {
    match &args.what {
        What::Nodes(nodes) => nodes.run(context),
        What::Objects(objects) => objects.run(context),
    }
}

impl Nodes {
    fn run(&self, context: &Context) -> anyhow::Result<ExitStatus> {
        let wait: Duration = self.wait.0;
        let answers = self.server.ask(async |client| Ok(farewell::ask(&client, wait).await?))?;
        let silent: Vec<_> = answers.iter().filter_map(|a| Some((&a.node, a.missing.as_ref()?))).collect();
        if context.data() {
            let node = |a: &farewell::Answer| serde_json::json!({"node": a.node, "missing": a.missing});
            context.print_data(&answers.iter().map(node).collect::<Vec<_>>())?;
        } else {
            let clean = answers.len() - silent.len();
            context.say(format_args!("{clean} of {} clean", counted(answers.len() as u64, "node")))?;
            for (node, why) in &silent {
                context.say(format_args!("{} {node}: {why}", context.red("no answer:")))?;
            }
            if !silent.is_empty() {
                context.say(
                    "their bans stay in force until they end, permanent ones until the node restarts. Bring the \
                     nodes back and uninstall again, or go on without them (helm uninstall --no-hooks) and run \
                     `nft delete table inet gaoler` there",
                )?;
            }
        }
        Ok(ExitStatus::from_answer(silent.is_empty()))
    }
}

impl Objects {
    fn run(&self, context: &Context) -> anyhow::Result<ExitStatus> {
        let wait: Duration = self.wait.0;
        let mut told: Vec<String> = Vec::new();
        self.server.ask(async |client| {
            for pod in remove::pods_end(&client, &self.namespace, wait).await? {
                tracing::warn!(pod, "still runs and may write again what is removed now");
            }
            if let Some(owner) = &self.owner {
                told.extend(declare::remove(&client, owner, &BTreeSet::new()).await?);
            }
            if self.records {
                remove::records(&client, &self.namespace).await?;
                told.push("bans, pardons, counts and what agents said of themselves".into());
            }
            if self.definitions {
                told.extend(definitions::remove(&client).await?);
            }
            Ok(())
        })?;
        if context.data() {
            context.print_data(&serde_json::json!({ "removed": told }))?;
        } else {
            for what in &told {
                context.say(format_args!("removed: {what}"))?;
            }
        }
        Ok(ExitStatus::Success)
    }
}
