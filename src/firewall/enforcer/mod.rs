//! The thread that owns the firewall. Deciding never waits for the kernel: changes come over a channel.
//!
//! The first change goes at once; what comes while it is in flight goes together. Nothing is lost while the kernel
//! refuses to be asked: of each element the latest wish is kept and tried again.

mod backlog;
mod backoff;
mod thread;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Caught, Change, Dropped, Firewall, FirewallError, LimitCounts, ScopeName, Skeleton};
use crate::engine::{Source, Timestamp};

/// Takes the answer to an order, on the enforcer's thread; must not block.
pub type Reply<T> = Box<dyn FnOnce(Result<T, FirewallError>) + Send>;

/// What the enforcer is asked.
pub enum Order {
    /// Make this the skeleton and keep it so.
    Skeleton(Skeleton),
    /// Make these changes as soon as possible.
    Changes(Vec<Change>),
    /// Make all of this hold, beside fresh changes: at start, and as the answer to [`EnforcerEvent::Drifted`]. In
    /// order with [`Order::Changes`]: what was ordered later wins.
    Restore(Vec<Change>),
    /// Say what each scope dropped.
    Counters(Reply<BTreeMap<ScopeName, Dropped>>),
    /// Say what each rate limit did. This, offences and releases fail while the skeleton ordered last is not in the kernel.
    Limits(Reply<BTreeMap<ScopeName, LimitCounts>>),
    /// Say which sources of the last seconds each rate limit caught that may lead to bans.
    Caught(Reply<BTreeMap<ScopeName, Vec<Caught>>>),
    /// Say whether what an earlier run left drops packets beside what is asked here.
    Leftovers(Box<dyn FnOnce(bool) + Send>),
    /// Say of which limits an address is an offender, and for how long yet.
    Offences(IpAddr, Reply<Vec<(ScopeName, Duration)>>),
    /// Have limits forget what they know of these prefixes, as far as it is of that age, and say which forgot an offender.
    Release(Vec<(Source, Duration)>, Reply<Vec<ScopeName>>),
    /// Remove the table, and with it every ban. A later skeleton makes it again.
    Teardown,
    /// Do what waits, once, and end. The table stays.
    Stop,
}

/// What the enforcer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnforcerEvent {
    /// The skeleton ordered last is in the kernel.
    Ensured,
    /// These changes are in the kernel.
    Applied {
        /// The changes.
        changes: Vec<Change>,
        /// When the kernel had them.
        at: Timestamp,
        /// Whether they came by [`Order::Restore`].
        restored: bool,
    },
    /// The kernel will never take this change.
    Refused {
        /// The change.
        change: Change,
        /// The kernel's reason.
        reason: String,
    },
    /// Somebody changed or removed the table. The skeleton is in the kernel again, bans may be missing: order
    /// [`Order::Restore`] with all that shall hold.
    Drifted,
    /// The kernel or `nft` does not do what is asked; it is tried again and again, and nothing is forgotten.
    Failing(String),
    /// It works again.
    Recovered,
    /// The table was removed as ordered.
    TornDown,
    /// The thread has ended as ordered.
    Stopped,
}

/// The enforcer's thread is gone; only a defect ends it before [`Order::Stop`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the enforcer has ended")]
pub struct Gone;

/// A handle to the thread that owns the firewall. Cheap to clone. When the last one is dropped the thread does what
/// waits and ends; the table stays.
#[derive(Clone, Debug)]
pub struct Enforcer {
    orders: Sender<Order>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Enforcer {
    /// Starts the thread. It changes nothing before the first [`Order::Skeleton`]. Events go into `events`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn(firewall: Box<dyn Firewall>, events: Sender<EnforcerEvent>) -> std::io::Result<Self> {
        // Nobody listening is no reason to stop enforcing.
        Self::spawn_with(firewall, move |event| drop(events.send(event)))
    }

    /// Starts the thread; `report` gets each event on it and must not block.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn spawn_with(
        firewall: Box<dyn Firewall>,
        report: impl Fn(EnforcerEvent) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("enforcer".into())
            .spawn(move || thread::Thread::new(firewall, inbox, Box::new(report)).run())?;
        Ok(Self { orders, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Hands over an order; returns at once.
    ///
    /// # Errors
    /// When the thread has ended.
    pub fn send(&self, order: Order) -> Result<(), Gone> {
        self.orders.send(order).map_err(|_| Gone)
    }

    /// Orders [`Order::Stop`] and waits until the thread has done what waits and ended.
    pub fn stop(&self) {
        // An error means that it has ended already.
        let _ = self.send(Order::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
#[path = "../tests/enforcer.rs"]
mod tests;
