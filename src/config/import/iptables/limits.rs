//! Rules that drop who knocks too often, as rate limits.

use std::collections::BTreeSet;

use super::rule::Rule;
use crate::api::v1alpha1::{
    EnforceAction, GoDuration, LimitMode, Penalty, PrefixLengths, Protocol, RateLimitSpec,
};

/// A rate limit and where it comes from.
pub(super) struct Limit {
    pub(super) name: String,
    pub(super) lines: Vec<usize>,
    pub(super) notes: Vec<String>,
    pub(super) spec: RateLimitSpec,
}

/// Why a rule is no rate limit.
pub(super) struct Unlimited(pub(super) String);

impl Unlimited {
    pub(super) fn new(why: &str) -> Self {
        Self(why.into())
    }
}

/// What a rule of the `recent` match does.
pub(super) enum Recent {
    /// It remembers.
    Set,
    /// It matches who was remembered too often.
    Judge,
}

pub(super) fn recent(rule: &Rule) -> Option<Recent> {
    if !rule.uses("recent") {
        return None;
    }
    Some(if rule.has("set") { Recent::Set } else { Recent::Judge })
}

fn list(rule: &Rule) -> &str {
    rule.get("name").unwrap_or("DEFAULT")
}

/// Whether `judge` drops by what `set` remembers.
pub(super) fn is_judge_of(judge: &Rule, set: &Rule) -> bool {
    matches!(recent(judge), Some(Recent::Judge)) && list(judge) == list(set)
}

/// The longest window of a RateLimit, in seconds.
const DAY: u64 = 86_400;

/// The options this module understands; a rule with any other means more than a rate limit does.
const KNOWN: [&str; 30] = [
    "protocol",
    "dport",
    "dports",
    "jump",
    "state",
    "ctstate",
    "syn",
    "tcp-flags",
    "icmp-type",
    "icmpv6-type",
    "comment",
    "in-interface",
    "reject-with",
    "table",
    "name",
    "set",
    "update",
    "rcheck",
    "seconds",
    "hitcount",
    "rsource",
    "mask",
    "hashlimit-above",
    "hashlimit-burst",
    "hashlimit-mode",
    "hashlimit-name",
    "hashlimit-srcmask",
    "hashlimit-htable-expire",
    "hashlimit-htable-size",
    "hashlimit-htable-max",
];

/// What both kinds of rules have in common.
fn common(rule: &Rule) -> Result<(RateLimitSpec, Vec<String>), Unlimited> {
    if let Some(option) = rule.negated.first() {
        return Err(Unlimited(format!("a rate limit knows no `!` (here with `--{option}`)")));
    }
    if let Some(option) = rule.options.keys().find(|option| !KNOWN.contains(&option.as_str())) {
        return Err(Unlimited(format!("`--{option}` has no counterpart in a RateLimit")));
    }
    let mut notes = Vec::new();
    let action = match rule.get("jump") {
        Some("DROP") => EnforceAction::Drop,
        Some("REJECT") => EnforceAction::Reject,
        Some(other) => {
            return Err(Unlimited(format!("it jumps to `{other}`; only DROP and REJECT become a RateLimit")));
        }
        None => return Err(Unlimited::new("it has no target: it drops nothing")),
    };
    if !matches!(rule.chain.as_str(), "INPUT" | "PREROUTING") {
        notes.push(format!(
            "it stood in chain {}; a RateLimit holds for everything sent to this host",
            rule.chain
        ));
    }
    if let Some(interface) = rule.get("in-interface") {
        notes.push(format!("it held for interface {interface} only; a RateLimit holds for all"));
    }
    let protocol = match rule.get("protocol") {
        Some("tcp" | "6") => Protocol::TCP,
        Some("udp" | "17") => Protocol::UDP,
        Some("icmp" | "1" | "ipv6-icmp" | "icmpv6" | "58") => Protocol::ICMP,
        Some(other) => return Err(Unlimited(format!("there is no RateLimit for protocol `{other}`"))),
        None => return Err(Unlimited::new("it names no protocol; write one RateLimit per protocol by hand")),
    };
    if protocol == Protocol::ICMP {
        match rule.get("icmp-type").or(rule.get("icmpv6-type")) {
            Some("8" | "8/0" | "128" | "echo-request") => {}
            None => notes.push("it counted every kind of ICMP; a RateLimit counts echo requests".into()),
            Some(other) => {
                return Err(Unlimited(format!("only echo requests are limited, not ICMP type `{other}`")));
            }
        }
    }
    let opens = opens(rule, protocol)?;
    if protocol == Protocol::TCP && !opens {
        notes.push("it counted every packet of a connection; a RateLimit counts new connections".into());
    }
    let ports = if protocol == Protocol::ICMP { None } else { Some(ports(rule)?) };
    let spec = RateLimitSpec {
        mode: LimitMode::Enforce,
        protocol,
        services: None,
        ports,
        hits: 2,
        window: GoDuration::from_secs(1),
        penalty: Penalty::Silence,
        prefix: None,
        ignore: None,
        action,
        max_sources: 65_536,
        escalate_to: None,
    };
    Ok((spec, notes))
}

fn ports(rule: &Rule) -> Result<Vec<u16>, Unlimited> {
    let Some(text) = rule.get("dports").or(rule.get("dport")) else {
        return Err(Unlimited::new("it names no port; a RateLimit of TCP or UDP needs `ports`"));
    };
    let mut ports = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        let (Some(first), Some(last)) = (port(first), port(last)) else {
            return Err(Unlimited(format!("`{part}` is no port number")));
        };
        ports.extend(first..=last);
        if ports.len() > 64 {
            return Err(Unlimited(format!("`{text}` are more than 64 ports: divide them by hand")));
        }
    }
    Ok(ports)
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0).or_else(|| crate::config::ports::known(text))
}

fn number(rule: &Rule, option: &str, otherwise: u32) -> Result<u32, Unlimited> {
    let Some(text) = rule.get(option) else { return Ok(otherwise) };
    text.parse().map_err(|_| Unlimited(format!("`--{option} {text}` is no number")))
}

/// The limit of a rule that drops by `recent`.
pub(super) fn of_recent(judge: &Rule, rules: &[Rule]) -> Result<Limit, Unlimited> {
    if judge.has("remove") || judge.has("rdest") || judge.has("rttl") {
        return Err(Unlimited::new("`--remove`, `--rdest` and `--rttl` have no counterpart in a RateLimit"));
    }
    let sets: Vec<&Rule> = rules
        .iter()
        .filter(|rule| matches!(recent(rule), Some(Recent::Set)) && list(rule) == list(judge))
        .collect();
    let Some(set) = sets.first() else {
        return Err(Unlimited(format!("no rule remembers sources in the list `{}` (`--set`)", list(judge))));
    };
    let (mut spec, mut notes) = common(judge)?;
    counts_where_it_drops(&spec, judge, &sets)?;
    let (hits, seconds) = (number(judge, "hitcount", 1)?, number(judge, "seconds", 0)?);
    if seconds == 0 {
        return Err(Unlimited::new("without `--seconds` it shuts out for ever; a RateLimit has a window"));
    }
    if hits < 2 {
        return Err(Unlimited::new(
            "with a hit count of 1 every packet but the first falls; a RateLimit begins at 2 hits",
        ));
    }
    if hits > 20 {
        notes.push(format!(
            "xt_recent remembers 20 packets by default: --hitcount {hits} may never have matched"
        ));
    }
    // Who is judged first and remembered then is judged without the packet itself.
    spec.hits = if judge.line < set.line { hits.saturating_add(1) } else { hits };
    spec.window = window(seconds.into())?;
    // A refused packet counts where it is remembered before it is judged, and where judging updates.
    let refused_count = set.line < judge.line || judge.has("update");
    spec.penalty = if refused_count { Penalty::Silence } else { Penalty::Excess };
    if refused_count {
        notes.push(
            "a source is refused until it was silent for a whole window (stricter than the rules)".into(),
        );
    }
    let mask = judge.get("mask").unwrap_or("255.255.255.255");
    let mask: std::net::Ipv4Addr =
        mask.parse().map_err(|_| Unlimited(format!("`--mask {mask}` is no IPv4 mask")))?;
    set_prefix(&mut spec, mask.to_bits().leading_ones(), mask.to_bits().count_ones(), &mut notes)?;
    let lines = sets.iter().map(|set| set.line).chain([judge.line]).collect();
    Ok(Limit { name: list(judge).into(), lines, notes, spec })
}

/// Whether the rules that remember see what the judge drops: a RateLimit counts and refuses the same packets.
fn counts_where_it_drops(spec: &RateLimitSpec, judge: &Rule, sets: &[&Rule]) -> Result<(), Unlimited> {
    let mut counted = BTreeSet::new();
    for set in sets {
        let other = ["protocol", "source", "destination", "in-interface", "icmp-type", "icmpv6-type"]
            .into_iter()
            .find(|option| set.get(option) != judge.get(option));
        if let Some(option) = set.negated.first().map(String::as_str).or(other) {
            return Err(Unlimited(format!(
                "it drops by what line {} counts, which has another `--{option}`; a RateLimit counts and refuses the same \
                 packets",
                set.line
            )));
        }
        let here = if spec.protocol == Protocol::ICMP { vec![] } else { ports(set).unwrap_or_default() };
        if here.is_empty() && sets.len() > 1 || here.iter().any(|port| counted.contains(port)) {
            return Err(Unlimited(format!(
                "line {} counts a second time what another rule has counted; a RateLimit counts a packet once",
                set.line
            )));
        }
        counted.extend(here);
    }
    let refused: BTreeSet<u16> = spec.ports.iter().flatten().copied().collect();
    if counted == refused {
        return Ok(());
    }
    let words = |ports: &BTreeSet<u16>| match ports.len() {
        0 => "every port".to_owned(),
        _ => format!("port {}", ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let lines: Vec<String> = sets.iter().map(|set| set.line.to_string()).collect();
    Err(Unlimited(format!(
        "it drops at {} by what line {} counts at {}; a RateLimit counts and refuses at the same ports: write it by hand",
        words(&refused),
        lines.join(" and "),
        words(&counted)
    )))
}

/// Whether only what opens a connection is counted.
///
/// # Errors
/// When nothing that opens one is.
fn opens(rule: &Rule, protocol: Protocol) -> Result<bool, Unlimited> {
    let states = rule.get("state").or(rule.get("ctstate"));
    if let Some(states) = states
        && !states.split(',').any(|state| state == "NEW")
    {
        return Err(Unlimited(format!("it counts packets of state {states}; a RateLimit counts new ones")));
    }
    let flags = rule.get("tcp-flags").filter(|_| protocol == Protocol::TCP);
    if let Some(flags) = flags {
        let (mask, set) = flags.split_once(' ').unwrap_or((flags, ""));
        if set != "SYN" || !mask.split(',').any(|flag| matches!(flag, "SYN" | "ALL")) {
            return Err(Unlimited(format!(
                "it counts packets with the flags `{flags}`, which open no connection; a RateLimit counts new connections"
            )));
        }
    }
    Ok(rule.has("syn") || flags.is_some() || states == Some("NEW"))
}

/// The window of a limit.
///
/// # Errors
/// When it is longer than a RateLimit's may be.
fn window(seconds: u64) -> Result<GoDuration, Unlimited> {
    if seconds > DAY {
        return Err(Unlimited(format!("it counts over {seconds} seconds; a window is at most 24h")));
    }
    Ok(GoDuration::from_secs(seconds))
}

fn set_prefix(
    spec: &mut RateLimitSpec,
    bits: u32,
    ones: u32,
    notes: &mut Vec<String>,
) -> Result<(), Unlimited> {
    if bits != ones || bits < 8 {
        return Err(Unlimited::new("its mask is no prefix of /8 to /32"));
    }
    if bits < 32 {
        let ipv4 = u8::try_from(bits).unwrap_or(32);
        spec.prefix = Some(PrefixLengths { ipv4, ..PrefixLengths::default() });
        notes.push(format!("it counts IPv4 networks of /{ipv4}; IPv6 is counted by /64"));
    }
    Ok(())
}

/// The limit of a rule that drops by `hashlimit`.
pub(super) fn of_hashlimit(rule: &Rule) -> Result<Limit, Unlimited> {
    if rule.uses("limit") {
        return Err(Unlimited::new(
            "`-m limit` counts all sources together: one attacker uses it up for everybody; write a RateLimit, which \
             counts each source",
        ));
    }
    if rule.uses("connlimit") {
        return Err(Unlimited::new("`connlimit` counts open connections; a RateLimit counts new ones"));
    }
    if !rule.uses("hashlimit") {
        return Err(Unlimited::new("it is no limit by packets; it stays a matter of your own firewall"));
    }
    let Some(above) = rule.get("hashlimit-above") else {
        return Err(Unlimited::new(
            "it lets pass what is below the limit and leaves the rest to a later rule; only `--hashlimit-above … -j DROP` \
             says all in one",
        ));
    };
    if rule.get("hashlimit-mode") != Some("srcip") {
        return Err(Unlimited::new("only `--hashlimit-mode srcip` counts sources as a RateLimit does"));
    }
    let (mut spec, mut notes) = common(rule)?;
    let (rate, per) = rate(above).ok_or_else(|| Unlimited(format!("`{above}` is no rate of packets")))?;
    let burst = number(rule, "hashlimit-burst", 5)?.max(1);
    // A bucket is refilled within whole seconds. Where `burst` would take part of one, the bucket is larger, so that as
    // many pass in the long run.
    let seconds = (u64::from(burst) * per).div_ceil(u64::from(rate)).max(1);
    let room = u32::try_from(u64::from(rate) * seconds / per).unwrap_or(u32::MAX).max(burst);
    if room > burst {
        notes.push(format!("{room} pass at once, not {burst}, as a window is whole seconds; the rate stays"));
    }
    spec.hits = room.saturating_add(1);
    spec.window = window(seconds)?;
    spec.penalty = Penalty::Excess;
    if spec.hits <= 16 {
        notes.push(
            "up to 16 hits the window is exact: after a burst nothing passes until the window is over".into(),
        );
    }
    let bits = number(rule, "hashlimit-srcmask", 32)?;
    set_prefix(&mut spec, bits, bits, &mut notes)?;
    let name = rule.get("hashlimit-name").unwrap_or("hashlimit").to_owned();
    Ok(Limit { name, lines: vec![rule.line], notes, spec })
}

/// Packets and the seconds they are counted in.
fn rate(text: &str) -> Option<(u32, u64)> {
    let (count, unit) = text.split_once('/').unwrap_or((text, "sec"));
    let per = match unit {
        "s" | "sec" | "second" => 1,
        "m" | "min" | "minute" => 60,
        "h" | "hour" => 3600,
        "d" | "day" => 86_400,
        _ => return None,
    };
    count.parse().ok().filter(|count| *count > 0).map(|count| (count, per))
}
