//! Rate limits at the size of an attack, with real packets in network namespaces of its own. Needs root. Prints.
//!
//! ```text
//! cargo bench --bench ratelimit -- cost      CPU per packet: no rule, iptables recent, ours at 1, 10,000 and 1,000,000 sources
//! cargo bench --bench ratelimit -- forged    a million SYNs in a stranger's name: what is banned?
//! cargo bench --bench ratelimit -- spray     sources of a /8 and of a /48: memory, innocents, counters
//! cargo bench --bench ratelimit -- door      when the door opens again, beside recent, in real time: four minutes
//! ```

#[path = "../tests/netns/mod.rs"]
mod netns;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gaoler::agent::{self, Settings};
use gaoler::config;
use gaoler::firewall::{
    Action, Counted, Firewall, Limit, LimitCounts, Nftables, Penalty, ScopeName, Skeleton,
};
use netns::{Forge, Knock, Net, Witness};

const STRANGER: &str = "198.51.100.7";
const SMTP: Knock = Knock::Tcp(25);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let all: [(&str, fn()); 4] = [("cost", cost), ("forged", forged), ("spray", spray), ("door", door)];
    for (name, part) in all {
        if wanted.is_empty() || wanted.iter().any(|word| word == name) {
            println!("== {name}");
            part();
        }
    }
}

fn limit(max_sources: u32) -> Limit {
    Limit {
        name: ScopeName::new("smtp"),
        counts: Counted::tcp(&[25]),
        hits: 4,
        window: Duration::from_secs(60),
        penalty: Penalty::Silence,
        prefix_v4: 32,
        prefix_v6: 64,
        ignore: vec![],
        action: Action::Drop,
        observe: false,
        max_sources,
        catches: false,
    }
}

fn firewall(limit: Limit) -> Nftables {
    let mut firewall = Nftables::open().expect("netlink");
    firewall.ensure(&Skeleton { limits: vec![limit], ..Skeleton::default() }).expect("a skeleton");
    firewall
}

fn counts(firewall: &mut Nftables) -> LimitCounts {
    firewall.limits().expect("counts").into_values().next().expect("one limit")
}

/// The n-th source of 11.0.0.0/8, spread over it.
fn of_a_8(n: u32) -> IpAddr {
    IpAddr::from((0x0b00_0000 | (n.wrapping_mul(2_654_435_761) >> 8)).to_be_bytes())
}

/// The n-th network of 64 bits of a /48, and beyond 65,536 of its neighbours.
fn of_a_48(n: u32) -> IpAddr {
    IpAddr::from((0x2001_0db8_0bad_0000_0000_0000_0000_0001_u128 + (u128::from(n) << 64)).to_be_bytes())
}

/// The mission's rule for port 25 in the chain given; whether this kernel has the match.
fn recent(net: &Net, table: &[&str], chain: &str) -> bool {
    let program = ["iptables", "iptables-legacy", "iptables-nft"].into_iter().find(|program| {
        let rule = ["-A", "OUTPUT", "-p", "tcp", "--dport", "1", "-m", "recent", "--set", "--name", "TRY"];
        net.host.command(program).args(rule).output().is_ok_and(|output| output.status.success())
    });
    let Some(program) = program else { return false };
    let rule = |rest: &[&str]| {
        let of = ["-A", chain, "-p", "tcp", "--dport", "25", "-m", "recent", "--name", "DDOS-SMTP"];
        net.host.run(&[&[program][..], table, &of, rest].concat());
    };
    rule(&["--set"]);
    rule(&["--update", "--seconds", "60", "--hitcount", "4", "-j", "DROP"]);
    println!("{program} with -m recent is here");
    true
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("nanoseconds"))
}

/// Median CPU time of a packet, sending included, over batches.
fn measure(forge: &Forge, to: IpAddr, mut from: impl FnMut() -> IpAddr) -> u128 {
    const BATCH: u32 = 10_000;
    let mut batches: Vec<u128> = (0..9)
        .map(|_| {
            let start = cpu();
            for _ in 0..BATCH {
                forge.send(from(), to, SMTP, 1);
            }
            (cpu() - start).as_nanos() / u128::from(BATCH)
        })
        .collect();
    batches.sort_unstable();
    batches[4]
}

/// What every variant ends with: nothing goes further up than the chains that are compared.
const FLOOR: &str = "table inet floor {
  chain floor {
    type filter hook prerouting priority -250;
    tcp dport 25 drop
  }
}";

fn cost() {
    let stranger: IpAddr = STRANGER.parse().expect("an address");
    let mut new = 1_u32 << 24;
    let mut newcomer = move || {
        new = new.wrapping_add(1);
        IpAddr::from((0x6440_0000_u32.wrapping_add(new)).to_be_bytes())
    };
    println!(
        "ns of CPU per packet (sending, cable and receiving included; the first line is what all have in common)"
    );
    println!("{:34}{:>22}{:>22}", "", "under the penalty", "a new source");
    netns::on_the_host(|net| {
        net.host.feed(&["nft", "-f", "-"], FLOOR);
        let (forge, to) = (Forge::new(&net.internet), net.host_address(stranger));
        let (one, many) = (measure(&forge, to, || stranger), measure(&forge, to, &mut newcomer));
        println!("{:34}{one:22}{many:22}", "no rule");
    });
    netns::on_the_host(|net| {
        net.host.feed(&["nft", "-f", "-"], FLOOR);
        let (forge, to) = (Forge::new(&net.internet), net.host_address(stranger));
        if recent(net, &["-t", "raw"], "PREROUTING") {
            let (one, many) = (measure(&forge, to, || stranger), measure(&forge, to, &mut newcomer));
            println!("{:34}{one:22}{many:22}", "recent (its table holds 100)");
        } else {
            println!("{:34}{:>22}{:>22}", "recent", "not in this kernel", "");
        }
    });
    for tracked in [1_u32, 10_000, 1_000_000] {
        netns::on_the_host(|net| {
            net.host.feed(&["nft", "-f", "-"], FLOOR);
            let forge = Forge::new(&net.internet);
            let to = net.host_address(stranger);
            let before = kernel_memory();
            let mut firewall = firewall(Limit { window: Duration::from_secs(3600), ..limit(2_000_000) });
            for n in 0..tracked {
                forge.send(of_a_8(n), to, SMTP, 1);
            }
            let grown = kernel_memory().saturating_sub(before);
            for _ in 0..5 {
                forge.send(stranger, to, SMTP, 1);
            }
            let (one, many) = (measure(&forge, to, || stranger), measure(&forge, to, &mut newcomer));
            let label = format!("ours, {tracked} sources tracked");
            println!("{label:34}{one:22}{many:22}   {grown} KiB of kernel memory");
            assert!(counts(&mut firewall).over.packets >= 90_000, "the stranger was refused");
        });
    }
}

/// KiB the kernel holds in slabs that cannot be given back, and in large pieces.
fn kernel_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let of = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0)
    };
    of("SUnreclaim:") + of("VmallocUsed:")
}

const MANIFESTS: &str = "\
apiVersion: gaoler.dev/v1alpha1
kind: RateLimit
metadata: {name: smtp}
spec: {protocol: TCP, ports: [25], hits: 4, window: 60s, escalateTo: james}
---
apiVersion: gaoler.dev/v1alpha1
kind: Jail
metadata: {name: james}
spec:
  filters: [james-smtp-auth]
  source: {files: [/nonexistent/james.log]}
  enforce: {ports: [25, 143]}
";

fn forged() {
    const MANY: u32 = 1_000_000;
    netns::on_the_host(|net| {
        let (_smtp, _imap) = (net.listen(25), net.listen(143));
        let forge = Forge::new(&net.internet);
        let stranger = net.attacker(STRANGER);
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("limits.yaml"), MANIFESTS).expect("written");
        let loaded = config::load(&[directory.path().into()], None);
        assert_eq!(loaded.errors(), 0, "{:?}", loaded.objects);
        let (agent, thread) = agent::spawn(Settings::default(), Box::new(Nftables::open().expect("netlink")))
            .expect("an agent");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            agent.configure(Arc::new(loaded.config.clone())).await.expect("configured");
            while agent.status().await.expect("a status").firewall.state
                != gaoler::agent::report::FirewallState::Enforcing
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let (start, to) = (Instant::now(), net.host_address(stranger));
        for n in 0..MANY {
            forge.send(stranger, to, SMTP, n as u16);
        }
        let took = start.elapsed();
        let status = runtime.block_on(agent.status()).expect("a status");
        let limit = status.rate_limits.first().expect("one limit");
        let bans = runtime.block_on(agent.bans(None)).expect("bans").len();
        let sets = net.host.run(&["nft", "list", "table", "inet", "gaoler"]);
        let in_ban_sets = ban_elements(&sets);
        println!("{MANY} SYNs in {took:?}: refused {}, offenders {}", limit.limited_packets, limit.offenders);
        println!("bans: {bans}; elements in ban sets of the kernel: {in_ban_sets}");
        let imap = net.reaches(stranger, 143);
        println!("the stranger reaches port 143: {imap}; port 25 is silent: {}", net.is_silent(stranger, 25));
        assert!(bans == 0 && in_ban_sets == 0 && status.bans == 0 && imap);
        runtime.block_on(agent.stop()).expect("stopped").expect("saved");
        thread.join().expect("ended");
    });
}

/// Elements of all sets that hold bans: those of scopes, not of limits.
fn ban_elements(table: &str) -> usize {
    let mut in_ban_set = false;
    let mut found = 0;
    for line in table.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("set ") {
            in_ban_set = name.starts_with("j_") || name.starts_with("all_");
        }
        found +=
            usize::from(in_ban_set && line.starts_with("elements")) * line.matches("expires").count().max(1);
    }
    found
}

fn spray() {
    const MANY: u32 = 300_000;
    netns::on_the_host(|net| {
        let _witness = Witness::new(&net.host);
        let forge = Forge::new(&net.internet);
        let mut firewall = firewall(Limit { window: Duration::from_secs(3600), ..limit(65_536) });
        let before = kernel_memory();
        for (name, of) in [("a /8", of_a_8 as fn(u32) -> IpAddr), ("a /48", of_a_48)] {
            let to = net.host_address(of(0));
            for n in 0..MANY {
                // Of the /48 itself there are 65,536; each knocks several times.
                let n = if to.is_ipv4() { n } else { n % 65_536 };
                forge.send(of(n), to, SMTP, 1);
            }
            let grown = kernel_memory().saturating_sub(before);
            let seen = counts(&mut firewall);
            println!(
                "{MANY} SYNs from {name}: {grown} KiB of kernel memory more, uncounted {}, over {}, offenders {}",
                seen.uncounted.packets, seen.over.packets, seen.offenders
            );
        }
        for innocent in ["198.51.100.99", "2001:db8:1::1"] {
            let from: IpAddr = innocent.parse().expect("an address");
            let came = Witness::at(&net.host).watch(&forge, from, net.host_address(from), SMTP, 3);
            println!("{innocent}: three connections: {came}");
            assert_eq!(came, "ppp");
        }
        for family in ["4_32", "6_64"] {
            for slot in 1..4 {
                let set = format!("smtp_slot{family}_65536_3600s_{slot}");
                let listed = net.host.run(&["nft", "list", "set", "inet", "gaoler", &set]);
                let held = listed.matches("expires").count();
                println!("{set}: {held} elements");
                assert!(held <= 65_536);
            }
        }
    });
}

/// One side of the comparison: its network and what it saw.
struct Side<'a> {
    name: &'static str,
    net: &'a Net,
    forge: Forge,
    seen: Vec<String>,
}

impl<'a> Side<'a> {
    fn new(name: &'static str, net: &'a Net) -> Self {
        let _ = Witness::new(&net.host);
        Self { name, net, forge: Forge::new(&net.internet), seen: vec![String::new(); 6] }
    }
}

fn door() {
    let (theirs, ours) = (Net::new(), Net::new());
    let has_recent = recent(&theirs, &[], "INPUT");
    let _firewall = ours.host.inside(|| firewall(limit(65_536)));
    // Sources and their habits: seconds between knocks after the first five.
    let habits =
        [("retries every 25 s", 25, 1), ("retries every 35 s", 35, 2), ("is silent for 65 s", 65, 3)];
    let mut sides = vec![Side::new("ours", &ours)];
    if has_recent {
        sides.push(Side::new("recent", &theirs));
    }
    let start = Instant::now();
    for second in 0..=215_u64 {
        std::thread::sleep((start + Duration::from_secs(second)).saturating_duration_since(Instant::now()));
        for side in &mut sides {
            for (n, (_, every, host)) in habits.iter().enumerate() {
                if second % every != 0 {
                    continue;
                }
                let count = if second == 0 { 5 } else { 1 };
                for (family, from) in [(0, format!("198.51.100.{host}")), (3, format!("2001:db8:{host}::1"))]
                {
                    if family == 3 && side.name == "recent" {
                        continue;
                    }
                    let from: IpAddr = from.parse().expect("an address");
                    let to = side.net.host_address(from);
                    side.seen[n + family] +=
                        &Witness::at(&side.net.host).watch(&side.forge, from, to, SMTP, count);
                    side.seen[n + family].push(' ');
                }
            }
        }
    }
    println!("port 25, 4 hits in 60 s: five SYNs at once, then");
    for (n, (habit, ..)) in habits.iter().enumerate() {
        for side in &sides {
            println!("{habit:20} {:7} IPv4  {}", side.name, side.seen[n]);
            if side.name == "ours" {
                println!("{habit:20} {:7} IPv6  {}", side.name, side.seen[n + 3]);
            }
        }
    }
}
