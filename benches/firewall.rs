//! What a ban costs at the kernel: in an empty set, among a hundred thousand and among a million. And what it costs
//! to put a hundred thousand bans back, into an empty table and into one that holds them already.
//!
//! Needs root: it works in a network namespace of its own.

#[path = "../tests/netns/mod.rs"]
mod netns;

use std::net::Ipv4Addr;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use gaoler::engine::{Subject, Timestamp};
use gaoler::firewall::{
    Action, Change, Destination, Firewall, Guard, Nftables, Reach, Scope, ScopeName, Skeleton,
};

fn main() {
    netns::with(|net| {
        net.host.enter();
        divan::main();
    });
}

fn now() -> Timestamp {
    jiff::Timestamp::now().into()
}

fn bans(first: Ipv4Addr, count: u32) -> Vec<Change> {
    let until = Some(now() + Duration::from_secs(86_400));
    let subjects = (0..count).map(|i| Subject::host(Ipv4Addr::from_bits(first.to_bits() + i).into()));
    subjects.map(|subject| Change::Ban { scope: ScopeName::new("smtp"), subject, until }).collect()
}

fn empty() -> Nftables {
    let mut firewall = Nftables::open().expect("netlink");
    firewall.teardown().expect("no table");
    let guard = Guard { destination: Destination::Local, port: 25 };
    let scope =
        Scope { name: ScopeName::new("smtp"), reach: Reach::Ports(vec![guard]), action: Action::Drop };
    firewall.ensure(&Skeleton { scopes: vec![scope], ..Skeleton::default() }).expect("a skeleton");
    firewall
}

fn holding(count: u32) -> Nftables {
    let mut firewall = empty();
    let applied = firewall.apply(&bans(Ipv4Addr::new(10, 0, 0, 0), count), now()).expect("bans");
    assert_eq!(applied.done, count as usize);
    firewall
}

/// One ban of somebody new.
#[divan::bench(args = [1, 100_000, 1_000_000], sample_count = 1000, sample_size = 1)]
fn one_ban_into_a_set_of(bencher: Bencher<'_, '_>, held: u32) {
    let mut firewall = holding(held);
    let mut newcomers = bans(Ipv4Addr::new(100, 64, 0, 0), 2000).into_iter().cycle();
    bencher
        .with_inputs(|| [newcomers.next().expect("endless")])
        .bench_local_values(|change| firewall.apply(&change, now()).expect("a ban").done);
}

/// A later end for a ban that is there.
#[divan::bench(args = [1, 100_000, 1_000_000], sample_count = 1000, sample_size = 1)]
fn one_renewal_in_a_set_of(bencher: Bencher<'_, '_>, held: u32) {
    let mut firewall = holding(held);
    let change = bans(Ipv4Addr::new(10, 0, 0, 0), 1);
    bencher.bench_local(|| firewall.apply(&change, now()).expect("a ban").done);
}

/// Whether the table is as it was left, when nobody changed anything.
#[divan::bench(args = [1_000_000], sample_count = 1000, sample_size = 1)]
fn one_look_at_a_table_with(bencher: Bencher<'_, '_>, held: u32) {
    let mut firewall = holding(held);
    bencher.bench_local(|| firewall.is_intact().expect("an answer"));
}

/// At start on a fresh machine.
#[divan::bench(args = [100_000], sample_count = 5, sample_size = 1)]
fn bans_into_an_empty_table(bencher: Bencher<'_, '_>, count: u32) {
    let changes = bans(Ipv4Addr::new(10, 0, 0, 0), count);
    bencher
        .counter(ItemsCount::new(count))
        .with_inputs(empty)
        .bench_local_values(|mut firewall| firewall.apply(&changes, now()).expect("bans").done);
}

/// At start after an upgrade of the agent: the kernel has them all.
#[divan::bench(args = [100_000], sample_count = 5, sample_size = 1)]
fn bans_into_a_table_that_holds_them(bencher: Bencher<'_, '_>, count: u32) {
    let mut firewall = holding(count);
    let changes = bans(Ipv4Addr::new(10, 0, 0, 0), count);
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| firewall.apply(&changes, now()).expect("bans").done);
}
