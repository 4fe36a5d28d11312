//! Talks nf_tables over netlink: transactions, questions, the generation number.
//!
//! The kernel handles a netlink request within `send`; its answers wait in the socket when `send` returns. So the
//! socket never blocks: nothing to read means that nothing will come.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::nftables::NfTablesMessage;
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;

use super::attributes::Attributes;

/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const HEADER: usize = 16;
/// Times a listing is begun again when somebody changes the ruleset meanwhile.
const LISTINGS: u32 = 10;
/// The kernel sends listings in pieces of at most 32 KiB.
const RECEIVE: usize = 64 * 1024;

/// A socket to the kernel's nf_tables, in the network namespace of the thread that opened it.
pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

/// Why a transaction was not done; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Which of its messages is meant; `None` for the transaction as a whole.
    pub(super) message: Option<usize>,
    pub(super) errno: Errno,
    /// The kernel's words, where it has any.
    pub(super) words: Option<String>,
}

impl Refusal {
    pub(super) fn describe(&self) -> String {
        let errno = io::Error::from(self.errno);
        self.words.as_ref().map_or_else(|| errno.to_string(), |words| format!("{errno}: {words}"))
    }
}

/// One object out of an answer: what the kernel says of it.
pub(super) struct Object {
    body: Vec<u8>,
}

impl Object {
    pub(super) fn attributes(&self) -> Attributes<'_> {
        Attributes::new(&self.body)
    }
}

/// How a message of a transaction is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Add; what is there stays as it is.
    Add,
    /// Add; `EEXIST` when it is there.
    AddNew,
    /// Delete; `ENOENT` when it is not there.
    Delete,
}

/// How to ask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// For one object.
    One,
    /// For all that fit.
    All,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        // Refusals then come with words and without a copy of the whole request. Kernels without do as well.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self { socket, sequence: 0, outgoing: Vec::new(), incoming: Vec::with_capacity(RECEIVE) })
    }

    /// Does all of this or nothing. The inner result is the kernel's answer: it judges every message, also after one
    /// that it refuses.
    ///
    /// A refused transaction takes milliseconds: the kernel waits until no packet can see its remains.
    pub(super) fn transact(
        &mut self,
        messages: impl IntoIterator<Item = (NfTablesMessage, Mode)>,
    ) -> io::Result<Result<(), Vec<Refusal>>> {
        self.outgoing.clear();
        let batch = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, NFTABLES);
        self.push(batch.clone(), ControlMessage::BatchBegin, 0);
        let first = self.sequence.wrapping_add(1);
        let mut last = None;
        for (message, mode) in messages {
            last = Some(self.outgoing.len());
            let flags = match mode {
                Mode::Add => NLM_F_CREATE,
                Mode::AddNew => NLM_F_CREATE | NLM_F_EXCL,
                Mode::Delete => 0,
            };
            self.push(inet(), message, flags);
        }
        let Some(at) = last else { return Ok(Ok(())) };
        let awaited = self.sequence;
        // Only the last message is acknowledged; refusals come in any case. (Kernels before 6.10 do not
        // acknowledge the end of a batch.)
        if let Some(flags) = self.outgoing.get_mut(at + 6..at + 8) {
            flags.copy_from_slice(&(NLM_F_ACK | flags_of(flags)).to_ne_bytes());
        }
        self.push(batch, ControlMessage::BatchEnd, 0);
        self.drain();
        self.send()?;
        self.verdict(first, awaited)
    }

    fn verdict(&mut self, first: u32, awaited: u32) -> io::Result<Result<(), Vec<Refusal>>> {
        let (mut acknowledged, mut refusals) = (false, Vec::new());
        while self.receive()? {
            for message in Messages(&self.incoming) {
                let message = message?;
                if message.header.message_type != NLMSG_ERROR {
                    continue;
                }
                let sequence = message.request_sequence();
                match error_code(&message) {
                    None => acknowledged |= sequence == Some(awaited),
                    Some(errno) => {
                        let place = sequence.map(|sequence| sequence.wrapping_sub(first));
                        let place = place.filter(|place| *place <= awaited.wrapping_sub(first));
                        let message =
                            Refusal { message: place.map(|at| at as usize), errno, words: message.words() };
                        refusals.push(message);
                    }
                }
            }
        }
        match (refusals.is_empty(), acknowledged) {
            (false, _) => Ok(Err(refusals)),
            (true, true) => Ok(Ok(())),
            (true, false) => Err(io::Error::other("the kernel did not answer a transaction")),
        }
    }

    /// Asks for objects. Asking for something that is not there is no error: the answer is empty.
    pub(super) fn ask(&mut self, question: &NfTablesMessage, how: Ask) -> io::Result<Vec<Object>> {
        for _ in 0..LISTINGS {
            if let Some(objects) = self.ask_once(question, how)? {
                return Ok(objects);
            }
        }
        Err(io::Error::other("the ruleset changes faster than it can be listed"))
    }

    /// `None` when the ruleset changed while it was listed.
    fn ask_once(&mut self, question: &NfTablesMessage, how: Ask) -> io::Result<Option<Vec<Object>>> {
        let flags = if how == Ask::All { NLM_F_DUMP } else { 0 };
        self.outgoing.clear();
        self.push(inet(), question.clone(), flags);
        self.drain();
        self.send()?;
        let (mut objects, mut whole) = (Vec::new(), true);
        while self.receive()? {
            for message in Messages(&self.incoming) {
                let message = message?;
                whole &= message.header.flags & NLM_F_DUMP_INTR == 0;
                match message.header.message_type {
                    NLMSG_ERROR | NLMSG_DONE => match error_code(&message) {
                        None | Some(Errno::NOENT) => {}
                        Some(Errno::INTR) => whole = false,
                        Some(errno) => return Err(errno.into()),
                    },
                    kind if kind >> 8 == NFTABLES => {
                        let body = message.payload.get(4..).unwrap_or_default().to_vec();
                        objects.push(Object { body });
                    }
                    _ => {}
                }
            }
        }
        Ok(whole.then_some(objects))
    }

    /// Hands every object of a listing to `see`, until that says `false`. The rest of the listing stays unread, so
    /// this takes the whole connection.
    pub(super) fn ask_until(
        mut self,
        question: NfTablesMessage,
        mut see: impl FnMut(&[u8]) -> bool,
    ) -> io::Result<()> {
        self.push(inet(), question, NLM_F_DUMP);
        self.send()?;
        while self.receive()? {
            for message in Messages(&self.incoming) {
                let message = message?;
                match message.header.message_type {
                    NLMSG_ERROR | NLMSG_DONE => match error_code(&message) {
                        None | Some(Errno::NOENT | Errno::INTR) => {}
                        Some(errno) => return Err(errno.into()),
                    },
                    kind if kind >> 8 == NFTABLES && !see(message.payload.get(4..).unwrap_or_default()) => {
                        return Ok(());
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn push(&mut self, header: NetfilterHeader, inner: impl Into<NetfilterMessageInner>, flags: u16) {
        self.sequence = self.sequence.wrapping_add(1);
        let mut outer = NetlinkHeader::default();
        outer.flags = NLM_F_REQUEST | flags;
        outer.sequence_number = self.sequence;
        let payload = NetlinkPayload::from(NetfilterMessage::new(header, inner));
        let mut message = NetlinkMessage::new(outer, payload);
        message.finalize();
        let start = self.outgoing.len();
        let length = message.buffer_len().next_multiple_of(4);
        self.outgoing.resize(start + length, 0);
        if let Some(room) = self.outgoing.get_mut(start..) {
            message.serialize(room);
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = rustix::io::retry_on_intr(|| {
            self.socket.send(&self.outgoing, 0).map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))
        })?;
        if sent == self.outgoing.len() { Ok(()) } else { Err(io::Error::other("a request was cut")) }
    }

    /// Takes the next datagram; `false` when there is none.
    fn receive(&mut self) -> io::Result<bool> {
        self.incoming.clear();
        loop {
            match self.socket.recv(&mut self.incoming, 0) {
                Ok(_) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// Throws away what an earlier request that failed half-way may have left.
    fn drain(&mut self) {
        while matches!(self.receive(), Ok(true)) {}
    }
}

fn inet() -> NetfilterHeader {
    NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0)
}

fn flags_of(bytes: &[u8]) -> u16 {
    bytes.try_into().map_or(0, u16::from_ne_bytes)
}

/// The messages of one datagram.
struct Messages<'a>(&'a [u8]);

struct Message<'a> {
    header: NetlinkHeader,
    payload: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = io::Result<Message<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let all = self.0;
        let Ok(buffer) = NetlinkBuffer::new_checked(all) else {
            self.0 = &[];
            return Some(Err(io::Error::from(io::ErrorKind::InvalidData)));
        };
        let length = buffer.length() as usize;
        self.0 = all.get(length.next_multiple_of(4)..).unwrap_or_default();
        let mut header = NetlinkHeader::default();
        header.message_type = buffer.message_type();
        header.flags = buffer.flags();
        header.sequence_number = buffer.sequence_number();
        Some(Ok(Message { header, payload: all.get(HEADER..length).unwrap_or_default() }))
    }
}

impl Message<'_> {
    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.payload.get(at..at + 4)?;
        bytes.try_into().ok().map(u32::from_ne_bytes)
    }

    /// The sequence number of the request that an error answers.
    fn request_sequence(&self) -> Option<u32> {
        self.word(4 + 8)
    }

    /// What the kernel says beside the number.
    fn words(&self) -> Option<String> {
        if self.header.flags & NLM_F_ACK_TLVS == 0 {
            return None;
        }
        let copied = if self.header.flags & NLM_F_CAPPED == 0 { self.word(4)? as usize } else { HEADER };
        let rest = self.payload.get(4 + copied.next_multiple_of(4)..)?;
        Attributes::new(rest).text(NLMSGERR_ATTR_MSG)
    }
}

fn error_code(message: &Message<'_>) -> Option<Errno> {
    let code = message.word(0).map_or(0, u32::cast_signed);
    (code != 0).then(|| Errno::from_raw_os_error(code.saturating_neg()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(code: i32, flags: u16, rest: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + 4 + HEADER + rest.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(NLMSG_ERROR.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(code.to_ne_bytes());
        bytes.extend(20_u32.to_ne_bytes()); // the request: its length, type and flags, number, sender
        bytes.extend([0; 4]);
        bytes.extend(77_u32.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(rest);
        bytes
    }

    #[test]
    fn a_refusal_says_which_request_and_why() {
        let words = [&[11, 0, 1, 0][..], b"no set\0\0"].concat();
        let bytes = error(-2, NLM_F_CAPPED | NLM_F_ACK_TLVS, &words);
        let messages: Vec<_> = Messages(&bytes).map(Result::unwrap).collect();
        let [message] = &messages[..] else { panic!("{} messages", messages.len()) };
        assert_eq!(error_code(message), Some(Errno::NOENT));
        assert_eq!(message.request_sequence(), Some(77));
        assert_eq!(message.words().as_deref(), Some("no set"));
        let acknowledgement = error(0, NLM_F_CAPPED, &[]);
        assert_eq!(Messages(&acknowledgement).map(|m| error_code(&m.unwrap())).collect::<Vec<_>>(), [None]);
    }

    proptest! {
        #[test]
        fn nothing_a_kernel_could_send_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in Messages(&bytes).map_while(Result::ok).take(50) {
                let _ = (error_code(&message), message.request_sequence(), message.words());
            }
        }
    }
}
