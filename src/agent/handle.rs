//! How other threads talk to the detector.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::{broadcast, oneshot, watch};

use super::clock_setting::ClockSetting;
use super::colleagues::{Account, Told};
use super::offenders::{Offences, Released};
use super::report::{BanOrder, BanReport, Banned, Event, Refusal, Status, UnbanOrder, Unbanned, WhyReport};
use super::situation::Situation;
use super::wake::Waker;
use crate::bans::{Ban, Pardon, Place};
use crate::config::Config;
use crate::engine::{JailName, Shift};

/// How long a status waits for the kernel's counters.
const COUNTERS: Duration = Duration::from_millis(500);

/// How long a `why` waits for the kernel to say which rate limits refuse somebody.
const OFFENCES: Duration = Duration::from_secs(2);

/// How long an unban waits for the kernel to end penalties of rate limits; they end later, then.
const RELEASE: Duration = Duration::from_secs(5);

/// Where an answer goes. Whoever asked may be gone; that is no error.
pub type Reply<T> = oneshot::Sender<T>;

/// What the detector can be asked. What other nodes tell and are told (bans, pardons, sightings) is by the clock that
/// they share, all else by this machine's.
#[derive(Debug)]
pub enum Command {
    /// Take this configuration in place of the one before. The answer names what could not be used.
    Configure(Arc<Config>, Reply<Vec<Unusable>>),
    /// Take these surroundings in place of those before.
    Situate(Arc<Situation>, Reply<()>),
    /// This node's clock, as it was set when that was measured, is so far ahead of the one that nodes share.
    SetAhead(Shift, ClockSetting, Reply<()>),
    /// Take in what other agents and people decided. Taking in the same again changes nothing.
    Receive(Vec<Ban>, Vec<Pardon>, Reply<()>),
    /// Tell whether there is room again for received bans that found none.
    Room(Reply<bool>),
    /// Tell those of the latest so many bans that were decided here, those that are over included, which are wanted.
    OwnBans(usize, Wanted, Reply<Vec<Ban>>),
    /// Tell those bans in force that other nodes decided which are wanted.
    ForeignBans(Wanted, Reply<Vec<Ban>>),
    /// Take in what another node saw of subjects below the threshold, each account in place of its earlier one.
    Hear(Arc<str>, Vec<Account>, Reply<()>),
    /// Gather for other nodes what these jails count, each from this weight on, and what others saw too; all other
    /// jails gather nothing.
    Share(Vec<(JailName, u32)>, Reply<()>),
    /// Tell what other nodes should know.
    Sightings(Reply<Vec<Told>>),
    /// Tell everything; what the kernel dropped as of the last [`Command::Counters`].
    Status(Reply<Status>),
    /// Fetch the kernel's counters. Answered when they are there.
    Counters(Reply<()>),
    /// Tell where the bans in force stand, of one jail or of all.
    Places(Option<JailName>, Reply<Vec<Place>>),
    /// Tell the bans at these places, as far as they are in force still.
    Bans(Vec<Place>, Reply<Vec<BanReport>>),
    /// Tell all about one address.
    Why(IpAddr, Reply<WhyReport>),
    /// Tell of which rate limits this address is an offender.
    Offences(IpAddr, Reply<Result<Offences, String>>),
    /// Have rate limits forget sources in this prefix, or everybody; tell which forgot an offender.
    Release(Option<IpNet>, Reply<Result<Released, String>>),
    /// Ban. Answered when it is on disk, or could not be written.
    Ban(BanOrder, Reply<Result<Banned, Refusal>>),
    /// End bans. Answered when the pardon is on disk, or could not be written.
    Unban(UnbanOrder, Reply<Result<Unbanned, Refusal>>),
    /// Write the snapshot now. The answer is why it failed.
    Save(Reply<Result<(), String>>),
    /// Remove the table and with it every ban, and guard nothing until the process ends. Answered when it is gone.
    Retire(Reply<()>),
    /// Write the snapshot and end. Bans stay in the kernel.
    Stop(Reply<Result<(), String>>),
}

/// Which bans somebody wants to have. Asked by the detector, so that what nobody wants is never copied.
pub struct Wanted(pub(super) Box<dyn FnMut(&Ban) -> bool + Send>);

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wanted")
    }
}

/// A jail, or part of one, that was declared well but cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The jail.
    pub jail: JailName,
    /// Why.
    pub reason: String,
}

/// The detector has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the detector has ended")]
pub struct Gone;

/// The detector of this process. Clones talk to the same one.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) waker: Waker,
    pub(super) events: broadcast::Sender<Arc<Event>>,
    pub(super) sightings: watch::Receiver<u64>,
    pub(super) turns: Arc<AtomicU64>,
    /// Shared with the detector's thread as long as that runs.
    pub(super) alive: Weak<()>,
}

impl AgentHandle {
    /// Replaces the configuration; tells what of it could not be used.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn configure(&self, config: Arc<Config>) -> Result<Vec<Unusable>, Gone> {
        self.ask(|reply| Command::Configure(config, reply)).await
    }

    /// Replaces the surroundings. Before the first configuration they are only remembered.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn situate(&self, situation: Arc<Situation>) -> Result<(), Gone> {
        self.ask(|reply| Command::Situate(situation, reply)).await
    }

    /// Tells how far this node's clock is ahead of the one that nodes share, and how it was set when that was measured.
    /// What was exchanged keeps its shared time: if the clock was set, or is known better now, all that is held is moved.
    /// Before the first time both are taken for the same.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn set_ahead(&self, ahead: Shift, measured: ClockSetting) -> Result<(), Gone> {
        self.ask(|reply| Command::SetAhead(ahead, measured, reply)).await
    }

    /// Takes in bans and pardons of others, by the shared clock, in any order and as often as one likes. A ban that would hit somebody
    /// who is never banned here is left out until that changes.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn receive(&self, bans: Vec<Ban>, pardons: Vec<Pardon>) -> Result<(), Gone> {
        self.ask(|reply| Command::Receive(bans, pardons, reply)).await
    }

    /// Whether there is room again for bans that were received when their jail had as many as it may have: they were
    /// left out and are to be received once more. Told once.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn has_room_again(&self) -> Result<bool, Gone> {
        self.ask(Command::Room).await
    }

    /// Bans that were decided here and are not forgotten, those that are over included: what others must know to
    /// find the n-th time.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn own_bans(&self) -> Result<Vec<Ban>, Gone> {
        self.own_bans_that(usize::MAX, |_| true).await
    }

    /// The same, but only those that are `wanted` of the `most` that began last. `wanted` is asked by the detector's
    /// thread and must be quick.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn own_bans_that(
        &self,
        most: usize,
        wanted: impl FnMut(&Ban) -> bool + Send + 'static,
    ) -> Result<Vec<Ban>, Gone> {
        self.ask(|reply| Command::OwnBans(most, Wanted(Box::new(wanted)), reply)).await
    }

    /// Bans in force that other nodes decided, as far as they are `wanted`, which is asked by the detector's thread and
    /// must be quick.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn foreign_bans_that(
        &self,
        wanted: impl FnMut(&Ban) -> bool + Send + 'static,
    ) -> Result<Vec<Ban>, Gone> {
        self.ask(|reply| Command::ForeignBans(Wanted(Box::new(wanted)), reply)).await
    }

    /// Takes in what another node saw of subjects below the threshold, each account in place of the one that node
    /// gave before; an empty one takes it back. Jails that do not add up over nodes, or are not there, ignore it.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn hear(&self, node: Arc<str>, accounts: Vec<Account>) -> Result<(), Gone> {
        self.ask(|reply| Command::Hear(node, accounts, reply)).await
    }

    /// Gathers for other nodes what these jails count, each from this own weight within a window on, and subjects
    /// that others told of. All other jails gather nothing.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn share(&self, quotas: Vec<(JailName, u32)>) -> Result<(), Gone> {
        self.ask(|reply| Command::Share(quotas, reply)).await
    }

    /// What other nodes should know: the subjects below the threshold, as this node alone saw them.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn sightings(&self) -> Result<Vec<Told>, Gone> {
        self.ask(Command::Sightings).await
    }

    /// A number that changes whenever there is something new to tell other nodes.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.sightings.clone()
    }

    /// How everything is.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn status(&self) -> Result<Status, Gone> {
        // The kernel may be slow to answer; then the counters are those of the last time, and are told as that.
        let asked = tokio::time::timeout(COUNTERS, self.ask(Command::Counters)).await;
        let mut status = self.ask(Command::Status).await?;
        if asked.is_err() {
            status.is_not_of_now(&silence(COUNTERS));
        }
        Ok(status)
    }

    /// Where the bans in force stand, those that end first first. Each is told by [`AgentHandle::bans_at`].
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn places(&self, jail: Option<JailName>) -> Result<Vec<Place>, Gone> {
        self.ask(|reply| Command::Places(jail, reply)).await
    }

    /// The bans at these places, without those that have ended since. All that waits meanwhile is the detector: ask
    /// for a thousand at once, not for a hundred thousand.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn bans_at(&self, places: Vec<Place>) -> Result<Vec<BanReport>, Gone> {
        self.ask(|reply| Command::Bans(places, reply)).await
    }

    /// All bans in force, those that end first first.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn bans(&self, jail: Option<JailName>) -> Result<Vec<BanReport>, Gone> {
        self.bans_at(self.places(jail).await?).await
    }

    /// All about one address.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn why(&self, address: IpAddr) -> Result<WhyReport, Gone> {
        let mut report = self.ask(|reply| Command::Why(address, reply)).await?;
        // To the kernel an IPv6 source with an IPv4 address in it is another than that.
        let mut sources = vec![report.address, address.to_canonical()];
        sources.dedup();
        for source in sources {
            match self.ask_firewall(OFFENCES, |reply| Command::Offences(source, reply)).await? {
                Ok(Offences { mut penalties, mut over }) => {
                    let other = (source != report.address).then_some(source);
                    penalties.iter_mut().for_each(|penalty| penalty.source = other);
                    over.iter_mut().for_each(|over| over.source = other);
                    report.dropped |= !penalties.is_empty();
                    report.penalties.append(&mut penalties);
                    report.over_limits.append(&mut over);
                }
                Err(why) => report.unanswered = Some(why),
            }
        }
        Ok(report)
    }

    /// Bans by hand.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn ban(&self, order: BanOrder) -> Result<Result<Banned, Refusal>, Gone> {
        self.ask(|reply| Command::Ban(order, reply)).await
    }

    /// Ends bans by hand.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn unban(&self, order: UnbanOrder) -> Result<Result<Unbanned, Refusal>, Gone> {
        let (prefix, jail) = (order.prefix, order.jail.clone());
        let mut answer = self.ask(|reply| Command::Unban(order, reply)).await?;
        if let (Ok(unbanned), None) = (&mut answer, jail) {
            match self.ask_firewall(RELEASE, |reply| Command::Release(prefix, reply)).await? {
                Ok(Released { ended, forgotten }) => {
                    unbanned.released = ended;
                    unbanned.forgotten = forgotten;
                }
                Err(why) => unbanned.unanswered = Some(why),
            }
        }
        Ok(answer)
    }

    /// Writes the snapshot now.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn save(&self) -> Result<Result<(), String>, Gone> {
        self.ask(Command::Save).await
    }

    /// Removes the table from the kernel; every ban ends there. Nothing is read, counted or closed any more until the
    /// process ends. What was decided is still known, so that the next process can go on.
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn retire(&self) -> Result<(), Gone> {
        self.ask(Command::Retire).await
    }

    /// How everything is, what the kernel counted as of the last [`Self::status`].
    ///
    /// # Errors
    /// When the detector has ended.
    pub async fn glance(&self) -> Result<Status, Gone> {
        self.ask(Command::Status).await
    }

    /// Ends the detector in good order. The answer is why the last snapshot could not be written.
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn stop(&self) -> Result<Result<(), String>, Gone> {
        self.ask(Command::Stop).await
    }

    /// What happens from now on. A receiver that is more than some thousand events behind loses the oldest and is
    /// told how many.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// A number that grows with every turn of the detector. Asking makes it turn once more, so that of two
    /// answers some seconds apart the later is larger, unless the detector hangs.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.waker.wake();
        self.turns.load(Ordering::Relaxed)
    }

    /// Whether the detector has ended: then nothing will be answered any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.alive.strong_count() == 0
    }

    /// Asks what only the kernel knows. The inner error says why there is no answer.
    async fn ask_firewall<T>(
        &self,
        patience: Duration,
        command: impl FnOnce(Reply<Result<T, String>>) -> Command,
    ) -> Result<Result<T, String>, Gone> {
        let asked = tokio::time::timeout(patience, self.ask(command)).await;
        asked.unwrap_or_else(|_| Ok(Err(silence(patience))))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).map_err(|_| Gone)?;
        self.waker.wake();
        answer.await.map_err(|_| Gone)
    }
}

fn silence(patience: Duration) -> String {
    format!("the firewall did not answer within {} ms", patience.as_millis())
}
