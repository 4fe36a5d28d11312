//! What this machine's kernel and `nft` can do, for `gaoler doctor`.
//!
//! Everything is tried in a throwaway table of a throwaway network namespace. Where none may be made (a container
//! without CAP_SYS_ADMIN) nft's check mode is used: the kernel judges each expression and changes nothing.

use std::fmt;
use std::process::Command;

use nftables::batch::Batch;
use nftables::schema::{Chain, Counter, NfListObject, Rule, Set, SetFlag, SetType, SetTypeValue, Table};
use nftables::stmt::Statement;
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};

use super::ban_set::Family;
use super::nft::Nft;
use super::phrase::Transport;
use super::{Change, Firewall, FirewallError, Nftables, Reach, Scope, ScopeName, Skeleton, phrase, proof};

const TABLE: &str = "gaoler_probe";
/// The oldest kernel that is supported.
const OLDEST: (u32, u32) = (5, 10);

/// What was found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The kernel's release.
    pub kernel: String,
    /// Whether it is 5.10 or newer.
    pub kernel_supported: bool,
    /// What `nft --version` says, or why it does not.
    pub nft: Result<String, String>,
    /// Whether this process may change the firewall (CAP_NET_ADMIN).
    pub net_admin: bool,
    /// Whether it may read logs of any owner (CAP_DAC_READ_SEARCH). Only needed where logs are not root's.
    pub dac_read_search: bool,
    /// Whether a network namespace could be made to try things in; else nft's check mode was used.
    pub isolated: bool,
    /// Each thing we use.
    pub features: Vec<Feature>,
}

/// One thing we ask of the kernel.
#[derive(Clone, Debug)]
pub struct Feature {
    /// What it is.
    pub name: &'static str,
    /// What does not work without it.
    pub without: &'static str,
    /// Whether nothing at all works without it.
    pub essential: bool,
    /// `None` when it works, else why not.
    pub problem: Option<String>,
}

impl Report {
    /// Whether bans can be enforced at all.
    #[must_use]
    pub fn can_enforce(&self) -> bool {
        self.net_admin
            && self.nft.is_ok()
            && self.features.iter().all(|f| f.problem.is_none() || !f.essential)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |good| if good { "ok     " } else { "MISSING" };
        writeln!(f, "{} kernel {} (5.10 or newer)", mark(self.kernel_supported), self.kernel)?;
        match &self.nft {
            Ok(version) => writeln!(f, "{} {version}", mark(true))?,
            Err(error) => writeln!(f, "{} nft: {error}", mark(false))?,
        }
        writeln!(f, "{} CAP_NET_ADMIN: to change the firewall", mark(self.net_admin))?;
        let read = if self.dac_read_search { "ok     " } else { "no     " };
        writeln!(f, "{read} CAP_DAC_READ_SEARCH: only to read logs that are not root's")?;
        for feature in &self.features {
            write!(f, "{} {}", mark(feature.problem.is_none()), feature.name)?;
            match &feature.problem {
                Some(problem) => writeln!(f, ": {problem}; without it {}", feature.without)?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

/// Tries everything. Takes less than a second; changes nothing on this machine.
#[must_use]
pub fn run() -> Report {
    let nft = Nft::default();
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let (isolated, features) = std::thread::scope(|scope| {
        let tried = scope.spawn(|| {
            let isolated = leave_the_network();
            (isolated, try_all(&nft, isolated))
        });
        tried.join().unwrap_or_default()
    });
    Report {
        kernel_supported: version(&kernel).is_none_or(|version| version >= OLDEST),
        kernel,
        nft: nft
            .run(Command::new("nft").arg("--version"), b"")
            .map(|out| out.trim().to_owned())
            .map_err(|error| error.to_string()),
        net_admin: effective.contains(CapabilitySet::NET_ADMIN),
        dac_read_search: effective.contains(CapabilitySet::DAC_READ_SEARCH),
        isolated,
        features,
    }
}

/// Puts the calling thread, and the children it starts, into an empty network of its own.
#[expect(
    deprecated,
    reason = "unshare is unsafe for file descriptors only, and the network is all that is left here"
)]
fn leave_the_network() -> bool {
    rustix::thread::unshare(UnshareFlags::NEWNET).is_ok()
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

struct Trial {
    name: &'static str,
    without: &'static str,
    essential: bool,
    /// Objects beside table and chain, then the statements of a rule.
    objects: Vec<NfListObject<'static>>,
    rule: Vec<Statement<'static>>,
}

fn trials() -> Vec<Trial> {
    let trial = |name, without, objects, rule| Trial { name, without, essential: false, objects, rule };
    let essential = |name, without, objects, rule| Trial { name, without, essential: true, objects, rule };
    let jump = || vec![NfListObject::Chain(chain("target"))];
    let pairs = |key| vec![(key, "target".to_owned())];
    let v4 = std::net::Ipv4Addr::new(192, 0, 2, 1).into();
    let v6 = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into();
    vec![
        essential(
            "inet chain before connection tracking, named counter, drop",
            "nothing can be enforced",
            vec![NfListObject::Counter(counter())],
            vec![phrase::count("c".into()), phrase::drop()],
        ),
        essential(
            "hash sets whose elements end by themselves",
            "nothing can be enforced",
            vec![set("s", SetType::Ipv4Addr, SetFlag::Timeout)],
            vec![phrase::source_in(Family::V4, 32, "s"), phrase::drop()],
        ),
        trial(
            "masked look-ups",
            "only single addresses can be banned, no IPv6 /64",
            vec![set("s", SetType::Ipv6Addr, SetFlag::Timeout)],
            vec![phrase::source_in(Family::V6, 64, "s"), phrase::drop()],
        ),
        trial(
            "guards on ports of this host (fib, verdict map)",
            "ports of this host cannot be guarded",
            jump(),
            vec![phrase::to_this_host(), phrase::verdict_map(phrase::tcp_port(), pairs(phrase::port(25)))],
        ),
        trial(
            "guards on IPv4 services (address and port)",
            "services in a cluster cannot be guarded",
            jump(),
            vec![phrase::verdict_map(
                phrase::destination_and_port(Family::V4, Transport::Tcp),
                pairs(phrase::pair(v4, 25)),
            )],
        ),
        trial(
            "guards on IPv6 services (address and port)",
            "services in a cluster cannot be guarded",
            jump(),
            vec![phrase::verdict_map(
                phrase::destination_and_port(Family::V6, Transport::Tcp),
                pairs(phrase::pair(v6, 25)),
            )],
        ),
        trial(
            "direction of a connection (conntrack)",
            "bans of every port are not enforced",
            vec![],
            vec![phrase::original_direction(), phrase::drop()],
        ),
        trial(
            "interval sets",
            "the kernel does not check the never-ban prefixes a second time",
            vec![set("s", SetType::Ipv4Addr, SetFlag::Interval)],
            vec![phrase::source_in(Family::V4, 32, "s"), phrase::back()],
        ),
        trial(
            "sets that rules add to (rate limits)",
            "rate limits are not enforced",
            vec![set("s", SetType::Ipv4Addr, SetFlag::Timeout)],
            vec![
                phrase::source_not_in(Family::V4, 24, "s"),
                phrase::add_source((Family::V4, 24), std::time::Duration::from_secs(60), "s"),
                phrase::back(),
            ],
        ),
        trial(
            "a token bucket for each source",
            "rate limits with more than 16 hits are not enforced",
            vec![set("s", SetType::Ipv6Addr, SetFlag::Timeout)],
            token_bucket(),
        ),
        watching_answers(),
        trial(
            "reject with a TCP reset",
            "jails with action Reject are not enforced",
            vec![],
            vec![phrase::is_tcp(), phrase::reset()],
        ),
        trial(
            "reject with an ICMP error",
            "jails with action Reject are not enforced",
            vec![],
            vec![phrase::unreachable()],
        ),
    ]
}

fn watching_answers() -> Trial {
    Trial {
        name: "who completed connections (conntrack and its labels)",
        without: "rate limits with `escalateTo` hold, but lead to no bans",
        essential: false,
        objects: vec![set("s", SetType::Ipv6Addr, SetFlag::Timeout)],
        rule: completed(),
    }
}

/// Has the kernel judge what tells who completed connections. Changes nothing.
///
/// # Errors
/// [`FirewallError::Refused`] when it cannot.
pub(super) fn completed_connections(nft: &Nft) -> Result<(), FirewallError> {
    nft.check(batch(watching_answers()))
}

fn token_bucket() -> Vec<Statement<'static>> {
    let minute = std::time::Duration::from_secs(60);
    let rate = phrase::Rate { tokens: 60, window: minute };
    let [draw, beyond] = phrase::over_rate((Family::V6, 64), minute, "s", rate);
    vec![draw, beyond, phrase::drop()]
}

fn completed() -> Vec<Statement<'static>> {
    let server = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into();
    let mut statements = phrase::server_speaks();
    statements.push(phrase::originally_to(Family::V6, &[server]));
    statements.push(phrase::label(proof::COUNTED));
    statements.push(phrase::labelled(proof::COUNTED));
    statements.push(phrase::update_client((Family::V6, 64), std::time::Duration::from_secs(60), "s"));
    statements
}

fn try_all(nft: &Nft, isolated: bool) -> Vec<Feature> {
    let mut features: Vec<_> = trials()
        .into_iter()
        .map(|trial| {
            let (name, without, essential) = (trial.name, trial.without, trial.essential);
            let batch = batch(trial);
            let outcome = if isolated { nft.apply(batch) } else { nft.check(batch) };
            Feature { name, without, essential, problem: outcome.err().map(|error| error.to_string()) }
        })
        .collect();
    let outcome = if isolated { whole() } else { Nftables::open().and_then(|mut f| f.counters().map(drop)) };
    features.push(Feature {
        name: if isolated { "bans, renewals and lifts over netlink" } else { "netlink" },
        without: "nothing can be enforced",
        essential: true,
        problem: outcome.err().map(|error| error.to_string()),
    });
    features
}

/// The real thing once, in the empty network.
fn whole() -> Result<(), FirewallError> {
    let name = ScopeName::all();
    let scope = Scope { name: name.clone(), reach: Reach::Everything, action: super::Action::Drop };
    let mut firewall = Nftables::open()?;
    firewall.ensure(&Skeleton { scopes: vec![scope], ..Skeleton::default() })?;
    let now = jiff::Timestamp::now().into();
    let subject = crate::engine::Subject::host(std::net::Ipv4Addr::new(192, 0, 2, 1).into());
    let ban = |until| Change::Ban { scope: name.clone(), subject, until };
    let lift = Change::Lift { scope: name.clone(), subject };
    let day = std::time::Duration::from_secs(86_400);
    for change in [ban(Some(now + day)), ban(Some(now + day + day)), ban(None), lift] {
        let applied = firewall.apply(&[change], now)?;
        if let Some((_, reason)) = applied.refused.into_iter().next() {
            return Err(FirewallError::Refused(reason));
        }
    }
    if firewall.is_intact()? { Ok(()) } else { Err(FirewallError::Drifted("not as it was left".into())) }
}

fn batch(trial: Trial) -> Batch<'static> {
    let table = || NfListObject::Table(Table { family: NfFamily::INet, name: TABLE.into(), handle: None });
    let mut batch = Batch::new();
    batch.add(table());
    batch.delete(table());
    batch.add(table());
    for object in trial.objects {
        batch.add(object);
    }
    batch.add(NfListObject::Chain(Chain {
        _type: Some(NfChainType::Filter),
        hook: Some(NfHook::Prerouting),
        prio: Some(-300),
        policy: Some(NfChainPolicy::Accept),
        ..chain("prerouting")
    }));
    batch.add(NfListObject::Rule(Rule {
        family: NfFamily::INet,
        table: TABLE.into(),
        chain: "prerouting".into(),
        expr: trial.rule.into(),
        ..Rule::default()
    }));
    batch
}

fn chain(name: &'static str) -> Chain<'static> {
    Chain { family: NfFamily::INet, table: TABLE.into(), name: name.into(), ..Chain::default() }
}

fn counter() -> Counter<'static> {
    Counter { family: NfFamily::INet, table: TABLE.into(), name: "c".into(), ..Counter::default() }
}

fn set(name: &'static str, kind: SetType, flag: SetFlag) -> NfListObject<'static> {
    NfListObject::Set(Box::new(Set {
        family: NfFamily::INet,
        table: TABLE.into(),
        name: name.into(),
        set_type: SetTypeValue::Single(kind),
        flags: Some([flag].into()),
        ..Set::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_whatever_distributions_append() {
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("5.10.0-33-amd64"), Some((5, 10)));
        assert_eq!(version("strange"), None);
    }

    #[test]
    fn a_report_says_what_is_missing_and_what_that_means() {
        let feature = |name, essential, problem: Option<&str>| Feature {
            name,
            without: "this fails",
            essential,
            problem: problem.map(Into::into),
        };
        let mut report = Report {
            kernel: "6.1.0".into(),
            kernel_supported: true,
            nft: Ok("nftables v1.0.6".into()),
            net_admin: true,
            dac_read_search: false,
            isolated: true,
            features: vec![feature("sets", true, None), feature("reject", false, Some("not supported"))],
        };
        assert!(
            report.to_string().contains("MISSING reject: not supported; without it this fails\n"),
            "{report}"
        );
        assert!(report.can_enforce());
        report.features.push(feature("chains", true, Some("not supported")));
        assert!(!report.can_enforce());
    }
}
