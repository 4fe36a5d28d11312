//! What judging a line may tell on its way. Scanning listens to nothing, explaining to everything.

use std::net::IpAddr;

use crate::engine::dates::FoundDate;
use crate::engine::filter::Miss;
use crate::engine::{Event, LayoutSpec, Match, RuleRef, Timestamp};

/// Listens to the judging of one line.
pub(super) trait Report {
    /// Whether rules are tried that cannot match.
    const ALL: bool;

    /// The layout that the line is read with, and its event; `None`: the line is not of the layout, or none is known.
    fn event(&mut self, _layout: Option<&LayoutSpec>, _event: Option<&Event<'_>>) {}

    /// The date found for a filter's regexes, and the text that is left for them.
    fn cut(&mut self, _found: Option<&FoundDate>, _left: &str) {}

    /// What a rule said; with `None` the filter's regexes as a whole.
    fn said(&mut self, _filter: usize, _rule: Option<usize>, _said: Said<'_>) {}
}

/// What a rule said about a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Said<'a> {
    Miss(Miss<'a>),
    /// The rule holds, but a colour code stands in the text it is found by.
    Hidden,
    NoLayout,
    OtherLayout,
    NoPrefix,
    NoRegex,
    Ignored(usize),
    NoFailure,
    Session,
    NotAnAddress(Option<&'a str>, &'a str),
    NeverASubject(IpAddr),
    Repeated(IpAddr),
    Matched(Option<&'a str>, &'a str, Match, Option<Timestamp>),
}

/// Listens to nothing.
pub(super) struct Silent;

impl Report for Silent {
    const ALL: bool = false;
}

/// A rule's place.
pub(super) fn rule_ref(filter: usize, rule: usize) -> RuleRef {
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    RuleRef { filter: short(filter), rule: short(rule) }
}
