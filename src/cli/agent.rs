//! `gaoler agent`

use std::path::PathBuf;

use super::listen::Listen;
use super::{Context, ExitStatus};
use crate::api::v1alpha1::NodeName;
use crate::firewall::{DryRun, Firewall, Nftables};
use crate::kubernetes::agent::{self, AgentOptions};
use crate::kubernetes::connect::Access;

/// Guard this node of a Kubernetes cluster: read its pods' logs, drop offenders, share bans
///
/// What the DaemonSet runs. Jails, filters and lists come from the API server; when it is away, the node goes on with
/// what it said last. Bans stay in the kernel when the agent ends, however it ends.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler agent --node-name n1                          in a pod, as its service account
  gaoler agent --node-name n1 --kubeconfig admin.conf --observe      try it: nothing is dropped")]
pub struct Args {
    /// The name of this node
    #[arg(long, env = "NODE_NAME", value_name = "NAME", value_parser = node_name)]
    node_name: NodeName,
    /// Where the kubelet keeps the logs of pods
    #[arg(long, value_name = "DIR", default_value = "/var/log/pods")]
    pod_logs: PathBuf,
    /// Where offsets, windows and bans are kept; what the API server said last is kept beside it
    #[arg(long, value_name = "FILE", default_value = "/var/lib/gaoler/state")]
    state: PathBuf,
    /// Where /metrics, /healthz and /readyz are served, or `off`
    #[arg(long, value_name = "ADDR:PORT|off", default_value = "127.0.0.1:9102")]
    metrics: Listen,
    /// Every jail observes only; the firewall is not touched
    #[arg(long)]
    observe: bool,
    /// How to reach the API server; default: as kubectl does, else as the pod's service account
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in it
    #[arg(long = "context", value_name = "NAME")]
    kube_context: Option<String>,
}

fn node_name(text: &str) -> Result<NodeName, String> {
    crate::api::v1alpha1::explain(NodeName::PATTERN, text).map_err(|fault| fault.message)?;
    Ok(NodeName::from(text))
}

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(args: &Args, _context: &Context) -> anyhow::Result<ExitStatus> {
    let options = AgentOptions {
        node: args.node_name.clone(),
        pod_logs: args.pod_logs.clone(),
        state: args.state.clone(),
        metrics: args.metrics.0,
        observe: args.observe,
        access: Access { kubeconfig: args.kubeconfig.clone(), context: args.kube_context.clone() },
    };
    let firewall: Box<dyn Firewall> =
        if args.observe { Box::new(DryRun::new()) } else { Box::new(Nftables::open()?) };
    agent::run(options, firewall)?;
    Ok(ExitStatus::Success)
}
