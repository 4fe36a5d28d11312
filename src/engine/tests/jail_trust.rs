use super::tests::{Court, EVE, is_ban, office, spec, success};
use super::*;

#[test]
fn colleagues_who_log_in_cover_two_phones_with_an_old_password() {
    let mut court = Court::new(office());
    let mut failures = 0;
    for minute in 0..24 * 60 {
        if minute % 3 == 0 {
            // Twenty colleagues: one of them logs in every three minutes.
            court.count(&success(EVE, minute * 60));
        }
        if minute % 5 == 0 {
            for phone in 0..2 {
                failures += 1;
                let verdict = court.fail(minute * 60 + phone);
                assert!(!is_ban(&verdict), "minute {minute}: {verdict:?}");
            }
        }
    }
    assert!(failures > 500);
}

#[test]
fn without_the_colleagues_the_phones_would_be_banned() {
    let mut court = Court::new(office());
    let banned = (0..6).flat_map(|i| [i * 300, i * 300 + 1]).any(|t| is_ban(&court.fail(t)));
    assert!(banned);
}

#[test]
fn a_guesser_in_a_trusted_office_is_banned_within_the_factor() {
    let mut court = Court::new(office());
    court.count(&success(EVE, 0));
    let tries = (1..=15).position(|t| is_ban(&court.fail(t)));
    assert_eq!(tries, Some(14), "the fifteenth try: maxRetry 5 times 3");
}

#[test]
fn trust_ends_with_find_time() {
    let mut court = Court::new(office());
    court.count(&success(EVE, 0));
    for t in 595..600 {
        court.fail(t);
    }
    assert!(matches!(court.fail(600), Verdict::Counted { weight: 6, needed: 15, .. }));
    assert!(is_ban(&court.fail(601)));
}

#[test]
fn a_success_that_is_read_after_the_failures_covers_those_that_follow() {
    let mut court = Court::new(office());
    for t in 0..4 {
        court.fail(t);
    }
    court.count(&success(EVE, 2));
    assert!(!is_ban(&court.fail(5)));
}

#[test]
fn successes_are_not_stored_where_they_mean_nothing() {
    let mut court = Court::new(spec());
    assert_eq!(court.count(&success(EVE, 1)), Verdict::Trusted(EVE.parse().unwrap()));
    assert_eq!(court.jail.tracked(), 0);
}
