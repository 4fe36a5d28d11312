use super::*;
use crate::agent::colleagues::{Seen, Told};
use crate::engine::Timestamp;

fn told(subject: &str, times: &[i64]) -> Told {
    let seen =
        |secs: &i64| Seen { at: Timestamp::from_secs(1_700_000_000 + secs), weight: 1, rule: "a".into() };
    let failures = times.iter().map(seen).collect();
    let account =
        Account { jail: "mail/james".into(), subject: subject.parse().unwrap(), failures, successes: vec![] };
    Told { account, weight: 1 }
}

fn list(node: &str, told: Vec<Told>) -> Arc<SightingList> {
    Arc::new(SightingList::new(node, form::write(&node.into(), &["mail/james".into()], told)))
}

fn heard(book: &mut Book, lists: &[Arc<SightingList>]) -> Vec<(String, String, usize)> {
    let mut all: Vec<_> = book
        .hear(lists, Timestamp::from_secs(1_700_000_100))
        .into_iter()
        .flat_map(|(node, accounts)| {
            accounts.into_iter().map(move |a| (node.to_string(), a.subject.to_string(), a.failures.len()))
        })
        .collect();
    all.sort();
    all
}

fn one(node: &str, subject: &str, failures: usize) -> (String, String, usize) {
    (node.into(), subject.into(), failures)
}

#[test]
fn only_what_changed_in_the_lists_of_others_is_heard() {
    let mut book = Book::new("n1".into());
    let own = list("n1", vec![told("203.0.113.1", &[1])]);
    let n2 = list("n2", vec![told("203.0.113.7", &[1, 2]), told("203.0.113.8", &[1])]);
    assert_eq!(
        heard(&mut book, &[own.clone(), n2.clone()]),
        [one("n2", "203.0.113.7", 2), one("n2", "203.0.113.8", 1)]
    );
    assert_eq!(heard(&mut book, &[own.clone(), n2]), []);
    let n2 = list("n2", vec![told("203.0.113.7", &[1, 2, 3])]);
    let n3 = list("n3", vec![told("203.0.113.8", &[1])]);
    assert_eq!(
        heard(&mut book, &[own.clone(), n2.clone(), n3]),
        [one("n2", "203.0.113.7", 3), one("n2", "203.0.113.8", 0), one("n3", "203.0.113.8", 1)],
        "what a node tells no longer is taken back"
    );
    book.forget();
    assert_eq!(heard(&mut book, &[own, n2]), [one("n2", "203.0.113.7", 3)]);
}

#[test]
fn a_list_that_vanishes_takes_nothing_back() {
    let mut book = Book::new("n1".into());
    let n2 = list("n2", vec![told("203.0.113.7", &[1, 2])]);
    assert_eq!(heard(&mut book, &[n2]).len(), 1);
    assert_eq!(heard(&mut book, &[]), []);
    let again = list("n2", vec![told("203.0.113.7", &[1, 2])]);
    assert_eq!(heard(&mut book, &[again]), [], "and says nothing new when it comes back");
}

#[test]
fn a_list_in_another_nodes_name_is_not_believed() {
    let mut book = Book::new("n1".into());
    let forged = SightingList::new("n3", list("n2", vec![told("203.0.113.7", &[1, 2])]).spec.clone());
    assert_eq!(heard(&mut book, &[Arc::new(forged)]), []);
}

#[test]
fn the_quota_follows_the_number_of_nodes_that_count_for_the_jail() {
    let book = Book::new("n1".into());
    let spec = |name: &str, trusted_factor| JailSpec {
        name: name.into(),
        max_retry: 5,
        find_time: std::time::Duration::from_secs(600),
        sentence: crate::engine::SentenceSpec {
            ban_time: None,
            factor: 1.0,
            max_ban_time: std::time::Duration::ZERO,
            jitter: std::time::Duration::ZERO,
            forget_after: std::time::Duration::ZERO,
        },
        trusted_factor,
        prefix: crate::engine::PrefixPolicy::default(),
        ignore: vec![],
        max_tracked: 10,
    };
    let (james, other) = (spec("mail/james", 1), spec("mail/other", 1));
    let lists = [list("n1", vec![]), list("n2", vec![]), list("n3", vec![])];
    assert_eq!(book.quotas(&[&james, &other], &lists), [("mail/james".into(), 2), ("mail/other".into(), 5)]);
    assert_eq!(book.quotas(&[&james], &[]), [("mail/james".into(), 5)]);
    // A list that names the jail a hundred times makes its node no more than one.
    let mut often = list("n2", vec![]).spec.clone();
    often.jails = vec![often.jails[0].clone(); 100];
    let often = [Arc::new(SightingList::new("n2", often))];
    assert_eq!(book.quotas(&[&james], &often), [("mail/james".into(), 3)]);
}

#[test]
fn only_something_new_is_a_reason_to_write() {
    let before = list("n1", vec![told("203.0.113.7", &[1, 2]), told("203.0.113.8", &[1])]);
    let says = |told: Vec<Told>| says_more(Some(&before.spec), &list("n1", told).spec);
    assert!(says_more(None, &before.spec), "even an empty list counts its node");
    assert!(!says(vec![told("203.0.113.7", &[1, 2]), told("203.0.113.8", &[1])]));
    assert!(!says(vec![told("203.0.113.7", &[2])]), "sliding out is no news");
    assert!(!says(vec![]));
    assert!(says(vec![told("203.0.113.7", &[2, 3])]));
    assert!(says(vec![told("203.0.113.7", &[2, 2])]), "two failures of one moment");
    assert!(says(vec![told("203.0.113.9", &[1])]));
    let mut login = told("203.0.113.7", &[1, 2]);
    login.account.successes = vec![(Timestamp::from_secs(5), Timestamp::from_secs(5))];
    assert!(says(vec![login]));
    let jails = form::write(&"n1".into(), &["mail/james".into(), "mail/other".into()], vec![]);
    assert!(says_more(Some(&before.spec), &jails), "the node counts for another jail");
}
