//! What others ask of the detector, and what it answers.

use std::sync::mpsc::TryRecvError;

use super::detector::{Detector, answer};
use super::handle::{Command, Reply};
use super::report::{Banned, Durability, Refusal, Unbanned};

/// Whether to go on.
#[derive(PartialEq, Eq)]
pub(super) enum Then {
    Go,
    End,
}

impl Detector {
    pub(super) fn obey(&mut self) -> Then {
        loop {
            match self.commands.try_recv() {
                Ok(command) => {
                    if self.carry_out(command) == Then::End {
                        return Then::End;
                    }
                }
                Err(TryRecvError::Empty) => return Then::Go,
                // Nobody can ask for an end any more: this is one.
                Err(TryRecvError::Disconnected) => {
                    if let Err(problem) = self.end() {
                        tracing::error!(problem, "the last snapshot could not be written");
                    }
                    return Then::End;
                }
            }
        }
    }

    fn carry_out(&mut self, command: Command) -> Then {
        let now = self.now();
        match command {
            Command::Configure(config, reply) => answer(reply, self.configure(config, now)),
            Command::Situate(situation, reply) => {
                self.situate(situation, now);
                answer(reply, ());
            }
            Command::SetAhead(ahead, measured, reply) => {
                self.set_ahead(ahead, measured, now);
                answer(reply, ());
            }
            Command::Receive(bans, pardons, reply) => {
                let ahead = self.court.ahead();
                let bans = bans.into_iter().map(|ban| ban.shifted(ahead)).collect();
                let pardons: Vec<_> = pardons.into_iter().map(|pardon| pardon.shifted(ahead)).collect();
                self.note_for_limits(&pardons);
                self.court.receive(bans, pardons, now);
                self.emit();
                self.pardon_in_limits(now);
                answer(reply, ());
            }
            Command::Room(reply) => answer(reply, self.court.has_room_again()),
            Command::Hear(node, accounts, reply) => self.hear_node(&node, accounts, reply, now),
            Command::Share(quotas, reply) => self.share(&quotas, reply),
            Command::Sightings(reply) => answer(reply, self.court.sightings(now)),
            Command::OwnBans(most, wanted, reply) => answer(reply, self.court.own(most, wanted)),
            Command::ForeignBans(wanted, reply) => answer(reply, self.court.foreign(wanted, now)),
            Command::Status(reply) => answer(reply, self.status(now)),
            Command::Counters(reply) => self.ask_counters(reply),
            Command::Places(jail, reply) => answer(reply, self.court.places(jail.as_ref(), now)),
            Command::Bans(places, reply) => answer(reply, self.court.bans(&places, now)),
            Command::Why(address, reply) => answer(reply, self.court.why(address, now)),
            Command::Offences(address, reply) => self.ask_offences(address, reply),
            Command::Release(prefix, reply) => self.release(prefix, reply),
            Command::Ban(order, reply) => {
                let banned = self.court.ban(order, now);
                self.emit();
                self.answer_when_saved(banned, reply, |banned: &mut Banned, saved| banned.saved = saved);
            }
            Command::Unban(order, reply) => {
                let unbanned = self.court.unban(order, now);
                self.emit();
                self.answer_when_saved(unbanned, reply, |unbanned: &mut Unbanned, saved| {
                    unbanned.saved = saved;
                });
            }
            Command::Retire(reply) => self.retire(reply),
            Command::Save(reply) if !self.saver.keeps() => answer(reply, Ok(())),
            Command::Save(reply) => self.saver.wait(Box::new(move |outcome| answer(reply, outcome))),
            Command::Stop(reply) => {
                let outcome = self.end();
                answer(reply, outcome);
                return Then::End;
            }
        }
        Then::Go
    }

    /// An order is answered when it is on disk: what a person was told must outlive a crash.
    fn answer_when_saved<T: Send + 'static>(
        &mut self,
        outcome: Result<T, Refusal>,
        reply: Reply<Result<T, Refusal>>,
        mark: impl FnOnce(&mut T, Durability) + Send + 'static,
    ) {
        let mut done = match outcome {
            Ok(done) => done,
            Err(refusal) => return answer(reply, Err(refusal)),
        };
        if !self.saver.keeps() {
            mark(&mut done, Durability::NotKept);
            return answer(reply, Ok(done));
        }
        self.saver.wait(Box::new(move |outcome| {
            let saved = outcome.map_or_else(Durability::Failed, |()| Durability::Saved);
            mark(&mut done, saved);
            answer(reply, Ok(done));
        }));
    }
}
