use super::super::tests::{Book, EVE, at, failure, is_ban, office, spec, success};
use super::*;
use crate::engine::window::Hit;
use crate::engine::{JailSpec, Match, RuleRef, Verdict};

const OTHER: NodeIndex = NodeIndex(7);

struct Node {
    jail: Jail,
    book: Book,
    now: Timestamp,
}

fn node(spec: JailSpec) -> Node {
    let mut jail = Jail::new(spec);
    jail.share(Some(2));
    Node { jail, book: Book::default(), now: at(0) }
}

impl Node {
    fn count(&mut self, m: &Match) -> Verdict {
        self.now = self.now.max(m.time);
        let verdict = self.jail.count(m, &NeverBan::default(), &self.book, self.now);
        self.book.note(&verdict);
        verdict
    }

    fn hear(&mut self, node: NodeIndex, times: &[i64]) -> Option<Conviction> {
        let hit = |secs: &i64| Hit { time: at(*secs), weight: 1, rule: RuleRef { filter: 0, rule: 0 } };
        let sighting = Sighting { failures: times.iter().map(hit).collect(), successes: Vec::new() };
        self.hear_all(node, sighting)
    }

    fn hear_all(&mut self, node: NodeIndex, sighting: Sighting) -> Option<Conviction> {
        let heard = self.jail.hear(node, eve(), sighting, &NeverBan::default(), &self.book, self.now);
        if let Some(conviction) = &heard {
            self.book.note(&Verdict::Ban(conviction.clone()));
        }
        heard
    }

    fn told(&mut self) -> Vec<(Subject, Vec<i64>)> {
        let now = self.now;
        let times = |shared: &Shared| shared.sighting.failures.iter().map(|h| h.time.as_secs()).collect();
        self.jail.sightings(now).iter().map(|shared| (shared.subject, times(shared))).collect()
    }
}

fn eve() -> Subject {
    EVE.parse().unwrap()
}

#[test]
fn failures_here_and_elsewhere_make_one_window() {
    let mut here = node(spec());
    assert_eq!(here.hear(OTHER, &[1, 600]), None, "nothing was seen here");
    let Verdict::Ban(c) = here.count(&failure(EVE, 601)) else { panic!() };
    assert_eq!((c.first, c.since, c.weight, c.n), (at(1), at(601), 3, 1));
    assert_eq!(c.nodes, [OTHER]);
    let mut late = node(spec());
    late.hear(OTHER, &[1, 601]);
    assert!(!is_ban(&late.count(&failure(EVE, 602))), "1 and 602 share no window");
}

#[test]
fn a_report_completes_a_window_and_the_failure_that_is_last_in_time_decides() {
    let mut here = node(spec());
    here.count(&failure(EVE, 300));
    let c = here.hear(OTHER, &[100, 200]).unwrap();
    assert_eq!((c.first, c.since, c.until), (at(100), at(300), Some(at(1300))));
    let mut there = node(spec());
    there.count(&failure(EVE, 100));
    there.count(&failure(EVE, 200));
    let same = there.hear(OTHER, &[300]).unwrap();
    assert_eq!((same.n, same.since, same.until), (c.n, c.since, c.until), "both nodes find the same ban");
}

#[test]
fn a_renewed_report_takes_the_place_of_the_earlier_one() {
    let mut here = node(JailSpec { max_retry: 5, ..spec() });
    here.count(&failure(EVE, 1));
    for _ in 0..9 {
        assert_eq!(here.hear(OTHER, &[2, 3]), None);
    }
    assert_eq!(here.hear(OTHER, &[2, 3, 4]), None);
    assert_eq!(
        here.hear(NodeIndex(8), &[2]).unwrap().weight,
        5,
        "the same moment at another node is another failure"
    );
    let mut other = node(JailSpec { max_retry: 5, ..spec() });
    other.count(&failure(EVE, 1));
    other.hear(OTHER, &[2, 3, 4]);
    other.hear(OTHER, &[]);
    assert!(matches!(other.count(&failure(EVE, 5)), Verdict::Counted { weight: 2, .. }));
}

#[test]
fn only_what_was_seen_here_is_told_and_kept_for_a_restart() {
    let mut here = node(JailSpec { max_retry: 9, ..spec() });
    here.count(&failure(EVE, 1));
    here.count(&failure("203.0.113.8", 1));
    assert_eq!(here.told(), []);
    assert!(!here.jail.sharing.as_ref().unwrap().subjects.contains(&eve()));
    here.hear(OTHER, &[2, 3]);
    assert_eq!(here.told(), [(eve(), vec![1])], "another node told of it");
    let back = Jail::restore(here.jail.spec().clone(), &here.jail.snapshot()).unwrap();
    assert_eq!((back.tracked(), back.watched(eve()), back.heard()), (2, Some((1, at(1), at(1))), 0));
}

#[test]
fn a_subject_is_told_of_from_the_quota_on_until_it_slides_out() {
    let mut here = node(JailSpec { max_retry: 5, ..spec() });
    assert!(here.jail.take_news(), "a new quota is news");
    here.count(&failure(EVE, 1));
    assert!(!here.jail.take_news());
    here.count(&failure(EVE, 2));
    assert!(here.jail.take_news());
    assert_eq!(here.told(), [(eve(), vec![1, 2])]);
    here.now = at(1201);
    assert_eq!(here.told(), [(eve(), vec![1, 2])], "a record may still come findTime late");
    here.now = at(1202);
    assert_eq!(here.told(), [(eve(), vec![2])]);
    here.now = at(1203);
    assert_eq!(here.told(), []);
}

#[test]
fn a_banned_or_pardoned_subject_is_not_told_of() {
    let mut here = node(JailSpec { max_retry: 4, ..spec() });
    for time in 1..4 {
        here.count(&failure(EVE, time));
    }
    assert_eq!(here.told().len(), 1);
    here.count(&failure(EVE, 4));
    assert_eq!(here.told(), []);
    let mut other = node(JailSpec { max_retry: 4, ..spec() });
    other.count(&failure(EVE, 1));
    other.count(&failure(EVE, 2));
    other.jail.pardon("203.0.113.0/24".parse().unwrap(), at(2));
    assert_eq!(other.told(), []);
}

#[test]
fn a_lower_quota_tells_of_more() {
    let mut here = node(JailSpec { max_retry: 9, ..spec() });
    here.count(&failure(EVE, 1));
    assert_eq!(here.told(), []);
    here.jail.share(Some(1));
    assert_eq!(here.told().len(), 1);
    here.jail.share(None);
    assert_eq!(here.told(), []);
}

#[test]
fn reports_older_than_a_pardon_do_not_count_and_younger_ones_do_even_if_they_came_first() {
    let mut here = node(spec());
    here.hear(OTHER, &[10, 20]);
    here.book.pardon = Some(at(15));
    assert!(matches!(here.count(&failure(EVE, 30)), Verdict::Counted { weight: 2, .. }));
    assert!(is_ban(&here.count(&failure(EVE, 31))));
}

#[test]
fn what_a_ban_has_settled_elsewhere_does_not_count_again() {
    let mut here = node(JailSpec {
        sentence: crate::engine::SentenceSpec {
            ban_time: Some(crate::engine::Duration::from_secs(10)),
            ..spec().sentence
        },
        ..spec()
    });
    here.count(&failure(EVE, 1));
    here.hear(OTHER, &[2, 3]).unwrap();
    here.hear(OTHER, &[2, 3, 4]);
    assert!(matches!(here.count(&failure(EVE, 20)), Verdict::Counted { weight: 1, .. }));
    assert_eq!(here.hear(OTHER, &[2, 3, 4, 21, 22]).unwrap().n, 2);
}

#[test]
fn a_ban_learned_from_elsewhere_is_moved_by_failures_that_happened_here_during_it() {
    let mut here = node(JailSpec { max_retry: 9, ..spec() });
    for time in [1, 20, 30] {
        here.count(&failure(EVE, time));
    }
    let term = Term { n: 2, since: at(10), until: Some(at(2010)) };
    assert_eq!(here.jail.settle(eve(), term), Some(Some(at(2030))), "the second ban is 2000 seconds long");
    assert_eq!(here.told(), []);
    assert_eq!(here.jail.settle(eve(), term), None);
}

#[test]
fn a_login_at_another_node_makes_trusted() {
    let login = Sighting { failures: Vec::new(), successes: vec![(at(0), at(0))] };
    let mut here = node(office());
    here.hear_all(OTHER, login);
    let tries = (1..=15).position(|t| is_ban(&here.count(&failure(EVE, t))));
    assert_eq!(tries, Some(14), "maxRetry 5 times 3");
}

#[test]
fn a_login_is_told_where_others_see_failures_and_only_there() {
    let mut here = node(office());
    here.count(&success(EVE, 1));
    assert_eq!(here.told(), []);
    here.hear(OTHER, &[2, 3]);
    assert_eq!(here.jail.sightings(at(3))[0].sighting.successes, [(at(1), at(1))]);
    here.hear_all(OTHER, Sighting { failures: Vec::new(), successes: vec![(at(2), at(3))] });
    assert_eq!(here.told(), [], "two offices do not keep each other alive");
}

#[test]
fn a_node_that_is_gone_is_ignored_after_a_while_by_itself() {
    let mut here = node(spec());
    here.hear(OTHER, &[1, 2]);
    here.jail.sweep(at(1202));
    assert_eq!(here.jail.heard(), 1);
    here.jail.sweep(at(1203));
    assert_eq!(here.jail.heard(), 0);
}

#[test]
fn reports_of_the_house_are_left_out_and_those_of_too_many_are_counted() {
    let mut here =
        node(JailSpec { max_tracked: 16, ignore: vec!["203.0.113.7/32".parse().unwrap()], ..spec() });
    here.hear(OTHER, &[1, 2, 3]);
    assert_eq!(here.jail.heard(), 0);
    for last in 0..20 {
        let subject = Subject::host(std::net::Ipv4Addr::new(198, 51, 100, last).into());
        let sighting = Sighting { failures: Vec::new(), successes: vec![(at(1), at(1))] };
        here.jail.hear(OTHER, subject, sighting, &NeverBan::default(), &here.book, at(1));
    }
    assert_eq!((here.jail.heard(), here.jail.unheard()), (16, 4));
}

#[test]
fn no_full_window_can_hide_below_the_quota() {
    let quota = |max_retry, nodes| quota(&JailSpec { max_retry, ..spec() }, nodes);
    assert_eq!([quota(5, 0), quota(5, 1), quota(5, 3), quota(5, 5), quota(5, 900)], [5, 5, 2, 1, 1]);
    for max_retry in 1..50 {
        for nodes in 1..20 {
            let most_hidden = (quota(max_retry, nodes as usize) - 1) * nodes;
            assert!(most_hidden < max_retry, "{max_retry} over {nodes}");
        }
    }
}
