//! How many bytes connections carried, as the kernel tells it when it takes a connection down, or on request
//! (sock_diag(7)). The guard has no duplicate of a connected socket (EG-8), so it follows them by their cookies.
//!
//! Of what came, the end of a connection counts as one byte. Where the kernel does not tell, the record has no bytes; nothing else depends on it.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};

use super::record::EntryId;

/// How long the end of an execution is told later so that the kernel can say what its last connections carried.
const PATIENCE: Duration = Duration::from_millis(50);
const BUFFER_BYTES: usize = 64 * 1024;

// From linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and linux/tcp.h, which libc does not have.
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// Bits of the groups SKNLGRP_INET_TCP_DESTROY (1) and SKNLGRP_INET6_TCP_DESTROY (3).
const DESTROYED: u32 = 0b101;
const HEADER_BYTES: usize = 16;
const DIAG_BYTES: usize = 72;
const COOKIE_AT: usize = 44;
const INET_DIAG_INFO: u16 = 2;
/// In `struct tcp_info`: bytes received; bytes sent, and of those the repeated ones (Linux 4.19).
const RECEIVED_AT: usize = 128;
const SENT_AT: usize = 200;
const RESENT_AT: usize = 208;

/// A connection that is followed.
#[derive(Debug, Clone)]
struct Followed {
    fork: u64,
    entry: EntryId,
}

/// Bytes of one connection: of which execution and entry, sent, received.
pub(super) type Carried = (u64, EntryId, u64, u64);

/// The kernel's word on connections.
pub(super) struct Traffic {
    socket: Option<OwnedFd>,
    followed: HashMap<u64, Followed>,
    /// Since when an execution that is over waits for the kernel's word.
    waiting: HashMap<u64, Instant>,
    /// Of executions that wait: known, and not told yet.
    known: Vec<Carried>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self { socket: open().ok(), followed: HashMap::new(), waiting: HashMap::new(), known: Vec::new() }
    }

    /// Readable when connections have ended.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        use std::os::fd::AsFd as _;
        self.socket.as_ref().map(OwnedFd::as_fd)
    }

    /// From now on the bytes of the connection with this cookie are `entry`'s.
    pub(super) fn follow(&mut self, cookie: u64, fork: u64, entry: EntryId) {
        if self.socket.is_some() {
            self.followed.insert(cookie, Followed { fork, entry });
        }
    }

    /// The connections that have ended since last asked.
    pub(super) fn ended(&mut self) -> Vec<Carried> {
        let mut carried = std::mem::take(&mut self.known);
        carried.extend(self.read());
        carried
    }

    /// True once all is known of an execution that is over, or it has waited long enough.
    pub(super) fn is_settled(&mut self, fork: u64) -> bool {
        let left = |traffic: &Self| traffic.followed.values().any(|followed| followed.fork == fork);
        if !left(self) {
            return true;
        }
        if let Some(since) = self.waiting.get(&fork) {
            return since.elapsed() >= PATIENCE;
        }
        self.waiting.insert(fork, Instant::now());
        // Those that the other side keeps open will not end soon: asked for, they need not be waited for.
        self.ask();
        !left(self)
    }

    /// The next moment at which an execution has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.values().min().map(|&since| since + PATIENCE)
    }

    /// Follows nothing of an execution any more.
    pub(super) fn forget(&mut self, fork: u64) {
        self.followed.retain(|_, followed| followed.fork != fork);
        self.waiting.remove(&fork);
    }

    /// Asks for every connection there is now.
    fn ask(&mut self) {
        for family in [libc::AF_INET, libc::AF_INET6] {
            let Ok(socket) = open_for(0) else { return };
            if dump(&socket, family).is_ok() {
                let found = read_messages(&socket, MsgFlags::empty());
                let found = self.settled(found);
                self.known.extend(found);
            }
        }
    }

    fn read(&mut self) -> Vec<Carried> {
        let Some(socket) = &self.socket else { return Vec::new() };
        let found = read_messages(socket, MsgFlags::MSG_DONTWAIT);
        self.settled(found)
    }

    fn settled(&mut self, found: Vec<Info>) -> Vec<Carried> {
        let own = found.into_iter().filter_map(|info| Some((self.followed.remove(&info.cookie)?, info)));
        own.map(|(followed, info)| (followed.fork, followed.entry, info.sent, info.received)).collect()
    }
}

/// What the kernel says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Info {
    cookie: u64,
    sent: u64,
    received: u64,
}

fn open() -> Result<OwnedFd, Errno> {
    open_for(DESTROYED)
}

fn open_for(groups: u32) -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: plain system calls; the descriptor is nobody else's, and `address` outlives the second.
    unsafe {
        let socket = OwnedFd::from_raw_fd(Errno::result(libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG))?);
        let mut address = std::mem::zeroed::<libc::sockaddr_nl>();
        address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        address.nl_groups = groups;
        let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
        Errno::result(libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length))?;
        Ok(socket)
    }
}

/// Asks for all TCP sockets of a family: `struct nlmsghdr`, then `struct inet_diag_req_v2`.
fn dump(socket: &OwnedFd, family: i32) -> Result<(), Errno> {
    const REQUEST_BYTES: u32 = 72;
    let flags = u16::try_from(libc::NLM_F_REQUEST | libc::NLM_F_DUMP).unwrap_or(0);
    let mut request = Vec::new();
    request.extend_from_slice(&REQUEST_BYTES.to_ne_bytes());
    request.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend_from_slice(&flags.to_ne_bytes());
    request.extend_from_slice(&[0; 8]);
    let part = |number: i32| u8::try_from(number).unwrap_or(0);
    request.extend_from_slice(&[part(family), part(libc::IPPROTO_TCP), 1 << (INET_DIAG_INFO - 1), 0]);
    request.extend_from_slice(&u32::MAX.to_ne_bytes());
    request.extend_from_slice(&[0; 48]);
    nix::sys::socket::send(socket.as_raw_fd(), &request, MsgFlags::empty()).map(drop)
}

/// Reads what is there; with a dump under way, to its end.
fn read_messages(socket: &OwnedFd, flags: MsgFlags) -> Vec<Info> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut found = Vec::new();
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, flags) {
            Ok(0) => return found,
            Ok(count) => {
                if parsed(buffer.get(..count).unwrap_or_default(), &mut found) {
                    return found;
                }
            }
            Err(Errno::EINTR) => {}
            // The kernel had more to tell than there was room for: what is lost is not counted.
            Err(Errno::ENOBUFS) if flags.contains(MsgFlags::MSG_DONTWAIT) => {}
            Err(_) => return found,
        }
    }
}

/// True at the end of a dump.
fn parsed(mut bytes: &[u8], found: &mut Vec<Info>) -> bool {
    let u16_at = |bytes: &[u8], at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    while let Some(length) = bytes.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_ne_bytes) {
        let Some(message) = usize::try_from(length).ok().and_then(|length| bytes.get(HEADER_BYTES..length)) else {
            break;
        };
        match u16_at(bytes, 4) {
            Some(SOCK_DIAG_BY_FAMILY) => found.extend(info(message)),
            Some(kind) if i32::from(kind) == libc::NLMSG_DONE || i32::from(kind) == libc::NLMSG_ERROR => return true,
            _ => {}
        }
        bytes = bytes.get((HEADER_BYTES + message.len()).next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn info(message: &[u8]) -> Option<Info> {
    let u64_at = |bytes: &[u8], at: usize| Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let cookie = u64_at(message, COOKIE_AT)?;
    let mut attributes = message.get(DIAG_BYTES..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(attributes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let value = attributes.get(4..length)?;
        if kind == INET_DIAG_INFO {
            let sent = u64_at(value, SENT_AT)?.saturating_sub(u64_at(value, RESENT_AT)?);
            return Some(Info { cookie, sent, received: u64_at(value, RECEIVED_AT)? });
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use proptest::prelude::*;

    use super::super::record::Record;
    use super::super::sockets::TcpSocket;
    use super::*;

    /// Connects to `listener` with a socket as scripts have it.
    fn connected(listener: &TcpListener) -> (TcpSocket, TcpStream) {
        let port = listener.local_addr().expect("has an address").port();
        let socket = TcpSocket::new(libc::AF_INET, 0, false).expect("a socket");
        let mut address = [0; 16];
        address[..2].copy_from_slice(&2u16.to_ne_bytes());
        address[2..4].copy_from_slice(&port.to_be_bytes());
        address[4..8].copy_from_slice(&[127, 0, 0, 1]);
        socket.connect(&address).expect("connects");
        let (accepted, _) = listener.accept().expect("accepts");
        (socket, accepted)
    }

    #[test]
    fn the_kernel_tells_the_bytes_of_open_and_of_ended_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let mut traffic = Traffic::new();
        let mut record = Record::new(Instant::now());
        let entry = record.count("a.example", Some(1), None);
        for ends in [false, true] {
            let (socket, mut peer) = connected(&listener);
            traffic.follow(socket.cookie().expect("a cookie"), 7, entry.clone());
            let mut stream = TcpStream::from(socket.file.try_clone().expect("duplicates"));
            stream.write_all(b"twelve bytes").expect("writes");
            peer.read_exact(&mut [0; 12]).expect("reads");
            peer.write_all(b"five.").expect("writes");
            stream.read_exact(&mut [0; 5]).expect("reads");
            if ends {
                drop((stream, socket, peer));
                let seen = loop {
                    let seen = traffic.ended();
                    if !seen.is_empty() {
                        break seen;
                    }
                    std::thread::yield_now();
                };
                assert!(matches!(seen.as_slice(), [(7, _, 12, 5 | 6)]), "{seen:?}");
                assert!(traffic.is_settled(7));
            } else {
                assert!(traffic.is_settled(7), "one that is open is asked for");
                assert!(matches!(traffic.ended().as_slice(), [(7, _, 12, 5)]));
                traffic.forget(7);
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_left(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            parsed(&bytes, &mut Vec::new());
        }
    }
}
