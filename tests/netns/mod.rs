//! A private network for tests: namespace `host` (what Gaoler protects) and namespace `internet` (attackers with
//! any address), joined by one cable. Real kernel, real packets, nothing of the machine's own network is touched.
//!
//! ```ignore
//! netns::with(|net| {
//!     let attacker = net.attacker("198.51.100.7");
//!     let _smtp = net.listen(25);
//!     assert!(net.reaches(attacker, 25));
//!     net.host.run(&["nft", "list", "ruleset"]);
//! });
//! ```
//!
//! As root the namespaces are made directly. Without, the test runs itself again in a user namespace; where that
//! is forbidden too it fails and says so.

// Every test binary uses another part.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod conversation;
mod forge;
mod namespace;

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use conversation::{Conversation, Listener, Probe};
pub use forge::{Forge, Knock, Segment, Witness};
pub use namespace::Namespace;

/// The host's addresses on the cable.
pub const HOST4: &str = "192.0.2.1";
/// See [`HOST4`].
pub const HOST6: &str = "2001:db8:2::1";
const PEER4: &str = "192.0.2.254";
const PEER6: &str = "2001:db8:2::254";

/// How long a probe waits before it calls the other side silent. Only a test that expects silence waits so long.
pub const SILENCE: Duration = Duration::from_millis(400);
/// How long a probe waits for an answer that is expected; far more than any machine needs.
pub const PATIENCE: Duration = Duration::from_secs(10);

const INNER: &str = "GAOLER_TEST_IN_USER_NAMESPACE";

/// Two namespaces and a cable; gone when dropped.
pub struct Net {
    /// What is protected. Its default routes lead to `internet`.
    pub host: Namespace,
    /// Where attackers live; see [`Net::attacker`].
    pub internet: Namespace,
}

/// Runs a test in a network of its own, as root or else in a user namespace.
///
/// # Panics
/// When neither is possible, or when the test panics.
pub fn with<F: FnOnce(&Net)>(test: F) {
    if !may_make_namespaces() {
        return again_in_user_namespace(std::any::type_name::<F>());
    }
    test(&Net::new());
}

/// Like [`with`], on a thread inside `host`: firewalls opened and children started by the test live there.
///
/// # Panics
/// When there can be no network, or when the test panics.
pub fn on_the_host<F: FnOnce(&Net) + Send>(test: F) {
    if !may_make_namespaces() {
        return again_in_user_namespace(std::any::type_name::<F>());
    }
    let net = Net::new();
    net.host.inside(|| test(&net));
}

fn may_make_namespaces() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs the calling test alone once more, as root of a user namespace.
fn again_in_user_namespace(closure: &str) {
    assert!(std::env::var_os(INNER).is_none(), "still not root inside a user namespace");
    // `binary::module::test::{{closure}}` is the path libtest knows, after the crate's name.
    let path = closure.trim_end_matches("::{{closure}}").split_once("::").map_or(closure, |(_, test)| test);
    let status = Command::new("unshare")
        .args(["-Urnm", "sh", "-c", r#"mount -t tmpfs none /run && exec "$@""#, "sh"])
        .arg(std::env::current_exe().expect("path of this test"))
        .args(["--exact", path, "--nocapture", "--include-ignored"])
        .env(INNER, "1")
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => panic!(
            "{path} failed in a user namespace ({status}); if it could not start: run the tests as root or \
             allow unprivileged user namespaces"
        ),
        Err(error) => {
            panic!("this test makes network namespaces: run it as root or install unshare: {error}")
        }
    }
}

impl Net {
    /// Makes the two namespaces. Needs root; [`with`] also works without.
    ///
    /// # Panics
    /// When `ip` refuses.
    pub fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let id = format!("gl-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let net = Self {
            host: Namespace::new(&format!("{id}-host")),
            internet: Namespace::new(&format!("{id}-internet")),
        };
        for side in [&net.host, &net.internet] {
            // Without it a new link's own address is tentative for a second and neighbours are not found.
            side.set("net/ipv6/conf/default/accept_dad", "0");
        }
        let (host_mac, peer_mac) = ("02:00:00:00:00:01", "02:00:00:00:00:02");
        let far = net.internet.name();
        let near = ["link", "add", "eth0", "address", host_mac, "type", "veth"];
        net.host.ip(&[&near[..], &["peer", "name", "eth0", "address", peer_mac, "netns", far]].concat());
        for (side, v4, v6) in [(&net.host, HOST4, HOST6), (&net.internet, PEER4, PEER6)] {
            side.ip(&["link", "set", "lo", "up"]);
            side.ip(&["addr", "add", &format!("{v4}/24"), "dev", "eth0"]);
            side.ip(&["addr", "add", &format!("{v6}/64"), "dev", "eth0", "nodad"]);
            side.ip(&["link", "set", "eth0", "up"]);
        }
        for (side, mac, v4, v6) in
            [(&net.host, peer_mac, PEER4, PEER6), (&net.internet, host_mac, HOST4, HOST6)]
        {
            // Known neighbours: the first packet never waits for a search that a link just up may lose.
            for address in [v4, v6] {
                side.ip(&["neigh", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "permanent"]);
            }
        }
        net.host.ip(&["route", "add", "default", "via", PEER4]);
        net.host.ip(&["-6", "route", "add", "default", "via", PEER6]);
        net
    }

    /// Gives `internet` this address and returns it: connections can come from it and go to it.
    pub fn attacker(&self, address: &str) -> IpAddr {
        let parsed: IpAddr = address.parse().expect("an address");
        let bits = if parsed.is_ipv4() { 32 } else { 128 };
        let cidr = format!("{address}/{bits}");
        if parsed.is_ipv4() {
            self.internet.ip(&["addr", "replace", &cidr, "dev", "lo"]);
        } else {
            self.internet.ip(&["addr", "replace", &cidr, "dev", "lo", "nodad"]);
        }
        parsed
    }

    /// The host's address of the same family.
    pub fn host_address(&self, like: IpAddr) -> IpAddr {
        if like.is_ipv4() { HOST4 } else { HOST6 }.parse().expect("an address")
    }

    /// Echoes what is sent to this port of the host, IPv4 and IPv6, until dropped.
    pub fn listen(&self, port: u16) -> Listener {
        Listener::start(&self.host, port)
    }

    /// Whether a connection from `attacker` to this port of the host opens and answers. Waits [`PATIENCE`].
    pub fn reaches(&self, attacker: IpAddr, port: u16) -> bool {
        self.probe(attacker, port, PATIENCE).answers()
    }

    /// Whether nothing at all comes back for a connection from `attacker` to this port of the host.
    /// Waits [`SILENCE`].
    pub fn is_silent(&self, attacker: IpAddr, port: u16) -> bool {
        matches!(self.probe(attacker, port, SILENCE), Probe::Silent)
    }

    /// Tries to connect from `attacker` to this port of the host.
    pub fn probe(&self, attacker: IpAddr, port: u16, timeout: Duration) -> Probe {
        let to = SocketAddr::new(self.host_address(attacker), port);
        Conversation::open(&self.internet, attacker, to, timeout)
    }

    /// An open connection from `attacker` to this port of the host.
    ///
    /// # Panics
    /// When it does not open.
    pub fn talk(&self, attacker: IpAddr, port: u16) -> Conversation {
        match self.probe(attacker, port, PATIENCE) {
            Probe::Open(talk) => talk,
            other => panic!("no connection from {attacker} to port {port}: {other:?}"),
        }
    }

    /// Waits until the host has let go of its connection with this port, which somebody reset. While it is busy with
    /// it, the kernel keeps the reset for later, and discards a SYN from the same port that comes behind it.
    ///
    /// # Panics
    /// When it does not within [`PATIENCE`].
    pub fn awaits_let_go(&self, port: u16) {
        let remote = format!(":{port:04X} ");
        let held = || {
            ["tcp", "tcp6"].iter().any(|table| {
                let path = format!("/proc/thread-self/net/{table}");
                std::fs::read_to_string(path).expect("the host's sockets").contains(&remote)
            })
        };
        let deadline = Instant::now() + PATIENCE;
        while self.host.inside(held) {
            assert!(Instant::now() < deadline, "the host still has a connection with port {port}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
