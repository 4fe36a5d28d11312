use super::*;

fn entry<'a>(jail: Option<&'a JailName>, subject: &str, n: u32, until: i64) -> Entry<'a> {
    Entry { jail, subject: subject.parse().unwrap(), n, until: Some(Timestamp::from_secs(until)) }
}

#[test]
fn an_identity_is_jail_subject_and_number() {
    let (james, sshd) = (JailName::new("mail/james"), JailName::new("mail/sshd"));
    let mut shelf = Shelf::default();
    shelf.put(None, &entry(Some(&james), "203.0.113.7", 1, 10));
    assert!(shelf.has(&entry(Some(&james), "203.0.113.7", 1, 10)));
    for other in [
        entry(Some(&sshd), "203.0.113.7", 1, 10),
        entry(None, "203.0.113.7", 1, 10),
        entry(Some(&james), "203.0.113.0/24", 1, 10),
        entry(Some(&james), "203.0.113.7", 2, 10),
    ] {
        assert!(!shelf.has(&other), "{other:?}");
    }
}

#[test]
fn a_later_end_must_be_published_again_and_an_earlier_one_need_not() {
    let mut shelf = Shelf::default();
    shelf.put(None, &entry(None, "203.0.113.7", 1, 10));
    assert!(!shelf.has(&entry(None, "203.0.113.7", 1, 11)));
    assert!(shelf.has(&entry(None, "203.0.113.7", 1, 9)));
    assert!(!shelf.has(&Entry { until: None, ..entry(None, "203.0.113.7", 1, 0) }));
    shelf.put(None, &Entry { until: None, ..entry(None, "203.0.113.7", 1, 0) });
    assert!(shelf.has(&entry(None, "203.0.113.7", 1, i64::MAX / 1_000_000)));
}

#[test]
fn an_end_that_only_a_clock_moved_is_the_same_end() {
    let mut shelf = Shelf::default();
    shelf.put(None, &entry(None, "203.0.113.7", 1, 10));
    shelf.set_slack(Duration::from_secs(1));
    assert!(shelf.has(&entry(None, "203.0.113.7", 1, 11)));
    assert!(!shelf.has(&entry(None, "203.0.113.7", 1, 12)));
    assert!(!shelf.has(&entry(None, "203.0.113.8", 1, 10)));
}

#[test]
fn merging_hides_nothing() {
    let mut shelf = Shelf::default();
    let (early, late) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.7", 1, 20));
    shelf.put(None, &early);
    shelf.put(None, &late);
    // The merged object, then its parts go.
    shelf.put(None, &late);
    shelf.take(None, &early);
    shelf.take(None, &late);
    assert!(shelf.has(&late));
    // And the merged one by hand.
    shelf.take(None, &late);
    assert!(!shelf.has(&early), "nobody knows it any more");
}

#[test]
fn only_the_latest_list_counts() {
    let mut shelf = Shelf::default();
    let (lost, kept) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.8", 1, 10));
    shelf.put(None, &lost);
    shelf.put(None, &kept);
    shelf.list(None);
    shelf.put(None, &kept);
    assert!(shelf.has(&lost), "until the list is complete, what was known is");
    shelf.listed(None);
    assert!(shelf.has(&kept) && !shelf.has(&lost));
    // A list that broke off and began anew.
    shelf.list(None);
    shelf.list(None);
    shelf.put(None, &lost);
    shelf.listed(None);
    assert!(!shelf.has(&kept) && shelf.has(&lost));
}

#[test]
fn what_was_written_is_known_until_it_comes_back_or_the_write_failed() {
    let mut shelf = Shelf::default();
    let (ours, other) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.8", 1, 10));
    shelf.writing(epoch(1), &ours);
    shelf.writing(epoch(1), &other);
    assert!(shelf.has(&ours));
    assert!(shelf.put(None, &ours), "it is what we wrote");
    assert!(!shelf.put(None, &ours), "and this is another's");
    shelf.forget_written();
    assert!(shelf.has(&ours) && !shelf.has(&other));
}

#[test]
fn what_was_written_but_is_in_no_later_list_is_lost() {
    let mut shelf = Shelf::default();
    let ours = entry(None, "203.0.113.7", 1, 10);
    shelf.list(Some(epoch(1)));
    shelf.listed(Some(epoch(1)));
    shelf.writing(epoch(1), &ours);
    shelf.wrote(&ours);
    // Another watch would not show it, nor the list of everything as long as its epoch is watched.
    for other in [Some(epoch(2)), None] {
        shelf.list(other);
        shelf.listed(other);
        assert!(shelf.has(&ours), "{other:?}");
    }
    shelf.list(Some(epoch(1)));
    shelf.listed(Some(epoch(1)));
    assert!(!shelf.has(&ours));
}

#[test]
fn a_list_read_while_a_ban_is_written_does_not_make_it_written_twice() {
    let mut shelf = Shelf::default();
    let (early, ours) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.8", 1, 10));
    // The answer comes after the list, and between its beginning and its end.
    shelf.writing(epoch(1), &early);
    shelf.list(Some(epoch(1)));
    shelf.writing(epoch(1), &ours);
    shelf.wrote(&ours);
    shelf.listed(Some(epoch(1)));
    shelf.wrote(&early);
    assert!(shelf.has(&ours) && shelf.has(&early));
    assert!(
        shelf.put(Some(epoch(1)), &ours) && shelf.put(Some(epoch(1)), &early),
        "they come back on the watch"
    );
}

#[test]
fn each_part_is_listed_by_itself_and_a_closed_epoch_joins_the_others() {
    let mut shelf = Shelf::default();
    let (old, new, newer) = (
        entry(None, "203.0.113.1", 1, 10),
        entry(None, "203.0.113.2", 1, 10),
        entry(None, "203.0.113.3", 1, 10),
    );
    shelf.put(None, &old);
    shelf.put(Some(epoch(1)), &new);
    shelf.put(Some(epoch(2)), &newer);
    shelf.list(Some(epoch(2)));
    shelf.listed(Some(epoch(2)));
    assert!(shelf.has(&old) && shelf.has(&new) && !shelf.has(&newer));
    // All others are listed meanwhile; what is watched is not in that list.
    shelf.list(None);
    shelf.put(None, &old);
    shelf.close(epoch(1));
    shelf.listed(None);
    assert!(shelf.has(&old) && shelf.has(&new));
    shelf.list(None);
    shelf.listed(None);
    assert!(!shelf.has(&old) && !shelf.has(&new));
}

fn epoch(n: i64) -> Epoch {
    Epoch::of(Timestamp::from_secs(n * 600))
}

#[test]
fn a_ban_that_the_server_refuses_is_known_to_nobody_and_left_alone_for_a_while() {
    let (mut shelf, now) = (Shelf::default(), Instant::now());
    let epoch = Epoch::of(Timestamp::from_secs(0));
    let (bad, later) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.7", 1, 20));
    shelf.writing(epoch, &bad);
    assert!(shelf.refused(&bad, true, now));
    assert!(!shelf.has(&bad) && shelf.settled(&bad) && shelf.settled(&later), "whatever its end");
    // Another write failed: that makes no difference to this one.
    shelf.forget_written();
    assert!(shelf.settled(&bad));
    let again = shelf.refusals.due().unwrap();
    assert_eq!(shelf.refusals.release(again), [shelf.key(&bad)]);
    assert!(!shelf.settled(&bad));
    shelf.writing(epoch, &bad);
    shelf.wrote(&bad);
    assert!(shelf.has(&bad) && shelf.refusals.len() == 0);
}
