//! Gaoler: fail2ban for Apache James, on one Linux host or on every node of a Kubernetes cluster.
//!
//! ```text
//!  manifests ──► config ──► Config ───────────────┐
//!  (files or custom resources)                    ▼
//!  log files, pods, journal ──► logs ──► block ──► engine ──► verdict ──► bans ──► change ──► firewall
//!                               lines    layout, filter,     ledger,     nftables sets with
//!                               offsets  window, sentence    snapshot    kernel timeouts
//! ```
//!
//! The path from a log line to the kernel runs on this host alone. [`engine`] is pure and synchronous: time is
//! an argument. [`agent`] wires the layers; `standalone` and `kubernetes` differ only in where configuration,
//! logs and shared bans come from. `tests/layers.rs` holds the table of who may import whom.

pub mod agent;
pub mod api;
pub mod bans;
pub mod cli;
pub mod config;
pub mod engine;
pub mod firewall;
pub mod http;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod logs;
pub mod metrics;
pub mod service;
#[cfg(feature = "standalone")]
pub mod standalone;
pub mod telemetry;
