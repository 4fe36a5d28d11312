//! Probes and metrics over HTTP, on loopback unless told otherwise: `/healthz`, `/readyz`, `/metrics`.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::agent::handle::AgentHandle;
use crate::agent::report::{FirewallState, Status};
use crate::metrics::{CONTENT_TYPE, Metrics};

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
        Ok(Self { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, agent: AgentHandle) -> io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(agent);
        axum::serve(self.listener, router).await
    }
}

/// Alive: the detector answers.
async fn healthz(State(agent): State<AgentHandle>) -> Response {
    match status(&agent).await {
        Ok(_) => "ok\n".into_response(),
        Err(response) => response,
    }
}

/// Ready: bans bite, or nothing shall reach the kernel.
async fn readyz(State(agent): State<AgentHandle>) -> Response {
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

async fn metrics(State(agent): State<AgentHandle>) -> Response {
    let text = match status(&agent).await {
        Ok(status) => Metrics::of(&status).encode(),
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
