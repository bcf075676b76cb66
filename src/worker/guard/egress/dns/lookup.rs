//! One question under way: the servers are asked in turn, by UDP, and by TCP when an answer is too long for that.
//!
//! Nothing here waits: whoever owns a lookup calls [`Lookup::proceed`] when its descriptor is ready or its time is up. Each
//! attempt has a socket, and so a port, and an id of its own: a forged answer would have to guess both (RFC 5452).

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, recv, send, socket};

use super::message::{Question, Said};
use super::servers::Servers;

/// Longest answer by TCP, in bytes (RFC 1035: its length has 16 bits).
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A question under way.
pub(in crate::worker::guard::egress) struct Lookup {
    /// What is asked.
    pub(in crate::worker::guard::egress) question: Question,
    servers: Servers,
    attempt: usize,
    id: u16,
    way: Way,
    /// When the server asked now has had its time.
    pub(in crate::worker::guard::egress) deadline: Instant,
}

enum Way {
    Udp(UdpSocket),
    Tcp { socket: OwnedFd, outgoing: Vec<u8>, incoming: Vec<u8> },
}

/// What a turn came to.
pub(in crate::worker::guard::egress) enum Progress {
    /// The same descriptor is to be waited for, or the deadline.
    Waits,
    /// There is another descriptor to wait for.
    OtherDescriptor,
    /// The end: the answer or, if nobody could tell, none.
    Over(Option<Said>),
}

impl Lookup {
    /// Asks the first server that can be sent to. `None`: there is none.
    pub(in crate::worker::guard::egress) fn begin(question: Question, servers: Servers) -> Option<Self> {
        let (attempt, way, id) = next_by_udp(&question, &servers, 0)?;
        let deadline = Instant::now() + servers.patience;
        Some(Self { question, servers, attempt, id, way, deadline })
    }

    /// What to wait for.
    pub(in crate::worker::guard::egress) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.way {
            Way::Udp(socket) => socket.as_fd(),
            Way::Tcp { socket, .. } => socket.as_fd(),
        }
    }

    /// True when it waits to send, and not to receive.
    pub(in crate::worker::guard::egress) fn sends(&self) -> bool {
        matches!(&self.way, Way::Tcp { outgoing, .. } if !outgoing.is_empty())
    }

    /// Goes on as far as can be without waiting.
    pub(in crate::worker::guard::egress) fn proceed(&mut self) -> Progress {
        let by_tcp = matches!(self.way, Way::Tcp { .. });
        let said = match &mut self.way {
            Way::Udp(socket) => receive_datagram(socket, &self.question, self.id),
            Way::Tcp { socket, outgoing, incoming } => exchange(socket, outgoing, incoming)
                .map(|answer| answer.map_or(Said::Foreign, |bytes| self.question.understand(&bytes, self.id, true))),
        };
        match said {
            Ok(answer @ Said::Answer { .. }) => Progress::Over(Some(answer)),
            Ok(Said::Truncated) => match self.by_tcp() {
                Ok(()) => Progress::OtherDescriptor,
                Err(_) => self.next_server(),
            },
            // Whoever forges goes on until the time is up; by TCP nobody can.
            Ok(Said::Foreign) if !by_tcp || Instant::now() < self.deadline => self.unless_late(),
            Ok(Said::Foreign | Said::Failed) | Err(_) => self.next_server(),
        }
    }

    fn unless_late(&mut self) -> Progress {
        if Instant::now() < self.deadline { Progress::Waits } else { self.next_server() }
    }

    fn next_server(&mut self) -> Progress {
        match next_by_udp(&self.question, &self.servers, self.attempt + 1) {
            Some((attempt, way, id)) => {
                (self.attempt, self.way, self.id) = (attempt, way, id);
                self.deadline = Instant::now() + self.servers.patience;
                Progress::OtherDescriptor
            }
            None => Progress::Over(None),
        }
    }

    /// The same server, by TCP.
    fn by_tcp(&mut self) -> Result<(), Errno> {
        let server = server_of(&self.servers, self.attempt).ok_or(Errno::ENOENT)?;
        let family = if server.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(family, SockType::Stream, flags, None)?;
        match connect(socket.as_raw_fd(), &SockaddrStorage::from(server)) {
            Ok(()) | Err(Errno::EINPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let question = self.question.to_ask(self.id);
        let length = u16::try_from(question.len()).map_err(|_| Errno::EMSGSIZE)?;
        let outgoing = [length.to_be_bytes().as_slice(), &question].concat();
        self.way = Way::Tcp { socket, outgoing, incoming: Vec::new() };
        self.deadline = Instant::now() + self.servers.patience;
        Ok(())
    }
}

fn server_of(servers: &Servers, attempt: usize) -> Option<SocketAddr> {
    let round = attempt.checked_div(servers.addresses.len())?;
    let index = attempt.checked_rem(servers.addresses.len())?;
    servers.addresses.get(index).copied().filter(|_| round < servers.rounds)
}

/// The first server from `attempt` on that a question could be sent to.
fn next_by_udp(question: &Question, servers: &Servers, mut attempt: usize) -> Option<(usize, Way, u16)> {
    loop {
        let server = server_of(servers, attempt)?;
        if let Ok((socket, id)) = ask_by_udp(question, server) {
            return Some((attempt, Way::Udp(socket), id));
        }
        attempt += 1;
    }
}

fn ask_by_udp(question: &Question, server: SocketAddr) -> std::io::Result<(UdpSocket, u16)> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(std::io::Error::other)?;
    let id = u16::from_ne_bytes(id);
    let any: SocketAddr = if server.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(server)?;
    socket.send(&question.to_ask(id))?;
    Ok((socket, id))
}

fn receive_datagram(socket: &UdpSocket, question: &Question, id: u16) -> Result<Said, Errno> {
    let mut buffer = [0; 8192];
    loop {
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(count) => match question.understand(buffer.get(..count).unwrap_or_default(), id, false) {
                Said::Foreign => {}
                said => return Ok(said),
            },
            Err(Errno::EAGAIN) => return Ok(Said::Foreign),
            Err(Errno::EINTR) => {}
            // Such as ECONNREFUSED: nobody listens there.
            Err(error) => return Err(error),
        }
    }
}

/// Sends what is left to send, then reads. The answer, once it is whole.
fn exchange(socket: &OwnedFd, outgoing: &mut Vec<u8>, incoming: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Errno> {
    while !outgoing.is_empty() {
        match send(socket.as_raw_fd(), outgoing, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
            Ok(count) => drop(outgoing.drain(..count)),
            Err(Errno::EAGAIN | Errno::ENOTCONN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    let mut buffer = [0; 8192];
    loop {
        if let Some((length, rest)) = incoming.split_first_chunk::<2>()
            && let Some(answer) = rest.get(..usize::from(u16::from_be_bytes(*length)))
        {
            return Ok(Some(answer.to_vec()));
        }
        match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Err(Errno::ECONNRESET),
            Ok(count) if incoming.len() + count > MAX_ANSWER_BYTES + 2 => return Err(Errno::EMSGSIZE),
            Ok(count) => incoming.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(Errno::EAGAIN) => return Ok(None),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
}
