//! Random histories: the jail and the ledger agree with an independent brute-force oracle in Python.
#![allow(clippy::unwrap_used)] // in helpers, which the lint does not take for tests

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use gaoler::bans::{Ban, Evidence, Ledger, LedgerLimits, Origin};
use gaoler::engine::house::NeverBan;
use gaoler::engine::jail::Jail;
use gaoler::engine::{
    Duration, JailSpec, Match, Outcome, PrefixPolicy, RuleRef, SentenceSpec, Timestamp, Verdict,
};

const START: i64 = 1_687_000_000_000_000;

/// SplitMix64: seeded, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

fn random_spec(r: &mut Random) -> JailSpec {
    JailSpec {
        name: "james".into(),
        max_retry: r.pick(&[1, 2, 3, 5, 8]),
        find_time: Duration::from_secs(r.pick(&[60, 600])),
        sentence: SentenceSpec {
            ban_time: r
                .pick(&[Some(30), Some(60), Some(600), Some(900), Some(900), None])
                .map(Duration::from_secs),
            factor: r.pick(&[1.0, 1.5, 2.0]),
            max_ban_time: Duration::from_secs(2000),
            jitter: Duration::from_secs(r.pick(&[0, 0, 45])),
            forget_after: Duration::from_secs(r.pick(&[300, 100_000])),
        },
        trusted_factor: r.pick(&[1, 1, 2, 3]),
        prefix: r.pick(&[PrefixPolicy::default(), PrefixPolicy { ipv4: 24, ipv6: 48 }]),
        ignore: Vec::new(),
        max_tracked: 10_000,
    }
}

/// Times on a coarse grid, so that distances of exactly `findTime` are common, some a microsecond off.
fn random_record(r: &mut Random, spec: &JailSpec, address: IpAddr, width: u64) -> Match {
    let step = spec.find_time.as_micros() as u64 / 4;
    let off = r.pick(&[0, 0, 0, 1, 999_999, 250_000]);
    let micros = START + (r.below(width) * step + off).cast_signed();
    let success = spec.trusted_factor > 1 && r.below(4) == 0;
    Match {
        rule: RuleRef { filter: 0, rule: 0 },
        outcome: if success { Outcome::Success } else { Outcome::Failure },
        address,
        time: Timestamp::from_micros(micros),
        weight: r.pick(&[1, 1, 1, 2, 3]),
        line: 0,
    }
}

fn random_history(r: &mut Random, spec: &JailSpec, subjects: u32, width: u64) -> Vec<Match> {
    let mut records = Vec::new();
    for i in 0..subjects {
        for _ in 0..r.below(24) {
            let host = r.below(3) as u32; // neighbours in one prefix
            let address = if i % 4 == 0 {
                IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(i) << 80 | u128::from(host)))
            } else {
                IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 + (i << 8) + host))
            };
            records.push(random_record(r, spec, address, width));
        }
    }
    records
}

type Bans = BTreeMap<(String, u32, i64), Option<i64>>;

/// Counts in the given order, each record read `lag` after it (or after a later one before it) was written.
fn count(spec: &JailSpec, records: &[Match], lag: Duration) -> (Bans, Ledger) {
    let mut jail = Jail::new(spec.clone());
    let forget_after = spec.sentence.forget_after + spec.find_time; // what is read late asks for it
    let limits = LedgerLimits { forget_after, ..LedgerLimits::default() };
    let mut ledger = Ledger::new(limits);
    let mut bans = Bans::new();
    let mut now = Timestamp::MIN;
    for m in records {
        now = now.max(m.time + lag);
        match jail.count(m, &NeverBan::default(), &ledger.history(&spec.name), now) {
            Verdict::Ban(c) => {
                let until = c.until.map(Timestamp::as_micros);
                bans.insert((c.subject.to_string(), c.n, c.since.as_micros()), until);
                let ban = Ban {
                    jail: Some(spec.name.clone()),
                    subject: c.subject,
                    n: c.n,
                    since: c.since,
                    until: c.until,
                    origin: Origin::Jail,
                    evidence: Evidence::default(),
                };
                ledger.record(&ban, now);
            }
            Verdict::Extended { subject, n, until } => {
                ledger.prolong(&spec.name, subject, n, until, now);
                let until = until.map(Timestamp::as_micros);
                let last =
                    bans.range_mut((subject.to_string(), n, i64::MIN)..=(subject.to_string(), n, i64::MAX));
                *last.last().expect("only a ban that fell is extended").1 = until;
            }
            Verdict::Counted { .. } | Verdict::Trusted(_) => {}
            Verdict::Skipped(why) => panic!("{m:?} was skipped: {why:?}"),
        }
    }
    (bans, ledger)
}

fn oracle(spec: &JailSpec, records: &[Match]) -> Bans {
    let seconds = |d: Duration| format!("{}.{:06}", d.as_secs(), d.subsec_micros());
    let s = &spec.sentence;
    let ban_time = s.ban_time.map_or("Permanent".into(), seconds);
    let mut python = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle/oracle.py"))
        .args(["--max-retry", &spec.max_retry.to_string(), "--find-time", &seconds(spec.find_time)])
        .args(["--ban-time", &ban_time, "--factor", &s.factor.to_string(), "--jitter", &seconds(s.jitter)])
        .args(["--max-ban-time", &seconds(s.max_ban_time), "--forget-after", &seconds(s.forget_after)])
        .args(["--trusted", &spec.trusted_factor.to_string(), "--jail", spec.name.as_str()])
        .args(["--ipv4", &spec.prefix.ipv4.to_string(), "--ipv6", &spec.prefix.ipv6.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle needs python3");
    let mut input = String::new();
    for m in records {
        let micros = m.time.as_micros();
        let ok = if m.outcome == Outcome::Success { " ok" } else { "" };
        let (secs, rest) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
        writeln!(input, "{secs}.{rest:06} {} {}{ok}", m.address, m.weight).unwrap();
    }
    python.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let micros = |text: &str| text.replace('.', "").parse::<i64>().ok();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| {
            let [who, n, since, until] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            ((who.to_string(), n.parse().unwrap(), micros(since).unwrap()), micros(until))
        })
        .collect()
}

fn subjects(bans: &Bans) -> BTreeSet<&str> {
    bans.keys().map(|(who, ..)| who.as_str()).collect()
}

#[test]
fn records_in_order_lead_to_exactly_the_oracles_bans_however_late_they_are_read() {
    let (mut fell, mut histories) = (0, 0);
    for seed in 0..40 {
        let r = &mut Random(seed);
        let spec = random_spec(r);
        let mut records = random_history(r, &spec, 100, 30);
        records.sort_by_key(|m| m.time);
        let lag = spec.find_time / r.pick(&[1_000_000, 4, 1]);
        let (bans, _) = count(&spec, &records, lag);
        let expected = oracle(&spec, &records);
        let ours: Vec<_> = bans.iter().filter(|(key, until)| expected.get(key) != Some(until)).collect();
        let theirs: Vec<_> = expected.iter().filter(|(key, until)| bans.get(key) != Some(until)).collect();
        assert!(ours.is_empty() && theirs.is_empty(), "seed {seed}: {ours:?} but {theirs:?}, {spec:?}");
        fell += bans.len();
        histories += 100;
    }
    assert!(fell > histories / 2, "the histories are not interesting: {fell} bans");
}

#[test]
fn records_up_to_find_time_late_never_change_who_is_banned() {
    for seed in 1000..1020 {
        let r = &mut Random(seed);
        let spec = JailSpec { trusted_factor: 1, ..random_spec(r) };
        let mut records = random_history(r, &spec, 100, 30);
        let late = spec.find_time.as_micros() as u64;
        let mut arriving: Vec<_> =
            records.iter().map(|m| (m.time.as_micros() + r.below(late).cast_signed(), *m)).collect();
        arriving.sort_by_key(|(arrival, _)| *arrival);
        let arriving: Vec<Match> = arriving.into_iter().map(|(_, m)| m).collect();
        let (bans, _) = count(&spec, &arriving, Duration::ZERO);
        records.sort_by_key(|m| m.time);
        let expected = oracle(&spec, &records);
        assert_eq!(subjects(&bans), subjects(&expected), "seed {seed}: {spec:?}");
    }
}

#[test]
fn within_one_find_time_any_order_leads_to_the_same_bans_and_ends() {
    for seed in 2000..2020 {
        let r = &mut Random(seed);
        let mut spec = JailSpec { trusted_factor: 1, ..random_spec(r) };
        // Longer than all the records take: nobody can be banned twice.
        spec.sentence.ban_time = Some(spec.find_time * 2);
        let mut records = random_history(r, &spec, 100, 4);
        r.shuffle(&mut records);
        let (bans, ledger) = count(&spec, &records, Duration::ZERO);
        records.sort_by_key(|m| m.time);
        let expected = oracle(&spec, &records);
        assert_eq!(subjects(&bans), subjects(&expected), "seed {seed}: {spec:?}");
        assert!(bans.keys().all(|(_, n, _)| *n == 1));
        let latest = records.last().unwrap().time;
        let held: BTreeMap<String, i64> = ledger
            .holds(latest)
            .map(|(_, subject, hold)| (subject.to_string(), hold.until.unwrap().as_micros()))
            .collect();
        for ((who, ..), until) in &expected {
            // Ends move in steps of a second, so the order can make a second's difference.
            let off = held[who].abs_diff(until.unwrap());
            assert!(off < 1_000_000, "seed {seed}: {who} ends {off} µs off");
        }
    }
}
