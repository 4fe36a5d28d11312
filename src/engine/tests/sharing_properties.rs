//! Several nodes that tell each other, against one jail that reads everything.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::tests::{Book, Court, failure, spec, success};
use super::*;
use crate::engine::{Duration, JailSpec, Match, Outcome, SentenceSpec, Verdict};

type Bans = BTreeMap<(Subject, u32), (Timestamp, Option<Timestamp>)>;

/// One node, and what it made public.
struct Node {
    jail: Jail,
    book: Book,
    told: BTreeMap<Subject, Sighting>,
    /// Every ban it decided or learned, and every move of an end.
    bans: Bans,
    /// Bans it has to tell others, in order.
    log: Vec<(Subject, Term)>,
    /// How much of each node's log it has read, and what it last heard of each node.
    read: Vec<usize>,
    heard: Vec<BTreeMap<Subject, Sighting>>,
}

struct Cluster {
    nodes: Vec<Node>,
    now: Timestamp,
}

impl Cluster {
    fn new(spec: &JailSpec, size: usize) -> Self {
        let quota = quota(spec, size);
        let node = || {
            let mut jail = Jail::new(spec.clone());
            jail.share(Some(quota));
            Node {
                jail,
                book: Book::default(),
                told: BTreeMap::new(),
                bans: Bans::new(),
                log: Vec::new(),
                read: vec![0; size],
                heard: vec![BTreeMap::new(); size],
            }
        };
        Self { nodes: (0..size).map(|_| node()).collect(), now: Timestamp::MIN }
    }

    fn count(&mut self, at: usize, m: &Match) {
        self.now = self.now.max(m.time);
        let node = &mut self.nodes[at];
        let verdict = node.jail.count(m, &NeverBan::default(), &node.book, self.now);
        node.note(&verdict);
    }

    /// `to` reads what `from` has made public; whether that was new.
    fn sync(&mut self, from: usize, to: usize, bans_first: bool) -> bool {
        let now = self.now;
        let source = &mut self.nodes[from];
        source.told = source.jail.sightings(now).into_iter().map(|s| (s.subject, s.sighting)).collect();
        let (told, log) = (source.told.clone(), source.log.clone());
        let node = &mut self.nodes[to];
        let mut new = node.heard[from] != told || node.read[from] < log.len();
        if bans_first {
            node.learn(from, &log);
        }
        let before = std::mem::replace(&mut node.heard[from], told.clone());
        let gone = before.keys().filter(|s| !told.contains_key(s)).map(|s| (*s, Sighting::default()));
        let fresh = told.iter().filter(|(s, sighting)| before.get(s) != Some(sighting));
        for (subject, sighting) in gone.chain(fresh.map(|(s, sighting)| (*s, sighting.clone()))) {
            let index = NodeIndex(u16::try_from(from).unwrap());
            let heard = node.jail.hear(index, subject, sighting, &NeverBan::default(), &node.book, now);
            if let Some(conviction) = heard {
                node.note(&Verdict::Ban(conviction));
                new = true;
            }
        }
        node.learn(from, &log);
        new
    }

    fn settle(&mut self, bans_first: bool) {
        let size = self.nodes.len();
        for _ in 0..20 {
            let mut new = false;
            for from in 0..size {
                for to in (0..size).filter(|to| *to != from) {
                    new |= self.sync(from, to, bans_first);
                }
            }
            if !new {
                return;
            }
        }
        panic!("the nodes go on telling each other news");
    }
}

impl Node {
    fn note(&mut self, verdict: &Verdict) {
        self.book.note(verdict);
        let subject = match verdict {
            Verdict::Ban(c) => c.subject,
            Verdict::Extended { subject, .. } => *subject,
            _ => return,
        };
        let term = self.book.terms.borrow()[&subject];
        self.log.push((subject, term));
        self.bans.insert((subject, term.n), (term.since, term.until));
    }

    /// As the ledger merges: the higher n, of equals the later beginning, and the later end.
    fn learn(&mut self, from: usize, log: &[(Subject, Term)]) {
        for (subject, term) in &log[std::mem::replace(&mut self.read[from], log.len())..] {
            let known = self.book.terms.borrow().get(subject).copied();
            let merged = match known {
                Some(k) if k.until.is_some_and(|until| until < term.since) => *term,
                Some(k) if term.until.is_some_and(|until| until < k.since) => k,
                Some(k) => {
                    let head = if (term.n, term.since) > (k.n, k.since) { *term } else { k };
                    Term { until: k.until.max(term.until), ..head }
                }
                None => *term,
            };
            self.book.terms.borrow_mut().insert(*subject, merged);
            self.bans.insert((*subject, merged.n), (merged.since, merged.until));
            if let Some(until) = self.jail.settle(*subject, merged) {
                self.note(&Verdict::Extended { subject: *subject, n: merged.n, until });
            }
        }
    }
}

/// What one jail that reads everything in time order pronounces.
fn central(spec: &JailSpec, records: &[(usize, Match)]) -> Bans {
    let mut court = Court::new(spec.clone());
    let mut bans = Bans::new();
    for (_, m) in records {
        court.count(m);
        bans.extend(court.book.terms.borrow().iter().map(|(s, t)| ((*s, t.n), (t.since, t.until))));
    }
    bans
}

fn jail(max_retry: u32, ban_secs: u64, trusted_factor: u32) -> JailSpec {
    let sentence = SentenceSpec { ban_time: Some(Duration::from_secs(ban_secs)), ..spec().sentence };
    JailSpec { max_retry, sentence, trusted_factor, ..spec() }
}

/// Records of three attackers at up to five nodes, in time order; logins before failures of the same moment.
fn records(
    last: i64,
    weights: std::ops::Range<u32>,
    logins: bool,
) -> impl Strategy<Value = Vec<(usize, Match)>> {
    let record =
        (0..5_usize, 0..3_u8, 0..last, weights, prop::bool::weighted(if logins { 0.1 } else { 0.0 }));
    prop::collection::vec(record, 0..80).prop_map(|records| {
        let mut all: Vec<(usize, Match)> = records
            .into_iter()
            .map(|(node, who, time, weight, login)| {
                let address = format!("203.0.113.{who}");
                let m = if login { success(&address, time) } else { failure(&address, time) };
                (node, Match { weight, ..m })
            })
            .collect();
        all.sort_by_key(|(_, m)| (m.time, m.outcome == Outcome::Failure));
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn nodes_that_hear_each_other_before_the_next_record_pronounce_exactly_the_bans_of_one_central_jail(
        records in records(4000, 1..4, false),
        size in 1..=5_usize,
        max_retry in 1..=10_u32,
        ban_secs in prop::sample::select(vec![20, 300, 5000]),
        bans_first: bool,
    ) {
        let spec = jail(max_retry, ban_secs, 1);
        let mut cluster = Cluster::new(&spec, size);
        for (node, m) in &records {
            cluster.count(node % size, m);
            cluster.settle(bans_first);
        }
        let wanted = central(&spec, &records);
        for node in &cluster.nodes {
            prop_assert_eq!(&node.bans, &wanted);
        }
    }

    #[test]
    fn logins_at_other_nodes_make_trusted_as_in_one_central_jail(
        records in records(4000, 1..2, true),
        size in 1..=5_usize,
        max_retry in 2..=10_u32,
        factor in 2..=3_u32,
        ban_secs in prop::sample::select(vec![20, 300, 5000]),
        bans_first: bool,
    ) {
        let spec = jail(max_retry, ban_secs, factor);
        let mut cluster = Cluster::new(&spec, size);
        for (node, m) in &records {
            cluster.count(node % size, m);
            cluster.settle(bans_first);
        }
        let wanted = central(&spec, &records);
        for node in &cluster.nodes {
            prop_assert_eq!(&node.bans, &wanted);
        }
    }

    /// However late and in whatever order nodes hear each other: the same are banned until the same moment. Only the
    /// beginning may be a later failure, where a node had banned by itself before it heard.
    #[test]
    fn nodes_that_hear_each_other_late_ban_the_same_until_the_same_moment(
        records in records(1100, 1..4, false),
        size in 1..=5_usize,
        max_retry in 1..=10_u32,
        hops in prop::collection::vec((0..80_usize, 0..5_usize, 0..5_usize, any::<bool>()), 0..120),
        restarts in prop::collection::vec((0..80_usize, 0..5_usize), 0..6),
    ) {
        let spec = jail(max_retry, 5000, 1);
        let mut cluster = Cluster::new(&spec, size);
        for (i, (node, m)) in records.iter().enumerate() {
            cluster.count(node % size, m);
            for (_, from, to, bans_first) in hops.iter().filter(|hop| hop.0 == i) {
                let (from, to) = (from % size, to % size);
                if from != to {
                    cluster.sync(from, to, *bans_first);
                }
            }
            for (_, node) in restarts.iter().filter(|restart| restart.0 == i) {
                let node = &mut cluster.nodes[node % size];
                let quota = node.jail.sharing.as_ref().map(|sharing| sharing.quota);
                node.jail = Jail::restore(spec.clone(), &node.jail.snapshot()).unwrap();
                node.jail.share(quota);
                // What others told comes back from the API server, all at once.
                node.heard = vec![BTreeMap::new(); size];
            }
        }
        cluster.settle(true);
        let wanted = central(&spec, &records);
        for node in &cluster.nodes {
            let ends = |bans: &Bans| bans.iter().map(|(key, (_, until))| (*key, *until)).collect::<Vec<_>>();
            prop_assert_eq!(ends(&node.bans), ends(&wanted));
            for (key, (since, _)) in &node.bans {
                prop_assert!(*since >= wanted[key].0, "{:?} began too early", key);
            }
            prop_assert_eq!(&node.bans, &cluster.nodes[0].bans);
        }
    }
}
