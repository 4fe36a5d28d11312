//! The way to the API server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use kube::client::retry::{InvalidBackoff, RetryPolicy};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::retry::RetryLayer;
use tower::{BoxError, ServiceBuilder};

/// How long one connection attempt may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A watch that is silent for so long is dead: the server sends bookmarks every minute and ends watches after at
/// most ten.
const SILENCE: Duration = Duration::from_secs(295);

/// Before a request that was turned away is sent again by the client of what runs for ever; doubled each time…
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// …never longer than this…
const AGAIN_MOST: Duration = Duration::from_secs(1);
/// …and so often.
pub(super) const AGAIN: u32 = 4;

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
    /// The bounds of its patience contradict each other.
    #[error("cannot make a client that tries again")]
    Patience(#[source] InvalidBackoff),
}

/// Makes a client for a command: requests that a busy server turns away are sent again. Does not ask the server
/// anything yet.
///
/// # Errors
/// When no usable configuration is found.
pub async fn connect(access: &Access) -> Result<Client, ConnectError> {
    let config = configuration(access).await?;
    Client::try_from(config).map_err(ConnectError::Client)
}

/// Makes a client for what runs for ever, and tells where it will ask. Does not ask the server anything yet.
///
/// A request that was turned away (429, 503, 504) is sent again for a few seconds. Then who asked hears of it, and when to
/// try again is for him to say: kube's own patience doubles fifteen times, up to minutes, and no watch can know that it
/// waits.
///
/// # Errors
/// When no usable configuration is found.
pub async fn open(access: &Access) -> Result<(Client, Server), ConnectError> {
    let mut config = configuration(access).await?;
    config.default_retry = false;
    let server = Server { host: config.cluster_url.host().unwrap_or_default().to_owned() };
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config).map_err(ConnectError::Client)?;
    let policy = RetryPolicy::new(AGAIN_AFTER, AGAIN_MOST, AGAIN, false).map_err(ConnectError::Patience)?;
    let patient = ServiceBuilder::new().layer(RetryLayer::new(policy)).service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await.map_err(BoxError::from) }
    });
    Ok((Client::new(patient, namespace), server))
}

async fn configuration(access: &Access) -> Result<Config, ConnectError> {
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
    Ok(config)
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

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Node;
    use kube::Api;
    use kube::api::ListParams;

    use super::*;
    use crate::kubernetes::busy;

    #[tokio::test]
    async fn what_runs_for_ever_hears_soon_that_it_is_turned_away() {
        let server = busy::server(usize::MAX);
        let (client, _) = open(&server.access).await.unwrap();
        let nodes: Api<Node> = Api::all(client);
        let refused = nodes.list(&ListParams::default()).await;
        assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 429), "{refused:?}");
        assert_eq!(server.asked(), 5);
    }

    #[tokio::test]
    async fn a_server_that_is_busy_for_a_moment_refuses_nobody() {
        let server = busy::server(2);
        let (client, _) = open(&server.access).await.unwrap();
        let listed = Api::<Node>::all(client).list(&ListParams::default()).await;
        assert!(listed.is_ok(), "{listed:?}");
        assert_eq!(server.asked(), 3);
    }

    #[tokio::test]
    async fn a_command_that_was_turned_away_asks_again() {
        let server = busy::server(2);
        let nodes: Api<Node> = Api::all(connect(&server.access).await.unwrap());
        let listed = nodes.list(&ListParams::default()).await;
        assert!(listed.is_ok(), "{listed:?}");
        assert_eq!(server.asked(), 3);
    }
}
