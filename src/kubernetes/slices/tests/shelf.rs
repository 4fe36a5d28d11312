use super::*;

fn entry<'a>(jail: Option<&'a JailName>, subject: &str, n: u32, until: i64) -> Entry<'a> {
    Entry { jail, subject: subject.parse().unwrap(), n, until: Some(Timestamp::from_secs(until)) }
}

#[test]
fn an_identity_is_jail_subject_and_number() {
    let (james, sshd) = (JailName::new("mail/james"), JailName::new("mail/sshd"));
    let mut shelf = Shelf::default();
    shelf.put(&entry(Some(&james), "203.0.113.7", 1, 10));
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
    shelf.put(&entry(None, "203.0.113.7", 1, 10));
    assert!(!shelf.has(&entry(None, "203.0.113.7", 1, 11)));
    assert!(shelf.has(&entry(None, "203.0.113.7", 1, 9)));
    assert!(!shelf.has(&Entry { until: None, ..entry(None, "203.0.113.7", 1, 0) }));
    shelf.put(&Entry { until: None, ..entry(None, "203.0.113.7", 1, 0) });
    assert!(shelf.has(&entry(None, "203.0.113.7", 1, i64::MAX / 1_000_000)));
}

#[test]
fn merging_hides_nothing() {
    let mut shelf = Shelf::default();
    let (early, late) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.7", 1, 20));
    shelf.put(&early);
    shelf.put(&late);
    // The merged object, then its parts go.
    shelf.put(&late);
    shelf.take(&early);
    shelf.take(&late);
    assert!(shelf.has(&late));
    // And the merged one by hand.
    shelf.take(&late);
    assert!(!shelf.has(&early), "nobody knows it any more");
}

#[test]
fn only_the_latest_list_counts() {
    let mut shelf = Shelf::default();
    let (lost, kept) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.8", 1, 10));
    shelf.put(&lost);
    shelf.put(&kept);
    shelf.list();
    shelf.put(&kept);
    assert!(shelf.has(&lost), "until the list is complete, what was known is");
    shelf.listed();
    assert!(shelf.has(&kept) && !shelf.has(&lost));
    // A list that broke off and began anew.
    shelf.list();
    shelf.list();
    shelf.put(&lost);
    shelf.listed();
    assert!(!shelf.has(&kept) && shelf.has(&lost));
}

#[test]
fn what_was_written_is_known_until_it_comes_back_or_the_write_failed() {
    let mut shelf = Shelf::default();
    let (ours, other) = (entry(None, "203.0.113.7", 1, 10), entry(None, "203.0.113.8", 1, 10));
    shelf.wrote(&ours);
    shelf.wrote(&other);
    assert!(shelf.has(&ours));
    assert!(shelf.put(&ours), "it is what we wrote");
    assert!(!shelf.put(&ours), "and this is another's");
    shelf.forget_written();
    assert!(shelf.has(&ours) && !shelf.has(&other));
}

#[test]
fn what_was_written_but_is_in_no_list_is_lost() {
    let mut shelf = Shelf::default();
    let ours = entry(None, "203.0.113.7", 1, 10);
    shelf.wrote(&ours);
    shelf.list();
    shelf.listed();
    assert!(!shelf.has(&ours));
}
