//! One write: what the server takes of it, and what it refuses.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::PostParams;
use kube::core::Status;

use super::Publisher;
use crate::agent::report::{BanReport, Condition, ConditionType};
use crate::api::v1alpha1::{BanSlice, BanSliceSpec, SlicedBan};
use crate::engine::Timestamp;
use crate::kubernetes::FIELD_MANAGER;
use crate::kubernetes::epoch::{self, Epoch};
use crate::kubernetes::mirror::chain;
use crate::kubernetes::slices::code;
use crate::kubernetes::slices::shelf::Entry;

/// A write that takes longer has failed.
const ANSWER: Duration = Duration::from_secs(15);
/// Bans of one write that are refused one after the other before the rest of them is put off: perhaps all are.
const REFUSED_MOST: usize = 16;
/// Under this name it says what the server refuses.
const REFUSED: &str = "refused bans";

/// How a write ended.
enum Written {
    Well,
    /// The server will not take these as they are.
    Refused(String),
    /// Perhaps it was written, perhaps not.
    Failed(String),
}

impl Publisher {
    /// Writes one object. Where the server refuses it one of its bans is to blame, and the others shall not suffer for
    /// it: the halves are written, and their halves.
    pub(super) async fn write(&mut self) {
        let epoch = Epoch::of(self.station.clock.now());
        let mut parts = vec![self.batch(epoch)];
        let mut in_a_row = 0;
        while let Some(mut part) = parts.pop() {
            let entries: Vec<SlicedBan> = part.iter().filter_map(encoded).collect();
            if entries.is_empty() {
                continue;
            }
            if in_a_row >= REFUSED_MOST {
                self.put_off(&part);
                continue;
            }
            match self.create(epoch, entries).await {
                Written::Well => {
                    in_a_row = 0;
                    self.well(&part);
                }
                Written::Refused(why) => match &*part {
                    [ban] => {
                        in_a_row += 1;
                        self.refused(ban, why);
                    }
                    _ => {
                        parts.push(part.split_off(part.len() / 2));
                        parts.push(part);
                    }
                },
                Written::Failed(why) => return self.failed(&why),
            }
        }
        self.tell_refused();
    }

    fn refused(&mut self, ban: &BanReport, why: String) {
        if self.shelf().refused(&Entry::from(ban), true, Instant::now()) {
            tracing::error!(subject = %ban.subject, jail = ?ban.jail, why, "the API server refuses a ban; it holds here alone");
        }
        self.why_refused = why;
    }

    fn put_off(&self, bans: &[BanReport]) {
        let (mut shelf, now) = (self.shelf(), Instant::now());
        for ban in bans {
            shelf.refused(&Entry::from(ban), false, now);
        }
    }

    /// Says how many bans are refused, where that is another number than before.
    pub(super) fn tell_refused(&mut self) {
        let refused = self.shelf().refusals.len();
        if std::mem::replace(&mut self.told_refused, refused) == refused {
            return;
        }
        self.station.tally.bans_refused.set(i64::try_from(refused).unwrap_or(i64::MAX));
        let message = format!(
            "the API server refuses {refused} bans of this node, which hold here alone and are tried again: {}",
            self.why_refused
        );
        let condition = Condition {
            kind: ConditionType::Disconnected,
            status: true,
            reason: "BansRefused".into(),
            message,
        };
        self.station.concerns.say(REFUSED, if refused == 0 { Vec::new() } else { vec![condition] });
    }

    async fn create(&mut self, epoch: Epoch, bans: Vec<SlicedBan>) -> Written {
        let name = self.name(self.station.clock.now());
        let mut slice = BanSlice::new(&name, BanSliceSpec { node: self.station.node.clone(), bans });
        slice.metadata.labels = Some([(epoch::LABEL.to_owned(), epoch.label())].into());
        let slices: Api<BanSlice> = Api::all(self.station.client.clone());
        let post = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        match tokio::time::timeout(ANSWER, slices.create(&post, &slice)).await {
            Ok(Ok(_)) => {
                self.station.tally.slices_written.inc();
                Written::Well
            }
            Ok(Err(error)) => match &error {
                kube::Error::Api(status) if is_for_good(status) => {
                    self.station.tally.slices_refused.inc();
                    Written::Refused(status.message.clone())
                }
                _ => Written::Failed(chain(&error)),
            },
            Err(_) => Written::Failed(format!("no answer within {} s", ANSWER.as_secs())),
        }
    }

    /// A name nobody else gives, in the order of time.
    fn name(&mut self, now: Timestamp) -> String {
        let micros = u64::try_from(now.as_micros()).unwrap_or(0);
        self.last = micros.max(self.last + 1);
        object_name(self.station.node.as_str(), self.last)
    }
}

/// A ban on the API server. One of a jail without a namespace, which no cluster has, is not shared.
fn encoded(ban: &BanReport) -> Option<SlicedBan> {
    let entry = code::encode(ban);
    if entry.is_none() {
        tracing::error!(subject = %ban.subject, jail = ?ban.jail, "a ban of a jail without a namespace is not shared");
    }
    entry
}

/// Whether the server says that it will not take this object, and not that it takes none now. Forbidden is either: what
/// admission says of an object, or that this agent may create none, of which the authorizer says so in these words.
fn is_for_good(status: &Status) -> bool {
    match status.code {
        400 | 413 | 422 => true,
        403 => !status.message.contains("cannot create resource"),
        _ => false,
    }
}

/// `<node>-<number>`: the admission policy knows an agent's objects by it. Thirteen digits are enough until 2112.
fn object_name(node: &str, number: u64) -> String {
    format!("{node}-{number:013x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::{Name, explain};

    #[test]
    fn names_are_names_and_sort_by_time() {
        for node in ["n1", "ip-10-0-0-1.eu-west-1.compute.internal"] {
            let (early, late) = (object_name(node, 1), object_name(node, 1_700_000_000_000_000));
            assert!(early < late && late.starts_with(&format!("{node}-")), "{late}");
            assert!(late.split('.').all(|label| explain(Name::PATTERN, label).is_ok()), "{late}");
        }
    }
}
