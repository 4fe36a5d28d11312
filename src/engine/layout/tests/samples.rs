//! Lines of real Jamess, one event printed in several layouts (`tests/samples/james`).

use std::fmt::Write as _;

use super::*;
use crate::engine::address::parse_address;

const RECOMMENDED: &str = r#"%d{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX",UTC} [%-5level] [proto=%X{protocol:-} ip=%X{ip:-} src=%X{proxy.source:-} rip=%X{remoteIP:-} sid=%X{sessionId:-}] %logger{0} - %replace(%replace(%msg %ex{1}){'\s+$',''}){'[\r\n]+','\\n'}%n%nopex"#;
const DUMP: &str = r#"%d{"yyyy-MM-dd'T'HH:mm:ss.SSSXXX"} %-5level %logger - %msg | MDC{%X}%n%rEx"#;
const SEED: &str = "%d{yyyy-MM-dd HH:mm:ss.SSS Z} - %C [ip=%X{ip}] - %msg%n";

macro_rules! sample {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/james/", $name))
    };
}

/// The lines of a sample; only a line feed ends one.
fn lines(sample: &str) -> impl Iterator<Item = &str> {
    sample.split('\n').filter(|line| !line.is_empty())
}

/// What the layout sees in each line, to be read by a person.
fn fields(layout: &Layout, sample: &str) -> String {
    let mut out = String::new();
    for line in lines(sample) {
        match layout.read(line, clock()) {
            Ok(event) => {
                let time = event.time.map(|t| t.to_string()).unwrap_or_default();
                writeln!(out, "{time} {} {}", event.level, event.logger).unwrap();
                writeln!(out, "    {}", event.message.escape_debug()).unwrap();
                for (key, value) in event.context.iter() {
                    let address = parse_address(value).map(|a| format!(" -> {a}")).unwrap_or_default();
                    writeln!(out, "    {key}={}{address}", value.escape_debug()).unwrap();
                }
            }
            Err(why) => writeln!(out, "{why:?}: {}", line.escape_debug()).unwrap(),
        }
    }
    out
}

fn layout(spec: &LayoutSpec) -> Layout {
    Layout::new(spec).unwrap()
}

#[test]
fn the_default_layout_of_real_jamess_is_read() {
    let layout = layout(&LayoutSpec::JamesDefault);
    insta::assert_snapshot!("default_3_8", fields(&layout, sample!("3.8.1-default.log")));
    insta::assert_snapshot!("default_3_9", fields(&layout, sample!("3.9.0-default.log")));
}

#[test]
fn the_recommended_layout_of_real_jamess_is_read() {
    insta::assert_snapshot!("recommended_3_8", fields(&pattern(RECOMMENDED), sample!("3.8.1-fixed.log")));
    insta::assert_snapshot!("recommended_3_9", fields(&pattern(RECOMMENDED), sample!("3.9.0-fixed.log")));
}

#[test]
fn the_layout_of_the_fail2ban_guide_is_read() {
    insta::assert_snapshot!("seed_3_8", fields(&pattern(SEED), sample!("3.8.1-seed.log")));
    insta::assert_snapshot!("seed_3_9", fields(&pattern(SEED), sample!("3.9.0-seed.log")));
}

#[test]
fn a_dump_of_the_context_is_read_as_far_as_it_is_certain() {
    insta::assert_snapshot!("dump_3_8", fields(&pattern(DUMP), sample!("3.8.1-mdc.log")));
    insta::assert_snapshot!("dump_3_9", fields(&pattern(DUMP), sample!("3.9.0-mdc.log")));
}

#[test]
fn both_json_layouts_of_real_jamess_are_read() {
    insta::assert_snapshot!(
        "json_3_8",
        fields(&layout(&LayoutSpec::JsonLayout), sample!("3.8.1-json.jsonl"))
    );
    insta::assert_snapshot!(
        "json_3_9",
        fields(&layout(&LayoutSpec::JsonEncoder), sample!("3.9.0-json.jsonl"))
    );
}

#[test]
fn every_layout_is_recognised_by_its_lines_and_by_no_other() {
    let patterns = |spec: &LayoutSpec| matches!(spec, LayoutSpec::Pattern(_));
    type Expected = fn(&LayoutSpec) -> bool;
    let samples: [(&str, Expected); 8] = [
        (sample!("3.8.1-default.log"), |s| *s == LayoutSpec::JamesDefault),
        (sample!("3.9.0-default.log"), |s| *s == LayoutSpec::JamesDefault),
        (sample!("3.8.1-json.jsonl"), |s| *s == LayoutSpec::JsonLayout),
        (sample!("3.9.0-json.jsonl"), |s| *s == LayoutSpec::JsonEncoder),
        (sample!("3.8.1-fixed.log"), patterns),
        (sample!("3.9.0-fixed.log"), patterns),
        (sample!("3.8.1-seed.log"), patterns),
        (sample!("3.9.0-seed.log"), patterns),
    ];
    for (sample, expected) in samples {
        let mut recognised = 0;
        for line in lines(sample) {
            let Some(spec) = detect(line) else { continue };
            assert!(expected(&spec), "{spec:?} for {line}");
            // What is recognised can be read.
            assert!(layout(&spec).event(line, clock()).is_some(), "{line}");
            recognised += 1;
        }
        assert!(recognised >= 9, "{recognised} of {sample}");
    }
}

/// The same event, printed in JSON (where nothing can be confused) and in text.
#[test]
fn text_and_json_of_the_same_event_say_the_same() {
    let pairs = [
        (LayoutSpec::JsonLayout, sample!("3.8.1-json.jsonl"), sample!("3.8.1-fixed.log")),
        (LayoutSpec::JsonEncoder, sample!("3.9.0-json.jsonl"), sample!("3.9.0-fixed.log")),
    ];
    let text = pattern(RECOMMENDED);
    for (spec, json_lines, text_lines) in pairs {
        let json = layout(&spec);
        let text_events: Vec<Event<'_>> =
            lines(text_lines).map(|l| text.event(l, clock()).unwrap()).collect();
        let mut compared = 0;
        for line in lines(json_lines) {
            let event = json.event(line, clock()).unwrap();
            let Some(same) =
                text_events.iter().find(|t| t.time == event.time && logger_matches(&event.logger, &t.logger))
            else {
                continue;
            };
            assert_eq!(same.level, event.level);
            if event.message.contains("Unable to process") {
                assert!(
                    same.message.starts_with(event.message.as_ref()),
                    "the exception follows on the line"
                );
            } else {
                assert_eq!(same.message, event.message);
            }
            for key in ["protocol", "ip", "proxy.source", "remoteIP", "sessionId"] {
                assert_eq!(same.context.get(key), event.context.get(key), "{key} of {line}");
            }
            compared += 1;
        }
        assert!(compared >= 8, "{compared}");
    }
}

#[test]
fn the_default_layout_and_the_dump_of_the_same_event_say_the_same() {
    let default = layout(&LayoutSpec::JamesDefault);
    let dump = pattern(DUMP);
    let pairs = [
        (sample!("3.8.1-default.log"), sample!("3.8.1-mdc.log")),
        (sample!("3.9.0-default.log"), sample!("3.9.0-mdc.log")),
    ];
    for (default_lines, dump_lines) in pairs {
        let dumped: Vec<Event<'_>> = lines(dump_lines).filter_map(|l| dump.event(l, clock())).collect();
        let mut compared = 0;
        for event in lines(default_lines).filter_map(|line| default.event(line, clock())) {
            // A message with a line break has no dump on its first line.
            let Some(same) = dumped.iter().find(|d| d.time == event.time && d.message == event.message)
            else {
                continue;
            };
            assert!(logger_matches(&same.logger, &event.logger));
            assert_eq!(same.level, event.level);
            compared += 1;
        }
        assert!(compared >= 8, "{compared}");
    }
}
