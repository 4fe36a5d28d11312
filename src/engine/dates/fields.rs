//! What a date says, and the point in time that follows from it.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::engine::civil::{Civil, days_in_month};
use crate::engine::{ReadClock, Timestamp};

const DAY: i64 = 86_400_000_000;
const MINUTE: i64 = 60_000_000;

/// The parts of a date as read. What is missing is inferred by [`Fields::resolve`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    /// Four digits, or two counted from 2000.
    pub(crate) year: Option<i16>,
    /// 1 to 12.
    pub(crate) month: Option<u8>,
    /// 1 to 31.
    pub(crate) day: Option<u8>,
    /// Day of the year, 1 to 366.
    pub(crate) day_of_year: Option<u16>,
    /// 0 to 23, or 1 to 12 when [`Fields::half`] is there.
    pub(crate) hour: u8,
    /// The half of the day: `false` before noon, `true` after. `None`: the hour counts to 23.
    pub(crate) half: Option<bool>,
    /// 0 to 59.
    pub(crate) minute: u8,
    /// 0 to 61.
    pub(crate) second: u8,
    /// Fraction of the second.
    pub(crate) micros: u32,
    /// Seconds east of UTC; `None`: the reader's zone.
    pub(crate) offset: Option<i32>,
    /// The date was a number of microseconds since the epoch; nothing else counts then.
    pub(crate) epoch: Option<i64>,
}

impl Fields {
    /// The point in time. Without a year: this year, or last year's when that is more than a day ahead. Without a
    /// date: the most recent such time of day. `None` for a day that does not exist.
    pub(crate) fn resolve(&self, clock: ReadClock<'_>) -> Option<Timestamp> {
        if let Some(micros) = self.epoch {
            return Some(Timestamp::from_micros(micros));
        }
        let time = Civil {
            year: 2000,
            month: 1,
            day: 1,
            hour: self.hour24()?,
            minute: self.minute,
            second: self.second.min(60),
            micros: self.micros,
        };
        if self.month.is_none() && self.day.is_none() && self.day_of_year.is_none() {
            let time = time.checked()?;
            return Some(match self.offset {
                None => most_recent(time, clock),
                Some(seconds) => {
                    let zone = TimeZone::fixed(Offset::from_seconds(seconds).ok()?);
                    most_recent(time, ReadClock { zone: &zone, ..clock })
                }
            });
        }
        if let Some(year) = self.year {
            return self.in_year(year, time, clock.zone);
        }
        let now = local_time(clock.now, clock.zone)?;
        match self.in_year(now.year(), time, clock.zone) {
            Some(found) if found.as_micros() <= clock.now.as_micros().saturating_add(DAY) => Some(found),
            // The 29th of February may exist in the year before only.
            _ => self.in_year(now.year() - 1, time, clock.zone),
        }
    }

    fn in_year(&self, year: i16, time: Civil, zone: &TimeZone) -> Option<Timestamp> {
        let (month, day) = match self.day_of_year {
            Some(day) if self.month.is_none() || self.day.is_none() => month_and_day(year, day)?,
            _ => (self.month?, self.day?),
        };
        let civil = Civil { year, month, day, ..time }.checked()?;
        match self.offset {
            Some(seconds) => {
                Some(Timestamp::from_micros(civil.as_utc_micros() - i64::from(seconds) * 1_000_000))
            }
            None => in_zone(civil, zone),
        }
    }

    fn hour24(&self) -> Option<u8> {
        match self.half {
            None => Some(self.hour),
            Some(_) if self.hour > 12 => None,
            Some(afternoon) => Some(self.hour % 12 + if afternoon { 12 } else { 0 }),
        }
    }
}

/// The point in time of a civil date in a zone. In a gap of summer time the later side counts, in a fold the first
/// pass.
pub(crate) fn in_zone(civil: Civil, zone: &TimeZone) -> Option<Timestamp> {
    let utc = civil.as_utc_micros();
    if let Ok(offset) = zone.to_fixed_offset() {
        return Some(Timestamp::from_micros(utc - i64::from(offset.seconds()) * 1_000_000));
    }
    let i = |v: u8| i8::try_from(v).ok();
    // A leap second is the second after it, which is how the epoch counts.
    let second = civil.second.min(59);
    let nanos = i32::try_from(civil.micros).ok()? * 1000;
    let local = DateTime::new(
        civil.year,
        i(civil.month)?,
        i(civil.day)?,
        i(civil.hour)?,
        i(civil.minute)?,
        i(second)?,
        nanos,
    )
    .ok()?;
    let time = zone.to_timestamp(local).ok()?;
    Some(Timestamp::from_micros(time.as_microsecond() + i64::from(civil.second - second) * 1_000_000))
}

/// The most recent moment at which a clock in the zone showed this time of day, at most a minute ahead of now: the
/// writer's clock may run ahead of the reader's, over midnight as well. Only the time of day of `time` counts.
pub(crate) fn most_recent(time: Civil, clock: ReadClock<'_>) -> Timestamp {
    let now = clock.now.as_micros();
    let Ok(instant) = jiff::Timestamp::from_microsecond(now) else {
        return clock.now;
    };
    let offset = clock.zone.to_offset(instant);
    let shift = i64::from(offset.seconds()) * 1_000_000;
    let local_now = now.saturating_add(shift);
    let time_of_day = time.as_utc_micros().rem_euclid(DAY);
    let mut local = local_now.div_euclid(DAY).saturating_mul(DAY).saturating_add(time_of_day);
    if local > local_now.saturating_add(MINUTE) {
        local = local.saturating_sub(DAY);
    } else if local.saturating_add(DAY) <= local_now.saturating_add(MINUTE) {
        local = local.saturating_add(DAY);
    }
    let found = local.saturating_sub(shift);
    // The clocks may have been changed since.
    match jiff::Timestamp::from_microsecond(found) {
        Ok(instant) => {
            let then = i64::from(clock.zone.to_offset(instant).seconds()) * 1_000_000;
            Timestamp::from_micros(local.saturating_sub(then))
        }
        Err(_) => clock.now,
    }
}

fn local_time(time: Timestamp, zone: &TimeZone) -> Option<DateTime> {
    let instant = jiff::Timestamp::from_microsecond(time.as_micros()).ok()?;
    Some(zone.to_datetime(instant))
}

fn month_and_day(year: i16, day_of_year: u16) -> Option<(u8, u8)> {
    let mut left = day_of_year;
    for month in 1..=12 {
        let days = u16::from(days_in_month(year, month));
        if left <= days {
            return (left > 0).then(|| u8::try_from(left).ok().map(|day| (month, day))).flatten();
        }
        left -= days;
    }
    None
}
