//! What of the shared bans and pardons is of no use to anybody any more.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::api::v1alpha1::{QualifiedName, SlicedBan};
use crate::config::Config;
use crate::engine::{Duration, Subject, Timestamp};

use super::notices::time;

/// `forgetAfter` of jails without escalation, and of those that are gone.
const FORGET: Duration = Duration::from_secs(720 * 3600);
/// What is over is kept a little longer: clocks differ.
const SLACK: Duration = Duration::from_secs(600);
/// A jail's ban without an end counts as one of a year, when it is asked how long an agent that was away may still
/// hold a ban that was pardoned meanwhile.
const PERMANENT: Duration = Duration::from_secs(8760 * 3600);

/// How long what must be remembered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    /// By jail (`namespace/name`): after how long without a ban the count of bans starts anew.
    forget: HashMap<String, Duration>,
    /// After this time a pardon can touch nothing any more, whoever comes back.
    pub(super) pardons: Duration,
}

impl Memory {
    pub(super) fn of(config: &Config) -> Self {
        let mut forget = HashMap::new();
        // Jails that are gone may have banned without an end.
        let mut pardons = PERMANENT.saturating_add(FORGET);
        for jail in &config.jails {
            let sentence = &jail.spec.sentence;
            forget.insert(jail.name().as_str().to_owned(), sentence.forget_after);
            let longest = sentence.ban_time.map_or(PERMANENT, |ban| ban.max(sentence.max_ban_time));
            let touched = longest
                .saturating_add(sentence.jitter)
                .saturating_add(sentence.forget_after)
                .saturating_add(jail.spec.find_time);
            pardons = pardons.max(touched);
        }
        Self { forget, pardons }
    }

    fn forget_after(&self, jail: Option<&str>) -> Duration {
        jail.and_then(|jail| self.forget.get(jail)).copied().unwrap_or(FORGET)
    }
}

/// A pardon in force.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) prefix: IpNet,
    /// `namespace/name`; `None`: all.
    pub(super) jail: Option<String>,
    pub(super) at: Timestamp,
}

/// Pardons, to be asked by subject.
#[derive(Debug, Default)]
pub(super) struct Pardons<'a> {
    by_prefix: HashMap<IpNet, Vec<(usize, &'a Given)>>,
    lengths: BTreeSet<(bool, u8)>,
    /// Which of them cover an older ban that is still published.
    needed: Vec<bool>,
}

impl<'a> Pardons<'a> {
    pub(super) fn new(given: &'a [Given]) -> Self {
        let mut pardons = Self { needed: vec![false; given.len()], ..Self::default() };
        for (i, given) in given.iter().enumerate() {
            let net = Subject::new(given.prefix).net();
            pardons.by_prefix.entry(net).or_default().push((i, given));
            pardons.lengths.insert((matches!(net, IpNet::V4(_)), net.prefix_len()));
        }
        pardons
    }

    /// The moment from which the ban is over by pardon. What covers it is needed as long as the ban is published.
    fn end(&mut self, jail: Option<&str>, subject: Subject, since: Timestamp) -> Option<Timestamp> {
        let net = subject.net();
        let v4 = matches!(net, IpNet::V4(_));
        let mut end = None;
        for &(_, length) in self.lengths.range((v4, 0)..=(v4, net.prefix_len())) {
            let Ok(outer) = IpNet::new(net.addr(), length) else { continue };
            for &(i, given) in self.by_prefix.get(&outer.trunc()).into_iter().flatten() {
                let covers = given.jail.is_none() || given.jail.as_deref() == jail;
                if covers && since <= given.at {
                    self.needed[i] = true;
                    end = end.max(Some(given.at));
                }
            }
        }
        end
    }

    /// Names of those that are old and cover nothing that is still published. Ask after all slices were.
    pub(super) fn useless(&self, given: &[Given], memory: &Memory, now: Timestamp) -> Vec<String> {
        let asked = given.iter().zip(&self.needed);
        asked
            .filter(|(given, needed)| !**needed && now.since(given.at) > memory.pardons)
            .map(|(given, _)| given.name.clone())
            .collect()
    }
}

/// Whether nobody needs to know of the ban any more: over for longer than its jail remembers, or over by pardon, which
/// wipes it out. A ban that cannot be read is left alone.
pub(super) fn is_forgotten(
    ban: &SlicedBan,
    memory: &Memory,
    pardons: &mut Pardons<'_>,
    now: Timestamp,
) -> bool {
    let jail = ban.jail.as_ref().map(QualifiedName::as_str);
    let Some(since) = time(ban.since.as_str()) else { return false };
    let Some(subject) = ban.prefix.as_str().parse::<Subject>().ok() else { return false };
    if let Some(end) = pardons.end(jail, subject, since) {
        return now.since(end) > SLACK;
    }
    let Some(until) = &ban.until else { return false };
    let Some(until) = time(until.as_str()) else { return false };
    now.since(until) > memory.forget_after(jail).saturating_add(SLACK)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        time(text).unwrap()
    }

    fn ban(prefix: &str, jail: &str, until: Option<&str>) -> SlicedBan {
        let ban = json!({"jail": jail, "prefix": prefix, "nth": 1, "since": "2026-01-01T00:00:00Z", "until": until});
        serde_json::from_value(ban).unwrap()
    }

    fn pardon(prefix: &str, jail: Option<&str>, moment: &str) -> Given {
        Given {
            name: format!("pardon-{prefix}"),
            prefix: prefix.parse::<Subject>().unwrap().net(),
            jail: jail.map(Into::into),
            at: at(moment),
        }
    }

    fn memory() -> Memory {
        let forget = [("mail/short".to_owned(), Duration::from_secs(3600))];
        Memory { forget: forget.into(), pardons: Duration::from_secs(40 * 86_400) }
    }

    fn forgotten(ban: &SlicedBan, given: &[Given], now: &str) -> bool {
        is_forgotten(ban, &memory(), &mut Pardons::new(given), at(now))
    }

    #[test]
    fn a_ban_is_published_until_its_jail_forgets_it() {
        let end = Some("2026-01-01T00:10:00Z");
        assert!(!forgotten(&ban("45.1.2.3", "mail/short", end), &[], "2026-01-01T01:15:00Z"));
        assert!(forgotten(&ban("45.1.2.3", "mail/short", end), &[], "2026-01-01T01:21:00Z"));
        assert!(!forgotten(&ban("45.1.2.3", "mail/gone", end), &[], "2026-01-30T00:00:00Z"));
        assert!(forgotten(&ban("45.1.2.3", "mail/gone", end), &[], "2026-02-01T00:00:00Z"));
    }

    #[test]
    fn a_ban_without_an_end_is_never_forgotten() {
        assert!(!forgotten(&ban("45.1.2.3", "mail/short", None), &[], "2036-01-01T00:00:00Z"));
    }

    #[test]
    fn a_pardon_ends_older_bans_it_covers_and_no_others() {
        let permanent = ban("45.1.2.3", "mail/james", None);
        let now = "2026-01-02T00:30:00Z";
        for (given, expected) in [
            (pardon("45.1.2.3", None, "2026-01-02T00:00:00Z"), true),
            (pardon("45.1.0.0/16", Some("mail/james"), "2026-01-02T00:00:00Z"), true),
            (pardon("45.1.2.3", Some("mail/other"), "2026-01-02T00:00:00Z"), false),
            (pardon("45.1.2.3", None, "2025-12-31T23:59:59Z"), false),
            (pardon("45.1.2.4", None, "2026-01-02T00:00:00Z"), false),
            (pardon("45.1.2.3", None, "2026-01-02T00:29:00Z"), false),
        ] {
            assert_eq!(forgotten(&permanent, std::slice::from_ref(&given), now), expected, "{given:?}");
        }
        let wide = ban("45.1.0.0/16", "mail/james", None);
        assert!(!forgotten(&wide, &[pardon("45.1.2.3", None, "2026-01-02T00:00:00Z")], now));
    }

    #[test]
    fn a_pardon_stays_as_long_as_a_ban_it_covers_is_published() {
        let given = [
            pardon("45.1.2.3", None, "2026-01-02T00:00:00Z"),
            pardon("45.9.9.9", None, "2026-01-02T00:00:00Z"),
        ];
        let mut pardons = Pardons::new(&given);
        let (young, old) = (at("2026-02-01T00:00:00Z"), at("2026-03-01T00:00:00Z"));
        is_forgotten(&ban("45.1.2.3", "mail/james", None), &memory(), &mut pardons, old);
        assert_eq!(pardons.useless(&given, &memory(), old), ["pardon-45.9.9.9"]);
        assert!(pardons.useless(&given, &memory(), young).is_empty());
    }

    #[test]
    fn pardons_outlive_the_longest_ban_that_an_agent_who_was_away_may_still_hold() {
        let jail = json!({
            "apiVersion": "gaoler.dev/v1alpha1", "kind": "Jail", "metadata": {"name": "j", "namespace": "mail"},
            "spec": {
                "filters": ["james-smtp-auth"], "source": {"pods": {"selector": {"matchLabels": {"app": "j"}}}}, "banTime": "20000h",
                "findTime": "1h", "escalation": {"maxBanTime": "30000h", "forgetAfter": "1000h"},
            },
        });
        let around = crate::config::Surroundings { cluster: true, ..Default::default() };
        let object = crate::config::resources::Object::from_json("test", jail);
        let loaded = crate::config::resources::assemble(vec![object], &[], None, &around);
        let memory = Memory::of(&loaded.config);
        assert_eq!(memory.pardons, Duration::from_secs(31_001 * 3600));
        assert_eq!(memory.forget_after(Some("mail/j")), Duration::from_secs(1000 * 3600));
    }

    #[test]
    fn pardons_outlive_the_permanent_bans_of_jails_that_are_gone() {
        let memory = Memory::of(&Config::default());
        assert_eq!(memory.pardons, Duration::from_secs((8760 + 720) * 3600));
    }
}
