//! Bans and pardons that others decided: other nodes' agents, people at the API server.

use super::court::Court;
use super::handle::Wanted;
use super::report::EventKind;
use crate::bans::{Ban, Pardon, Recorded};
use crate::engine::{History, JailName, Subject, Timestamp};

/// Room for so many bans is enough to receive all those again that found none.
const ROOM: usize = 1024;
/// Bans of others that hit somebody who is never banned here, remembered at most.
const MOST_SPARED: usize = 10_000;

impl Court {
    /// Takes in what others decided. Pardons go first: a ban that began after one holds.
    pub(super) fn receive(&mut self, bans: Vec<Ban>, pardons: Vec<Pardon>, now: Timestamp) {
        for pardon in pardons {
            self.forgive(pardon, now);
        }
        for ban in bans {
            self.take_in(ban, now);
        }
    }

    fn forgive(&mut self, pardon: Pardon, now: Timestamp) {
        self.spared.retain(|ban| ban.since > pardon.at || !pardon.covers(ban.jail.as_ref(), ban.subject));
        let jail = pardon.jail.as_ref();
        for seat in self.seats.iter_mut().filter(|seat| jail.is_none_or(|jail| jail == seat.name())) {
            seat.jail.pardon(pardon.prefix, pardon.at);
        }
        for ban in self.ledger.pardon(pardon, now) {
            self.tell(EventKind::Unban, &ban, now);
            self.sync(ban.jail.as_ref(), ban.subject, now);
        }
        self.dirty = true;
    }

    fn take_in(&mut self, ban: Ban, now: Timestamp) {
        let seat = ban.jail.as_ref().and_then(|jail| self.seat(jail));
        let ignored = seat.and_then(|seat| {
            let net = seat.config.spec.ignore.iter().find(|net| ban.subject.overlaps(**net))?;
            Some(format!("{net} is in the ignore list of the jail"))
        });
        let never = seat.map_or(&self.house, |seat| &seat.never);
        if let Some(why) = never.overlap(ban.subject).map(ToString::to_string).or(ignored) {
            tracing::info!(subject = %ban.subject, %why, "a ban of another node is left out");
            if self.spared.len() < MOST_SPARED && !self.spared.contains(&ban) {
                self.spared.push(ban);
            }
            return;
        }
        let recorded = self.ledger.record(&ban, now);
        if recorded == Recorded::Refused {
            self.refused(ban.jail.as_ref());
            *self.left_out.entry(ban.jail).or_default() += 1;
            return;
        }
        self.dirty |= !matches!(recorded, Recorded::Known | Recorded::Pardoned);
        let told = match recorded {
            Recorded::New => Some(EventKind::Ban),
            Recorded::Prolonged => Some(EventKind::Prolong),
            Recorded::Known | Recorded::Over | Recorded::Pardoned | Recorded::Refused => None,
        };
        if let Some(event) = told {
            self.tell(event, &ban, now);
            self.sync(ban.jail.as_ref(), ban.subject, now);
        }
        if let Some(jail) = &ban.jail {
            self.settle(jail, ban.subject, now);
        }
    }

    /// Whether there is room again for bans that were received and found no place: they are to be received once more.
    /// Told once; what finds no place then either is asked for anew.
    pub(super) fn has_room_again(&mut self) -> bool {
        let before = self.left_out.len();
        let ledger = &self.ledger;
        self.left_out.retain(|jail, bans| ledger.room(jail.as_ref()) < ROOM.min(*bans));
        self.left_out.len() < before
    }

    /// Counts a ban for which its jail has no place.
    pub(super) fn refused(&mut self, jail: Option<&JailName>) {
        let Some(seat) = self.seats.iter_mut().find(|seat| Some(seat.name()) == jail) else { return };
        seat.tallies.refused += 1;
        if seat.tallies.refused == 1 {
            tracing::warn!(jail = %seat.name(), "as many bans as a jail may have: no further ones until some end");
        }
    }

    /// What was counted here up to the end of a ban that is known now belongs to that ban.
    fn settle(&mut self, name: &JailName, subject: Subject, now: Timestamp) {
        let Some(term) = self.ledger.history(name).latest(subject) else { return };
        let Some(seat) = self.seats.iter_mut().find(|seat| seat.name() == name) else { return };
        let Some(until) = seat.jail.settle(subject, term) else { return };
        let told = match self.ledger.prolong(name, subject, term.n, until, now) {
            // It was over, and these failures bring it into force.
            Recorded::New => EventKind::Ban,
            Recorded::Prolonged => EventKind::Prolong,
            Recorded::Known | Recorded::Over | Recorded::Pardoned | Recorded::Refused => return,
        };
        self.told_by_ledger(told, name, subject, now);
        self.sync(Some(name), subject, now);
    }

    /// By the shared clock: of the bans decided here the `most` that began last, as far as they are wanted.
    pub(super) fn own(&self, most: usize, wanted: Wanted) -> Vec<Ban> {
        let Wanted(mut wanted) = wanted;
        let mut from = Timestamp::MIN;
        if self.ledger.len() + self.ledger.past_len() > most {
            let mut began: Vec<Timestamp> = self.ledger.own().map(|ban| ban.since).collect();
            if let Some(surplus) = began.len().checked_sub(most.max(1)).filter(|surplus| *surplus > 0) {
                from = *began.select_nth_unstable(surplus).1;
            }
        }
        let back = self.ahead().reversed();
        let own = self.ledger.own().filter(|ban| ban.since >= from).map(|ban| ban.shifted(back));
        own.filter(|ban| wanted(ban)).collect()
    }

    /// By the shared clock: of the bans in force that other nodes decided those that are wanted.
    pub(super) fn foreign(&self, wanted: Wanted, now: Timestamp) -> Vec<Ban> {
        let Wanted(mut wanted) = wanted;
        let back = self.ahead().reversed();
        self.ledger.foreign(now).map(|ban| ban.shifted(back)).filter(|ban| wanted(ban)).collect()
    }

    /// Who is never banned has changed: what was left out gets another chance.
    pub(super) fn reconsider(&mut self, now: Timestamp) {
        let spared = std::mem::take(&mut self.spared);
        self.receive(spared, Vec::new(), now);
    }
}
