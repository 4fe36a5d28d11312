//! Calendar arithmetic: a date and time of day as printed, before any zone is applied.

/// A date and time of day of the proleptic Gregorian calendar, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Civil {
    /// 0 to 9999.
    pub(crate) year: i16,
    /// 1 to 12.
    pub(crate) month: u8,
    /// 1 to the last day of the month.
    pub(crate) day: u8,
    /// 0 to 23.
    pub(crate) hour: u8,
    /// 0 to 59.
    pub(crate) minute: u8,
    /// 0 to 59, or 60 in a leap second.
    pub(crate) second: u8,
    /// 0 to 999,999.
    pub(crate) micros: u32,
}

impl Civil {
    /// `YYYY-MM-DD?HH:MM:SS` with any byte in place of `?`. `None` when a separator, a digit or a range is wrong.
    pub(crate) fn from_iso(text: &[u8; 19]) -> Option<Self> {
        let [y1, y2, y3, y4, b'-', o1, o2, b'-', d1, d2, _, h1, h2, b':', m1, m2, b':', s1, s2] = *text
        else {
            return None;
        };
        let century = pair(y1, y2)?;
        Self {
            year: i16::from(century) * 100 + i16::from(pair(y3, y4)?),
            month: pair(o1, o2)?,
            day: pair(d1, d2)?,
            hour: pair(h1, h2)?,
            minute: pair(m1, m2)?,
            second: pair(s1, s2)?,
            micros: 0,
        }
        .checked()
    }

    /// The value when every field is within its range.
    pub(crate) fn checked(self) -> Option<Self> {
        let date = (0..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day);
        let time = self.hour < 24 && self.minute < 60 && self.second <= 60 && self.micros < 1_000_000;
        (date && time).then_some(self)
    }

    /// Microseconds since the epoch if the fields were UTC. Total: nothing here can overflow.
    pub(crate) fn as_utc_micros(self) -> i64 {
        let seconds = days_from_civil(self.year, self.month, self.day) * 86_400
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second);
        seconds * 1_000_000 + i64::from(self.micros)
    }
}

/// Two ASCII digits as a number.
#[inline]
pub(crate) fn pair(tens: u8, ones: u8) -> Option<u8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| tens * 10 + ones)
}

/// The digits at the start of `text` as a fraction of a second, in microseconds, and how many digits there were.
/// Digits beyond the sixth are cut off.
#[inline]
pub(crate) fn fraction(text: &[u8]) -> (u32, usize) {
    let mut micros = 0;
    let mut scale = 100_000;
    let mut digits = 0;
    for byte in text {
        if !byte.is_ascii_digit() {
            break;
        }
        micros += u32::from(byte - b'0') * scale;
        scale /= 10;
        digits += 1;
    }
    (micros, digits)
}

/// Days of a month; `month` is 1 to 12.
pub(crate) fn days_in_month(year: i16, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the date. Counts in eras of 400 years that begin in March, so that the leap day is last.
fn days_from_civil(year: i16, month: u8, day: u8) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let months_since_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * months_since_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_counts_days_as_the_calendar_does(day in -700_000i64..2_900_000) {
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(day)).unwrap();
            prop_assume!(date.year() >= 0);
            let month = u8::try_from(date.month()).unwrap();
            let of_month = u8::try_from(date.day()).unwrap();
            prop_assert_eq!(days_from_civil(date.year(), month, of_month), day);
            prop_assert!(days_in_month(date.year(), month) == u8::try_from(date.days_in_month()).unwrap());
        }
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in [
            b"2023-02-29 00:00:00",
            b"2023-13-01 00:00:00",
            b"2023-00-01 00:00:00",
            b"2023-04-31 00:00:00",
            b"2023-04-30 24:00:00",
            b"2023-04-30 23:60:00",
            b"2023-04-30 23:59:61",
            b"2023/04/30 23:59:59",
            b"2O23-04-30 23:59:59",
        ] {
            assert_eq!(Civil::from_iso(text), None, "{}", String::from_utf8_lossy(text));
        }
        assert!(Civil::from_iso(b"2024-02-29T23:59:60").is_some());
    }

    #[test]
    fn a_fraction_beyond_microseconds_is_cut_off() {
        assert_eq!(fraction(b"815123456Z"), (815_123, 9));
        assert_eq!(fraction(b"5"), (500_000, 1));
        assert_eq!(fraction(b"x"), (0, 0));
    }
}
