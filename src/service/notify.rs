//! Tells systemd how the service is (`sd_notify(3)`).

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The service manager, when there is one.
#[derive(Debug, Default)]
pub struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// The service manager named by `NOTIFY_SOCKET`: a path, or `@name` for an abstract socket.
    #[must_use]
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Self(None) };
        match Self::connect(name.as_bytes()) {
            Ok(notifier) => notifier,
            Err(error) => {
                tracing::warn!(%error, socket = %name.display(), "cannot reach the service manager");
                Self(None)
            }
        }
    }

    fn connect(name: &[u8]) -> io::Result<Self> {
        let address = match name.split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            Some((b'/', _)) => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor @name")),
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// The service guards.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// The configuration is being read again. [`Self::ready`] ends it.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"));
    }

    /// A sentence for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}\n"));
    }

    /// The service is going to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// The service is alive.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// Sends nothing where nobody listens, and never blocks for long: datagrams to systemd are taken at once.
    fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.0
            && let Err(error) = socket.send_to_addr(message.as_bytes(), address)
        {
            tracing::debug!(%error, "the service manager did not take a message");
        }
    }
}

/// How often the service manager wants to hear of us: half of `WATCHDOG_USEC`, when it is meant for this process.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    let ours = std::env::var("WATCHDOG_PID").is_ok_and(|pid| pid != std::process::id().to_string());
    let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    (!ours && micros > 0).then(|| Duration::from_micros(micros / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_socket_with_a_path_hears_us() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::connect(path.as_os_str().as_bytes()).unwrap();
        notifier.ready("2 jails");
        assert_eq!(received(&manager), "READY=1\nSTATUS=2 jails\n");
        notifier.reloading();
        assert!(received(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
    }

    #[test]
    fn an_abstract_socket_hears_us() {
        let name = format!("gaoler-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::connect(format!("@{name}").as_bytes()).unwrap().stopping();
        assert_eq!(received(&manager), "STOPPING=1\n");
    }

    #[test]
    fn a_manager_that_went_away_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        drop(UnixDatagram::bind(&path).unwrap());
        Notifier::connect(path.as_os_str().as_bytes()).unwrap().watchdog();
        assert!(Notifier::connect(b"relative").is_err());
    }
}
