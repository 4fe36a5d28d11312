//! The way to the API server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How long one connection attempt may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A watch that is silent for so long is dead: the server sends bookmarks every minute and ends watches after at
/// most ten.
const SILENCE: Duration = Duration::from_secs(295);

/// Which API server, as whom.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// A kubeconfig file; default: as `kubectl` finds it, else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// The context within it; default: the current one.
    pub context: Option<String>,
}

/// Why there is no way to an API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig")]
    Kubeconfig(#[source] kube::config::KubeconfigError),
    /// Neither a kubeconfig nor a service account.
    #[error("found neither a kubeconfig nor a service account; give --kubeconfig")]
    Nothing(#[source] kube::config::InferConfigError),
    /// The client cannot be made of it.
    #[error("cannot make a client for the API server")]
    Client(#[source] kube::Error),
}

/// Makes a client. Does not ask the server anything yet.
///
/// # Errors
/// When no usable configuration is found.
pub async fn connect(access: &Access) -> Result<Client, ConnectError> {
    Ok(open(access).await?.0)
}

/// Makes a client, and tells where it will ask. Does not ask the server anything yet.
///
/// # Errors
/// When no usable configuration is found.
pub async fn open(access: &Access) -> Result<(Client, Server), ConnectError> {
    let options = KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
    let mut config = match &access.kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path).map_err(ConnectError::Kubeconfig)?;
            Config::from_custom_kubeconfig(read, &options).await.map_err(ConnectError::Kubeconfig)?
        }
        None if access.context.is_some() => {
            Config::from_kubeconfig(&options).await.map_err(ConnectError::Kubeconfig)?
        }
        None => Config::infer().await.map_err(ConnectError::Nothing)?,
    };
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    let server = Server { host: config.cluster_url.host().unwrap_or_default().to_owned() };
    Ok((Client::try_from(config).map_err(ConnectError::Client)?, server))
}

/// Where an API server is.
#[derive(Clone, Debug)]
pub struct Server {
    host: String,
}

impl Server {
    /// Its addresses. Empty as long as its name cannot be resolved.
    pub async fn addresses(&self) -> Vec<IpAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((host, 0)).await;
        let mut addresses: Vec<IpAddr> = found.into_iter().flatten().map(|at| at.ip()).collect();
        // The Service's own address, in a pod.
        if let Ok(own) = std::env::var("KUBERNETES_SERVICE_HOST")
            && let Ok(address) = own.parse()
        {
            addresses.push(address);
        }
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}
