//! TCP across the cable: listeners that echo, probes from any address, connections kept open.

use std::fmt;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};

use super::Namespace;

/// A port of a namespace that echoes; closed when dropped.
pub struct Listener {
    port: u16,
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Listener {
    /// Listens on every address of `namespace`, IPv4 and IPv6. Port 0 picks a free one.
    ///
    /// # Panics
    /// When the port is taken.
    pub fn start(namespace: &Namespace, port: u16) -> Self {
        let socket = namespace
            .inside(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))
            .unwrap_or_else(|error| panic!("cannot listen on port {port}: {error}"));
        let port = socket.local_addr().expect("bound").port();
        let (accepted, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        socket.set_nonblocking(true).expect("non-blocking");
        let thread = thread::spawn({
            let (accepted, stop) = (accepted.clone(), stop.clone());
            move || serve(&socket, &accepted, &stop)
        });
        Self { port, accepted, stop, thread: Some(thread) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &TcpListener, accepted: &AtomicUsize, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        wait(socket, PollFlags::IN, Duration::from_millis(50));
        while let Ok((stream, _)) = socket.accept() {
            accepted.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || echo(stream));
        }
    }
}

fn echo(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(false);
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

/// What came of trying to connect.
pub enum Probe {
    /// It opened.
    Open(Conversation),
    /// A reset or an ICMP error came back.
    Refused(Errno),
    /// Nothing came back in time.
    Silent,
}

impl Probe {
    /// Whether the connection opened and what was sent came back.
    pub fn answers(self) -> bool {
        match self {
            Self::Open(mut talk) => talk.exchanges(super::PATIENCE),
            Self::Refused(_) | Self::Silent => false,
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(_) => f.write_str("open"),
            Self::Refused(errno) => write!(f, "refused ({errno})"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

/// An open TCP connection to something that echoes.
pub struct Conversation {
    stream: TcpStream,
}

impl Conversation {
    /// Connects from inside `namespace`, from the address `from`, to `to`.
    pub fn open(namespace: &Namespace, from: IpAddr, to: SocketAddr, timeout: Duration) -> Probe {
        Self::open_from(namespace, SocketAddr::new(from, 0), to, timeout)
    }

    /// Like [`Conversation::open`], from this port.
    pub fn open_from(namespace: &Namespace, from: SocketAddr, to: SocketAddr, timeout: Duration) -> Probe {
        namespace.inside(|| {
            let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let fd =
                socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)
                    .expect("a socket");
            sockopt::set_socket_reuseaddr(&fd, true).expect("SO_REUSEADDR");
            bind(&fd, &from)
                .unwrap_or_else(|errno| panic!("{from} is not an address of this namespace: {errno}"));
            match connect(&fd, &to) {
                Ok(()) | Err(Errno::INPROGRESS) => {}
                Err(errno) => return Probe::Refused(errno),
            }
            if !wait(&fd, PollFlags::OUT, timeout) {
                return Probe::Silent;
            }
            match sockopt::socket_error(&fd).expect("SO_ERROR") {
                Ok(()) => Probe::Open(Self { stream: fd.into() }),
                Err(Errno::TIMEDOUT) => Probe::Silent,
                Err(errno) => Probe::Refused(errno),
            }
        })
    }

    /// Sends a few bytes and waits for the echo. `false` when none came in time or the connection broke.
    pub fn exchanges(&mut self, timeout: Duration) -> bool {
        if self.stream.write_all(b"ping\n").is_err() {
            return false;
        }
        let deadline = Instant::now() + timeout;
        let mut missing = 5_usize;
        while missing > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !wait(&self.stream, PollFlags::IN, left) {
                return false;
            }
            match self.stream.read(&mut [0; 5]) {
                Ok(n @ 1..) => missing = missing.saturating_sub(n),
                _ => return false,
            }
        }
        true
    }

    /// Which port it was opened from.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().expect("an address").port()
    }

    /// Resets it, so that its port is free at once.
    pub fn reset(self) {
        sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).expect("SO_LINGER");
    }

    /// Whether the other side reset the connection within `timeout`.
    pub fn is_reset(&mut self, timeout: Duration) -> bool {
        let _ = self.stream.write_all(b"ping\n");
        wait(&self.stream, PollFlags::IN, timeout)
            && matches!(self.stream.read(&mut [0; 16]), Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset)
    }
}

fn wait(fd: &impl std::os::fd::AsFd, flags: PollFlags, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).expect("a timeout that fits");
    matches!(poll(&mut [PollFd::new(fd, flags)], Some(&timeout)), Ok(1))
}
