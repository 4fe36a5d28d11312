//! Points in time and spans, in microseconds.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Unsigned span of time. Configuration never holds a negative one.
pub use std::time::Duration;

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest representable point; older than every log record.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest representable point.
    pub const MAX: Self = Self(i64::MAX);

    /// A point from microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// A point from whole seconds since the epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Seconds since the epoch, rounded towards the past.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The time from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How far apart two points are, whichever is first.
    #[must_use]
    pub fn distance(self, other: Self) -> Duration {
        Duration::from_micros(self.0.abs_diff(other.0))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }
}

/// By how much a clock was set, in microseconds; to an earlier time, where negative.
///
/// Moments that were taken by the clock before are the same moments by the clock after when this is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shift(i64);

impl Shift {
    /// The clock was not set.
    pub const NONE: Self = Self(0);

    /// A step of so many microseconds.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// How far, whichever way.
    #[must_use]
    pub const fn size(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// What leads from `from` to `to`.
    #[must_use]
    pub const fn between(from: Timestamp, to: Timestamp) -> Self {
        Self(to.0.saturating_sub(from.0))
    }

    /// This one, then the other.
    #[must_use]
    pub const fn then(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The way back.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

/// What never was and never will be stays so.
impl Add<Shift> for Timestamp {
    type Output = Self;
    fn add(self, shift: Shift) -> Self {
        match self {
            Self::MIN | Self::MAX => self,
            Self(micros) => Self(micros.saturating_add(shift.0)),
        }
    }
}

/// RFC 3339 in UTC, with as many fraction digits as the value has.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "@{}us", self.0),
        }
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(t: jiff::Timestamp) -> Self {
        Self(t.as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_an_event_that_is_later_is_zero() {
        let (a, b) = (Timestamp::from_secs(10), Timestamp::from_secs(20));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(b.since(a), Duration::from_secs(10));
        assert_eq!(a.distance(b), b.distance(a));
    }

    #[test]
    fn arithmetic_at_the_edges_saturates() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Duration::MAX, Timestamp::MIN);
    }

    #[test]
    fn a_set_clock_moves_moments_but_not_what_never_was() {
        let (at, back) = (Timestamp::from_secs(100), Shift::from_micros(-5_000_000));
        assert_eq!(at + back, Timestamp::from_secs(95));
        assert_eq!(at + back + back.reversed(), at);
        assert_eq!(Shift::between(at, at + back), back);
        for never in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(never + back, never);
        }
    }

    #[test]
    fn it_prints_as_rfc_3339() {
        assert_eq!(Timestamp::from_micros(1_687_000_310_206_000).to_string(), "2023-06-17T11:11:50.206Z");
    }
}
