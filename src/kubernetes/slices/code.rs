//! From a ban to what the API server holds of it, and back. What comes back is not trusted: other versions, other
//! programs and people with too many rights write BanSlices too.

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as Stamp;

use crate::agent::report::{BanReport, RuleCount};
use crate::api::v1alpha1::{
    BanSliceSpec, MatchedRule, NodeName, PardonSpec, Prefix, QualifiedName, SlicedBan, Time, explain,
};
use crate::bans::{Ban, Evidence, Origin, Pardon};
use crate::engine::{AddressPolicy, Duration, JailName, Source, Subject, Timestamp, hides_all_of_ipv4};

/// Rules in one entry at most, as its schema says.
const RULES: usize = 8;
/// Other nodes in one entry at most, as its schema says.
const NODES: usize = 16;
/// Characters in the name of a node at most, as its schema says.
const NODE: usize = 253;
/// Characters in the name of a rule at most, as its schema says.
const RULE: usize = 160;
/// Characters in a reason at most, as its schema says.
const REASON: usize = 256;
/// The largest number the schema takes.
const MOST: u32 = 2_147_483_647;
/// No ban is wider, whoever orders it: a typing error in one entry must not close a mail server.
const WIDEST: (u8, u8) = (8, 16);
/// How far ahead another node's clock may be. Beyond it a ban could not be pardoned for as long.
const AHEAD: Duration = Duration::from_secs(3600);
/// Before this no ban began: 2020-01-01T00:00:00Z.
const DAWN: Timestamp = Timestamp::from_secs(1_577_836_800);
/// The last moment a text can say: 9999-12-01T00:00:00Z.
const LAST: Timestamp = Timestamp::from_secs(253_399_622_400);

/// Why an entry of a BanSlice, or a Pardon, is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The text is no prefix.
    #[error("`{0}` is neither an address nor a prefix")]
    Prefix(String),
    /// It would ban too many.
    #[error("{0} is wider than any ban may be (/8 for IPv4, /16 for IPv6)")]
    Wide(Subject),
    /// Nobody has such an address.
    #[error("{0} is loopback, link-local, multicast or unspecified and is never banned")]
    NotBannable(Subject),
    /// The jail's name is none.
    #[error("`{0}` is not `namespace/name`")]
    Jail(String),
    /// The how many-th ban?
    #[error("{0} is not the number of a ban")]
    Number(u32),
    /// A text that is no time.
    #[error("`{0}` is not a point in time")]
    Time(String),
    /// It ends before it begins.
    #[error("it ends at {until}, before it begins at {since}")]
    Backwards {
        /// Its beginning.
        since: Timestamp,
        /// Its end.
        until: Timestamp,
    },
    /// It begins at a time that cannot be.
    #[error("it begins at {0}, which is too far from now")]
    Absurd(Timestamp),
    /// The server did not say when the Pardon was made.
    #[error("it has no creation time")]
    Timeless,
}

/// What a BanSlice holds.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The bans that can be used.
    pub bans: Vec<Ban>,
    /// Entries that are left out, by their place, and why.
    pub faults: Vec<(usize, Fault)>,
}

/// Reads a BanSlice on node `here`. Bans of this node come back as its own: so it knows them again after its state
/// file was lost.
#[must_use]
pub fn decode(slice: &BanSliceSpec, here: &str, now: Timestamp) -> Decoded {
    let mut decoded = Decoded::default();
    for (place, entry) in slice.bans.iter().enumerate() {
        let origin = match &entry.reason {
            _ if slice.node.as_str() != here => Origin::Node(slice.node.as_str().into()),
            // A rate limit's bans have words without failures too, and a jail.
            Some(_) if entry.weight == 0 && entry.jail.is_none() => Origin::Hand,
            _ => Origin::Jail,
        };
        match entry_of(entry, origin, now) {
            Ok(ban) => decoded.bans.push(ban),
            Err(fault) => decoded.faults.push((place, fault)),
        }
    }
    decoded
}

fn entry_of(entry: &SlicedBan, origin: Origin, now: Timestamp) -> Result<Ban, Fault> {
    let subject = subject(&entry.prefix)?;
    let jail = entry.jail.as_ref().map(jail).transpose()?;
    if !(1..=MOST).contains(&entry.n) {
        return Err(Fault::Number(entry.n));
    }
    let since = time(&entry.since)?;
    let until = entry.until.as_ref().map(time).transpose()?;
    if since < DAWN || since > now + AHEAD {
        return Err(Fault::Absurd(since));
    }
    if let Some(until) = until.filter(|until| *until < since) {
        return Err(Fault::Backwards { since, until });
    }
    // Evidence is for people; what is wrong with it does not weaken the ban.
    let first = entry.first.as_ref().and_then(|first| time(first).ok()).filter(|first| *first <= since);
    let rules = entry.rules.iter().take(RULES).map(|rule| (cut(&rule.rule, RULE).into(), rule.times));
    Ok(Ban {
        jail,
        subject,
        n: entry.n,
        since,
        until,
        origin,
        evidence: Evidence {
            weight: entry.weight,
            first,
            rules: rules.collect(),
            nodes: entry.with.iter().take(NODES).map(|node| cut(node.as_str(), NODE).into()).collect(),
            reason: entry.reason.as_deref().map(|reason| cut(reason, REASON).to_owned()),
        },
    })
}

fn subject(prefix: &Prefix) -> Result<Subject, Fault> {
    let subject: Subject = prefix.as_str().parse().map_err(|_| Fault::Prefix(prefix.as_str().into()))?;
    let widest = match subject.net() {
        IpNet::V4(_) => WIDEST.0,
        IpNet::V6(_) => WIDEST.1,
    };
    if subject.prefix_len() < widest {
        return Err(Fault::Wide(subject));
    }
    if AddressPolicy::default().canonical(subject.addr()).is_none() {
        return Err(Fault::NotBannable(subject));
    }
    Ok(subject)
}

fn jail(name: &QualifiedName) -> Result<JailName, Fault> {
    match is_qualified(name.as_str()) {
        true => Ok(JailName::new(name.as_str())),
        false => Err(Fault::Jail(name.as_str().into())),
    }
}

/// Whether a jail's name is `namespace/name`.
fn is_qualified(name: &str) -> bool {
    use crate::api::v1alpha1::Name;
    name.split_once('/').is_some_and(|(namespace, name)| {
        explain(Name::PATTERN, namespace).is_ok() && explain(Name::PATTERN, name).is_ok()
    })
}

fn time(text: &Time) -> Result<Timestamp, Fault> {
    let time: jiff::Timestamp = text.as_str().parse().map_err(|_| Fault::Time(text.as_str().into()))?;
    Ok(time.into())
}

/// At most so many characters of a text.
fn cut(text: &str, most: usize) -> &str {
    text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end])
}

/// What a ban is on the API server. `None` for one of a jail without a namespace, which no cluster has,
/// and for one without a beginning, which no jail pronounces.
pub(super) fn encode(ban: &BanReport) -> Option<SlicedBan> {
    let jail = match &ban.jail {
        Some(jail) if !is_qualified(jail.as_str()) => return None,
        jail => jail.as_ref().map(|jail| QualifiedName(jail.as_str().into())),
    };
    let rule = |rule: &RuleCount| MatchedRule {
        rule: cut(&rule.rule, RULE).into(),
        times: rule.matches.clamp(1, MOST),
    };
    Some(SlicedBan {
        jail,
        prefix: Prefix(ban.subject.to_string()),
        n: ban.n.clamp(1, MOST),
        since: Time(ban.since?.to_string()),
        // What the calendar cannot write is as good as for ever.
        until: ban.until.filter(|until| until.0 <= LAST).map(|until| Time(until.to_string())),
        weight: ban.weight.min(MOST),
        first: ban.first.map(|first| Time(first.to_string())),
        rules: ban.rules.iter().filter(|rule| !rule.rule.is_empty()).take(RULES).map(rule).collect(),
        with: ban.nodes.iter().take(NODES).map(|node| NodeName(node.to_string())).collect(),
        reason: ban.reason.as_deref().map(|reason| cut(reason, REASON).to_owned()),
    })
}

/// The moment of a Pardon that the API server stamped so.
///
/// Stamps are whole seconds, rounded down, where bans begin to the microsecond. The moment is the *end* of that
/// second: whoever asks for an unban means every ban there is when asking. The price: a ban that begins in the rest
/// of that second is lifted as well, and the attacker, who goes on, is counted from zero.
#[must_use]
pub fn moment(stamp: &Stamp) -> Timestamp {
    Timestamp::from_secs(Timestamp::from(stamp.0).as_secs()) + Duration::from_micros(999_999)
}

/// Reads a Pardon.
///
/// # Errors
/// When its prefix is none, or all of IPv4 written as IPv6, or it has no creation time. Any other width is good: it opens,
/// and closes nothing.
pub fn pardon(spec: &PardonSpec, created: Option<&Stamp>) -> Result<Pardon, Fault> {
    let at = moment(created.ok_or(Fault::Timeless)?);
    let refused = || Fault::Prefix(spec.prefix.as_str().into());
    let source: Source = spec.prefix.as_str().parse().map_err(|_| refused())?;
    if hides_all_of_ipv4(source.net()) {
        return Err(refused());
    }
    let prefix = Subject::new(source.net());
    let jail = spec.jail.as_ref();
    let jail = jail.map(|jail| QualifiedName(format!("{}/{}", jail.namespace.as_str(), jail.name.as_str())));
    Ok(Pardon {
        prefix: prefix.net(),
        jail: jail.as_ref().map(self::jail).transpose()?,
        at,
        reason: spec.reason.clone().unwrap_or_default(),
    })
}

#[cfg(test)]
#[path = "tests/code.rs"]
mod tests;
