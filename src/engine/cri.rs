//! The envelope container runtimes put around every line: `2026-08-22T06:44:35.815123456Z stdout F content`.
//!
//! Runtime and kubelet write it, so its fields are trustworthy; the content may be anybody's. Parts of a long line
//! are marked `P`, the last one `F`; joining them is the scanner's work.

use super::Timestamp;
use super::civil::{Civil, fraction, pair};

/// One physical line of a container's log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CriRecord<'a> {
    /// When the runtime read the line, cut to microseconds.
    pub time: Timestamp,
    /// Where the container wrote it.
    pub stream: Stream,
    /// Whether the line goes on in the stream's next record.
    pub partial: bool,
    /// What the container wrote, without the newline.
    pub content: &'a [u8],
}

/// The container's output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// `stdout`.
    Stdout,
    /// `stderr`.
    Stderr,
}

/// Takes the envelope off. `line` is without its newline; `None` when it is not an envelope.
#[must_use]
pub fn parse(line: &[u8]) -> Option<CriRecord<'_>> {
    let (time, rest) = rfc3339(line)?;
    let (stream, rest) = match rest {
        [b' ', b's', b't', b'd', b'o', b'u', b't', b' ', rest @ ..] => (Stream::Stdout, rest),
        [b' ', b's', b't', b'd', b'e', b'r', b'r', b' ', rest @ ..] => (Stream::Stderr, rest),
        _ => return None,
    };
    // The runtime interface allows further tags after a colon; no runtime writes any today.
    let (partial, content) = match rest {
        [b'F', b' ', content @ ..] => (false, content),
        [b'P', b' ', content @ ..] => (true, content),
        [tag @ (b'F' | b'P'), b':', more @ ..] => {
            let end = more.iter().position(|&b| b == b' ')?;
            (*tag == b'P', more.get(end + 1..)?)
        }
        _ => return None,
    };
    Some(CriRecord { time, stream, partial, content })
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction](Z|±HH:MM)` and what follows it.
fn rfc3339(line: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (head, mut rest) = line.split_first_chunk::<19>()?;
    if head[10] != b'T' {
        return None;
    }
    let mut civil = Civil::from_iso(head)?;
    if let [b'.', digits @ ..] = rest {
        let (micros, count) = fraction(digits);
        if count == 0 {
            return None;
        }
        civil.micros = micros;
        rest = digits.get(count..)?;
    }
    let (offset, rest) = match rest {
        [b'Z', rest @ ..] => (0, rest),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, rest @ ..] => {
            let (hours, minutes) = (pair(*h1, *h2)?, pair(*m1, *m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours) * 3600 + i64::from(minutes) * 60;
            (if *sign == b'-' { -seconds } else { seconds }, rest)
        }
        _ => return None,
    };
    Some((Timestamp::from_micros(civil.as_utc_micros() - offset * 1_000_000), rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(line: &str) -> Option<(String, Stream, bool, &str)> {
        let r = parse(line.as_bytes())?;
        Some((r.time.to_string(), r.stream, r.partial, std::str::from_utf8(r.content).unwrap()))
    }

    #[test]
    fn nanoseconds_are_cut_to_microseconds() {
        assert_eq!(
            parsed("2026-08-22T06:44:35.815123999Z stdout F 06:44:35.815 [INFO ] o.a.j - x"),
            Some((
                "2026-08-22T06:44:35.815123Z".into(),
                Stream::Stdout,
                false,
                "06:44:35.815 [INFO ] o.a.j - x"
            ))
        );
    }

    #[test]
    fn an_offset_is_taken_off_the_time() {
        for line in [
            "2026-08-22T06:44:35+02:00 stderr P x",
            "2026-08-21T23:14:35.0-05:30 stderr P x",
            "2026-08-22T04:44:35.000000000Z stderr P x",
        ] {
            let (time, stream, partial, content) = parsed(line).unwrap();
            assert_eq!(
                (time.as_str(), stream, partial, content),
                ("2026-08-22T04:44:35Z", Stream::Stderr, true, "x")
            );
        }
    }

    #[test]
    fn an_empty_line_has_empty_content_and_blanks_of_the_content_stay() {
        assert_eq!(parse(b"2026-08-22T06:44:35Z stdout F ").unwrap().content, b"");
        assert_eq!(parse(b"2026-08-22T06:44:35Z stdout F   x ").unwrap().content, b"  x ");
        assert_eq!(parse(b"2026-08-22T06:44:35Z stdout P:later:tags x").unwrap().content, b"x");
    }

    #[test]
    fn anything_but_the_exact_envelope_is_refused() {
        for line in [
            "",
            "x",
            "2026-08-22T06:44:35Z stdout F",
            "2026-08-22T06:44:35Z stdout X y",
            "2026-08-22T06:44:35Z stdin F y",
            "2026-08-22T06:44:35Z  stdout F y",
            "2026-08-22 06:44:35Z stdout F y",
            "2026-08-22T06:44:35 stdout F y",
            "2026-08-22T06:44:35.Z stdout F y",
            "2026-08-22T06:44:35+0200 stdout F y",
            "2026-08-22T06:44:35+24:00 stdout F y",
            "2026-02-30T06:44:35Z stdout F y",
            " 2026-08-22T06:44:35Z stdout F y",
            "2026-08-22T06:44:35Z stdout F:y",
        ] {
            assert_eq!(parsed(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&line);
        }

        #[test]
        fn no_damage_to_an_envelope_makes_it_panic(
            at in 0usize..60, byte: u8, cut in 0usize..60,
        ) {
            let mut line = b"2026-08-22T06:44:35.815123456+02:00 stdout P:x content".to_vec();
            if let Some(b) = line.get_mut(at) { *b = byte; }
            line.truncate(cut);
            let _ = parse(&line);
        }

        #[test]
        fn what_a_runtime_writes_comes_back(
            micros in -2_000_000_000_000_000i64..250_000_000_000_000_000,
            stderr: bool, partial: bool, content in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let time = Timestamp::from_micros(micros);
            let mut line = format!(
                "{time} {} {} ", if stderr { "stderr" } else { "stdout" }, if partial { "P" } else { "F" }
            ).into_bytes();
            line.extend_from_slice(&content);
            let stream = if stderr { Stream::Stderr } else { Stream::Stdout };
            prop_assert_eq!(parse(&line), Some(CriRecord { time, stream, partial, content: &content }));
        }
    }
}
