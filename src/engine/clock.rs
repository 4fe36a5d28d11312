//! The reader's circumstances, as an argument.

use jiff::tz::TimeZone;

use super::Timestamp;

/// When and how a block was read. The engine asks no clock of its own.
#[derive(Clone, Copy, Debug)]
pub struct ReadClock<'a> {
    /// The moment of reading.
    pub now: Timestamp,
    /// Whether the lines were appended while the reader stood at the end of the file. Only then does a date more
    /// than 60 s off count as now (DESIGN §5, Time).
    pub live: bool,
    /// The zone of dates that name none.
    pub zone: &'a TimeZone,
}
