//! Host names of allow lists, resolved beside the detector so that a slow name server never delays a ban.

use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::Duration;

use super::wake::Waker;

/// How long an answer is used before the name is asked for again.
const REFRESH: Duration = Duration::from_secs(60);

/// Addresses by host name. A name that never resolved has an empty list.
pub(super) type Answers = BTreeMap<String, Vec<IpAddr>>;

/// A thread that resolves names, once on request and every minute. The last good answer of a name is kept when a
/// later one fails. The thread starts with the first name: most hosts have none.
#[derive(Debug)]
pub(super) struct Resolver {
    requests: Option<Sender<Vec<String>>>,
    answers: (Sender<Answers>, Receiver<Answers>),
    known: Answers,
    waker: Waker,
}

impl Resolver {
    /// A resolver that rings `waker` when there are answers. `known` are answers of an earlier run: they hold
    /// until the name server has spoken, which at boot may be after the first failures.
    #[must_use]
    pub(super) fn new(known: Answers, waker: Waker) -> Self {
        Self { requests: None, answers: mpsc::channel(), known, waker }
    }

    /// Replaces the names to resolve.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(super) fn resolve(&mut self, names: Vec<String>) -> std::io::Result<()> {
        self.known.retain(|name, _| names.contains(name));
        if self.requests.is_none() {
            if names.is_empty() {
                return Ok(());
            }
            self.requests = Some(self.start()?);
        }
        if let Some(requests) = &self.requests
            && requests.send(names).is_err()
        {
            tracing::error!("the resolver ended; host names in allow lists keep their last addresses");
        }
        Ok(())
    }

    /// Takes up new answers. True when an address came or went.
    pub(super) fn refresh(&mut self) -> bool {
        let before = self.known.clone();
        loop {
            match self.answers.1.try_recv() {
                Ok(answers) => self.known = answers,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return self.known != before,
            }
        }
    }

    /// The last good answers.
    #[must_use]
    pub(super) fn known(&self) -> &Answers {
        &self.known
    }

    fn start(&self) -> std::io::Result<Sender<Vec<String>>> {
        let (requests, inbox) = mpsc::channel();
        let (answers, waker, known) = (self.answers.0.clone(), self.waker.clone(), self.known.clone());
        thread::Builder::new().name("resolver".into()).stack_size(256 << 10).spawn(move || {
            serve(&inbox, known, |current| answers.send(current).map(|()| waker.wake()).is_ok());
        })?;
        Ok(requests)
    }
}

fn serve(inbox: &Receiver<Vec<String>>, mut known: Answers, mut publish: impl FnMut(Answers) -> bool) {
    let mut names: Vec<String> = Vec::new();
    loop {
        match inbox.recv_timeout(REFRESH) {
            Ok(replaced) => names = replaced,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        known.retain(|name, _| names.contains(name));
        for name in &names {
            match (name.as_str(), 0).to_socket_addrs() {
                Ok(found) => {
                    let mut addresses: Vec<IpAddr> = found.map(|a| a.ip().to_canonical()).collect();
                    addresses.sort_unstable();
                    addresses.dedup();
                    known.insert(name.clone(), addresses);
                }
                Err(error) => {
                    let kept = known.entry(name.clone()).or_default().len();
                    tracing::warn!(host = name, %error, kept, "cannot resolve a host of an allow list");
                }
            }
        }
        if !publish(known.clone()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(resolver: &mut Resolver) {
        let answers = resolver.answers.1.recv_timeout(Duration::from_secs(30)).unwrap();
        resolver.answers.0.send(answers).unwrap();
        resolver.refresh();
    }

    #[test]
    fn a_name_becomes_its_addresses_and_rings() {
        let waker = Waker::new().unwrap();
        let mut resolver = Resolver::new(Answers::new(), waker);
        resolver.resolve(vec!["localhost".into()]).unwrap();
        wait(&mut resolver);
        assert!(resolver.known()["localhost"].iter().any(IpAddr::is_loopback));
    }

    #[test]
    fn a_name_that_stops_resolving_keeps_its_last_addresses() {
        let address: IpAddr = "198.51.100.7".parse().unwrap();
        let known = Answers::from([("gone.invalid".to_string(), vec![address])]);
        let mut resolver = Resolver::new(known, Waker::new().unwrap());
        resolver.resolve(vec!["gone.invalid".into()]).unwrap();
        wait(&mut resolver);
        assert_eq!(resolver.known()["gone.invalid"], [address]);
    }

    #[test]
    fn a_name_that_is_no_longer_listed_is_forgotten_at_once() {
        let known = Answers::from([("gone.invalid".to_string(), vec!["198.51.100.7".parse().unwrap()])]);
        let mut resolver = Resolver::new(known, Waker::new().unwrap());
        resolver.resolve(Vec::new()).unwrap();
        assert!(resolver.known().is_empty());
    }
}
