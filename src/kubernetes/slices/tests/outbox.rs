use super::*;
use crate::bans::{Ban, Evidence, Origin};
use crate::engine::Shift;

fn secs(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn ban(subject: &str, until: i64) -> Ban {
    Ban {
        jail: Some("mail/james".into()),
        subject: subject.parse().unwrap(),
        n: 1,
        since: secs(1000),
        until: Some(secs(until)),
        origin: Origin::Jail,
        evidence: Evidence::default(),
    }
}

fn event(kind: EventKind, ban: &Ban) -> Event {
    Event { time: secs(1000).into(), event: kind, ahead: Shift::NONE, ban: report(ban) }
}

fn report(ban: &Ban) -> BanReport {
    BanReport::new(ban, true)
}

fn who(batch: &[BanReport]) -> Vec<String> {
    batch.iter().map(|ban| ban.subject.to_string()).collect()
}

#[test]
fn a_new_ban_is_due_at_once_and_those_after_it_in_their_order() {
    let (mut outbox, shelf, now) = (Outbox::default(), Shelf::default(), Instant::now());
    assert_eq!(outbox.due(now), None);
    for subject in ["203.0.113.9", "203.0.113.1", "203.0.113.5"] {
        outbox.hear(&event(EventKind::Ban, &ban(subject, 2000)), &shelf, secs(1000), now);
    }
    assert_eq!(outbox.due(now), Some(now));
    assert_eq!(who(&outbox.batch(2, &shelf, now)), ["203.0.113.9", "203.0.113.1"]);
    assert_eq!(who(&outbox.batch(2, &shelf, now)), ["203.0.113.5"]);
    assert_eq!(outbox.due(now), None);
}

#[test]
fn only_what_this_node_decided_is_shared() {
    let (mut outbox, shelf, now) = (Outbox::default(), Shelf::default(), Instant::now());
    for origin in [Origin::Node("n2".into()), Origin::List("feed".into())] {
        let ban = Ban { origin, ..ban("203.0.113.7", 2000) };
        outbox.hear(&event(EventKind::Ban, &ban), &shelf, secs(1000), now);
    }
    for kind in [EventKind::Unban, EventKind::Expire] {
        outbox.hear(&event(kind, &ban("203.0.113.7", 2000)), &shelf, secs(1000), now);
    }
    assert_eq!(outbox.due(now), None);
}

#[test]
fn what_others_know_is_not_written_again() {
    let (mut outbox, mut shelf, now) = (Outbox::default(), Shelf::default(), Instant::now());
    let (known, unknown) = (ban("203.0.113.7", 2000), ban("203.0.113.8", 2000));
    shelf.put(None, &Entry::from(&known));
    outbox.hear(&event(EventKind::Ban, &known), &shelf, secs(1000), now);
    outbox.miss(report(&known), &shelf, now);
    assert_eq!(outbox.due(now), None);
    // Known only after it began to wait.
    outbox.miss(report(&unknown), &shelf, now);
    shelf.put(None, &Entry::from(&unknown));
    assert_eq!(who(&outbox.batch(10, &shelf, now)), [""; 0]);
}

#[test]
fn ends_that_move_and_move_are_one_write_before_the_known_end_comes() {
    let (mut outbox, mut shelf, now) = (Outbox::default(), Shelf::default(), Instant::now());
    let first = ban("203.0.113.7", 1600);
    shelf.put(None, &Entry::from(&first));
    for until in 1601..1700 {
        let moved = ban("203.0.113.7", until);
        outbox.hear(&event(EventKind::Prolong, &moved), &shelf, secs(1000), now);
    }
    let due = outbox.due(now).unwrap();
    assert_eq!(due, now + PATIENCE);
    assert!(outbox.batch(10, &shelf, now).is_empty());
    let batch = outbox.batch(10, &shelf, due);
    assert_eq!(batch.len(), 1);
    assert_eq!(batch[0].until, Some(secs(1699).into()));
    // Six seconds before the end that others know there is no time to wait for more.
    outbox.hear(&event(EventKind::Prolong, &ban("203.0.113.7", 1800)), &shelf, secs(1594), now);
    assert_eq!(outbox.due(now), Some(now + Duration::from_secs(3)));
    // And when they believe it over, none at all.
    let (mut late, over) = (Outbox::default(), secs(1601));
    late.hear(&event(EventKind::Prolong, &ban("203.0.113.7", 1900)), &shelf, over, now);
    assert_eq!(late.due(now), Some(now));
}

#[test]
fn a_ban_whose_end_moves_before_it_is_written_is_written_once_with_the_later_end() {
    let (mut outbox, shelf, now) = (Outbox::default(), Shelf::default(), Instant::now());
    outbox.hear(&event(EventKind::Ban, &ban("203.0.113.7", 1600)), &shelf, secs(1000), now);
    outbox.hear(&event(EventKind::Prolong, &ban("203.0.113.7", 1700)), &shelf, secs(1001), now);
    let batch = outbox.batch(10, &shelf, now);
    assert_eq!(batch.len(), 1);
    assert_eq!(batch[0].until, Some(secs(1700).into()));
}

#[test]
fn too_many_are_dropped_and_that_is_said_once() {
    let (mut outbox, shelf, now) = (Outbox::default(), Shelf::default(), Instant::now());
    for n in 0..u32::try_from(MOST).unwrap() + 1 {
        let subject = std::net::Ipv4Addr::from_bits(0x2d00_0000 + n).to_string();
        outbox.miss(report(&ban(&subject, 2000)), &shelf, now);
    }
    assert!(outbox.was_incomplete() && !outbox.was_incomplete());
    assert_eq!(outbox.due(now), None);
}
