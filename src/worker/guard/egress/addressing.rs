//! The calls about addresses that a pair in the place of a datagram socket does not have. On other sockets the kernel
//! answers: nothing in their arguments decides anything.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{MsgFlags, recv};

use super::answering::{DONE, Outcome};
use super::notify::Call;
use super::sockets::Stub;
use super::{Egress, caller};

/// Longest answer there is, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;

impl Egress {
    /// getsockname(2): an address that says nothing.
    pub(super) fn on_own_name(&mut self, call: &Call, fork: u64) -> Outcome {
        match self.stub_of(call, fork) {
            Some(stub) => {
                let name = sockaddr(unspecified(stub.family), stub.family);
                self.tell_address(call, &name, call.argument(1), call.argument(2), &[])?;
                DONE
            }
            None => self.let_pass(call),
        }
    }

    /// getpeername(2)
    pub(super) fn on_peers_name(&mut self, call: &Call, fork: u64) -> Outcome {
        match self.stub_of(call, fork) {
            Some(stub) => {
                let name = sockaddr(stub.peer.ok_or(Errno::ENOTCONN)?, stub.family);
                self.tell_address(call, &name, call.argument(1), call.argument(2), &[])?;
                DONE
            }
            None => self.let_pass(call),
        }
    }

    /// recvfrom(2) with room for the sender's address.
    pub(super) fn on_recvfrom(&mut self, call: &Call, fork: u64) -> Outcome {
        if self.stub_of(call, fork).is_none() {
            return self.let_pass(call);
        }
        let inode = caller::socket(call, call.int(0))?;
        match self.received(call, fork, inode) {
            Err(Errno::EAGAIN) => {
                let stub = self.scripts.get_mut(&fork).and_then(|script| script.sockets.stubs.get_mut(&inode));
                let stub = stub.ok_or(Errno::EBADF)?;
                let flags = OFlag::from_bits_truncate(fcntl(&stub.theirs, FcntlArg::F_GETFL)?);
                if flags.contains(OFlag::O_NONBLOCK) || call.int(3) & libc::MSG_DONTWAIT != 0 {
                    return Err(Errno::EAGAIN);
                }
                stub.waiting.push(*call);
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Answers those who wait for what was just sent.
    pub(super) fn hand_over(&mut self, fork: u64, inode: u64) {
        let stub = self.scripts.get_mut(&fork).and_then(|script| script.sockets.stubs.get_mut(&inode));
        let waiting = stub.map(|stub| std::mem::take(&mut stub.waiting)).unwrap_or_default();
        for call in waiting {
            match self.received(&call, fork, inode) {
                Err(Errno::EAGAIN) => {
                    let stub = self.scripts.get_mut(&fork).and_then(|script| script.sockets.stubs.get_mut(&inode));
                    if let Some(stub) = stub {
                        stub.waiting.push(call);
                    }
                }
                outcome => self.listener.answer(call.id, outcome),
            }
        }
    }

    /// Takes the next answer, and writes it and its sender where the caller wants them. The count of its bytes.
    fn received(&self, call: &Call, fork: u64, inode: u64) -> Result<i64, Errno> {
        let script = self.scripts.get(&fork).ok_or(Errno::EBADF)?;
        let stub = script.sockets.stubs.get(&inode).ok_or(Errno::EBADF)?;
        let wanted = call.int(3) & (libc::MSG_PEEK | libc::MSG_TRUNC);
        let mut buffer = [0; MAX_ANSWER_BYTES];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::from_bits_truncate(wanted & libc::MSG_PEEK);
        let count = recv(stub.theirs.as_raw_fd(), &mut buffer, flags)?;
        let room = usize::try_from(call.argument(2)).unwrap_or(usize::MAX);
        let seen = buffer.get(..count.min(room)).unwrap_or_default();
        let sender = stub.asked.unwrap_or_else(|| unspecified(stub.family));
        let name = sockaddr(sender, stub.family);
        self.tell_address(call, &name, call.argument(4), call.argument(5), &[(call.argument(1), seen)])?;
        let told = if wanted & libc::MSG_TRUNC == 0 { seen.len() } else { count };
        i64::try_from(told).map_err(|_| Errno::EMSGSIZE)
    }

    /// Writes an address as the kernel does: as much as there is room for, and its true length; and what else is to be
    /// written.
    fn tell_address(&self, call: &Call, name: &[u8], at: u64, length: u64, more: &[(u64, &[u8])]) -> Result<(), Errno> {
        if length == 0 {
            return Err(Errno::EFAULT);
        }
        let room = caller::memory(&self.listener, call, length, size_of::<u32>())?;
        let room = room.as_slice().try_into().map(u32::from_ne_bytes).map_err(|_| Errno::EFAULT)?;
        let shown = name.get(..name.len().min(usize::try_from(room).unwrap_or(0))).unwrap_or_default();
        let true_length = u32::try_from(name.len()).unwrap_or(0).to_ne_bytes();
        let texts = [&[(at, shown), (length, true_length.as_slice())], more].concat();
        caller::write(&self.listener, call, &texts)
    }

    fn stub_of(&self, call: &Call, fork: u64) -> Option<&Stub> {
        let inode = caller::socket(call, call.int(0)).ok()?;
        self.scripts.get(&fork)?.sockets.stubs.get(&inode)
    }

    fn let_pass(&self, call: &Call) -> Outcome {
        self.listener.let_pass(call.id);
        Ok(None)
    }
}

fn unspecified(family: i32) -> SocketAddr {
    match family {
        libc::AF_INET6 => ([0u16; 8], 0).into(),
        _ => ([0u8; 4], 0).into(),
    }
}

/// `address` as a `sockaddr` of `family`; an IPv4 address on an IPv6 socket is a mapped one.
fn sockaddr(address: SocketAddr, family: i32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of::<libc::sockaddr_in6>());
    bytes.extend_from_slice(&u16::try_from(family).unwrap_or(0).to_ne_bytes());
    bytes.extend_from_slice(&address.port().to_be_bytes());
    match (address.ip(), family) {
        (IpAddr::V4(v4), libc::AF_INET6) => {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&v4.to_ipv6_mapped().octets());
            bytes.extend_from_slice(&[0; 4]);
        }
        (IpAddr::V4(v4), _) => {
            bytes.extend_from_slice(&v4.octets());
            bytes.extend_from_slice(&[0; 8]);
        }
        (IpAddr::V6(v6), _) => {
            bytes.extend_from_slice(&[0; 4]);
            bytes.extend_from_slice(&v6.octets());
            bytes.extend_from_slice(&[0; 4]);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::address::{Destination, destination};
    use super::*;

    #[test]
    fn an_address_that_is_written_is_read_back() {
        for (text, family, length) in [
            ("192.0.2.7:53", libc::AF_INET, size_of::<libc::sockaddr_in>()),
            ("[2001:db8::1]:53", libc::AF_INET6, size_of::<libc::sockaddr_in6>()),
        ] {
            let address = text.parse().expect("an address");
            let bytes = sockaddr(address, family);
            assert_eq!((bytes.len(), destination(&bytes)), (length, Ok(Destination::Host(address))));
        }
        let mapped = sockaddr("192.0.2.7:53".parse().expect("an address"), libc::AF_INET6);
        let expected = "[::ffff:192.0.2.7]:53".parse().expect("an address");
        assert_eq!(destination(&mapped), Ok(Destination::Host(expected)));
    }
}
