//! Conditions: what is said now, joined with what was said before.

use jiff::Timestamp;

use crate::api::v1alpha1::Condition;

/// What a condition's message may have, in bytes; the schema counts characters.
pub(super) const LONGEST: usize = 4096;
/// Conditions of one object, by its schema.
const MOST: usize = 16;

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    /// Not known yet.
    Unknown,
}

impl Holds {
    fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "True",
            Self::No => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// A condition as it is now, without its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) about: String,
    pub(super) holds: Holds,
    /// One word.
    pub(super) reason: String,
    pub(super) message: String,
}

impl Said {
    pub(super) fn new(about: &str, holds: Holds, reason: &str, message: impl Into<String>) -> Self {
        Self { about: about.into(), holds, reason: reason.into(), message: message.into() }
    }
}

/// The conditions to write: `Accepted` and `Ready` first, the others by name. The moment of the last transition is kept
/// from `before` where the status is the same.
pub(super) fn settle(
    said: Vec<Said>,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let mut said = said;
    said.sort_by_key(|said| (said.about != "Accepted", said.about != "Ready", said.about.clone()));
    said.dedup_by(|later, earlier| later.about == earlier.about);
    said.truncate(MOST);
    let known =
        |said: &Said| before.iter().find(|c| c.type_ == said.about && c.status == said.holds.as_str());
    said.into_iter()
        .map(|said| Condition {
            last_transition_time: match known(&said) {
                Some(same) => same.last_transition_time.clone(),
                None => format!("{now:.0}"),
            },
            type_: said.about,
            status: said.holds.as_str().into(),
            reason: said.reason,
            message: shortened(said.message, LONGEST),
            observed_generation: generation,
        })
        .collect()
}

/// The text, cut at a character so that it has at most `most` bytes.
pub(super) fn shortened(mut text: String, most: usize) -> String {
    const CUT: &str = " …";
    if text.len() <= most {
        return text;
    }
    let mut end = most - CUT.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(CUT);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn said(about: &str, holds: Holds) -> Said {
        Said::new(about, holds, "Because", "so it is")
    }

    #[test]
    fn the_moment_of_transition_moves_only_when_the_status_flips() {
        let first = settle(vec![said("Ready", Holds::No)], &[], Some(1), at(0));
        assert_eq!(first[0].last_transition_time, "1970-01-01T00:00:00Z");
        let other_words = Said { message: "otherwise".into(), ..said("Ready", Holds::No) };
        let second = settle(vec![other_words], &first, Some(2), at(100));
        assert_eq!(second[0].last_transition_time, "1970-01-01T00:00:00Z");
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("otherwise", Some(2)));
        let third = settle(vec![said("Ready", Holds::Yes)], &second, Some(2), at(200));
        assert_eq!(third[0].last_transition_time, "1970-01-01T00:03:20Z");
    }

    #[test]
    fn what_is_said_again_is_equal_to_what_stands_there() {
        let first =
            settle(vec![said("Ready", Holds::Yes), said("Accepted", Holds::Yes)], &[], Some(1), at(0));
        let again =
            settle(vec![said("Accepted", Holds::Yes), said("Ready", Holds::Yes)], &first, Some(1), at(9));
        assert_eq!(first, again);
        assert_eq!(first[0].type_, "Accepted");
    }

    #[test]
    fn a_special_condition_that_holds_no_longer_is_not_said_any_more() {
        let before =
            settle(vec![said("Accepted", Holds::Yes), said("Braking", Holds::Yes)], &[], None, at(0));
        let after = settle(vec![said("Accepted", Holds::Yes)], &before, None, at(1));
        assert_eq!(after.len(), 1);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let text = shortened("ä".repeat(5000), LONGEST);
        assert!(text.len() <= LONGEST && text.ends_with("ä …"), "{}", text.len());
        assert_eq!(shortened("short".into(), LONGEST), "short");
    }
}
