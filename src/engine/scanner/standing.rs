//! How far the JSON of a source is believed against a line of text.
//!
//! JSON has no line breaks in it, so a line of text that shows a layout was written by the program itself: either the
//! JSON before it was forged in a log of text, or something in a JSON log printed by itself. Whoever forges must come
//! before the program's first lines, for the first layout shown is believed. Then any line of text ends it. Only JSON
//! that went on without one is the program's own: what he forges comes behind lines of text that carry it. Should he
//! earn it all the same, with many lines in one text, he has it until so many genuine lines came within an hour,
//! whatever JSON he puts between them.

use serde::{Deserialize, Serialize};

use super::judge::Hearing;
use super::report::Report;
use super::settle::is_json;
use crate::engine::dates::judge;
use crate::engine::layout::{Layout, detect};
use crate::engine::{Duration, Event, Timestamp};

/// Lines of JSON, and no text between them, that earn it.
const EARNED: u8 = 20;
/// More lines of text within [`SPAN`] are a log of text.
const MOST_TEXT: usize = 20;
const SPAN: Duration = Duration::from_secs(60 * 60);

/// What the JSON of one source has earned since the source was taken to be JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Standing {
    /// Lines of JSON, up to [`EARNED`].
    json: u8,
    /// When lines of text came since then, up to [`MOST_TEXT`].
    text: Vec<Timestamp>,
}

impl Standing {
    /// An event in JSON.
    pub(super) fn json(&mut self) {
        self.json = self.json.saturating_add(1).min(EARNED);
    }

    /// So many lines of JSON came, and no text between them, that it is earned.
    pub(super) fn earn(&mut self) {
        self.json = EARNED;
    }

    /// Whether lines of text stand for themselves alone.
    pub(super) fn is_earned(&self) -> bool {
        self.json >= EARNED
    }

    /// A line of text that shows a layout, and its time. False: the source is a log of text.
    pub(super) fn outlives_text(&mut self, time: Timestamp) -> bool {
        self.text.retain(|earlier| time.since(*earlier) <= SPAN);
        if !self.is_earned() || self.text.len() >= MOST_TEXT {
            return false;
        }
        self.text.push(time);
        true
    }

    /// Nothing is known against or for it.
    pub(super) fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

/// What is made of a line of a source whose layout was found out.
pub(super) struct Believed<'t> {
    /// The source's layout from now on.
    pub(super) layout: Box<Layout>,
    /// The layout of this line alone, if it is another one.
    pub(super) alone: Option<Box<Layout>>,
    pub(super) event: Option<Event<'t>>,
}

impl<'l, R: Report> Hearing<'_, 'l, R> {
    /// What to make of this line, and with which layout to go on after it. Text in a source of JSON may show that it is
    /// none, see [`Standing`]. The other way round one line shows nothing.
    pub(super) fn believed(&mut self, known: Box<Layout>) -> Believed<'l> {
        let (text, clock) = (self.line.text, self.clock);
        let event = known.event(text, clock);
        if !is_json(known.spec()) {
            return Believed { layout: known, alone: None, event };
        }
        // Explaining looks at lines that scanning passes over; they change nothing.
        let counts = !R::ALL || self.is_about_rules(false);
        if event.is_some() {
            if counts {
                self.state.standing.json();
            }
            return Believed { layout: known, alone: None, event };
        }
        let shown = detect(text).filter(|spec| !is_json(spec)).and_then(|spec| Layout::new(&spec).ok());
        let shown = shown.and_then(|layout| layout.event(text, clock).map(|event| (layout, event)));
        let Some((layout, event)) = shown else {
            return Believed { layout: known, alone: None, event: None };
        };
        let time = self.line.time.unwrap_or_else(|| judge(event.time, clock));
        let event = Some(event);
        if !counts || self.state.standing.outlives_text(time) {
            return Believed { layout: known, alone: Some(Box::new(layout)), event };
        }
        self.state.templates = false;
        self.state.standing = Standing::default();
        Believed { layout: Box::new(layout), alone: None, event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn earned() -> Standing {
        let mut standing = Standing::default();
        (0..EARNED).for_each(|_| standing.json());
        standing
    }

    #[test]
    fn json_is_earned_with_its_twentieth_line() {
        let mut standing = Standing::default();
        for _ in 0..EARNED - 1 {
            standing.json();
            assert!(!standing.clone().outlives_text(Timestamp::from_secs(0)));
        }
        standing.json();
        assert!(standing.outlives_text(Timestamp::from_secs(0)));
    }

    #[test]
    fn more_than_twenty_lines_of_text_in_an_hour_are_too_many_whatever_json_is_between() {
        let mut standing = earned();
        for n in 0..20 {
            assert!(standing.outlives_text(Timestamp::from_secs(n * 180)), "{n}");
            (0..100).for_each(|_| standing.json());
        }
        assert!(!standing.clone().outlives_text(Timestamp::from_secs(3600)));
        assert!(standing.outlives_text(Timestamp::from_secs(3601)), "the first is over an hour ago");
    }

    #[test]
    fn lines_of_text_that_come_late_count_too() {
        let mut standing = earned();
        assert!((0..20).all(|_| standing.outlives_text(Timestamp::from_secs(9999))));
        assert!(!standing.outlives_text(Timestamp::from_secs(0)));
    }
}
