//! What is found, what is cut, what time it is.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::template::Template;
use super::*;

static BERLIN: LazyLock<TimeZone> = LazyLock::new(|| TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
static DEFAULT: LazyLock<DateFinder> = LazyLock::new(|| DateFinder::new(&[]).unwrap());

/// 2026-11-22T16:00:00Z.
fn clock() -> ReadClock<'static> {
    let now = Timestamp::from_secs(1_795_363_200);
    ReadClock { now, live: false, newest: now, zone: &BERLIN }
}

fn finder(patterns: &[&str]) -> DateFinder {
    DateFinder::new(&patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The text that is cut and the time that is found.
fn cut<'l>(finder: &DateFinder, line: &'l str) -> Option<(&'l str, String)> {
    let found = finder.find(line, clock())?;
    Some((&line[found.range], found.time.to_string()))
}

#[test]
fn what_remains_of_the_guides_lines_is_not_trimmed() {
    let line = "2023-06-17 11:11:50.206 +0200 - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH";
    let found = DEFAULT.find(line, clock()).unwrap();
    assert_eq!(found.time.to_string(), "2023-06-17T09:11:50.206Z");
    assert_eq!(
        &line[found.range.end..],
        " - org.apache.james.protocols.smtp.core.esmtp.AuthCmdHandler [ip=] - AUTH"
    );
    assert_eq!(found.range.start, 0);
}

#[test]
fn the_default_forms_are_found() {
    for (line, text, time) in [
        ("2005-01-23T21:59:59.981746Z x", "2005-01-23T21:59:59.981746Z", "2005-01-23T21:59:59.981746Z"),
        ("2005-01-23 21:59:59,5 -0500 x", "2005-01-23 21:59:59,5 -0500", "2005-01-24T02:59:59.5Z"),
        ("2005-07-23 21:59:59 x", "2005-07-23 21:59:59", "2005-07-23T19:59:59Z"),
        ("2005-01-23  8:59:59 x", "2005-01-23  8:59:59", "2005-01-23T07:59:59Z"),
        ("[2005/01/23 21:59:59]", "2005/01/23 21:59:59", "2005-01-23T20:59:59Z"),
        ("2006.12.21 06:43:20", "2006.12.21 06:43:20", "2006-12-21T05:43:20Z"),
        ("2005-01-23 21:59:59+02:00 x", "2005-01-23 21:59:59+02:00", "2005-01-23T19:59:59Z"),
        ("2005-01-23 21:59:59 UTC: x", "2005-01-23 21:59:59 UTC", "2005-01-23T21:59:59Z"),
        ("2005-01-23 21:59:59 Zebra", "2005-01-23 21:59:59", "2005-01-23T20:59:59Z"),
        ("Sun Jan 23 21:59:59.011 2005 x", "Sun Jan 23 21:59:59.011 2005", "2005-01-23T20:59:59.011Z"),
        ("Sun Jan 23 2005 21:59:59.011 x", "Sun Jan 23 2005 21:59:59.011", "2005-01-23T20:59:59.011Z"),
        ("Nov 22 16:59:59 host sshd[1]: x", "Nov 22 16:59:59", "2026-11-22T15:59:59Z"),
        ("Nov  2 06:59:59 host x", "Nov  2 06:59:59", "2026-11-02T05:59:59Z"),
        ("23/01/2005 21:59:59 x", "23/01/2005 21:59:59", "2005-01-23T20:59:59Z"),
        ("17-07-08 17:23:25 x", "17-07-08 17:23:25", "2008-07-17T15:23:25Z"),
        ("1.2.3.4 - - [31/Oct/2006:09:22:55 -0100] x", "31/Oct/2006:09:22:55 -0100", "2006-10-31T10:22:55Z"),
        ("26-Jul-2007 15:20:52.252 x", "26-Jul-2007 15:20:52.252", "2007-07-26T13:20:52.252Z"),
        ("05/20/2008:01:57:39 x", "05/20/2008:01:57:39", "2008-05-19T23:57:39Z"),
        ("01-27-2012 16:22:44.252 x", "01-27-2012 16:22:44.252", "2012-01-27T15:22:44.252Z"),
        ("1138049999 x", "1138049999", "2006-01-23T20:59:59Z"),
        ("[1138049999.123] x", "1138049999.123", "2006-01-23T20:59:59.123Z"),
        ("type=X msg=audit(1138049999.123:987): x", "1138049999.123", "2006-01-23T20:59:59.123Z"),
        ("[11:22:33] x", "11:22:33", "2026-11-22T10:22:33Z"),
        ("<09/16/08@05:03:30>x", "<09/16/08@05:03:30>", "2008-09-16T03:03:30Z"),
        ("130322 11:46:11 x", "130322 11:46:11", "2013-03-22T10:46:11Z"),
        ("Apr 27, 2013 02:33:06 PM x", "Apr 27, 2013 02:33:06 PM", "2013-04-27T12:33:06Z"),
        ("Apr-27-13 02:33:06 x", "Apr-27-13 02:33:06", "2013-04-27T00:33:06Z"),
        ("20050123T215959,123 x", "20050123T215959,123", "2005-01-23T20:59:59.123Z"),
        ("PDT Apr 16 21:05:29 x", "PDT Apr 16 21:05:29", "2026-04-17T04:05:29Z"),
        ("+00:00 Jan 23 21:59:59.011 2005", "+00:00 Jan 23 21:59:59.011 2005", "2005-01-23T21:59:59.011Z"),
        ("@400000004c91b044077a9e94 x", "@400000004c91b044077a9e94", "2010-09-16T05:50:50.125476Z"),
    ] {
        assert_eq!(cut(&DEFAULT, line), Some((text, time.to_owned())), "{line}");
    }
}

#[test]
fn every_default_form_can_be_compiled() {
    assert_eq!(DEFAULT.templates.len(), 31);
    assert!(DEFAULT.templates.iter().all(Template::is_sound));
    assert_eq!(finder(&["{^LN-BEG}"]).templates.len(), 17);
    assert!(finder(&["{^LN-BEG}"]).templates.iter().all(|t| t.anchored));
}

#[test]
fn a_line_without_a_date_has_none() {
    for line in [
        "",
        "hello",
        "\tat org.apache.james.Foo(Foo.java:123)",
        "::1",
        "2001:db8:0:0:0:0:0:99",
        "x2005-01-23 21:59:590",
        "12345678901234",
        "2005-13-23 2:2",
        "@",
        "é16:45",
    ] {
        assert_eq!(cut(&DEFAULT, line), None, "{line}");
    }
}

#[test]
fn a_date_at_the_start_is_preferred_to_one_in_the_message() {
    let line = "Nov 22 16:59:59 host x: since 2005-01-23 21:59:59";
    assert_eq!(cut(&DEFAULT, line).unwrap().0, "Nov 22 16:59:59");
    let line = "host x: 12:00 Jan 23 21:59:59 then 2005-01-23 21:59:59";
    assert_eq!(cut(&DEFAULT, line).unwrap().0, "Jan 23 21:59:59", "the leftmost of those further in");
}

#[test]
fn a_form_that_fitted_before_is_kept_where_two_fit() {
    let mut memory = DateMemory::default();
    let mut time = |line: &str| DEFAULT.find_next(&mut memory, line, clock()).unwrap().time.to_string();
    assert_eq!(time("27-01-2012 16:22:44"), "2012-01-27T15:22:44Z");
    assert_eq!(time("02-01-2012 16:22:44"), "2012-01-02T15:22:44Z", "day first, as before");
    assert_eq!(time("01-27-2012 16:22:44"), "2012-01-27T15:22:44Z");
    assert_eq!(time("02-01-2012 16:22:44"), "2012-02-01T15:22:44Z", "month first, as before");
    assert_eq!(time("2012-03-04 16:22:44"), "2012-03-04T15:22:44Z", "another form altogether");
}

#[test]
fn a_date_without_a_year_is_of_this_year_or_the_last() {
    let at = |now: &str, line: &str| {
        let now: jiff::Timestamp = now.parse().unwrap();
        DEFAULT.find(line, ReadClock { now: now.into(), ..clock() }).unwrap().time.to_string()
    };
    assert_eq!(at("2026-01-01T00:00:30Z", "Dec 31 23:59:59 x"), "2025-12-31T22:59:59Z");
    // Less than a day ahead is a zone.
    assert_eq!(at("2026-11-22T16:00:00Z", "Nov 23 12:00:00 x"), "2026-11-23T11:00:00Z");
    assert_eq!(at("2026-11-22T16:00:00Z", "Nov 24 12:00:00 x"), "2025-11-24T11:00:00Z");
    // There is no 29th of February this year, and there was one last year.
    assert_eq!(at("2025-03-01T00:00:00Z", "Feb 29 12:00:00 x"), "2024-02-29T11:00:00Z");
}

#[test]
fn a_day_that_does_not_exist_counts_as_now_and_is_cut_all_the_same() {
    for line in ["2023-02-30 11:11:50 x", "Feb 30 11:11:50 x"] {
        let found = DEFAULT.find(line, clock()).unwrap();
        assert_eq!((found.time, &line[found.range.end..]), (clock().now, " x"), "{line}");
    }
}

#[test]
fn the_hour_that_summer_time_skips_or_repeats_is_read() {
    assert_eq!(cut(&DEFAULT, "2026-03-29 02:30:00").unwrap().1, "2026-03-29T01:30:00Z");
    assert_eq!(cut(&DEFAULT, "2026-10-25 02:30:00").unwrap().1, "2026-10-25T00:30:00Z");
    assert_eq!(cut(&DEFAULT, "2026-12-31 23:59:60").unwrap().1, "2026-12-31T23:00:00Z");
}

#[test]
fn nanoseconds_are_cut_as_fail2ban_does_and_the_zone_behind_them_counts() {
    let line = "2026-11-22T16:45:34.154123456Z x";
    assert_eq!(cut(&DEFAULT, line), Some(("2026-11-22T16:45:34", "2026-11-22T16:45:34.154123Z".to_owned())));
}

#[test]
fn own_patterns_are_tried_in_order() {
    let f = finder(&["^L %d/%m/%Y - %H:%M:%S", "{^LN-BEG}Epoch"]);
    assert_eq!(cut(&f, "L 11/06/2013 - 02:09:40 x").unwrap().1, "2013-06-11T00:09:40Z");
    assert_eq!(cut(&f, "1138049999 x").unwrap().0, "1138049999");
    assert_eq!(cut(&f, "2005-01-23 21:59:59 x"), None);
}

#[test]
fn own_patterns_know_fail2bans_words() {
    for (pattern, line, text, time) in [
        (
            r"^[^\[]*\[({DATE})",
            "x - [31/Oct/2006:09:22:55 +0000] y",
            "31/Oct/2006:09:22:55 +0000",
            "2006-10-31T09:22:55Z",
        ),
        (
            r"^[^\[]*(\[{DATE}\s*\])",
            "x [2005-01-23 21:59:59 ] y",
            "[2005-01-23 21:59:59 ]",
            "2005-01-23T20:59:59Z",
        ),
        ("{DATE}", "x 1138049999 Jan 23 21:59:59 2005", "Jan 23 21:59:59 2005", "2005-01-23T20:59:59Z"),
        ("{^LN-BEG}", "[Jan 23 21:59:59 2005]", "Jan 23 21:59:59 2005", "2005-01-23T20:59:59Z"),
        ("{DEFAULT}", "x Jan 23 21:59:59 2005", "Jan 23 21:59:59 2005", "2005-01-23T20:59:59Z"),
        (
            "{^LN-BEG}TAI64N",
            "@400000004c91b044077a9e94 x",
            "@400000004c91b044077a9e94",
            "2010-09-16T05:50:50.125476Z",
        ),
        ("LEPOCH", "1138049999123 x", "1138049999123", "2006-01-23T20:59:59.123Z"),
        ("LEPOCH", "1138049999123456 x", "1138049999123456", "2006-01-23T20:59:59.123456Z"),
        (r"\[{EPOCH}\]:", "x [1138049999]: y", "[1138049999]:", "2006-01-23T20:59:59Z"),
        ("^%H:%M:%S.%f", "11:22:33.5 x", "11:22:33.5", "2026-11-22T10:22:33.5Z"),
        (
            "%ExY(?P<_sep>[-/.])%m(?P=_sep)%d %H:%M",
            "x 2005/01/23 21:59 y",
            "2005/01/23 21:59",
            "2005-01-23T20:59:00Z",
        ),
        (
            r"^(?:=[^=]+={3,} )?(%ExY(?P<_sep>[-/])%m(?P=_sep)%d[T ]%H:%M:%S)",
            "=X==== 2005/01/23 21:59:59::",
            "2005/01/23 21:59:59",
            "2005-01-23T20:59:59Z",
        ),
        (
            "%A, %d %B %Y %l:%M%p %ExZ",
            "Sunday, 3 May 2020  1:02pm EST x",
            "Sunday, 3 May 2020  1:02pm EST",
            "2020-05-03T18:02:00Z",
        ),
        (r"(?P<d>\d\d)\.(?P<m>\d\d)\.(?P<Y>\d{4})", "x 23.01.2005", "23.01.2005", "2005-01-22T23:00:00Z"),
        ("%Y-%j", "2020-366", "2020-366", "2020-12-30T23:00:00Z"),
        ("100%% %Y-%m-%d", "100% 2005-01-23", "100% 2005-01-23", "2005-01-22T23:00:00Z"),
        ("**%H:%M**", "x11:22x", "11:22", "2026-11-22T10:22:00Z"),
        ("{UNB}%H:%M", "x11:22x", "11:22", "2026-11-22T10:22:00Z"),
    ] {
        let f = finder(&[pattern]);
        assert_eq!(cut(&f, line), Some((text, time.to_owned())), "{pattern}");
    }
    assert_eq!(cut(&finder(&["{NONE}"]), "2005-01-23 21:59:59"), None);
    assert_eq!(cut(&finder(&["%H:%M"]), "x11:22"), None, "within a word");
}

#[test]
fn a_bad_pattern_says_what_is_wrong() {
    let error = |pattern: &str| DateFinder::new(&[pattern.to_owned()]).unwrap_err().to_string();
    insta::assert_snapshot!(
        ["%Y-%m-%Q", "%", "(%Y", r"(?=x)%Y", r"(?P<s>x+)%Y(?P=s)%m", "[{DATE}]", r"%Y(?P=s)"]
            .map(|pattern| format!("{pattern}\n    {}", error(pattern)))
            .join("\n")
    );
}

/// Something like a date, often a real one.
fn date_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("2023-06-17".to_owned()),
        Just("2023/06/17".to_owned()),
        "20[0-9]{2}[-/.][01]?[0-9][-/.][0-3]?[0-9]",
        Just(" ".to_owned()),
        Just("T".to_owned()),
        Just("11:11:50".to_owned()),
        "[0-2]?[0-9]:[0-6]?[0-9]:[0-6][0-9]",
        "[.,][0-9]{1,9}",
        Just(" +0200".to_owned()),
        Just("Z".to_owned()),
        "[ ]?(UTC|GMT|Z|[+-][0-9]{2,4}|[+-][0-9]{2}:[0-9]{2})",
        "[\\[ (-]{1,2}",
        "[a-zé_:.]{1,2}",
        Just("Jun 17 ".to_owned()),
        Just("17/Jun/2023:".to_owned()),
    ];
    prop::collection::vec(part, 0..7).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in date_text(), odd in "\\PC{0,40}") {
        for line in [line, odd] {
            if let Some(found) = DEFAULT.find(&line, clock()) {
                prop_assert!(line.is_char_boundary(found.range.start) && line.is_char_boundary(found.range.end));
                prop_assert!(!found.range.is_empty());
            }
        }
    }

    #[test]
    fn no_moment_of_reading_makes_it_panic(now: i64, line in date_text()) {
        let _ = DEFAULT.find(&line, ReadClock { now: Timestamp::from_micros(now), ..clock() });
    }

    #[test]
    fn no_pattern_makes_it_panic(pattern in "[%{}()\\[\\]^$*?|a-zA-Z: .\\\\<>=_-]{0,24}", line in date_text()) {
        if let Ok(finder) = DateFinder::new(&[pattern]) {
            let _ = finder.find(&line, clock());
        }
    }

    /// The parser by hand takes exactly what the template of the same form takes, or leaves the line to it.
    #[test]
    fn both_readers_of_iso_dates_agree(start in "[\\[( -]{0,2}", line in date_text()) {
        let line = format!("{start}{line}");
        let template: &Template = &DEFAULT.templates[defaults::ISO_AT_START];
        if let Some((fields, range)) = iso::at_start(&line) {
            let hit = template.find(&line).unwrap();
            prop_assert_eq!(&hit.range, &range);
            // Beyond six digits only the reader by hand sees fraction and zone.
            if line.as_bytes().get(range.end).is_none_or(|b| !matches!(b, b'.' | b',')) {
                prop_assert_eq!(hit.fields, Some(fields));
            }
        }
    }

    /// So do the two of syslog's dates.
    #[test]
    fn both_readers_of_syslog_dates_agree(line in "(Nov|jan|Foo) [0-3 ][0-9] [0-2 ][0-9]:[0-6][0-9]:[0-6][0-9][ .0-9a-z]{0,6}") {
        if let Some((fields, range)) = syslog::at_start(&line) {
            let hit = DEFAULT.templates[defaults::SYSLOG_AT_START].find(&line).unwrap();
            prop_assert_eq!((hit.fields, hit.range), (Some(fields), range));
        }
    }

    /// So do the two of any form, when there are two.
    #[test]
    fn both_readers_of_a_template_agree(
        line in "[0-2][0-9]:[0-6][0-9]:[0-6][0-9]([ .,0-9a-z_é:/-].{0,6})?", other in date_text(),
    ) {
        for template in DEFAULT.templates.iter() {
            prop_assert_eq!(template.find(&line), template.search(&line), "{}", line);
            prop_assert_eq!(template.find(&other), template.search(&other), "{}", other);
        }
    }

    #[test]
    fn a_printed_date_comes_back(micros in 946_684_800_000_000i64..4_000_000_000_000_000) {
        let time = Timestamp::from_micros(micros);
        let line = format!("{time} x");
        let found = DEFAULT.find(&line, clock()).unwrap();
        prop_assert_eq!(found.time, time);
        prop_assert_eq!(&line[found.range.end..], " x");
    }

    #[test]
    fn what_cannot_hold_a_date_is_not_searched_in_vain(line in date_text()) {
        if !may_hold_a_date(&line) {
            prop_assert!(DEFAULT.templates.iter().all(|template| template.find(&line).is_none()));
        }
    }

    #[test]
    fn the_first_character_rules_out_no_template_that_fits(line in date_text()) {
        let first = first_of(&line);
        for template in DEFAULT.templates.iter().filter(|template| template.anchored) {
            if !may_begin(template.first, first) {
                prop_assert_eq!(template.find(&line), None);
            }
        }
    }
}
