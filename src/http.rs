//! Probes and metrics over HTTP, on loopback unless told otherwise: `/healthz`, `/readyz`, `/metrics`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rustix::io::Errno;
use tokio::net::TcpListener;

use crate::agent::handle::AgentHandle;
use crate::agent::report::{FirewallState, Status};
use crate::metrics::{CONTENT_TYPE, Families, Metrics};

/// A detector that does not answer for so long hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// The server, bound but not serving yet.
#[derive(Debug)]
pub struct Http {
    listener: TcpListener,
}

impl Http {
    /// Binds `address`.
    ///
    /// # Errors
    /// When somebody else has it.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: bind(address).await? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped; `more` families beside those of the agent's status.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, agent: AgentHandle, more: Arc<dyn Families>) -> io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Served { agent, more });
        axum::serve(self.listener, router).await
    }
}

/// Whom the answers come from.
#[derive(Clone)]
struct Served {
    agent: AgentHandle,
    more: Arc<dyn Families>,
}

/// Binds an address. `[::]` means every address of the host: where that has no IPv6, those of IPv4.
///
/// # Errors
/// When somebody else has it.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let error = match TcpListener::bind(address).await {
        Ok(listener) => return Ok(listener),
        Err(error) => error,
    };
    let Some(instead) = without_ipv6(address, &error) else { return Err(error) };
    tracing::info!(%address, %instead, "this host has no IPv6; listening on IPv4 alone");
    TcpListener::bind(instead).await
}

fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL].map(Errno::raw_os_error);
    let is_missing = error.raw_os_error().is_some_and(|number| missing.contains(&number));
    let everywhere = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    (everywhere && is_missing).then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

/// Alive: the detector answers.
async fn healthz(State(Served { agent, .. }): State<Served>) -> Response {
    match status(&agent).await {
        Ok(_) => "ok\n".into_response(),
        Err(response) => response,
    }
}

/// Ready: bans bite, or nothing shall reach the kernel.
async fn readyz(State(Served { agent, .. }): State<Served>) -> Response {
    match status(&agent).await {
        Ok(Status { firewall, .. }) => match firewall.state {
            FirewallState::Enforcing | FirewallState::Observing => "ok\n".into_response(),
            FirewallState::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
            FirewallState::Removed => (StatusCode::SERVICE_UNAVAILABLE, "cleaned up\n").into_response(),
            FirewallState::Failing => {
                (StatusCode::SERVICE_UNAVAILABLE, "the firewall fails\n").into_response()
            }
        },
        Err(response) => response,
    }
}

async fn metrics(State(Served { agent, more }): State<Served>) -> Response {
    let text = match status(&agent).await {
        Ok(status) => Metrics::of(&status).encode(&*more),
        Err(response) => return response,
    };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(agent: &AgentHandle) -> Result<Status, Response> {
    match tokio::time::timeout(PATIENCE, agent.status()).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(gone)) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{gone}\n")).into_response()),
        Err(_) => Err((StatusCode::SERVICE_UNAVAILABLE, "the detector does not answer\n").into_response()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instead(address: &str, error: Errno) -> Option<String> {
        let error = io::Error::from_raw_os_error(error.raw_os_error());
        without_ipv6(address.parse().unwrap(), &error).map(|address| address.to_string())
    }

    #[test]
    fn only_every_address_of_a_host_without_ipv6_becomes_every_one_of_ipv4() {
        assert_eq!(instead("[::]:9418", Errno::AFNOSUPPORT), Some("0.0.0.0:9418".into()));
        assert_eq!(instead("[::]:9418", Errno::ADDRNOTAVAIL), Some("0.0.0.0:9418".into()));
        assert_eq!(instead("[::]:9418", Errno::ADDRINUSE), None);
        assert_eq!(instead("[::1]:9418", Errno::AFNOSUPPORT), None);
        assert_eq!(instead("192.0.2.1:9418", Errno::ADDRNOTAVAIL), None);
    }
}
