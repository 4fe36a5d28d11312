//! Which of several controllers writes: the holder of a Lease.
//!
//! The clocks of two machines are never compared. A candidate takes the Lease when it has seen it unchanged for as
//! long as the holder promised to renew it; the holder stops writing after two thirds of that time without a renewal.
//! Every write names the version it replaces, so of two that take it at once one is refused.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease as Record, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::time::{Instant, sleep, timeout};

use crate::kubernetes::mirror::chain;

/// Until when this process may write. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tenure(Arc<Mutex<Option<Instant>>>);

impl Tenure {
    /// Whether it may write now. Also false after the process was stopped for too long and has not noticed yet.
    #[must_use]
    pub(super) fn is_held(&self) -> bool {
        self.end().is_some_and(|end| Instant::now() < end)
    }

    fn end(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, end: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }
}

/// What to do about a Lease that is not ours by what we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Take it now.
    Take,
    /// Look again after this time at the latest.
    Wait(Duration),
}

/// `unchanged`: for how long this process has seen the record as it is.
fn step(record: &LeaseSpec, me: &str, unchanged: Duration) -> Step {
    let holder = record.holder_identity.as_deref().unwrap_or_default();
    if holder.is_empty() || holder == me {
        return Step::Take;
    }
    let seconds = record.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).unwrap_or(0);
    let left = Duration::from_secs(seconds).saturating_sub(unchanged);
    if left.is_zero() { Step::Take } else { Step::Wait(left) }
}

/// The Lease as one candidate sees it.
#[derive(Debug)]
pub(super) struct Lease {
    api: Api<Record>,
    name: String,
    me: String,
    /// How long the others wait before they take it from a holder that is silent.
    lasts: Duration,
    held: Option<Record>,
    tenure: Tenure,
}

impl Lease {
    pub(super) fn new(client: Client, namespace: &str, name: &str, me: &str, lasts: Duration) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.into(), me: me.into(), lasts, held: None, tenure: Tenure::default() }
    }

    pub(super) fn tenure(&self) -> Tenure {
        self.tenure.clone()
    }

    /// How long one request may take: the holder must be able to try several times.
    fn patience(&self) -> Duration {
        self.lasts / 6
    }

    /// Waits until the Lease is ours.
    pub(super) async fn acquire(&mut self) {
        let mut seen: Option<(LeaseSpec, Instant)> = None;
        let mut told = false;
        loop {
            let began = Instant::now();
            match self.attempt(&mut seen).await {
                Ok(None) => {
                    self.tenure.set(Some(began + self.lasts * 2 / 3));
                    tracing::info!(
                        lease = self.name,
                        identity = self.me,
                        "the lease is ours: this controller writes"
                    );
                    return;
                }
                Ok(Some(wait)) => {
                    if !std::mem::replace(&mut told, true) {
                        let holder = seen.as_ref().and_then(|(spec, _)| spec.holder_identity.as_deref());
                        tracing::info!(lease = self.name, holder, "another controller writes; waiting");
                    }
                    // A holder that ends well gives it back before its time.
                    sleep(wait.min(self.lasts / 6)).await;
                }
                Err(error) => {
                    tracing::warn!(lease = self.name, %error, "cannot ask for the lease; trying again");
                    sleep(self.lasts / 6).await;
                }
            }
        }
    }

    async fn attempt(&mut self, seen: &mut Option<(LeaseSpec, Instant)>) -> Result<Option<Duration>, String> {
        let record = self.timed(self.api.get_opt(&self.name)).await?;
        let Some(mut record) = record else {
            let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
            let mut record = Record { metadata, ..Record::default() };
            record.spec = Some(self.mine(None));
            let made = self.timed(self.api.create(&PostParams::default(), &record)).await?;
            self.held = Some(made);
            return Ok(None);
        };
        let spec = record.spec.clone().unwrap_or_default();
        let since = match seen {
            Some((known, since)) if *known == spec => *since,
            _ => {
                let now = Instant::now();
                *seen = Some((spec.clone(), now));
                now
            }
        };
        match step(&spec, &self.me, since.elapsed()) {
            Step::Wait(left) => Ok(Some(left)),
            Step::Take => {
                record.spec = Some(self.mine(Some(&spec)));
                let taken = self.timed(self.api.replace(&self.name, &PostParams::default(), &record)).await?;
                self.held = Some(taken);
                Ok(None)
            }
        }
    }

    /// Renews until that fails for too long, or somebody else has it. Then nothing may be written any more.
    pub(super) async fn keep(&mut self) {
        loop {
            sleep(self.lasts / 3).await;
            while let Err(error) = self.renew().await {
                if !self.tenure.is_held() {
                    self.lose(&error);
                    return;
                }
                tracing::warn!(lease = self.name, %error, "cannot renew the lease; trying again");
                sleep(self.lasts / 15).await;
                match self.look().await {
                    Ok(true) => {}
                    Ok(false) => {
                        self.lose("somebody else took it");
                        return;
                    }
                    Err(error) => tracing::debug!(lease = self.name, %error, "cannot look at the lease"),
                }
            }
        }
    }

    async fn renew(&mut self) -> Result<(), String> {
        let began = Instant::now();
        let mut record = self.held.clone().ok_or_else(|| "not ours".to_owned())?;
        record.spec = Some(self.mine(record.spec.as_ref()));
        let renewed = self.timed(self.api.replace(&self.name, &PostParams::default(), &record)).await?;
        self.held = Some(renewed);
        self.tenure.set(Some(began + self.lasts * 2 / 3));
        Ok(())
    }

    /// Whether it is still ours, after a renewal of which the outcome is not known.
    async fn look(&mut self) -> Result<bool, String> {
        let Some(record) = self.timed(self.api.get_opt(&self.name)).await? else { return Ok(false) };
        let ours = record
            .spec
            .as_ref()
            .is_some_and(|spec| spec.holder_identity.as_deref() == Some(self.me.as_str()));
        self.held = ours.then_some(record);
        Ok(ours)
    }

    fn lose(&mut self, why: &str) {
        self.tenure.set(None);
        self.held = None;
        tracing::warn!(lease = self.name, why, "the lease is lost: this controller writes nothing more");
    }

    /// Gives it back, so that another controller need not wait.
    pub(super) async fn release(&mut self) {
        self.tenure.set(None);
        let Some(mut record) = self.held.take() else { return };
        let spec = record.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(jiff::Timestamp::now()));
        match self.timed(self.api.replace(&self.name, &PostParams::default(), &record)).await {
            Ok(_) => tracing::info!(lease = self.name, "the lease is given back"),
            Err(error) => tracing::warn!(lease = self.name, %error, "the lease could not be given back"),
        }
    }

    /// The record with us as its holder.
    fn mine(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(jiff::Timestamp::now()));
        let again = before.filter(|spec| spec.holder_identity.as_deref() == Some(self.me.as_str()));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: i32::try_from(self.lasts.as_secs()).ok(),
            acquire_time: again.map_or_else(|| now.clone(), |spec| spec.acquire_time.clone()),
            renew_time: now,
            lease_transitions: Some(transitions + i32::from(before.is_some() && again.is_none())),
            ..LeaseSpec::default()
        }
    }

    async fn timed<T>(&self, request: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
        match timeout(self.patience(), request).await {
            Ok(answer) => answer.map_err(|error| chain(&error)),
            Err(_) => Err("the API server does not answer in time".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.into()),
            lease_duration_seconds: Some(30),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_its_holder_was_silent_for_as_long_as_it_promised() {
        let seconds = Duration::from_secs;
        assert_eq!(step(&held_by("a"), "b", seconds(0)), Step::Wait(seconds(30)));
        assert_eq!(step(&held_by("a"), "b", seconds(29)), Step::Wait(seconds(1)));
        assert_eq!(step(&held_by("a"), "b", seconds(30)), Step::Take);
    }

    #[test]
    fn a_lease_that_was_given_back_or_is_ours_from_before_is_taken_at_once() {
        assert_eq!(step(&LeaseSpec::default(), "b", Duration::ZERO), Step::Take);
        assert_eq!(step(&held_by("b"), "b", Duration::ZERO), Step::Take);
    }

    #[test]
    fn a_tenure_ends_by_itself() {
        let tenure = Tenure::default();
        assert!(!tenure.is_held());
        tenure.set(Some(Instant::now() + Duration::from_secs(60)));
        assert!(tenure.clone().is_held());
        tenure.set(Some(Instant::now()));
        assert!(!tenure.is_held());
    }
}
