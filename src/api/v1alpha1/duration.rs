//! Spans of time as Go and Kubernetes write them: `10m`, `1h30m`, `1.5h`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time in Go's notation, microseconds at the finest, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(pub Duration);

/// How long a ban lasts: a span of time, or the word `Permanent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanTime {
    /// This long.
    For(GoDuration),
    /// Until somebody lifts it.
    Permanent,
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {fix}")]
pub struct DurationError {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub fix: String,
}

impl GoDuration {
    /// The pattern in the schema; also what names this form to [`super::explain`].
    pub const PATTERN: &'static str = r"^([0-9]+(\.[0-9]+)?(h|m|s|ms|us))+$";

    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }
}

impl BanTime {
    /// The pattern in the schema; also what names this form to [`super::explain`].
    pub const PATTERN: &'static str = r"^(Permanent|([0-9]+(\.[0-9]+)?(h|m|s|ms|us))+)$";
}

fn error(message: String, fix: impl Into<String>) -> DurationError {
    DurationError { message, fix: fix.into() }
}

/// Microseconds of the units Go knows (nanoseconds have no use here).
fn unit_micros(unit: &str) -> Option<f64> {
    Some(match unit {
        "h" => 3_600_000_000.0,
        "m" => 60_000_000.0,
        "s" => 1_000_000.0,
        "ms" => 1_000.0,
        "us" | "µs" => 1.0,
        _ => return None,
    })
}

/// What a person probably meant who wrote this unit: hours, minutes or seconds.
fn meant(number: f64, unit: &str) -> Option<String> {
    let lower = unit.to_ascii_lowercase();
    let (factor, go) = match lower.as_str() {
        "d" | "day" | "days" => (24.0, "h"),
        "w" | "wk" | "week" | "weeks" => (168.0, "h"),
        "mo" | "mon" | "month" | "months" => (730.0, "h"),
        "y" | "yr" | "year" | "years" => (8760.0, "h"),
        "h" | "hr" | "hrs" | "hour" | "hours" => (1.0, "h"),
        "m" | "min" | "mins" | "minute" | "minutes" => (1.0, "m"),
        "s" | "sec" | "secs" | "second" | "seconds" => (1.0, "s"),
        _ => return None,
    };
    Some(format!("{}{go}", number * factor))
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        const FIX: &str = "write a number and a unit, such as `30s`, `10m`, `2h` or `1h30m`";
        if text.len() > 32 {
            return Err(error("a duration has at most 32 characters".into(), FIX));
        }
        if text.trim().is_empty() {
            return Err(error("the duration is empty".into(), FIX));
        }
        if text.starts_with('-') {
            return Err(error(format!("`{text}` is negative"), FIX));
        }
        let mut micros = 0.0_f64;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let Ok(value) = number.parse::<f64>() else {
                return Err(error(format!("`{text}` is not a duration"), FIX));
            };
            let length = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
            let (unit, next) = after.split_at(length);
            let Some(factor) = unit_micros(unit) else {
                return Err(match meant(value, unit.trim()) {
                    Some(go) if number == text.trim_end_matches(unit) => {
                        error(format!("`{text}` is not a Go duration"), format!("write `{go}`"))
                    }
                    _ if unit.is_empty() => {
                        let minutes = value / 60.0;
                        let or = if minutes >= 1.0 && minutes.fract() == 0.0 {
                            format!(" or `{minutes}m`")
                        } else {
                            String::new()
                        };
                        error(format!("`{text}` has no unit"), format!("for seconds write `{text}s`{or}"))
                    }
                    _ => error(format!("`{text}` has the unknown unit `{}`", unit.trim()), FIX),
                });
            };
            micros += value * factor;
            rest = next;
        }
        // Ten years: keeps the arithmetic on timestamps far from its edges.
        if micros > 87_600.0 * 3_600e6 {
            return Err(error(format!("`{text}` is too long"), "write at most `87600h` (ten years)"));
        }
        Ok(Self(Duration::from_micros(micros.round() as u64)))
    }
}

impl FromStr for BanTime {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        if text == "Permanent" {
            return Ok(Self::Permanent);
        }
        let forever = ["permanent", "forever", "infinite", "never", "-1", "perm", "always"];
        if forever.contains(&text.to_ascii_lowercase().as_str()) {
            return Err(error(
                format!("`{text}` is not a ban time"),
                "write `Permanent` for a ban without end, or a duration such as `2h`",
            ));
        }
        text.parse().map(Self::For)
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, micros) = (self.0.as_secs(), self.0.subsec_micros());
        let (h, m, s) = (secs / 3600, secs / 60 % 60, secs % 60);
        if h > 0 {
            write!(f, "{h}h")?;
        }
        if m > 0 {
            write!(f, "{m}m")?;
        }
        if micros > 0 {
            write!(f, "{}s", f64::from(u32::try_from(s).unwrap_or(0)) + f64::from(micros) / 1e6)
        } else if s > 0 || (h == 0 && m == 0) {
            write!(f, "{s}s")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for BanTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(span) => span.fmt(f),
            Self::Permanent => f.write_str("Permanent"),
        }
    }
}

macro_rules! as_text {
    ($type:ident, $about:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                <Cow<'de, str>>::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "description": $about,
                    "minLength": 1,
                    "maxLength": 32,
                    "pattern": $type::PATTERN,
                })
            }
        }
    };
}
as_text!(GoDuration, "A span of time in Go's notation: `30s`, `10m`, `1h30m`.");
as_text!(BanTime, "A span of time in Go's notation (`2h`), or the word `Permanent`.");

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(text: &str) -> f64 {
        text.parse::<GoDuration>().unwrap().0.as_secs_f64()
    }

    #[test]
    fn it_reads_what_go_writes() {
        assert_eq!(secs("10m"), 600.0);
        assert_eq!(secs("1h30m"), 5400.0);
        assert_eq!(secs("1.5h"), 5400.0);
        assert_eq!(secs("2h0m0s"), 7200.0);
        assert_eq!(secs("250ms"), 0.25);
    }

    #[test]
    fn what_go_does_not_know_is_refused_with_what_to_write() {
        let fix = |text: &str| text.parse::<GoDuration>().unwrap_err().fix;
        assert_eq!(fix("1d"), "write `24h`");
        assert_eq!(fix("2w"), "write `336h`");
        assert_eq!(fix("10min"), "write `10m`");
        assert_eq!(fix("2 hours"), "write `2h`");
        assert_eq!(fix("600"), "for seconds write `600s` or `10m`");
        assert!(fix("soon").contains("`1h30m`"));
        assert!(fix("-5m").contains("`10m`"));
        assert!(fix("99999999999h").contains("at most"));
    }

    #[test]
    fn only_the_word_permanent_is_permanent() {
        assert_eq!("Permanent".parse(), Ok(BanTime::Permanent));
        for text in ["permanent", "-1", "forever"] {
            assert!(text.parse::<BanTime>().unwrap_err().fix.contains("`Permanent`"), "{text}");
        }
    }

    #[test]
    fn it_prints_what_it_reads() {
        for text in ["10m", "1h30m", "2h", "45s", "0s", "1.5s", "168h"] {
            assert_eq!(text.parse::<GoDuration>().unwrap().to_string(), text);
        }
    }
}
