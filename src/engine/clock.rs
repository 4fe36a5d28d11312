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
    /// When the last of the lines can have been written at the latest, by what is known of their source: for those of
    /// a file that was not read as it grew the file's last write, else [`Self::now`].
    pub newest: Timestamp,
    /// The zone of dates that name none.
    pub zone: &'a TimeZone,
}
