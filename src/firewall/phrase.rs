//! The expressions and statements our rules are made of, in the types of the `nftables` crate.
//!
//! Ports and protocols are numbers: without `/etc/services` and `/etc/protocols` nft knows no names.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use nftables::expr::{
    BinaryOperation, CT, CTDir, Elem, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression,
    Payload, PayloadField, Prefix, SetItem,
};
use nftables::stmt::{
    Counter, JumpTarget, Limit, Mangle, Match, Operator, Reject, RejectType, Set, SetOp, Statement,
    VerdictMap,
};
use nftables::types::RejectCode;

use super::ban_set::Family;

const TCP: u32 = 6;

/// A protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let payload = PayloadField { protocol: protocol.into(), field: field.into() };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(payload)))
}

fn address_field(family: Family, name: &'static str) -> Expression<'static> {
    field(if family == Family::V4 { "ip" } else { "ip6" }, name)
}

fn equal(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match { left, right, op: Operator::EQ })
}

fn text(value: &(impl ToString + ?Sized)) -> Expression<'static> {
    Expression::String(value.to_string().into())
}

/// The source address cut to `bits` is in the set.
pub(super) fn source_in(family: Family, bits: u8, set: &str) -> Statement<'static> {
    equal(source(family, bits), text(&format!("@{set}")))
}

/// The source address cut to `bits` is not in the set.
pub(super) fn source_not_in(family: Family, bits: u8, set: &str) -> Statement<'static> {
    let (left, right) = (source(family, bits), text(&format!("@{set}")));
    Statement::Match(Match { left, right, op: Operator::NEQ })
}

/// The source address is in one of these prefixes, which do not overlap.
pub(super) fn source_among(family: Family, nets: &[IpNet]) -> Statement<'static> {
    equal(address_field(family, "saddr"), among(nets))
}

fn among(nets: &[IpNet]) -> Expression<'static> {
    let nets = nets.iter().copied().map(|net| SetItem::Element(prefix(net))).collect();
    Expression::Named(NamedExpression::Set(nets))
}

fn source(family: Family, bits: u8) -> Expression<'static> {
    masked(address_field(family, "saddr"), family, bits)
}

fn masked(address: Expression<'static>, family: Family, bits: u8) -> Expression<'static> {
    if bits == family.bits() {
        return address;
    }
    Expression::BinaryOperation(Box::new(BinaryOperation::AND(address, text(&mask(family, bits)))))
}

/// Puts the source address cut to so many bits into the set, for so many seconds; what is there stays as it is.
/// When the set is full the rule ends here.
pub(super) fn add_source(source: (Family, u8), span: Duration, set: &str) -> Statement<'static> {
    put(SetOp::Add, self::source(source.0, source.1), span, set)
}

/// Like [`add_source`]; what is there begins its time anew.
pub(super) fn update_source(source: (Family, u8), span: Duration, set: &str) -> Statement<'static> {
    put(SetOp::Update, self::source(source.0, source.1), span, set)
}

fn put(op: SetOp, what: Expression<'static>, span: Duration, set: &str) -> Statement<'static> {
    let timeout = Some(u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
    let elem = Elem { val: Box::new(what), timeout, ..Elem::default() };
    let elem = Expression::Named(NamedExpression::Elem(elem));
    Statement::Set(Set { op, elem, set: format!("@{set}").into() })
}

/// A token bucket: it holds `tokens` and is filled within `window`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    pub(super) tokens: u32,
    pub(super) window: Duration,
}

impl Rate {
    /// Whole tokens in the longest unit that fits, rounded down.
    fn per_unit(self) -> (u32, &'static str) {
        let seconds = self.window.as_secs().max(1);
        let units = [("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)];
        let of = |unit: u64| u64::from(self.tokens).saturating_mul(unit) / seconds;
        let fits = units.into_iter().find_map(|(name, unit)| Some((u32::try_from(of(unit)).ok()?, name)));
        let (rate, unit) = fits.unwrap_or((u32::MAX, "second"));
        (rate.max(1), unit)
    }
}

/// Takes a token out of the bucket of this source; goes on when there is none. Two statements that belong together:
/// the second becomes part of the set's elements when [`nft`](super::nft) writes them.
pub(super) fn over_rate(
    source: (Family, u8),
    idle: Duration,
    set: &str,
    rate: Rate,
) -> [Statement<'static>; 2] {
    [update_source(source, idle, set), beyond(rate)]
}

fn beyond(rate: Rate) -> Statement<'static> {
    let (per_unit, unit) = rate.per_unit();
    Statement::Limit(Limit {
        rate: per_unit,
        rate_unit: None,
        per: Some(unit.into()),
        burst: Some(rate.tokens),
        burst_unit: None,
        inv: Some(true),
    })
}

/// A server's packet that belongs to a connection whose client has completed it: it carries data to be passed on, or
/// ends the connection.
pub(super) fn server_speaks() -> Vec<Statement<'static>> {
    let flags = |of: [&str; 2]| {
        let flags = Expression::List(of.map(text).to_vec());
        Expression::BinaryOperation(Box::new(BinaryOperation::AND(field("tcp", "flags"), flags)))
    };
    let none = Expression::Number(0);
    vec![
        equal(tracked("direction", None), text("reply")),
        Statement::Match(Match { left: flags(["fin", "psh"]), right: none.clone(), op: Operator::NEQ }),
        equal(flags(["syn", "rst"]), none),
    ]
}

/// The port that the connection's first packet went to, before any translation.
pub(super) fn original_port() -> Expression<'static> {
    tracked("proto-dst", Some(CTDir::Original))
}

/// The connection's first packet went to one of these addresses.
pub(super) fn originally_to(family: Family, addresses: &[IpAddr]) -> Statement<'static> {
    let key = if family == Family::V4 { "ip daddr" } else { "ip6 daddr" };
    let addresses = addresses.iter().map(|address| SetItem::Element(text(address))).collect();
    equal(tracked(key, Some(CTDir::Original)), Expression::Named(NamedExpression::Set(addresses)))
}

fn tracked(key: &'static str, dir: Option<CTDir>) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT { key: key.into(), family: None, dir }))
}

/// The packet's connection has this label.
pub(super) fn labelled(label: u8) -> Statement<'static> {
    let (left, right) = (tracked("label", None), text(&label));
    Statement::Match(Match { left, right, op: Operator::IN })
}

/// Gives the packet's connection this label beside those it has.
pub(super) fn label(label: u8) -> Statement<'static> {
    Statement::Mangle(Mangle { key: tracked("label", None), value: text(&label) })
}

fn client(family: Family, bits: u8) -> Expression<'static> {
    masked(address_field(family, "daddr"), family, bits)
}

/// The client to whom a server's packet goes, cut to `bits`, is in the set.
pub(super) fn client_in(family: Family, bits: u8, set: &str) -> Statement<'static> {
    equal(client(family, bits), text(&format!("@{set}")))
}

/// The client to whom a server's packet goes, cut to `bits`, is not in the set.
pub(super) fn client_not_in(family: Family, bits: u8, set: &str) -> Statement<'static> {
    let (left, right) = (client(family, bits), text(&format!("@{set}")));
    Statement::Match(Match { left, right, op: Operator::NEQ })
}

/// The client to whom a server's packet goes is in one of these prefixes, which do not overlap.
pub(super) fn client_among(family: Family, nets: &[IpNet]) -> Statement<'static> {
    equal(address_field(family, "daddr"), among(nets))
}

/// Puts the client cut to so many bits into the set, for so many seconds from now on.
pub(super) fn update_client((family, bits): (Family, u8), span: Duration, set: &str) -> Statement<'static> {
    put(SetOp::Update, client(family, bits), span, set)
}

/// Like [`over_rate`], of the client to whom a server's packet goes.
pub(super) fn client_over_rate(
    client: (Family, u8),
    idle: Duration,
    set: &str,
    rate: Rate,
) -> [Statement<'static>; 2] {
    [update_client(client, idle, set), beyond(rate)]
}

fn mask(family: Family, bits: u8) -> IpAddr {
    match family {
        Family::V4 => {
            Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0)).into()
        }
        Family::V6 => {
            Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - u32::from(bits.min(128))).unwrap_or(0)).into()
        }
    }
}

/// The TCP destination port.
pub(super) fn tcp_port() -> Expression<'static> {
    port_of(Transport::Tcp)
}

/// The destination port.
pub(super) fn port_of(transport: Transport) -> Expression<'static> {
    field(if transport == Transport::Tcp { "tcp" } else { "udp" }, "dport")
}

/// The destination address and port.
pub(super) fn destination_and_port(family: Family, transport: Transport) -> Expression<'static> {
    Expression::Named(NamedExpression::Concat(vec![address_field(family, "daddr"), port_of(transport)]))
}

/// This port.
pub(super) fn port(port: u16) -> Expression<'static> {
    Expression::Number(port.into())
}

/// This address and this port.
pub(super) fn pair(address: IpAddr, port: u16) -> Expression<'static> {
    Expression::Named(NamedExpression::Concat(vec![text(&address), self::port(port)]))
}

/// A prefix as an element of an interval set.
pub(super) fn prefix(net: IpNet) -> Expression<'static> {
    if net.prefix_len() == net.max_prefix_len() {
        return text(&net.addr());
    }
    Expression::Named(NamedExpression::Prefix(Prefix {
        addr: Box::new(text(&net.network())),
        len: net.prefix_len().into(),
    }))
}

/// Jumps to the chain beside the key that matches.
pub(super) fn verdict_map(
    key: Expression<'static>,
    pairs: Vec<(Expression<'static>, String)>,
) -> Statement<'static> {
    map_to(key, pairs, jump)
}

/// Like [`verdict_map`], and does not come back here.
pub(super) fn branch(
    key: Expression<'static>,
    pairs: Vec<(Expression<'static>, String)>,
) -> Statement<'static> {
    map_to(key, pairs, goto)
}

fn map_to(
    key: Expression<'static>,
    pairs: Vec<(Expression<'static>, String)>,
    verdict: fn(String) -> Statement<'static>,
) -> Statement<'static> {
    let items = pairs.into_iter().map(|(key, chain)| SetItem::MappingStatement(key, verdict(chain)));
    let data = Expression::Named(NamedExpression::Set(items.collect()));
    Statement::VerdictMap(VerdictMap { key, data })
}

/// The packet is for an address of this host.
pub(super) fn to_this_host() -> Statement<'static> {
    let fib = Fib { result: FibResult::Type, flags: HashSet::from([FibFlag::Daddr]) };
    equal(Expression::Named(NamedExpression::Fib(fib)), text("local"))
}

/// The packet is for somebody else.
pub(super) fn not_to_this_host() -> Statement<'static> {
    let fib = Fib { result: FibResult::Type, flags: HashSet::from([FibFlag::Daddr]) };
    let (left, right) = (Expression::Named(NamedExpression::Fib(fib)), text("local"));
    Statement::Match(Match { left, right, op: Operator::NEQ })
}

/// The packet is for somebody else, and not for many of whom this host may be one either.
pub(super) fn not_to_this_host_or_many() -> Statement<'static> {
    let fib = Fib { result: FibResult::Type, flags: HashSet::from([FibFlag::Daddr]) };
    let kinds = ["local", "anycast", "broadcast", "multicast"].map(|kind| SetItem::Element(text(kind)));
    let left = Expression::Named(NamedExpression::Fib(fib));
    let right = Expression::Named(NamedExpression::Set(kinds.to_vec()));
    Statement::Match(Match { left, right, op: Operator::NEQ })
}

/// The packet opens a TCP connection: SYN and nothing that says otherwise.
pub(super) fn opens_a_connection() -> Statement<'static> {
    let flags = ["fin", "syn", "rst", "ack"].map(text).to_vec();
    let masked = BinaryOperation::AND(field("tcp", "flags"), Expression::List(flags));
    equal(Expression::BinaryOperation(Box::new(masked)), text("syn"))
}

/// The packet is an echo request of this family.
pub(super) fn echo_request(family: Family) -> Statement<'static> {
    let protocol = if family == Family::V4 { "icmp" } else { "icmpv6" };
    equal(field(protocol, "type"), text("echo-request"))
}

/// Goes on in the chain of the packet's family and does not come back here.
pub(super) fn by_family(chains: [(Family, String); 2]) -> Statement<'static> {
    let name = |family| text(if family == Family::V4 { "ipv4" } else { "ipv6" });
    let items = chains.map(|(family, chain)| SetItem::MappingStatement(name(family), goto(chain)));
    let key = Expression::Named(NamedExpression::Meta(Meta { key: MetaKey::Nfproto }));
    Statement::VerdictMap(VerdictMap { key, data: Expression::Named(NamedExpression::Set(items.to_vec())) })
}

/// The packet goes the way of its connection's first packet; an answer to a connection of ours does not.
/// Neither does what connection tracking leaves alone, such as neighbour discovery.
pub(super) fn original_direction() -> Statement<'static> {
    equal(tracked("direction", None), text("original"))
}

/// The packet is TCP.
pub(super) fn is_tcp() -> Statement<'static> {
    equal(Expression::Named(NamedExpression::Meta(Meta { key: MetaKey::L4proto })), Expression::Number(TCP))
}

/// Counts the packet.
pub(super) fn count(counter: String) -> Statement<'static> {
    Statement::Counter(Counter::Named(counter.into()))
}

/// Goes through another chain and comes back when nothing there decided.
pub(super) fn jump(chain: String) -> Statement<'static> {
    Statement::Jump(JumpTarget { target: chain.into() })
}

/// Goes on in another chain and does not come back here.
pub(super) fn goto(chain: String) -> Statement<'static> {
    Statement::Goto(JumpTarget { target: chain.into() })
}

/// Leaves the chain.
pub(super) fn back() -> Statement<'static> {
    Statement::Return(None)
}

/// Silence.
pub(super) fn drop() -> Statement<'static> {
    Statement::Drop(None)
}

/// A TCP reset, as if nobody listened.
pub(super) fn reset() -> Statement<'static> {
    Statement::Reject(Some(Reject::new(Some(RejectType::TCPReset), None)))
}

/// An ICMP port unreachable of the packet's family.
pub(super) fn unreachable() -> Statement<'static> {
    Statement::Reject(Some(Reject::new(Some(RejectType::ICMPX), Some(RejectCode::PortUnreach))))
}
