//! The controller's probes and metrics over HTTP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use super::lease::Tenure;
use super::pen::Counts;
use crate::metrics::CONTENT_TYPE;

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    pub(super) tenure: Tenure,
    pub(super) counts: Arc<Counts>,
}

impl Probes {
    /// Binds `address`.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        crate::http::bind(address).await
    }

    /// Serves until the future is dropped. A controller that waits for the lease is alive and ready as well.
    pub(super) async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async || "ok\n"))
            .route("/metrics", get(metrics))
            .with_state(self);
        axum::serve(listener, router).await
    }
}

async fn metrics(State(probes): State<Probes>) -> Response {
    let leading = probes.tenure.is_held();
    let (written, refused) = (&probes.counts.written, &probes.counts.refused);
    match exposition(leading, written.load(Ordering::Relaxed), refused.load(Ordering::Relaxed)) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What a controller serves as `/metrics`.
///
/// # Errors
/// Never: writing to a string does not fail.
pub fn exposition(is_leading: bool, writes: u64, refusals: u64) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("gaoler_controller");
    let leading: Gauge = Gauge::default();
    leading.set(i64::from(is_leading));
    let (written, refused): (Counter, Counter) = (Counter::default(), Counter::default());
    written.inc_by(writes);
    refused.inc_by(refusals);
    registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    registry.register("leading", "1 where this controller holds the lease and writes", leading);
    registry.register("writes", "Objects written, without the lease", written);
    registry.register("refused_writes", "Writes the API server refused", refused);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
