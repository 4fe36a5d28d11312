//! The status of everything, for people and metrics.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::detector::Detector;
use super::intake::FilesReport;
use super::offenders::LEFTOVERS;
use super::pipeline::SeatId;
use super::plan::{limit_name, reach_of};
use super::report::{
    Condition, ConditionType, FileReport, FirewallReport, FirewallState, HouseReport, JailReport, Moment,
    RateLimitReport, Status, Tallies,
};
use super::seat::Seat;
use super::spared::Accused;
use crate::config::{Mode, RateLimitConfig};
use crate::engine::Timestamp;
use crate::engine::house::Why;
use crate::firewall::{Action, Dropped, LimitCounts, Reach, ScopeName};

/// So many failures of this host, another node or a load balancer before a jail says that addresses are lost: one may
/// be somebody who tries it out.
const RELAYED: u64 = 5;
/// So many of others of the house: a pod may as well be a client that has an old password.
const HOUSED: u64 = 20;

/// What the kernel counted, as of the last time it was asked.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) dropped: BTreeMap<ScopeName, Dropped>,
    pub(super) limits: BTreeMap<ScopeName, LimitCounts>,
    /// When the limits were asked.
    pub(super) limits_at: Timestamp,
    /// Whether what an earlier run left drops packets although this one only observes.
    pub(super) leftovers: bool,
    /// Why the kernel did not tell when it was asked last.
    pub(super) unanswered: Option<String>,
}

impl Detector {
    /// How everything is.
    pub(super) fn status(&self, now: Timestamp) -> Status {
        let FilesReport { files, awaited, notice } = self.intake.files_report();
        let mut banned: BTreeMap<_, usize> = BTreeMap::new();
        for (jail, ..) in self.court.ledger.holds(now) {
            *banned.entry(jail).or_default() += 1;
        }
        let bans = banned.values().sum();
        let absent_jails = self.court.absent(&banned);
        let full = self.court.ledger.full();
        let mut jails = Vec::with_capacity(self.court.seats.len());
        for (id, seat) in self.court.seats.iter().enumerate() {
            let files = files.iter().filter(|(of, _)| *of == id).map(|(_, file)| file.clone()).collect();
            let awaited: Vec<&PathBuf> =
                awaited.iter().filter(|(of, _)| *of == id).map(|(_, glob)| glob).collect();
            let mut report = self.jail(id, seat, files, &awaited, now);
            report.banned = banned.get(&Some(seat.name())).copied().unwrap_or(0);
            if full.contains(seat.name()) {
                let message = format!(
                    "{} bans are in force, as many as this jail may have: further ones are not set until some end \
                     ({} were not); shorten `banTime`",
                    report.banned, report.counters.refused
                );
                report.conditions.push(condition(ConditionType::Full, true, "TooManyBans", message));
            }
            jails.push(report);
        }
        let mut conditions = Vec::new();
        if let Some(problem) = &self.saver.report().problem {
            conditions.push(condition(ConditionType::StateNotSaved, true, "WriteFailed", problem.clone()));
        }
        if let Some(notice) = notice {
            conditions.push(condition(ConditionType::Degraded, true, "FilesPolled", notice));
        }
        let (leftovers, unanswered) = {
            let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            (totals.leftovers, totals.unanswered.clone())
        };
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").into(),
            started: Moment(self.started),
            observe: self.court.observe,
            jails,
            absent_jails,
            rate_limits: self.rate_limits(),
            bans,
            firewall: FirewallReport { leftovers, ..self.firewall.clone() },
            state: self.saver.report().clone(),
            house: HouseReport { kept: self.kept_lists.report(&self.config), ..self.house.report() },
            conditions,
        };
        if let Some(why) = unanswered {
            status.is_not_of_now(&why);
        }
        status
    }

    fn rate_limits(&self) -> Vec<RateLimitReport> {
        let totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let report = |limit: &Arc<RateLimitConfig>| {
            let none = LimitCounts::default();
            let counts = totals.limits.get(&limit_name(limit)).unwrap_or(&none);
            let observes = self.court.observe || limit.mode == Mode::Observe;
            let mut report = RateLimitReport::new(limit, counts, totals.limits_at);
            report.conditions = self.situation.remarks_on_limit(&limit.name).to_vec();
            if let Some(hindrance) = self.hindrance(limit, counts) {
                report.conditions.extend(hindrance.condition());
                report.no_escalation = Some(hindrance.to_string());
            }
            report.conditions.push(self.ready(!observes));
            if totals.leftovers {
                (report.unanswered, report.counted) = (Some(LEFTOVERS.to_owned()), None);
            }
            report
        };
        let in_force = self.config.rate_limits.iter().map(report);
        let disabled = self.config.disabled_limits.iter().map(|limit| RateLimitReport::disabled(limit));
        let mut reports: Vec<RateLimitReport> = in_force.chain(disabled).collect();
        reports.sort_by(|a, b| a.name.cmp(&b.name));
        reports
    }

    fn jail(
        &self,
        id: SeatId,
        seat: &Seat,
        files: Vec<FileReport>,
        awaited: &[&PathBuf],
        now: Timestamp,
    ) -> JailReport {
        let spec = &seat.config.spec;
        let (ports, all_ports) = match reach_of(&seat.config.enforce, self.situation.guards(&spec.name)) {
            Reach::Everything => (Vec::new(), true),
            Reach::Ports(guards) => {
                let mut ports: Vec<u16> = guards.iter().map(|guard| guard.port).collect();
                ports.sort_unstable();
                ports.dedup();
                (ports, false)
            }
        };
        let dropped = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped = dropped.dropped.get(&seat.scope).copied().unwrap_or_default();
        let counters = Tallies {
            evicted: seat.jail.evicted(),
            dropped_packets: dropped.packets,
            dropped_bytes: dropped.bytes,
            ..seat.tallies
        };
        let mut report = JailReport {
            name: spec.name.clone(),
            mode: if seat.config.mode == Mode::Enforce { "Enforce".into() } else { "Observe".into() },
            filters: seat.config.filters.iter().map(|filter| filter.name.to_string()).collect(),
            ports,
            all_ports,
            action: match seat.config.enforce.action {
                Action::Drop => "Drop".into(),
                Action::Reject => "Reject".into(),
            },
            max_retry: spec.max_retry,
            find_time_seconds: spec.find_time.as_secs(),
            ban_time_seconds: spec.sentence.ban_time.map(|time| time.as_secs()),
            banned: 0,
            watched: seat.jail.tracked(),
            counters,
            files,
            journal: self.intake.journal_report(id),
            conditions: Vec::new(),
        };
        report.conditions = self.conditions(id, seat, &report, awaited, now);
        report
    }

    /// Whether failures come from addresses behind which are many: then nobody can be banned for them.
    fn lost_addresses(&self, seat: &Seat, now: Timestamp) -> Option<Condition> {
        let masking = self.situation.masking(seat.name());
        let (mut relayed, mut housed) = (0, 0);
        let mut worst: Option<Accused> = None;
        for accused in seat.spared.recent(now) {
            let relay = self.house.is_reached_by(accused.address)
                || self.situation.relays.iter().any(|net| net.contains(&accused.address));
            if relay {
                relayed += accused.times;
            } else if matches!(self.house.never().covers(accused.address), Some(Why::Cluster(_))) {
                housed += accused.times;
            } else {
                continue;
            }
            worst = worst.filter(|worst| worst.times >= accused.times).or(Some(accused));
        }
        let enough = if masking.is_empty() { RELAYED } else { 1 };
        let worst = worst.filter(|_| relayed >= enough || housed >= HOUSED)?;
        let who = match self.house.never().covers(worst.address) {
            Some(why) => format!("{}, {why}", worst.address),
            None => worst.address.to_string(),
        };
        let (reason, remedy) = if masking.is_empty() {
            ("SharedAddress", "let what stands before the server pass on its clients' addresses".to_owned())
        } else {
            let services = masking.join(", ");
            (
                "ExternalTrafficPolicyCluster",
                format!("set `externalTrafficPolicy: Local` on Service {services}"),
            )
        };
        let message = format!(
            "failures are logged as those of {who}, which stands for others: whose they are is lost, and nobody is \
             banned for them; {remedy}"
        );
        Some(condition(ConditionType::SourceAddressLost, true, reason, message))
    }

    fn conditions(
        &self,
        id: SeatId,
        seat: &Seat,
        report: &JailReport,
        awaited: &[&PathBuf],
        now: Timestamp,
    ) -> Vec<Condition> {
        let mut found = Vec::new();
        if !seat.unusable.is_empty() {
            found.push(condition(ConditionType::Degraded, true, "Unusable", seat.unusable.join("; ")));
        }
        let mut missing: Vec<String> =
            awaited.iter().map(|glob| format!("nothing matches {} yet", glob.display())).collect();
        let trouble =
            |file: &FileReport| Some(format!("{}: {}", file.path.display(), file.problem.as_ref()?));
        missing.extend(report.files.iter().filter_map(trouble));
        if let Some(journal) = report.journal.as_ref().filter(|journal| !journal.running) {
            missing.push(journal.problem.clone().unwrap_or_else(|| "journalctl does not run".into()));
        }
        if !missing.is_empty() {
            found.push(condition(ConditionType::SourceMissing, true, "Waiting", missing.join("; ")));
        }
        if seat.brake.is_engaged(now) {
            let limit = seat.config.bans_per_minute;
            let message = format!("more than {limit} bans a minute: observing only until it calms down");
            found.push(condition(ConditionType::Braking, true, "TooManyBans", message));
        }
        if let Some((seen, last)) = seat.efficacy.recent(now) {
            let who = match seen {
                1 => format!("the banned {last} still appears in the log, through"),
                _ => format!("{seen} banned subjects still appear in the log, the last was {last}, through"),
            };
            let message = format!("{who} a port, a proxy or an address that the jail does not close");
            found.push(condition(ConditionType::BanIneffective, true, "SeenAgain", message));
        }
        found.extend(self.lost_addresses(seat, now));
        found.extend(self.situation.remarks(seat.name()).iter().cloned());
        found.extend(self.intake.sights(id, &seat.config, seat.enforces(self.court.observe)));
        found.push(if !seat.unusable.is_empty() && !self.retirement.is_asked() {
            let message = "a filter or layout cannot be used";
            condition(ConditionType::Ready, false, "Unusable", message.into())
        } else {
            self.ready(seat.enforces(self.court.observe))
        });
        found
    }

    /// Whether the kernel does its part for something that `enforces`, or only observes.
    fn ready(&self, enforces: bool) -> Condition {
        let no = |reason, message: String| condition(ConditionType::Ready, false, reason, message);
        match self.firewall.state {
            _ if self.retirement.is_asked() => {
                no("CleanedUp", "this node was asked to clean up and guards nothing".into())
            }
            FirewallState::Failing if enforces => {
                no("FirewallFailing", self.firewall.problem.clone().unwrap_or_default())
            }
            FirewallState::Starting => no("Starting", "the table is being made".into()),
            _ => {
                let reason = if enforces { "Enforcing" } else { "Observing" };
                condition(ConditionType::Ready, true, reason, String::new())
            }
        }
    }
}

pub(super) fn condition(kind: ConditionType, status: bool, reason: &str, message: String) -> Condition {
    Condition { kind, status, reason: reason.into(), message }
}
