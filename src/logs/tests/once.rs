//! Nothing is read twice, and nothing of another day.

use std::fs;

use super::world::World;
use crate::engine::Duration;

#[test]
fn a_hundred_rotations_within_find_time_are_each_read_once() {
    let mut w = World::new(&["james.log"]);
    for n in 0..100 {
        w.append("james.log", &format!("{n}\n"));
        assert_eq!(w.lines(), [n.to_string()]);
        w.rename("james.log", &format!("james.log.20260102-{n:06}"));
    }
    w.append("james.log", "last\n");
    assert_eq!(w.lines(), ["last"]);
    assert_eq!(w.pass(Duration::from_secs(15)), [""; 0], "all of them are closed now");
    w.restart();
    assert_eq!(w.pass(Duration::from_secs(15)), [""; 0]);
}

#[test]
fn yesterdays_lines_without_a_date_are_passed_over_in_every_file_and_later_ones_are_not() {
    let day = |name: &str, minutes: std::ops::Range<i64>| -> String {
        let at = |m: i64| format!("{:02}:{:02}:00.000 [INFO ] o.a.j.X - {name} {m}\n", m / 60 % 24, m % 60);
        minutes.step_by(30).map(at).collect()
    };
    let mut w = World::new(&["james.log"]);
    w.append("james.log", &day("day", 0..1500));
    let lines = w.lines();
    assert_eq!(lines.len(), 48, "{lines:?}");
    assert!(lines[0].ends_with("day 60"), "{lines:?}");
    let checkpoints = w.stop();
    w.append("james.log", &day("day", 1500..1560));
    w.rename("james.log", "james.log.1");
    w.append("james.log", "another\n");
    w.append("james.log.2", &day("older", 0..1500));
    w.append("james.log.3", &day("packed", 0..1500));
    w.gzip("james.log.3");
    w.start(&checkpoints);
    let lines = w.lines();
    assert_eq!(lines.iter().filter(|l| l.contains("packed")).count(), 48, "{lines:?}");
    assert_eq!(lines.iter().filter(|l| l.contains("older")).count(), 48, "{lines:?}");
    assert!(
        lines.iter().any(|l| l.ends_with("day 1500")) && lines.contains(&"another".to_owned()),
        "{lines:?}"
    );
    assert!(!lines.iter().any(|l| l.ends_with("day 1470")), "{lines:?}");
    w.restart();
    assert_eq!(w.pass(Duration::from_secs(15)), [""; 0]);
}

#[test]
fn a_file_written_again_with_the_same_bytes_before_the_offset_but_another_beginning_is_read_again() {
    let mut w = World::new(&["james.log"]);
    let same = "x\n".repeat(2000);
    w.append("james.log", &format!("1\n{same}"));
    assert_eq!(w.lines().len(), 2001);
    fs::write(w.path("james.log"), format!("2\n{same}3\n")).unwrap();
    let lines = w.lines();
    assert_eq!((lines.len(), lines[0].as_str()), (2002, "2"));
}
