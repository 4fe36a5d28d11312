//! Verbs of `gaoler` that ask an API server once: the chart's Jobs.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::Client;

use crate::kubernetes::connect::{Access, connect};
use crate::kubernetes::view::AskError;

/// Which API server.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Server {
    /// A kubeconfig [default: as kubectl finds it, else the pod's service account]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context within the kubeconfig [default: the current one]
    #[arg(long = "context", value_name = "NAME")]
    cluster: Option<String>,
}

impl Server {
    /// Does something with a client, and waits for it.
    pub(super) fn ask<T>(&self, work: impl AsyncFnOnce(Client) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let access = Access { kubeconfig: self.kubeconfig.clone(), context: self.cluster.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start the runtime")?.block_on(async {
            let client = connect(&access).await.map_err(AskError::from)?;
            work(client).await
        })
    }
}
