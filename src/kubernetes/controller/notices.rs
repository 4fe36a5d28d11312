//! What is told of new bans, in the words of events on their jails.

use std::collections::{BTreeMap, HashMap};

use crate::api::v1alpha1::{GoDuration, NodeName, SlicedBan};
use crate::engine::{Duration, Timestamp};

/// Bans of a jail that are told one by one within a minute; the others are told together.
const SINGLE: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// A ban that fell earlier than this is no news: an agent publishes again what it holds when storage was emptied.
const NEWS: Duration = Duration::from_secs(120);
/// Two nodes that decide the same ban do so within this time.
const AT_ONCE: Duration = Duration::from_secs(30);
/// Subjects named in a summary.
const NAMED: usize = 5;
/// What an event's note may have, in bytes.
const LONGEST: usize = 1024;

/// One event on a jail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    /// The jail, as `namespace/name`.
    pub(super) jail: String,
    /// One word.
    pub(super) reason: &'static str,
    pub(super) note: String,
    /// The same for the same ban, whoever tells it.
    pub(super) key: String,
}

/// What was told, and what waits to be told together.
#[derive(Debug, Default)]
pub(super) struct Herald {
    /// Identities of bans that were heard of, with their beginning.
    heard: HashMap<(String, String, u32), Timestamp>,
    jails: BTreeMap<String, Minute>,
}

#[derive(Debug)]
struct Minute {
    began: Timestamp,
    single: u32,
    more: u32,
    named: Vec<String>,
}

impl Herald {
    /// Hears of a ban that `node` published. Gives what is to be told at once.
    pub(super) fn hear(&mut self, node: &str, ban: &SlicedBan, now: Timestamp) -> Option<Notice> {
        // A ban that closes everything belongs to no jail.
        let jail = ban.jail.as_ref()?.as_str();
        let since = time(ban.since.as_str())?;
        if now.since(since) > NEWS {
            return None;
        }
        let identity = (jail.to_owned(), ban.prefix.as_str().to_owned(), ban.n);
        // After a pardon the same subject may be banned for the first time once more.
        let known = self.heard.insert(identity, since);
        if known.is_some_and(|known| known.distance(since) < AT_ONCE) {
            return None;
        }
        let new = || Minute { began: now, single: 0, more: 0, named: Vec::new() };
        let minute = self.jails.entry(jail.to_owned()).or_insert_with(new);
        if minute.single < SINGLE {
            minute.single += 1;
            let key = format!("{jail} {} {} {}", ban.prefix.as_str(), ban.n, ban.since.as_str());
            return Some(Notice { jail: jail.into(), reason: "Banned", note: note(node, ban), key });
        }
        minute.more += 1;
        if minute.named.len() < NAMED {
            minute.named.push(ban.prefix.as_str().to_owned());
        }
        None
    }

    /// What is told together now that its minute is over.
    pub(super) fn summaries(&mut self, now: Timestamp) -> Vec<Notice> {
        self.heard.retain(|_, since| now.since(*since) <= NEWS + AT_ONCE);
        let over: Vec<String> = self
            .jails
            .iter()
            .filter(|(_, minute)| now.since(minute.began) >= MINUTE)
            .map(|(jail, _)| jail.clone())
            .collect();
        let summary = |jail: String| {
            let minute = self.jails.remove(&jail)?;
            (minute.more > 0).then(|| Notice {
                reason: "BannedMany",
                note: format!(
                    "Banned {} more within a minute, among them {}: `kubectl gaoler bans` lists all",
                    minute.more,
                    minute.named.join(", ")
                ),
                key: format!("{jail} many {}", minute.began.as_secs()),
                jail,
            })
        };
        over.into_iter().filter_map(summary).collect()
    }
}

/// A moment as the API writes it.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(Timestamp::from)
}

/// `Banned 45.129.14.30 for 10m: 5 x james-smtp-auth on n1, n2`
fn note(node: &str, ban: &SlicedBan) -> String {
    let who = ban.prefix.as_str();
    let long = match (time(ban.since.as_str()), ban.until.as_ref().map(|until| time(until.as_str()))) {
        (_, None) => "for ever".to_owned(),
        (Some(since), Some(Some(until))) => {
            format!("for {}", GoDuration::from_secs(until.since(since).as_secs()))
        }
        _ => "for some time".to_owned(),
    };
    let again = if ban.n > 1 { format!(" (ban number {})", ban.n) } else { String::new() };
    let mut filters: BTreeMap<&str, u64> = BTreeMap::new();
    for matched in &ban.rules {
        let filter = matched.rule.split('/').next().unwrap_or_default();
        *filters.entry(filter).or_default() += u64::from(matched.times);
    }
    let why = if filters.is_empty() {
        ban.reason.clone().unwrap_or_else(|| format!("weight {}", ban.weight))
    } else {
        let counted: Vec<String> =
            filters.iter().map(|(filter, times)| format!("{times} x {filter}")).collect();
        counted.join(", ")
    };
    let mut nodes: Vec<&str> = ban.with.iter().map(NodeName::as_str).chain([node]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let text = format!("Banned {who} {long}{again}: {why} on {}", nodes.join(","));
    super::conditions::shortened(text, LONGEST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-22T20:10:00Z";

    fn now() -> Timestamp {
        time(NOW).unwrap()
    }

    fn ban(prefix: &str, more: &serde_json::Value) -> SlicedBan {
        let mut ban = json!({
            "jail": "mail/james", "prefix": prefix, "nth": 1, "weight": 5,
            "since": "2026-11-22T20:09:59.5Z", "until": "2026-11-22T20:19:59.5Z",
            "rules": [{"rule": "james-smtp-auth/rules[0]", "times": 3}, {"rule": "james-smtp-auth/rules[1]", "times": 2}],
            "with": ["n2"],
        });
        ban.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(ban).unwrap()
    }

    fn hear(herald: &mut Herald, ban: &SlicedBan) -> Option<String> {
        herald.hear("n1", ban, now()).map(|notice| notice.note)
    }

    #[test]
    fn a_ban_is_told_with_its_length_its_evidence_and_its_nodes() {
        let mut herald = Herald::default();
        assert_eq!(
            hear(&mut herald, &ban("45.129.14.30", &json!({}))).unwrap(),
            "Banned 45.129.14.30 for 10m: 5 x james-smtp-auth on n1,n2"
        );
        assert_eq!(
            hear(&mut herald, &ban("45.129.14.31", &json!({"until": null, "nth": 3, "with": []}))).unwrap(),
            "Banned 45.129.14.31 for ever (ban number 3): 5 x james-smtp-auth on n1"
        );
        assert_eq!(
            hear(&mut herald, &ban("45.129.14.32", &json!({"rules": [], "reason": "by hand"}))).unwrap(),
            "Banned 45.129.14.32 for 10m: by hand on n1,n2"
        );
    }

    #[test]
    fn a_ban_that_two_nodes_decide_is_told_once() {
        let mut herald = Herald::default();
        let ban = ban("45.129.14.30", &json!({}));
        assert!(herald.hear("n1", &ban, now()).is_some());
        assert!(herald.hear("n2", &ban, now()).is_none());
        let pardoned_and_again = SlicedBan { since: "2026-11-22T20:11:00Z".into(), ..ban };
        assert!(herald.hear("n2", &pardoned_and_again, now() + MINUTE).is_some());
    }

    #[test]
    fn old_bans_and_bans_of_no_jail_are_no_news() {
        let mut herald = Herald::default();
        assert_eq!(hear(&mut herald, &ban("45.129.14.30", &json!({"since": "2026-11-22T20:00:00Z"}))), None);
        assert_eq!(hear(&mut herald, &ban("45.129.14.30", &json!({"jail": null}))), None);
    }

    #[test]
    fn past_ten_bans_a_minute_the_others_are_told_together() {
        let mut herald = Herald::default();
        let single = (0..312)
            .filter(|i| {
                hear(&mut herald, &ban(&format!("45.129.{}.{}", i / 256, i % 256), &json!({}))).is_some()
            })
            .count();
        assert_eq!(single, 10);
        assert!(herald.summaries(now() + Duration::from_secs(59)).is_empty());
        let told = herald.summaries(now() + Duration::from_secs(60));
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].reason, told[0].jail.as_str()), ("BannedMany", "mail/james"));
        assert!(
            told[0].note.starts_with("Banned 302 more within a minute, among them 45.129.0.10, "),
            "{}",
            told[0].note
        );
        assert!(herald.summaries(now() + Duration::from_secs(120)).is_empty());
        assert!(hear(&mut herald, &ban("45.129.200.1", &json!({}))).is_some(), "a new minute");
    }

    #[test]
    fn what_was_heard_is_not_remembered_for_ever() {
        let mut herald = Herald::default();
        hear(&mut herald, &ban("45.129.14.30", &json!({})));
        herald.summaries(now() + Duration::from_secs(600));
        assert!(herald.heard.is_empty() && herald.jails.is_empty());
    }
}
