//! How much kernel memory rate limits may take when a flood fills their sets (see `firewall::limits`).

use super::RateLimitConfig;
use super::node::Position;
use super::origin::{Notes, Origin};
use super::{ObjectName, Problem, Severity};

/// Kernel memory of one remembered source, about, in bytes.
const ELEMENT: u64 = 100;
/// What may take more is worth a warning.
const MUCH: u64 = 1 << 30;
/// Up to so many hits each has a set of its own.
const MOST_SLOTS: u32 = 16;
const FIELD: &str = "spec.maxSources";

/// Bytes when all sets of a limit are full.
fn most(limit: &RateLimitConfig) -> u64 {
    let sources = u64::from(limit.max_sources);
    let counting = if limit.hits <= MOST_SLOTS { u64::from(limit.hits.saturating_sub(1)) } else { 1 };
    // Who is over it; and of completed connections two sets of twice as many.
    let offenders = sources.min(65_536);
    let proofs = if limit.escalate_to.is_some() { 4 * sources } else { 0 };
    2 * (counting * sources + offenders + proofs) * ELEMENT
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// Warns of a limit that alone may take much.
pub(super) fn warn(limit: &RateLimitConfig, notes: &mut Notes<'_>) {
    let bytes = most(limit);
    if bytes <= MUCH {
        return;
    }
    let (hits, sources) = (limit.hits, limit.max_sources);
    let message = format!(
        "a flood from many senders could make it take {} of kernel memory (`hits: {hits}`, `maxSources: {sources}`)",
        gigabytes(bytes)
    );
    let fix = if hits <= MOST_SLOTS {
        "write a smaller `maxSources`, or `hits` above 16, which needs one set in place of many"
    } else if limit.escalate_to.is_some() {
        "write a smaller `maxSources`, or remove `escalateTo`, which remembers completed connections too"
    } else {
        "write a smaller `maxSources`"
    };
    notes.warning(FIELD, message, fix);
}

/// Where a limit is declared.
pub(super) struct Declared {
    name: ObjectName,
    origin: Origin,
    at: Position,
}

impl Declared {
    /// The place of what a warning would be about.
    pub(super) fn new(name: &ObjectName, notes: &Notes<'_>, origin: &Origin) -> Self {
        Self { name: name.clone(), origin: origin.clone(), at: notes.place(FIELD) }
    }
}

/// The warning that all limits in force together may take much, and the object it belongs to: the one that may take
/// most of those that have no warning of their own; without these nothing is said twice.
pub(super) fn together<'a>(
    limits: impl Iterator<Item = (&'a ObjectName, &'a RateLimitConfig)>,
    declared: &[Declared],
) -> Option<Problem> {
    let each: Vec<(&ObjectName, u64)> = limits.map(|(name, limit)| (name, most(limit))).collect();
    let sum: u64 = each.iter().map(|(_, bytes)| bytes).sum();
    let is_warned_of = |bytes: u64| bytes > MUCH;
    let others = each.iter().filter(|(_, bytes)| !is_warned_of(*bytes));
    let (count, rest) =
        others.clone().fold((0, 0_u64), |(count, rest), (_, bytes)| (count + 1, rest + bytes));
    if count < 2 || rest <= MUCH {
        return None;
    }
    let largest = others.filter_map(|(name, bytes)| {
        let place = declared.iter().find(|declared| declared.name == **name)?;
        Some((bytes, place))
    });
    // Of equal ones the first.
    let (bytes, place) = largest.rev().max_by_key(|(bytes, _)| **bytes)?;
    let message = format!(
        "floods from many senders could make all {} rate limits together take {} of kernel memory, this one {}",
        each.len(),
        gigabytes(sum),
        gigabytes(*bytes)
    );
    let fix = "write a smaller `maxSources` here and in other limits";
    let mut problem = place.origin.problem(Severity::Warning, place.at, &message, fix);
    problem.object = Some(place.name.clone());
    problem.field = FIELD.into();
    Some(problem)
}
