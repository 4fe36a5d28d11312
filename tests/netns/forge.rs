//! Packets of any sender, one by one: new connections, datagrams, pings. And a witness who sees which arrive.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, RawProtocol, SendFlags, SocketFlags, SocketType, sendto, socket_with};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::{Namespace, PATIENCE};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knock {
    /// The first packet of a TCP connection to this port.
    Tcp(u16),
    /// A datagram to this port.
    Udp(u16),
    /// An echo request.
    Ping,
}

/// Sends from inside a namespace. All packets of one forge go through one processor, so they arrive in their order.
pub struct Forge {
    v4: OwnedFd,
    v6: OwnedFd,
}

impl Forge {
    /// A forge in `namespace`. Binds the calling thread to one processor.
    ///
    /// # Panics
    /// When raw sockets are forbidden.
    pub fn new(namespace: &Namespace) -> Self {
        let mut one = CpuSet::new();
        one.set(0);
        sched_setaffinity(None, &one).expect("one processor");
        let raw = |family| {
            // 255: the header comes along.
            let protocol = Some(rustix::net::Protocol::from_raw(RawProtocol::new(255).expect("not zero")));
            let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol);
            let socket = socket.expect("a raw socket");
            rustix::net::sockopt::set_socket_broadcast(&socket, true).expect("SO_BROADCAST");
            socket
        };
        namespace.inside(|| Self { v4: raw(AddressFamily::INET), v6: raw(AddressFamily::INET6) })
    }

    /// Sends one packet. `mark` is its source port, or the sequence number of a ping.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn send(&self, from: IpAddr, to: IpAddr, knock: Knock, mark: u16) {
        self.put(from, to, &packet(from, to, knock, mark));
    }

    /// Sends one TCP segment.
    ///
    /// # Panics
    /// When the kernel does not take it.
    pub fn send_segment(&self, from: IpAddr, to: IpAddr, segment: Segment) {
        self.put(from, to, &framed(from, to, 6, 16, tcp(segment)));
    }

    fn put(&self, from: IpAddr, to: IpAddr, packet: &[u8]) {
        let socket = if from.is_ipv4() { &self.v4 } else { &self.v6 };
        let sent =
            rustix::io::retry_on_intr(|| sendto(socket, packet, SendFlags::empty(), &SocketAddr::new(to, 0)));
        assert_eq!(sent, Ok(packet.len()), "{from} to {to}");
    }
}

/// A TCP segment without data, but for who sends it.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Its source port.
    pub from: u16,
    /// Its destination port.
    pub to: u16,
    /// Its number.
    pub seq: u32,
    /// What it acknowledges.
    pub ack: u32,
    /// As in the header: 1 FIN, 2 SYN, 4 RST, 8 PSH, 16 ACK.
    pub flags: u8,
}

fn tcp(segment: Segment) -> Vec<u8> {
    let Segment { from, to, seq, ack, flags } = segment;
    let mut tcp = [from.to_be_bytes(), to.to_be_bytes()].concat();
    tcp.extend([seq.to_be_bytes(), ack.to_be_bytes()].concat());
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp
}

/// The packet with all its checksums.
pub fn packet(from: IpAddr, to: IpAddr, knock: Knock, mark: u16) -> Vec<u8> {
    let body = match knock {
        Knock::Tcp(port) => tcp(Segment { from: mark, to: port, seq: 256, ack: 0, flags: 2 }),
        Knock::Udp(port) => {
            [&mark.to_be_bytes()[..], &port.to_be_bytes(), &12_u16.to_be_bytes(), &[0, 0], b"ping"].concat()
        }
        Knock::Ping => {
            let kind = if from.is_ipv4() { 8 } else { 128 };
            [&[kind, 0, 0, 0, 0x47, 0x61][..], &mark.to_be_bytes(), b"gaoler"].concat()
        }
    };
    let (protocol, at) = match knock {
        Knock::Tcp(_) => (6, 16),
        Knock::Udp(_) => (17, 6),
        Knock::Ping if from.is_ipv4() => (1, 2),
        Knock::Ping => (58, 2),
    };
    framed(from, to, protocol, at, body)
}

/// The body with its checksum at its place, behind an IP header.
fn framed(from: IpAddr, to: IpAddr, protocol: u8, at: usize, mut body: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("small");
    let (addresses, header) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let total = (length + 20).to_be_bytes();
            let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0];
            header.extend(&addresses);
            (addresses, header)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let total = length.to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, total[0], total[1], protocol, 64];
            header.extend(&addresses);
            (addresses, header)
        }
        _ => panic!("{from} and {to} are of different families"),
    };
    let mut covered = body.clone();
    if protocol != 1 {
        covered.extend(&addresses);
        covered.extend([0, protocol]);
        covered.extend(length.to_be_bytes());
    }
    body[at..at + 2].copy_from_slice(&checksum(&covered).to_be_bytes());
    [header, body].concat()
}

fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

/// Sees which packets come through all chains before it, by their marks.
pub struct Witness<'a> {
    host: &'a Namespace,
}

/// To this port nobody limits anything.
const END: u16 = 9;

impl<'a> Witness<'a> {
    /// Stands in the input chain of `host`, behind everything else.
    pub fn new(host: &'a Namespace) -> Self {
        host.feed(
            &["nft", "-f", "-"],
            "table inet witness {
               set by_tcp { type inet_service; flags dynamic; }
               set by_udp { type inet_service; flags dynamic; }
               set by_ping { typeof icmp sequence; flags dynamic; }
               set by_ended { type inet_service; flags dynamic; }
               chain input { type filter hook input priority 500;
                 udp dport 9 add @by_ended { udp sport } drop
                 tcp flags & (syn|ack|rst) == syn add @by_tcp { tcp sport } drop
                 udp sport != 0 add @by_udp { udp sport } drop
                 icmp type echo-request add @by_ping { icmp sequence } drop
                 icmpv6 type echo-request add @by_ping { icmpv6 sequence } drop
               }
             }",
        );
        Self { host }
    }

    /// The one that stands there already.
    pub fn at(host: &'a Namespace) -> Self {
        Self { host }
    }

    /// Sends marked packets and says of each whether it came through: `p`, or `d` for dropped.
    pub fn watch(&self, forge: &Forge, from: IpAddr, to: IpAddr, knock: Knock, count: u16) -> String {
        self.forget();
        for mark in 1..=count {
            forge.send(from, to, knock, mark);
        }
        let came = self.came(forge, from, to, knock);
        (1..=count).map(|mark| if came.contains(&mark) { 'p' } else { 'd' }).collect()
    }

    /// Marks that came through since [`Witness::forget`], once everything sent has been decided about.
    pub fn came(&self, forge: &Forge, from: IpAddr, to: IpAddr, knock: Knock) -> BTreeSet<u16> {
        forge.send(from, to, Knock::Udp(END), 1);
        let deadline = Instant::now() + PATIENCE;
        while self.marks("by_ended").is_empty() {
            assert!(Instant::now() < deadline, "the last packet never came");
            thread::sleep(Duration::from_millis(5));
        }
        self.marks(match knock {
            Knock::Tcp(_) => "by_tcp",
            Knock::Udp(_) => "by_udp",
            Knock::Ping => "by_ping",
        })
    }

    /// Forgets what it saw.
    pub fn forget(&self) {
        for set in ["by_tcp", "by_udp", "by_ping", "by_ended"] {
            self.host.run(&["nft", "flush", "set", "inet", "witness", set]);
        }
    }

    fn marks(&self, set: &str) -> BTreeSet<u16> {
        let listed = self.host.run(&["nft", "-j", "list", "set", "inet", "witness", set]);
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("json");
        let elements = listed.pointer("/nftables/1/set/elem").and_then(serde_json::Value::as_array);
        let mark = |value: &serde_json::Value| {
            u16::try_from(value.as_u64().expect("a number")).expect("sixteen bits")
        };
        elements.into_iter().flatten().map(mark).collect()
    }
}
