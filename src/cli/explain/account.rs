//! What is told of one line.

use serde::Serialize;

use crate::cli::{Context, Table};
use crate::engine::LayoutSpec;
use crate::engine::house::NeverBan;
use crate::engine::scanner::{Explanation, FilterAccount, Reason};

/// One line's account. This is `-o json`, one object a line: fields are added, never renamed or removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    /// The line as given.
    line: String,
    #[serde(flatten)]
    explanation: Explanation,
    /// Whether some filter's match would be counted.
    pub(super) counted: bool,
    /// Whether the jail declares a layout.
    #[serde(skip)]
    declared: bool,
    /// Why a match would not be counted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spared: Vec<String>,
}

/// Whether a time is still to come, by more than clocks differ.
fn is_ahead(time: &str) -> bool {
    let now = jiff::Timestamp::now();
    time.parse::<jiff::Timestamp>().is_ok_and(|time| time.duration_since(now).as_secs() > 60)
}

impl Account {
    /// Of a line read in this layout, if the jail declares one.
    pub(super) fn new(line: &[u8], explanation: Explanation, never: &NeverBan, layout: &LayoutSpec) -> Self {
        let (mut counted, mut spared) = (false, Vec::new());
        for matched in explanation.filters.iter().filter_map(|filter| filter.matched) {
            match never.covers(matched.address) {
                None => counted = true,
                Some(why) => {
                    let text = format!("{} is never banned: {why}", matched.address);
                    if !spared.contains(&text) {
                        spared.push(text);
                    }
                }
            }
        }
        Self {
            line: String::from_utf8_lossy(line).into_owned(),
            explanation,
            counted,
            declared: *layout != LayoutSpec::Auto,
            spared,
        }
    }

    /// The account as text.
    pub(super) fn text(&self, context: &Context) -> String {
        let Explanation { envelope, layout, shows, event, skipped, filters } = &self.explanation;
        let mut facts = Table::plain();
        let mut fact = |name: &str, value: &str| facts.row([context.faint(name), shown(value)]);
        fact("line", &self.line);
        if let Some(envelope) = envelope {
            fact("envelope", &format!("{}, {}", envelope.stream, envelope.time));
        }
        fact("layout", layout.as_deref().unwrap_or("not recognised"));
        if layout.is_none() {
            fact("", "→ copy James' <pattern> into the jail: source.layout: {type: Pattern, pattern: '…'}");
        }
        if let Some(event) = event {
            let time = event.time.as_deref().unwrap_or("");
            for (name, value) in [
                ("time", time),
                ("level", &event.level),
                ("logger", &event.logger),
                ("message", &event.message),
            ] {
                if !value.is_empty() {
                    fact(name, value);
                }
                if name == "time" && is_ahead(value) {
                    fact(
                        "",
                        "→ in the future, so it counts as now; a time zone of James' own: %d{…, Europe/Berlin}",
                    );
                }
            }
            for (key, value) in &event.context {
                fact(&format!("context {key}"), value);
            }
        } else if layout.is_some() {
            fact("event", "none: the line has not the form of the layout");
        }
        if let Some(shows) = shows {
            let how = match (self.declared, envelope.is_some()) {
                (true, _) => "the jail declares another `layout`: mend it, or leave it out",
                (false, false) => "the agent takes to another layout after 20 such lines",
                (false, true) => {
                    "in a container's log the agent takes from text to JSON after a minute without text, and to no other \
                     layout: declare it, source.layout: {type: …}"
                }
            };
            fact("", &format!("→ it shows {shows}; {how}"));
        }
        if let Some(date) = filters.iter().find_map(|filter| filter.date.as_deref()) {
            fact("date found", date);
        }
        let mut out = facts.to_string();
        for filter in filters {
            out.push('\n');
            out.push_str(&verdict(filter, context));
        }
        for spared in &self.spared {
            out.push('\n');
            out.push_str(&context.yellow(spared));
        }
        let end = match (skipped, self.counted) {
            (Some(why), _) => context.yellow(format!("not counted: {why}")),
            (None, true) => context.red("counted"),
            (None, false) => context.green("not counted"),
        };
        format!("{out}\n{end}")
    }
}

/// What a filter says: the rule that came furthest, or with `-v` all of them.
fn verdict(filter: &FilterAccount, context: &Context) -> String {
    let line = |rule: &crate::engine::scanner::RuleAccount| {
        let reason = shown(&rule.reason.to_string());
        let reason = if matches!(rule.reason, Reason::Matched { .. }) { context.red(reason) } else { reason };
        let field = rule.field.as_deref().map_or_else(String::new, |field| format!(" {field}"));
        format!("{}{field}: {reason}", context.bold(&filter.filter))
    };
    if context.verbose > 0 {
        return filter.rules.iter().map(line).collect::<Vec<_>>().join("\n");
    }
    let furthest = filter.rules.iter().rev().max_by_key(|rule| distance(&rule.reason));
    furthest.map_or_else(|| format!("{}: not asked", context.bold(&filter.filter)), line)
}

/// How far a rule came.
fn distance(reason: &Reason) -> u8 {
    match reason {
        Reason::NoLayout | Reason::OtherLayout | Reason::NoRegex | Reason::NoPrefix => 0,
        Reason::Logger { .. } => 1,
        Reason::Context { .. } => 2,
        Reason::Message => 3,
        Reason::Matched { .. } => 5,
        _ => 4,
    }
}

/// Text for a terminal: no control character of a log gets through.
fn shown(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::Format;
    use crate::config::FilterLibrary;
    use crate::config::library::built_in;
    use crate::engine::filter::Filter;
    use crate::engine::house::Why;
    use crate::engine::scanner::{Envelope, ScanState, Scanner};
    use crate::engine::{AddressPolicy, FilterName, ReadClock};

    const LINE: &str =
        "16:45:34.154 [INFO ] o.a.j.p.s.AUTHENTICATION - AUTH method PLAIN failed from Username{x}@192.0.2.1";

    fn account(line: &str, never: &[&str]) -> Account {
        let library = built_in();
        let filter = Filter::compile(&library.get(&FilterName::new("james-smtp-auth")).unwrap()).unwrap();
        let policy = AddressPolicy::default();
        let scanner = Scanner::new(&[Arc::new(filter)], &LayoutSpec::Auto, Envelope::None, &policy).unwrap();
        static ZONE: TimeZone = TimeZone::UTC;
        let now = crate::engine::Timestamp::from_secs(1_795_366_800);
        let clock = ReadClock { now, live: false, newest: now, zone: &ZONE };
        let never =
            NeverBan::new(never.iter().map(|net| (net.parse().unwrap(), Why::AllowList("office".into()))));
        Account::new(
            line.as_bytes(),
            scanner.explain(&mut ScanState::default(), line.as_bytes(), clock),
            &never,
            &LayoutSpec::Auto,
        )
    }

    fn text(account: &Account, verbose: u8) -> String {
        account.text(&Context { format: Format::Text, color: false, socket: "/nowhere".into(), verbose })
    }

    #[test]
    fn a_line_that_counts_shows_its_layout_fields_rule_and_address() {
        let account = account(LINE, &[]);
        assert!(account.counted);
        let text = text(&account, 0);
        for part in [
            "layout   JamesDefault\n",
            "logger   o.a.j.p.s.AUTHENTICATION\n",
            ": failure of 192.0.2.1 from the text at 2026-11-22T16:45:34.154Z, weight 1\ncounted",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn lines_of_another_layout_say_so_until_the_source_is_taken_to_have_it() {
        let library = built_in();
        let filter = Filter::compile(&library.get(&FilterName::new("james-smtp-auth")).unwrap()).unwrap();
        let policy = AddressPolicy::default();
        let scanner = Scanner::new(&[Arc::new(filter)], &LayoutSpec::Auto, Envelope::None, &policy).unwrap();
        static ZONE: TimeZone = TimeZone::UTC;
        let now = crate::engine::Timestamp::from_secs(1_795_366_800);
        let clock = ReadClock { now, live: false, newest: now, zone: &ZONE };
        let mut state = ScanState::default();
        let mut explained = |line: &str| {
            let explanation = scanner.explain(&mut state, line.as_bytes(), clock);
            Account::new(line.as_bytes(), explanation, &NeverBan::new([]), &LayoutSpec::Auto)
        };
        let json = r#"{"timestamp":"2026-11-22T16:45:41.985Z","level":"INFO","thread":"x","logger":"org.apache.james.protocols.smtp.AUTHENTICATION","message":"AUTH method PLAIN failed from Username{x}@192.0.2.2","context":"default"}"#;
        assert!(explained(LINE).counted);
        for n in 1..20 {
            let account = explained(json);
            assert!(!account.counted && text(&account, 0).contains("it shows JsonLayout"), "{n}");
        }
        let account = explained(json);
        assert!(account.counted && !text(&account, 0).contains("it shows"), "{}", text(&account, 0));
    }

    #[test]
    fn a_line_of_another_layout_names_the_remedy_in_a_containers_log_and_where_a_layout_is_declared() {
        let json = r#"{"timestamp":"2026-11-22T16:45:41.985Z","level":"INFO","thread":"x","logger":"a","message":"b","context":"default"}"#;
        let told = |declared: LayoutSpec, envelope: Envelope| {
            let scanner = Scanner::new(&[], &declared, envelope, &AddressPolicy::default()).unwrap();
            let wrapped = |line: &str| match envelope {
                Envelope::Cri => format!("2026-11-22T16:45:41.985000000Z stdout F {line}"),
                Envelope::None => line.to_owned(),
            };
            let now = crate::engine::Timestamp::from_secs(1_795_366_800);
            let clock = ReadClock { now, live: false, newest: now, zone: &TimeZone::UTC };
            let mut state = ScanState::default();
            let _ = scanner.explain(&mut state, wrapped(LINE).as_bytes(), clock);
            let explanation = scanner.explain(&mut state, wrapped(json).as_bytes(), clock);
            text(&Account::new(json.as_bytes(), explanation, &NeverBan::new([]), &declared), 0)
        };
        let text = told(LayoutSpec::Auto, Envelope::None);
        assert!(
            text.contains("it shows JsonLayout; the agent takes to another layout after 20 such lines"),
            "{text}"
        );
        let text = told(LayoutSpec::Auto, Envelope::Cri);
        assert!(
            text.contains("after a minute without text") && text.contains("declare it, source.layout"),
            "{text}"
        );
        let text = told(LayoutSpec::JamesDefault, Envelope::Cri);
        assert!(text.contains("the jail declares another `layout`"), "{text}");
    }

    #[test]
    fn an_address_on_an_allow_list_is_not_counted_and_the_list_is_named() {
        let account = account(LINE, &["192.0.2.0/24"]);
        assert!(!account.counted);
        assert!(
            text(&account, 0).ends_with("192.0.2.1 is never banned: on the allow list office\nnot counted"),
            "{}",
            text(&account, 0)
        );
    }

    #[test]
    fn a_line_that_does_not_count_names_the_nearest_rule_and_with_v_all_of_them() {
        let account = account(&LINE.replace("@192.0.2.1", "@mx.example.org"), &[]);
        let short = text(&account, 0);
        assert!(short.contains("james-smtp-auth rules["), "{short}");
        assert!(short.ends_with("\nnot counted"), "{short}");
        assert!(text(&account, 1).lines().count() > short.lines().count());
    }

    #[test]
    fn control_characters_of_a_log_do_not_reach_the_terminal() {
        let text = text(&account("16:45:34.154 [INFO ] a.B - x\x1b]0;evil\x07", &[]), 1);
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
}
