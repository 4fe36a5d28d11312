//! One ban as the ledger holds it: 64 bytes and no heap for the usual one.

use std::collections::HashMap;
use std::sync::Arc;

use crate::bans::{Ban, Evidence, Origin};
use crate::engine::{JailName, Shift, Subject, Term, Timestamp};

/// A permanent ban ends at the end of time.
pub(super) fn end(until: Option<Timestamp>) -> Timestamp {
    until.unwrap_or(Timestamp::MAX)
}

pub(super) fn until(end: Timestamp) -> Option<Timestamp> {
    (end != Timestamp::MAX).then_some(end)
}

/// A ban without its key (jail and subject).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) since: Timestamp,
    /// [`Timestamp::MAX`] is permanent.
    pub(super) end: Timestamp,
    /// The oldest failure; [`Timestamp::MIN`] is unknown.
    pub(super) first: Timestamp,
    /// When the kernel had it; [`Timestamp::MIN`] is not yet.
    pub(super) acked: Timestamp,
    pub(super) more: Option<Box<More>>,
    pub(super) n: u32,
    pub(super) weight: u32,
    pub(super) origin: u32,
    /// Rules and how often each matched, while there are no more than these.
    pub(super) rules: [(u16, u16); 2],
    /// Its end was reported.
    pub(super) over: bool,
    /// That it does not bite was reported.
    pub(super) reported: bool,
}

/// What few bans have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct More {
    pub(super) reason: Option<Box<str>>,
    pub(super) rules: Vec<(u16, u32)>,
    /// Numbers of other nodes, as [`Names::node`] gives them.
    pub(super) nodes: Vec<u16>,
}

/// No rule, and no node.
pub(super) const NO_RULE: u16 = u16::MAX;

/// Names that many bans share, held once.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    rules: Interned,
    nodes: Interned,
    origins: Vec<Origin>,
    origin_ids: HashMap<Origin, u32>,
}

/// Texts and their numbers.
#[derive(Clone, Debug, Default)]
struct Interned {
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u16>,
}

impl Interned {
    fn number(&mut self, name: &Arc<str>) -> u16 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        match u16::try_from(self.names.len()) {
            Ok(number) if number != NO_RULE => {
                self.names.push(name.clone());
                self.numbers.insert(name.clone(), number);
                number
            }
            _ => NO_RULE,
        }
    }
}

impl Names {
    /// The number of a rule; [`NO_RULE`] when there are more names than numbers.
    pub(super) fn rule(&mut self, name: &Arc<str>) -> u16 {
        self.rules.number(name)
    }

    /// The number of a node; [`NO_RULE`] when there are more names than numbers.
    pub(super) fn node(&mut self, name: &Arc<str>) -> u16 {
        self.nodes.number(name)
    }

    pub(super) fn origin(&mut self, origin: &Origin) -> u32 {
        if let Some(id) = self.origin_ids.get(origin) {
            return *id;
        }
        let id = self.origins.len() as u32;
        self.origins.push(origin.clone());
        self.origin_ids.insert(origin.clone(), id);
        id
    }

    pub(super) fn is_of_node(&self, origin: u32) -> bool {
        matches!(self.origins.get(origin as usize), Some(Origin::Node(_)))
    }

    pub(super) fn rules(&self) -> &[Arc<str>] {
        &self.rules.names
    }

    pub(super) fn nodes(&self) -> &[Arc<str>] {
        &self.nodes.names
    }

    pub(super) fn origins(&self) -> &[Origin] {
        &self.origins
    }
}

impl Row {
    pub(super) fn new(ban: &Ban, names: &mut Names) -> Self {
        let Evidence { weight, first, rules, nodes, reason } = &ban.evidence;
        let rules = rules.iter().map(|(name, times)| (names.rule(name), *times)).collect();
        let nodes = nodes.iter().map(|name| names.node(name)).filter(|node| *node != NO_RULE).collect();
        let (rules, more) = pack(rules, nodes, reason.as_deref());
        Self {
            since: ban.since,
            end: end(ban.until),
            first: first.unwrap_or(Timestamp::MIN),
            acked: Timestamp::MIN,
            more,
            n: ban.n,
            weight: *weight,
            origin: names.origin(&ban.origin),
            rules,
            over: false,
            reported: false,
        }
    }

    pub(super) fn is_active(&self, now: Timestamp) -> bool {
        self.end > now
    }

    pub(super) fn shift(&mut self, shift: Shift) {
        for time in [&mut self.since, &mut self.end, &mut self.first, &mut self.acked] {
            *time = *time + shift;
        }
    }

    pub(super) fn term(&self) -> Term {
        Term { n: self.n, since: self.since, until: until(self.end) }
    }

    /// Rules and how often each matched.
    pub(super) fn counts(&self) -> impl Iterator<Item = (u16, u32)> {
        let few = self
            .rules
            .iter()
            .filter(|(rule, _)| *rule != NO_RULE)
            .map(|(rule, times)| (*rule, u32::from(*times)));
        few.chain(self.more.iter().flat_map(|more| more.rules.iter().copied()))
    }

    /// Other nodes that saw some of it.
    pub(super) fn nodes(&self) -> &[u16] {
        self.more.as_ref().map_or(&[], |more| &more.nodes)
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.more.as_ref()?.reason.as_deref()
    }

    pub(super) fn ban(&self, jail: Option<&JailName>, subject: Subject, names: &Names) -> Ban {
        let named = |(rule, times): (u16, u32)| Some((names.rules().get(usize::from(rule))?.clone(), times));
        Ban {
            jail: jail.cloned(),
            subject,
            n: self.n,
            since: self.since,
            until: until(self.end),
            origin: names.origins.get(self.origin as usize).cloned().unwrap_or(Origin::Jail),
            evidence: Evidence {
                weight: self.weight,
                first: (self.first != Timestamp::MIN).then_some(self.first),
                rules: self.counts().filter_map(named).collect(),
                nodes: self
                    .nodes()
                    .iter()
                    .filter_map(|n| names.nodes().get(usize::from(*n)).cloned())
                    .collect(),
                reason: self.reason().map(Into::into),
            },
        }
    }

    /// Takes in what another record says about bans of the same subject; whether the end moved.
    ///
    /// A ban that began after this one had ended takes its place, one that had ended before this one began is
    /// history already. Bans that overlap in time become one: the higher n (of equals the later beginning), and the
    /// later end. So the end never moves towards the present, whatever arrives in which order.
    pub(super) fn merge(&mut self, other: Self) -> bool {
        if other.since > self.end {
            *self = other;
            return true;
        }
        if other.end < self.since {
            return false;
        }
        let later = other.end > self.end;
        let end = self.end.max(other.end);
        if (other.n, other.since) > (self.n, self.since) {
            // The element in the kernel is the same, so its acknowledgement stays.
            *self = Self {
                acked: self.acked,
                reported: self.reported && other.n == self.n,
                over: self.over,
                ..other
            };
        }
        self.end = end;
        later
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.more.as_ref().map_or(0, |more| {
            size_of::<More>()
                + more.reason.as_ref().map_or(0, |r| r.len())
                + more.rules.capacity() * size_of::<(u16, u32)>()
                + more.nodes.capacity() * size_of::<u16>()
        })
    }
}

/// Rules, other nodes and a reason in the form of a row.
pub(super) fn pack(
    counts: Vec<(u16, u32)>,
    nodes: Vec<u16>,
    reason: Option<&str>,
) -> ([(u16, u16); 2], Option<Box<More>>) {
    let mut few = [(NO_RULE, 0); 2];
    let fits = counts.len() <= few.len() && counts.iter().all(|(_, times)| *times <= u32::from(u16::MAX));
    let mut more = More { reason: reason.map(Into::into), rules: Vec::new(), nodes };
    if fits {
        for (place, (rule, times)) in few.iter_mut().zip(counts) {
            *place = (rule, times as u16);
        }
    } else {
        more.rules = counts;
    }
    (few, (more != More::default()).then(|| Box::new(more)))
}
