//! Rows of integers: the compact form in which windows and bans go into the state file.
//!
//! 100,000 subjects as objects with named fields are 30 MB of JSON and most of a second; as one flat row of integers
//! they are a few megabytes and some ten milliseconds. In memory a row is packed, because it stands there beside what it
//! was made of.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Subject, Timestamp};

/// A row that does not hold what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// The row ends within an entry.
    #[error("the saved row ends within an entry")]
    Short,
    /// An integer is outside the range of what it stands for.
    #[error("the saved row holds {0} where it cannot be")]
    Range(i64),
}

/// IPv6 prefix lengths are written with this added.
const V6: i64 = 1000;

/// A row of integers, those near zero in one byte each. As JSON it is a plain list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WordRow {
    /// Seven bits a byte, lowest first, the eighth says that more follow; the sign is the lowest bit of all.
    packed: Vec<u8>,
}

impl WordRow {
    /// Appends a word.
    pub fn push(&mut self, word: i64) {
        let mut rest = (word << 1 ^ word >> 63).cast_unsigned();
        while rest >= 0x80 {
            self.packed.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.packed.push(rest as u8);
    }

    /// Bytes that the words take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.packed.len()
    }

    /// All words from the beginning.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        let mut words = Words::new(self);
        std::iter::from_fn(move || words.word().ok())
    }
}

impl Extend<i64> for WordRow {
    fn extend<T: IntoIterator<Item = i64>>(&mut self, words: T) {
        words.into_iter().for_each(|word| self.push(word));
    }
}

impl FromIterator<i64> for WordRow {
    fn from_iter<T: IntoIterator<Item = i64>>(words: T) -> Self {
        let mut row = Self::default();
        row.extend(words);
        row
    }
}

impl Serialize for WordRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for WordRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Row;
        impl<'de> Visitor<'de> for Row {
            type Value = WordRow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of integers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<WordRow, A::Error> {
                let mut row = WordRow::default();
                while let Some(word) = words.next_element()? {
                    row.push(word);
                }
                Ok(row)
            }
        }
        deserializer.deserialize_seq(Row)
    }
}

/// Appends a subject: two words for IPv4, three for IPv6.
pub fn put_subject(words: &mut WordRow, subject: Subject) {
    let len = i64::from(subject.prefix_len());
    match subject.addr() {
        IpAddr::V4(a) => words.extend([len, i64::from(a.to_bits())]),
        IpAddr::V6(a) => {
            let bits = a.to_bits();
            words.extend([len + V6, ((bits >> 64) as u64).cast_signed(), (bits as u64).cast_signed()]);
        }
    }
}

/// Reads a row from its beginning.
#[derive(Clone, Debug)]
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// A reader at the beginning of `row`.
    #[must_use]
    pub fn new(row: &'a WordRow) -> Self {
        Self(&row.packed)
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next word.
    ///
    /// # Errors
    /// When the row has ended.
    pub fn word(&mut self) -> Result<i64, WordsError> {
        let mut bits = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(WordsError::Short)?;
            self.0 = rest;
            bits |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }

    /// The next word as an unsigned number of this type.
    ///
    /// # Errors
    /// When the row has ended or the number does not fit.
    pub fn number<T: TryFrom<i64>>(&mut self) -> Result<T, WordsError> {
        let word = self.word()?;
        T::try_from(word).map_err(|_| WordsError::Range(word))
    }

    /// The next word as a point in time.
    ///
    /// # Errors
    /// When the row has ended.
    pub fn time(&mut self) -> Result<Timestamp, WordsError> {
        self.word().map(Timestamp::from_micros)
    }

    /// The next words as a point in time, written relative to `base`.
    ///
    /// # Errors
    /// When the row has ended.
    pub fn time_from(&mut self, base: Timestamp) -> Result<Timestamp, WordsError> {
        self.word().map(|delta| Timestamp::from_micros(base.as_micros().wrapping_add(delta)))
    }

    /// The next words as a subject.
    ///
    /// # Errors
    /// When the row has ended or a number does not fit.
    pub fn subject(&mut self) -> Result<Subject, WordsError> {
        let len = self.word()?;
        let (addr, bits) = if len >= V6 {
            let high = u128::from(self.word()?.cast_unsigned());
            let low = u128::from(self.word()?.cast_unsigned());
            (IpAddr::V6(Ipv6Addr::from_bits(high << 64 | low)), len - V6)
        } else {
            (IpAddr::V4(Ipv4Addr::from_bits(self.number()?)), len)
        };
        u8::try_from(bits)
            .ok()
            .and_then(|bits| IpNet::new(addr, bits).ok())
            .map(Subject::new)
            .ok_or(WordsError::Range(len))
    }
}

/// A count as a word.
#[must_use]
pub fn count(things: usize) -> i64 {
    i64::try_from(things).unwrap_or(i64::MAX)
}

/// `time` relative to `base`, as [`Words::time_from`] reads it.
#[must_use]
pub fn relative(time: Timestamp, base: Timestamp) -> i64 {
    time.as_micros().wrapping_sub(base.as_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(words: &[i64]) -> WordRow {
        words.iter().copied().collect()
    }

    #[test]
    fn every_word_comes_back_and_small_ones_take_a_byte() {
        let words = [0, 1, -1, 63, -64, 64, 1 << 31, 1_795_000_000_000_000, i64::MAX, i64::MIN];
        let packed = row(&words);
        assert_eq!(packed.iter().collect::<Vec<_>>(), words);
        let text = serde_json::to_string(&packed).unwrap();
        assert_eq!(text, serde_json::to_string(&words).unwrap());
        assert_eq!(serde_json::from_str::<WordRow>(&text).unwrap(), packed);
        assert_eq!(row(&words[..5]).packed.len(), 5);
    }

    #[test]
    fn a_subject_comes_back_as_it_was() {
        for text in [
            "203.0.113.7",
            "0.0.0.0/0",
            "255.255.255.255",
            "10.0.0.0/8",
            "::/0",
            "2001:db8:1:2::/64",
            "ffff::1",
        ] {
            let subject: Subject = text.parse().unwrap();
            let mut row = WordRow::default();
            put_subject(&mut row, subject);
            let mut words = Words::new(&row);
            assert_eq!(words.subject(), Ok(subject), "{text}");
            assert!(words.is_done());
        }
    }

    #[test]
    fn a_damaged_row_is_an_error_and_not_a_panic() {
        for words in [
            &[][..],
            &[32],
            &[33, 1],
            &[32, -1],
            &[32, 1 << 32],
            &[1129, 0, 0],
            &[1064, 5],
            &[-1, 0],
            &[i64::MAX, 0, 0],
        ] {
            assert!(Words::new(&row(words)).subject().is_err(), "{words:?}");
        }
    }

    #[test]
    fn relative_times_survive_the_ends_of_time() {
        for (a, b) in [
            (Timestamp::MIN, Timestamp::MAX),
            (Timestamp::MAX, Timestamp::MIN),
            (Timestamp::MIN, Timestamp::MIN),
        ] {
            let row = row(&[relative(a, b)]);
            assert_eq!(Words::new(&row).time_from(b), Ok(a));
        }
    }
}
