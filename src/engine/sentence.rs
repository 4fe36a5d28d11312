//! How long a ban lasts and the how many-th it is.
//!
//! `banTime * factor^(n-1)`, capped, plus jitter. Every node and every version computes the same: the power is made
//! of IEEE 754 multiplications only, and the jitter is FNV-1a (64 bit, finished with MurmurHash3's `fmix64`) over
//! the jail's name, a zero byte, the family (4 or 6), the network address' octets, the prefix length and `n` as four
//! bytes, most significant first.

use std::net::IpAddr;

use super::{Duration, JailName, SentenceSpec, Subject, Term, Timestamp};

/// The end of a running ban moves only in steps of at least this much: an attacker who sends a hundred attempts a
/// second causes one renewal a second.
pub const STEP: Duration = Duration::from_secs(1);

/// The length of the `n`-th ban; `None` is permanent. The cap bounds growth: it never makes a ban shorter than the
/// declared `banTime` itself.
#[must_use]
pub fn length(spec: &SentenceSpec, jail: &JailName, subject: Subject, n: u32) -> Option<Duration> {
    let base = micros(spec.ban_time?);
    let cap = micros(spec.max_ban_time).max(base);
    let grown = base as f64 * power(spec.factor, n.saturating_sub(1));
    // A cast from float saturates and turns NaN (nothing times infinity) into zero.
    let capped = if grown >= cap as f64 { cap } else { grown as u64 };
    Some(Duration::from_micros(capped.saturating_add(jitter(spec.jitter, jail, subject, n))))
}

/// The end of the `n`-th ban after a failure at `from`; `None` is permanent.
#[must_use]
pub fn end(
    spec: &SentenceSpec,
    jail: &JailName,
    subject: Subject,
    n: u32,
    from: Timestamp,
) -> Option<Timestamp> {
    length(spec, jail, subject, n).map(|length| from + length)
}

/// The how many-th ban one is that falls at `deciding`, after the ban `last`: the count starts anew when more than
/// `forgetAfter` lies between.
#[must_use]
pub fn next_n(spec: &SentenceSpec, last: Option<Term>, deciding: Timestamp) -> u32 {
    match last {
        Some(Term { n, until, .. })
            if until.is_none_or(|until| deciding.since(until) <= spec.forget_after) =>
        {
            n.saturating_add(1)
        }
        _ => 1,
    }
}

/// Where a failure moves the end of the running `n`-th ban: never earlier, and only by [`STEP`] or more. The outer
/// `None` leaves the ban alone.
#[must_use]
pub fn prolonged(until: Option<Timestamp>, to: Option<Timestamp>) -> Option<Option<Timestamp>> {
    let until = until?;
    match to {
        None => Some(None),
        Some(to) if to >= until + STEP => Some(Some(to)),
        Some(_) => None,
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// `factor` to the `exponent`-th by squaring: 32 rounds at most, and no library function whose last bit differs
/// between platforms. Factors below one and nonsense count as one.
fn power(factor: f64, mut exponent: u32) -> f64 {
    if !factor.is_finite() || factor <= 1.0 {
        return 1.0;
    }
    let (mut result, mut square) = (1.0, factor);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    result
}

/// A share of `most`, ends included, in microseconds.
fn jitter(most: Duration, jail: &JailName, subject: Subject, n: u32) -> u64 {
    let most = micros(most);
    if most == 0 {
        return 0;
    }
    let mut hash = Fnv::new();
    hash.eat(jail.as_str().as_bytes());
    hash.eat(&[0]);
    match subject.addr() {
        IpAddr::V4(a) => {
            hash.eat(&[4]);
            hash.eat(&a.octets());
        }
        IpAddr::V6(a) => {
            hash.eat(&[6]);
            hash.eat(&a.octets());
        }
    }
    hash.eat(&[subject.prefix_len()]);
    hash.eat(&n.to_be_bytes());
    let share = u128::from(hash.finish()) * (u128::from(most) + 1);
    (share >> 64) as u64
}

struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn eat(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// FNV's high bits hardly depend on the last bytes, and the share is taken from the high bits: mix them.
    fn finish(self) -> u64 {
        let mut h = self.0;
        h = (h ^ (h >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        h = (h ^ (h >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SentenceSpec {
        SentenceSpec {
            ban_time: Some(Duration::from_secs(600)),
            factor: 2.0,
            max_ban_time: Duration::from_secs(7 * 86_400),
            jitter: Duration::ZERO,
            forget_after: Duration::from_secs(30 * 86_400),
        }
    }

    fn secs(spec: &SentenceSpec, n: u32) -> Option<u64> {
        length(spec, &"james".into(), "203.0.113.7".parse().unwrap(), n).map(|d| d.as_secs())
    }

    #[test]
    fn each_ban_is_longer_until_the_cap() {
        let s = spec();
        assert_eq!(
            [1, 2, 3, 10, 11, 12].map(|n| secs(&s, n).unwrap()),
            [600, 1200, 2400, 307_200, 604_800, 604_800]
        );
    }

    #[test]
    fn no_factor_and_no_count_overflows() {
        for factor in [0.0, -3.0, 0.5, 1.0, 1.000_000_1, 2.0, 1e300, f64::INFINITY, f64::NAN] {
            for n in [0, 1, 2, 1000, u32::MAX] {
                let s = SentenceSpec { factor, max_ban_time: Duration::MAX, ..spec() };
                assert!(secs(&s, n).unwrap() >= 600, "factor {factor}, n {n}");
                let zero = SentenceSpec { ban_time: Some(Duration::ZERO), factor, ..spec() };
                assert!(secs(&zero, n).is_some());
            }
        }
    }

    #[test]
    fn a_permanent_ban_has_no_end() {
        let s = SentenceSpec { ban_time: None, ..spec() };
        assert_eq!(end(&s, &"j".into(), "203.0.113.7".parse().unwrap(), 3, Timestamp::from_secs(1)), None);
        let endless = SentenceSpec { ban_time: Some(Duration::MAX), ..spec() };
        assert_eq!(
            end(&endless, &"j".into(), "203.0.113.7".parse().unwrap(), 1, Timestamp::from_secs(1)),
            Some(Timestamp::MAX)
        );
    }

    #[test]
    fn the_cap_never_shortens_the_first_ban() {
        let s = SentenceSpec { ban_time: Some(Duration::from_secs(30 * 86_400)), ..spec() };
        assert_eq!(secs(&s, 1), Some(30 * 86_400));
        assert_eq!(secs(&s, 2), Some(30 * 86_400));
    }

    #[test]
    fn jitter_is_a_fixed_function_of_the_identity() {
        let most = Duration::from_secs(600);
        let share = |jail: &str, subject: &str, n| jitter(most, &jail.into(), subject.parse().unwrap(), n);
        // Pinned: another version or node must compute the same.
        assert_eq!(share("james", "203.0.113.7", 1), JITTER_V4);
        assert_eq!(share("james", "2001:db8:1:2::/64", 3), JITTER_V6);
        assert_ne!(share("james", "203.0.113.7", 1), share("james", "203.0.113.7", 2));
        assert_ne!(share("james", "203.0.113.7", 1), share("sshd", "203.0.113.7", 1));
    }

    const JITTER_V4: u64 = 2_260_980;
    const JITTER_V6: u64 = 99_993_702;

    #[test]
    fn jitter_spreads_over_its_whole_range_and_never_beyond() {
        let most = Duration::from_micros(9);
        let mut seen = [0_u32; 10];
        for i in 0..1000_u32 {
            let subject = Subject::host(std::net::Ipv4Addr::from(0x0b00_0000 + i).into());
            seen[jitter(most, &"j".into(), subject, 1) as usize] += 1;
        }
        assert!(seen.iter().all(|&times| times > 50), "{seen:?}");
    }

    #[test]
    fn the_count_starts_anew_after_forget_after() {
        let s = spec();
        let term = Term { n: 4, since: Timestamp::from_secs(0), until: Some(Timestamp::from_secs(100)) };
        let month = 30 * 86_400;
        assert_eq!(next_n(&s, None, Timestamp::from_secs(500)), 1);
        assert_eq!(next_n(&s, Some(term), Timestamp::from_secs(100 + month)), 5);
        assert_eq!(next_n(&s, Some(term), Timestamp::from_secs(101 + month)), 1);
        assert_eq!(next_n(&s, Some(Term { n: u32::MAX, ..term }), Timestamp::from_secs(200)), u32::MAX);
    }

    #[test]
    fn an_end_moves_only_later_and_only_by_a_second_or_more() {
        let t = |s| Some(Timestamp::from_secs(s));
        assert_eq!(prolonged(t(10), t(11)), Some(t(11)));
        assert_eq!(prolonged(t(10), Some(Timestamp::from_micros(10_999_999))), None);
        assert_eq!(prolonged(t(10), t(5)), None);
        assert_eq!(prolonged(t(10), None), Some(None));
        assert_eq!(prolonged(None, t(5)), None);
    }
}
