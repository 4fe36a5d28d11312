//! `gaoler controller`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;

use super::{Context, ExitStatus};
use crate::api::v1alpha1::GoDuration;
use crate::kubernetes::connect::Access;
use crate::kubernetes::controller::{self, Options};

/// Write what must be written once in a cluster: verdicts, totals, events, the House
///
/// Runs as a Deployment; of several replicas the one that holds the Lease works. Without it bans fall, spread and end
/// all the same. Stays in the foreground until SIGTERM.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  gaoler controller                                           in a pod
  gaoler controller --kubeconfig ~/.kube/config --namespace gaoler     from outside, to try it
  kubectl -n gaoler get lease gaoler-controller               who works")]
pub struct Args {
    /// The namespace of its Lease
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "gaoler")]
    namespace: String,
    /// What it is called in the Lease, unlike any other replica [default: host name and process id]
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// How long the other replicas wait before they take over from one that is silent
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    lease: GoDuration,
    /// Where /metrics, /healthz and /readyz are served, or `off`
    #[arg(long, value_name = "ADDR:PORT|off", default_value = "127.0.0.1:9418", value_parser = listen)]
    metrics: Listen,
    /// A kubeconfig [default: the pod's service account, else as kubectl finds it]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context within the kubeconfig [default: the current one]
    #[arg(long = "context", value_name = "NAME")]
    cluster: Option<String>,
}

/// Wrapped, because of a bare `Option` clap makes an option that need not be there.
#[derive(Clone, Copy, Debug)]
struct Listen(Option<SocketAddr>);

fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen(None));
    }
    text.parse()
        .map(|address| Listen(Some(address)))
        .map_err(|_| format!("`{text}` is neither an address with a port, such as 127.0.0.1:9418, nor `off`"))
}

/// Runs until told to stop.
///
/// # Errors
/// What kept it from starting, or ended it.
pub fn run(args: &Args, _: &Context) -> anyhow::Result<ExitStatus> {
    let lease = args.lease.0;
    ensure!(
        lease >= Duration::from_secs(6),
        "--lease is at least 6s: the holder must be able to try several times"
    );
    let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let identity = args.identity.clone().unwrap_or_else(|| format!("{}-{}", host(), std::process::id()));
    controller::run(&Options {
        access: Access { kubeconfig: args.kubeconfig.clone(), context: args.cluster.clone() },
        namespace: args.namespace.clone(),
        identity,
        lease,
        listen: args.metrics.0,
    })?;
    Ok(ExitStatus::Success)
}
