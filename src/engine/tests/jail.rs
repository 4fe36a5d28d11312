use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;
use crate::engine::{Duration, PrefixPolicy, SentenceSpec};

/// The bans and pardons of one jail, as plain as can be.
#[derive(Default)]
pub(super) struct Book {
    pub(super) terms: RefCell<BTreeMap<Subject, Term>>,
    pub(super) pardon: Option<Timestamp>,
}

impl History for Book {
    fn latest(&self, subject: Subject) -> Option<Term> {
        self.terms.borrow().get(&subject).copied()
    }
    fn pardoned(&self, _: Subject) -> Option<Timestamp> {
        self.pardon
    }
}

impl Book {
    pub(super) fn note(&self, verdict: &Verdict) {
        let mut terms = self.terms.borrow_mut();
        match verdict {
            Verdict::Ban(c) => {
                terms.insert(c.subject, Term { n: c.n, since: c.since, until: c.until });
            }
            Verdict::Extended { subject, until, .. } => {
                terms.get_mut(subject).expect("a running ban").until = *until;
            }
            _ => {}
        }
    }
}

pub(super) fn spec() -> JailSpec {
    JailSpec {
        name: "james".into(),
        max_retry: 3,
        find_time: Duration::from_secs(600),
        sentence: SentenceSpec {
            ban_time: Some(Duration::from_secs(1000)),
            factor: 2.0,
            max_ban_time: Duration::from_secs(100_000),
            jitter: Duration::ZERO,
            forget_after: Duration::from_secs(1_000_000),
        },
        trusted_factor: 1,
        prefix: PrefixPolicy::default(),
        ignore: vec![],
        max_tracked: 1000,
    }
}

pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub(super) fn failure(address: &str, secs: i64) -> Match {
    Match {
        rule: RuleRef { filter: 0, rule: 0 },
        outcome: Outcome::Failure,
        address: address.parse().unwrap(),
        time: at(secs),
        weight: 1,
        line: 0,
    }
}

pub(super) fn success(address: &str, secs: i64) -> Match {
    Match { outcome: Outcome::Success, ..failure(address, secs) }
}

pub(super) const EVE: &str = "203.0.113.7";

/// A jail whose verdicts are recorded, reading each record when it is written.
pub(super) struct Court {
    pub(super) jail: Jail,
    pub(super) book: Book,
    never: NeverBan,
    now: Timestamp,
}

impl Court {
    pub(super) fn new(spec: JailSpec) -> Self {
        Self { jail: Jail::new(spec), book: Book::default(), never: NeverBan::default(), now: Timestamp::MIN }
    }

    pub(super) fn count(&mut self, m: &Match) -> Verdict {
        self.now = self.now.max(m.time);
        let verdict = self.jail.count(m, &self.never, &self.book, self.now);
        self.book.note(&verdict);
        verdict
    }

    pub(super) fn fail(&mut self, secs: i64) -> Verdict {
        self.count(&failure(EVE, secs))
    }

    /// The last of these failures convicts: (n, since, until).
    fn convicts(&mut self, times: &[i64]) -> (u32, i64, Option<i64>) {
        match times.iter().map(|t| self.fail(*t)).last() {
            Some(Verdict::Ban(c)) => (c.n, c.since.as_secs(), c.until.map(Timestamp::as_secs)),
            other => panic!("{other:?}"),
        }
    }
}

pub(super) fn is_ban(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Ban(_))
}

#[test]
fn the_threshold_within_find_time_convicts_with_its_evidence() {
    let mut court = Court::new(spec());
    assert!(!is_ban(&court.fail(0)));
    assert_eq!(court.fail(300), Verdict::Counted { subject: EVE.parse().unwrap(), weight: 2, needed: 3 });
    let Verdict::Ban(c) = court.fail(600) else { panic!() };
    assert_eq!((c.first, c.since, c.until, c.weight), (at(0), at(600), Some(at(1600)), 3));
    assert_eq!(c.rules, vec![(RuleRef { filter: 0, rule: 0 }, 3)]);
    assert_eq!(court.jail.tracked(), 0, "what led to the ban is used up");
}

#[test]
fn a_microsecond_beyond_find_time_is_too_far_apart() {
    let mut court = Court::new(spec());
    court.fail(0);
    court.fail(300);
    let late = Match { time: Timestamp::from_micros(600_000_001), ..failure(EVE, 0) };
    assert!(!is_ban(&court.count(&late)));
}

#[test]
fn failures_during_a_ban_move_its_end_and_never_its_number() {
    let mut court = Court::new(spec());
    assert_eq!(court.convicts(&[0, 1, 2]), (1, 2, Some(1002)));
    let extended = |verdict| match verdict {
        Verdict::Extended { n, until, .. } => Some((n, until.unwrap().as_secs())),
        _ => None,
    };
    assert_eq!(extended(court.fail(500)), Some((1, 1500)));
    assert_eq!(extended(court.fail(1500)), Some((1, 2500)), "at its very end it is still running");
    assert_eq!(extended(court.fail(1400)), None, "a late one does not shorten it");
}

#[test]
fn an_end_moves_by_a_second_or_more() {
    let mut court = Court::new(spec());
    court.convicts(&[0, 1, 2]);
    let soon = Match { time: Timestamp::from_micros(2_999_999), ..failure(EVE, 0) };
    assert!(matches!(court.count(&soon), Verdict::Counted { .. }));
    assert!(matches!(court.fail(3), Verdict::Extended { .. }));
}

#[test]
fn failures_before_or_at_the_beginning_of_a_ban_leave_it_alone() {
    let mut court = Court::new(spec());
    court.convicts(&[100, 101, 102]);
    for time in [50, 102] {
        assert!(matches!(court.fail(time), Verdict::Counted { weight: 0, .. }));
    }
    assert_eq!(court.jail.tracked(), 0);
}

#[test]
fn the_second_ban_is_the_second_and_longer_until_it_is_forgotten() {
    let mut court = Court::new(spec());
    assert_eq!(court.convicts(&[0, 1, 2]), (1, 2, Some(1002)));
    assert_eq!(court.convicts(&[1003, 1004, 1005]), (2, 1005, Some(3005)));
    assert_eq!(court.convicts(&[2_000_000, 2_000_001, 2_000_002]), (1, 2_000_002, Some(2_001_002)));
}

#[test]
fn a_ban_that_is_over_when_its_lines_are_read_is_pronounced_and_counts() {
    let mut court = Court::new(JailSpec {
        sentence: SentenceSpec { ban_time: Some(Duration::from_secs(10)), ..spec().sentence },
        ..spec()
    });
    court.now = at(500);
    assert_eq!(court.convicts(&[0, 1, 2]), (1, 2, Some(12)));
    assert_eq!(court.convicts(&[20, 21, 22]), (2, 22, Some(42)));
}

#[test]
fn a_late_record_may_complete_a_window_that_ends_after_it() {
    let mut court = Court::new(spec());
    court.fail(100);
    court.fail(700);
    assert_eq!(court.convicts(&[400]), (1, 700, Some(1700)));
}

#[test]
fn records_after_the_deciding_one_prolong_as_if_they_had_come_after_it() {
    let mut court = Court::new(spec());
    court.fail(100);
    court.fail(600);
    court.fail(750);
    // 100, 300, 600 are enough at 600; 750 lies in the ban that falls there.
    assert_eq!(court.convicts(&[300]), (1, 600, Some(1750)));
    assert_eq!(court.jail.tracked(), 0);
}

#[test]
fn lines_older_than_find_time_are_skipped_unless_they_meet_something() {
    let mut court = Court::new(spec());
    court.now = at(10_000);
    assert_eq!(court.fail(9_399), Verdict::Skipped(Skip::TooOld));
    assert!(matches!(court.fail(9_400), Verdict::Counted { weight: 1, .. }));
    assert!(matches!(court.fail(9_399), Verdict::Counted { weight: 2, .. }));
    assert_eq!(court.count(&success(EVE, 9_000)), Verdict::Trusted(EVE.parse().unwrap()));
    assert_eq!(court.count(&success("203.0.113.8", 9_000)), Verdict::Skipped(Skip::TooOld));
}

#[test]
fn heavy_rules_convict_sooner_and_weightless_ones_never() {
    let mut court = Court::new(spec());
    let weighing = |weight, secs| Match { weight, ..failure(EVE, secs) };
    assert!(!is_ban(&court.count(&weighing(0, 0))));
    assert_eq!(court.jail.tracked(), 0);
    assert!(!is_ban(&court.count(&weighing(2, 1))));
    assert!(is_ban(&court.count(&weighing(1, 2))));
    assert!(is_ban(&court.count(&Match { weight: u32::MAX, ..failure("203.0.113.9", 3) })));
}

#[test]
fn ipv6_neighbours_in_one_64_are_one_subject() {
    let mut court = Court::new(spec());
    court.count(&failure("2001:db8::1", 0));
    court.count(&failure("2001:db8::2", 1));
    assert!(is_ban(&court.count(&failure("2001:db8::ffff:3", 2))));
}

#[test]
fn the_house_and_the_ignored_are_spared_by_overlap() {
    let mut court = Court::new(JailSpec { ignore: vec!["203.0.113.0/24".parse().unwrap()], ..spec() });
    let own = "2001:db8:1:2::53/128".parse().unwrap();
    court.never = NeverBan::new([(own, Why::OwnAddress("eth0".into()))]);
    for address in [EVE, "2001:db8:1:2::bad"] {
        for time in 0..5 {
            assert_eq!(court.count(&failure(address, time)), Verdict::Skipped(Skip::NeverBan));
        }
    }
    assert!(matches!(court.count(&failure("203.0.114.7", 0)), Verdict::Counted { .. }));
}

#[test]
fn failures_up_to_a_pardon_do_not_count_even_when_they_come_late() {
    let mut court = Court::new(spec());
    court.fail(100);
    court.fail(200);
    court.jail.pardon("203.0.113.0/24".parse().unwrap(), at(200));
    court.book.pardon = Some(at(200));
    assert_eq!(court.jail.tracked(), 0);
    assert_eq!(court.fail(200), Verdict::Skipped(Skip::Pardoned));
    assert_eq!(court.fail(150), Verdict::Skipped(Skip::Pardoned));
    assert!(matches!(court.fail(201), Verdict::Counted { weight: 1, .. }));
    court.fail(202);
    assert!(is_ban(&court.fail(203)));
}

#[test]
fn a_pardon_the_jail_was_not_told_of_still_counts() {
    let mut court = Court::new(spec());
    court.fail(100);
    court.fail(200);
    court.book.pardon = Some(at(200));
    assert!(matches!(court.fail(201), Verdict::Counted { weight: 1, .. }));
}

#[test]
fn after_a_ban_from_elsewhere_what_was_counted_before_its_end_is_settled() {
    let mut court = Court::new(spec());
    court.fail(100);
    court.fail(101);
    let term = Term { n: 4, since: at(150), until: Some(at(160)) };
    court.book.terms.borrow_mut().insert(EVE.parse().unwrap(), term);
    assert!(matches!(court.fail(161), Verdict::Counted { weight: 1, .. }));
    court.fail(162);
    assert_eq!(court.convicts(&[163]).0, 5);
}

pub(super) fn office() -> JailSpec {
    JailSpec { max_retry: 5, trusted_factor: 3, ..spec() }
}

#[test]
fn a_permanent_ban_has_no_end_and_nothing_moves_it() {
    let mut court =
        Court::new(JailSpec { sentence: SentenceSpec { ban_time: None, ..spec().sentence }, ..spec() });
    assert_eq!(court.convicts(&[0, 1, 2]), (1, 2, None));
    assert!(matches!(court.fail(3), Verdict::Counted { .. }));
}

#[test]
fn other_settings_keep_the_windows() {
    let mut court = Court::new(spec());
    court.fail(0);
    court.jail.reconfigure(JailSpec { max_retry: 2, ..spec() });
    assert!(is_ban(&court.fail(1)));
}

#[test]
fn rules_find_their_places_in_a_new_scanner() {
    let mut court = Court::new(spec());
    court.fail(0);
    court.count(&Match { rule: RuleRef { filter: 1, rule: 5 }, ..failure(EVE, 1) });
    court.jail.renumber(|rule| (rule.filter == 1).then_some(RuleRef { filter: 0, rule: 2 }));
    let Verdict::Ban(c) = court.fail(2) else { panic!() };
    let counts: Vec<_> = c.rules.iter().map(|(rule, times)| (*rule, *times)).collect();
    assert_eq!(
        counts,
        [(RuleRef::GONE, 1), (RuleRef { filter: 0, rule: 2 }, 1), (RuleRef { filter: 0, rule: 0 }, 1)]
    );
}

#[test]
fn what_is_watched_is_told() {
    let mut court = Court::new(spec());
    let eve = EVE.parse().unwrap();
    assert_eq!(court.jail.watched(eve), None);
    court.fail(0);
    court.fail(700);
    court.fail(710);
    assert_eq!(court.jail.watched(eve), Some((2, at(700), at(710))));
}

#[test]
fn failures_before_and_after_the_clock_was_set_share_a_window() {
    for hour in [3600, -3600] {
        let mut jail = Jail::new(spec());
        let book = Book::default();
        let fails = |jail: &mut Jail, secs: i64| {
            let m = Match { time: at(secs), ..failure(EVE, secs) };
            jail.count(&m, &NeverBan::default(), &book, at(secs))
        };
        fails(&mut jail, 10_000);
        fails(&mut jail, 10_100);
        let saved = jail.snapshot();
        jail.shift(Shift::from_micros(hour * 1_000_000));
        let Verdict::Ban(conviction) = fails(&mut jail, 10_600 + hour) else { panic!("{hour}") };
        assert_eq!((conviction.first, conviction.since), (at(10_000 + hour), at(10_600 + hour)));

        // The same where the jail is declared only after the clock was set.
        let mut saved = saved;
        saved.shift(Shift::from_micros(hour * 1_000_000));
        let saved: JailSnapshot = serde_json::from_str(&serde_json::to_string(&saved).unwrap()).unwrap();
        let mut jail = Jail::restore(spec(), &saved).unwrap();
        assert!(matches!(fails(&mut jail, 10_601 + hour), Verdict::Counted { weight: 2, .. }));
    }
}
