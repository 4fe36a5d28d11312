//! Bans in our own messages: each one in quiet times, a sum in a storm.

use std::time::{Duration, Instant};

use super::report::{Event, EventKind};

/// So many are told one by one in a [`SPAN`]: writing messages must not delay bans.
const EACH: u32 = 100;
const SPAN: Duration = Duration::from_secs(1);

/// Tells people what happens.
#[derive(Debug)]
pub(super) struct Chronicle {
    since: Instant,
    told: u32,
    untold: u32,
}

impl Chronicle {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), told: 0, untold: 0 }
    }

    /// Tells one event, or counts it.
    pub(super) fn note(&mut self, event: &Event) {
        self.catch_up();
        if self.told >= EACH {
            self.untold += 1;
            return;
        }
        self.told += 1;
        let ban = &event.ban;
        let jail = ban.jail.as_ref().map_or("-", |jail| jail.as_str());
        let until = ban.until.map_or_else(|| "unbanned".to_string(), |until| until.to_string());
        let (n, origin, enforced) = (ban.n, &ban.origin, ban.enforced);
        let word = match event.event {
            EventKind::Ban => "banned",
            EventKind::Prolong => "banned for longer",
            EventKind::Unban => "unbanned",
            EventKind::Expire => "the ban has ended",
        };
        tracing::info!(jail, subject = %ban.subject, n, until, origin, enforced, "{word}");
    }

    /// Tells the sum of what was only counted, once the span is over.
    pub(super) fn catch_up(&mut self) {
        if self.since.elapsed() < SPAN {
            return;
        }
        if self.untold > 0 {
            tracing::info!(more = self.untold, "and more bans and ends than are told one by one");
        }
        *self = Self::new();
    }

    /// When there is a sum to tell.
    pub(super) fn due_in(&self) -> Option<Duration> {
        (self.untold > 0).then(|| SPAN.saturating_sub(self.since.elapsed()))
    }
}
