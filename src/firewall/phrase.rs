//! The expressions and statements our rules are made of, in the types of the `nftables` crate.
//!
//! Ports and protocols are numbers: without `/etc/services` and `/etc/protocols` nft knows no names.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nftables::expr::{
    BinaryOperation, CT, Expression, Fib, FibFlag, FibResult, Meta, MetaKey, NamedExpression, Payload,
    PayloadField, Prefix, SetItem,
};
use nftables::stmt::{Counter, JumpTarget, Match, Operator, Reject, RejectType, Statement, VerdictMap};
use nftables::types::RejectCode;

use super::ban_set::Family;

const TCP: u32 = 6;

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
    let source = address_field(family, "saddr");
    let key = if bits == family.bits() {
        source
    } else {
        Expression::BinaryOperation(Box::new(BinaryOperation::AND(source, text(&mask(family, bits)))))
    };
    equal(key, Expression::String(format!("@{set}").into()))
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
    field("tcp", "dport")
}

/// The destination address and the TCP destination port.
pub(super) fn destination_and_port(family: Family) -> Expression<'static> {
    Expression::Named(NamedExpression::Concat(vec![address_field(family, "daddr"), tcp_port()]))
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
    let items = pairs.into_iter().map(|(key, chain)| SetItem::MappingStatement(key, jump(chain))).collect();
    Statement::VerdictMap(VerdictMap { key, data: Expression::Named(NamedExpression::Set(items)) })
}

/// The packet is for an address of this host.
pub(super) fn to_this_host() -> Statement<'static> {
    let fib = Fib { result: FibResult::Type, flags: HashSet::from([FibFlag::Daddr]) };
    equal(Expression::Named(NamedExpression::Fib(fib)), text("local"))
}

/// The packet goes the way of its connection's first packet; an answer to a connection of ours does not.
/// Neither does what connection tracking leaves alone, such as neighbour discovery.
pub(super) fn original_direction() -> Statement<'static> {
    let direction = CT { key: "direction".into(), family: None, dir: None };
    equal(Expression::Named(NamedExpression::CT(direction)), text("original"))
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
