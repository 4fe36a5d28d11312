//! The addresses of this host's own interfaces, from the kernel's route socket.
//!
//! Asked for once and again whenever the kernel says that an address came or went.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x0001 | 0x0100 | 0x0200;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR`
const ADDRESS_CHANGES: u32 = 0x10 | 0x100;
const HEADER: usize = 16;
const ADDRESS_MESSAGE: usize = 8;

/// Watches the host's own addresses.
pub struct Interfaces {
    changes: Socket,
}

impl std::fmt::Debug for Interfaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interfaces").finish_non_exhaustive()
    }
}

impl Interfaces {
    /// Subscribes to address changes of this network namespace.
    ///
    /// # Errors
    /// When the kernel gives no route socket.
    pub fn watch() -> io::Result<Self> {
        let mut changes = Socket::new(NETLINK_ROUTE)?;
        changes.bind(&SocketAddr::new(0, ADDRESS_CHANGES))?;
        changes.set_non_blocking(true)?;
        Ok(Self { changes })
    }

    /// Whether anything changed since the last call.
    pub fn changed(&mut self) -> bool {
        let mut changed = false;
        let mut buffer = Vec::with_capacity(8192);
        loop {
            buffer.clear();
            match self.changes.recv(&mut buffer, 0) {
                Ok(0) => return changed,
                Ok(_) => changed = true,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return changed,
                // Too many changes for the socket's buffer: something changed.
                Err(_) => return true,
            }
        }
    }

    /// All addresses of all interfaces now.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn addresses() -> io::Result<Vec<IpAddr>> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        let mut request = Vec::with_capacity(HEADER + ADDRESS_MESSAGE);
        request.extend_from_slice(&((HEADER + ADDRESS_MESSAGE) as u32).to_ne_bytes());
        request.extend_from_slice(&RTM_GETADDR.to_ne_bytes());
        request.extend_from_slice(&NLM_F_REQUEST_DUMP.to_ne_bytes());
        request.resize(HEADER + ADDRESS_MESSAGE, 0);
        socket.send_to(&request, &SocketAddr::new(0, 0), 0)?;
        let mut found = Vec::new();
        loop {
            let (reply, _) = socket.recv_from_full()?;
            if !read_reply(&reply, &mut found)? {
                found.sort_unstable();
                found.dedup();
                return Ok(found);
            }
        }
    }
}

impl AsFd for Interfaces {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.changes.as_fd()
    }
}

/// Collects the addresses of one datagram. False when it was the last.
fn read_reply(mut rest: &[u8], found: &mut Vec<IpAddr>) -> io::Result<bool> {
    while let (Some(length), Some(kind)) = (u32_at(rest, 0), u16_at(rest, 4)) {
        let length = length as usize;
        let Some(message) = rest.get(HEADER..length) else { break };
        match kind {
            NLMSG_DONE => return Ok(false),
            NLMSG_ERROR => {
                let code = u32_at(message, 0).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            RTM_NEWADDR => found.extend(read_address(message)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// The interface's own address: IFA_LOCAL where there is a peer, else IFA_ADDRESS.
fn read_address(message: &[u8]) -> Option<IpAddr> {
    let family = *message.first()?;
    let mut attributes = message.get(ADDRESS_MESSAGE..)?;
    let (mut address, mut local) = (None, None);
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let Some(value) = attributes.get(4..length) else { break };
        match kind {
            IFA_ADDRESS => address = parse(family, value),
            IFA_LOCAL => local = parse(family, value),
            _ => {}
        }
        attributes = attributes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    local.or(address)
}

fn parse(family: u8, value: &[u8]) -> Option<IpAddr> {
    match family {
        AF_INET => <[u8; 4]>::try_from(value).ok().map(|b| Ipv4Addr::from(b).into()),
        AF_INET6 => <[u8; 16]>::try_from(value).ok().map(|b| Ipv6Addr::from(b).into()),
        _ => None,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_names_the_loopback_address() {
        assert!(Interfaces::addresses().unwrap().contains(&IpAddr::from(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn nothing_changed_when_nothing_changed() {
        let mut interfaces = Interfaces::watch().unwrap();
        interfaces.changed();
        assert!(!interfaces.changed());
    }

    #[test]
    fn a_reply_that_is_cut_off_is_read_as_far_as_it_goes() {
        let mut message = vec![AF_INET, 24, 0, 0, 1, 0, 0, 0];
        message.extend_from_slice(&[8, 0, 1, 0, 192, 0, 2, 1]);
        let mut reply = ((HEADER + message.len()) as u32).to_ne_bytes().to_vec();
        reply.extend_from_slice(&RTM_NEWADDR.to_ne_bytes());
        reply.resize(HEADER, 0);
        reply.extend_from_slice(&message);
        for end in 0..=reply.len() {
            let mut found = Vec::new();
            assert!(read_reply(&reply[..end], &mut found).unwrap());
            assert_eq!(found.len(), usize::from(end == reply.len()));
        }
    }
}
