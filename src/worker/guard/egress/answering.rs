//! The calls that scripts make about sockets, one function each.

use std::os::fd::AsFd as _;

use airlock_actors::domain::egress::Refusal;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollFlags};
use nix::unistd::Pid;

use super::address::{Destination, destination};
use super::dns::message::MAX_QUESTION_BYTES;
use super::notify::{Call, Listener};
use super::own_files::SYS_FCHMODAT2;
use super::sockets::{Attempt, MAX_SOCKETS, Stub, TcpSocket, inode_of};
use super::starting::is_start;
use super::watchlist::Watched;
use super::{CALLS_PER_TURN, Egress, Script, caller};
use crate::worker::guard::descendants;

/// The port of name servers.
const DNS_PORT: u16 = 53;

/// What a call comes to: the value it returns now, or nothing yet.
pub(super) type Outcome = Result<Option<i64>, Errno>;

pub(super) const DONE: Outcome = Ok(Some(0));

impl Egress {
    pub(super) fn on_calls(&mut self, epoll: &Epoll) {
        for _ in 0..CALLS_PER_TURN {
            let mut waiting = [PollFd::new(self.listener.descriptor().as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut waiting, PollTimeout::ZERO).is_ok_and(|count| count > 0);
            let [waiting] = waiting;
            if !ready || !waiting.revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
                return;
            }
            let Ok(Some(call)) = self.listener.receive() else { return };
            if is_start(call.number) {
                self.on_start(&call);
                continue;
            }
            match self.on_call(&call, epoll) {
                Ok(Some(value)) => self.listener.answer(call.id, Ok(value)),
                Ok(None) => {}
                Err(errno) => self.listener.answer(call.id, Err(errno)),
            }
        }
    }

    fn on_call(&mut self, call: &Call, epoll: &Epoll) -> Outcome {
        let Some(fork) = self.fork_of(call.thread) else { return of_nobody(&self.listener, call) };
        match call.number {
            libc::SYS_socket => self.on_socket(call, fork, epoll),
            libc::SYS_connect => self.on_connect(call, fork, epoll),
            libc::SYS_bind => self.on_bind(call),
            libc::SYS_sendto => self.on_sendto(call, fork, epoll),
            libc::SYS_recvfrom => self.on_recvfrom(call, fork),
            libc::SYS_getsockname => self.on_own_name(call, fork),
            libc::SYS_getpeername => self.on_peers_name(call, fork),
            libc::SYS_fchmod | libc::SYS_fchmodat | SYS_FCHMODAT2 | libc::SYS_utimensat => self.on_change(call, fork),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_chmod => self.on_change(call, fork),
            _ => Err(Errno::EPERM),
        }
    }

    /// socket(2): family and protocol were checked by the filter, the kind is looked at here.
    fn on_socket(&mut self, call: &Call, fork: u64, epoll: &Epoll) -> Outcome {
        const KIND_BITS: i32 = 0xf;
        let (family, kind, protocol) = (call.int(0), call.int(1), call.int(2));
        let non_blocking = kind & libc::SOCK_NONBLOCK != 0;
        let close_on_exec = kind & libc::SOCK_CLOEXEC != 0;
        self.make_room(fork)?;
        let Some(script) = self.scripts.get_mut(&fork) else { return Err(Errno::EPERM) };
        match (kind & KIND_BITS, protocol) {
            (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => {
                let socket = TcpSocket::new(family, protocol, non_blocking)?;
                let inode = inode_of(&socket.file)?;
                if self.listener.answer_with(call.id, socket.file.as_fd(), close_on_exec) {
                    script.sockets.tcp.insert(inode, socket);
                }
            }
            (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => {
                let stub = Stub::new(family, non_blocking)?;
                let inode = inode_of(&stub.theirs)?;
                // Watched first: whatever the script sends at once is seen.
                self.watchlist.add(epoll, &stub.ours, Watched::Stub(fork, inode), EpollFlags::EPOLLIN)?;
                if self.listener.answer_with(call.id, stub.theirs.as_fd(), close_on_exec) {
                    script.sockets.stubs.insert(inode, stub);
                }
            }
            _ => return Err(Errno::EPERM),
        }
        Ok(None)
    }

    /// Of what the guard keeps for an execution, drops what the script has closed; EMFILE if that is not enough.
    fn make_room(&mut self, fork: u64) -> Result<(), Errno> {
        let Some(script) = self.scripts.get_mut(&fork) else { return Err(Errno::EPERM) };
        if script.sockets.many() {
            let main = self.mains.iter().find(|(_, other)| **other == fork).map(|(main, _)| Pid::from_raw(*main));
            let processes = main.map(descendants::tree).unwrap_or_default();
            script.sockets.sweep(&caller::sockets_of(processes.into_iter().map(Pid::as_raw)));
        }
        let full = script.sockets.tcp.len() >= MAX_SOCKETS || script.sockets.stubs.len() >= MAX_SOCKETS;
        if full { Err(Errno::EMFILE) } else { Ok(()) }
    }

    /// connect(2)
    fn on_connect(&mut self, call: &Call, fork: u64, epoll: &Epoll) -> Outcome {
        let bytes = caller::address(&self.listener, call, 1)?;
        let to = destination(&bytes)?;
        let inode = caller::socket(call, call.int(0))?;
        let hosts = match to {
            Destination::Host(host) => self.hosts.of(host.ip()),
            _ => &[],
        };
        let Some(script) = self.scripts.get_mut(&fork) else { return Err(Errno::EPERM) };
        if let Some(stub) = script.sockets.stubs.get_mut(&inode) {
            return match to {
                Destination::Host(host) if host.port() == DNS_PORT => {
                    stub.peer = Some(host);
                    stub.asked = Some(host);
                    DONE
                }
                // How a C library finds out which of several addresses is the nearest. It asks no one.
                Destination::Host(host) if !script.answers.of(host.ip()).is_empty() || !hosts.is_empty() => {
                    Err(Errno::ENETUNREACH)
                }
                Destination::Host(host) => Err(no_datagrams(script, host)),
                Destination::Dissolve => {
                    stub.peer = None;
                    DONE
                }
                Destination::Foreign => Err(Errno::EAFNOSUPPORT),
            };
        }
        // What the guard has let go was connected; what it never had is one of a connected pair.
        let socket = script.sockets.tcp.get_mut(&inode).ok_or(Errno::EISCONN)?;
        let entry = match to {
            Destination::Foreign => return Err(Errno::EAFNOSUPPORT),
            Destination::Dissolve => None,
            Destination::Host(host) => {
                let names = [script.answers.of(host.ip()), hosts].concat();
                let verdict = script.policy.allows_address(host.ip(), host.port(), &names, &self.own);
                let shown = script.answers.name_of(host.ip(), hosts, &script.policy);
                // Asking again how an attempt fares is none of its own.
                let again = verdict.is_ok() && socket.connecting.is_some();
                let entry = (!again).then(|| script.record.count(&shown, Some(host.port()), verdict.err()));
                verdict.map_err(|_| Errno::EPERM)?;
                entry
            }
        };
        let outcome = socket.connect(&bytes)?;
        if let (Some(entry), Some(cookie)) = (entry, socket.cookie())
            && !matches!(outcome, Attempt::Over(Err(_)))
        {
            self.traffic.follow(cookie, fork, entry);
        }
        match outcome {
            Attempt::UnderWay => {
                let first = socket.connecting.is_none();
                if first {
                    let watched = Watched::Connecting(fork, inode);
                    socket.connecting = Some(self.watchlist.add(epoll, &socket.file, watched, EpollFlags::EPOLLOUT)?);
                }
                match (socket.blocks()?, first) {
                    (true, _) => {
                        socket.waiting.push(call.id);
                        Ok(None)
                    }
                    (false, true) => Err(Errno::EINPROGRESS),
                    (false, false) => Err(Errno::EALREADY),
                }
            }
            Attempt::Over(outcome) => {
                if let Some(number) = socket.connecting.take() {
                    self.watchlist.remove(epoll, &socket.file, number);
                }
                for waiting in std::mem::take(&mut socket.waiting) {
                    self.listener.answer(waiting, outcome.map(|()| 0));
                }
                if socket.is_connected() {
                    script.sockets.tcp.remove(&inode);
                }
                outcome.map(|()| Some(0))
            }
        }
    }

    /// An attempt to connect has come to its end.
    pub(super) fn on_connecting(&mut self, fork: u64, inode: u64, epoll: &Epoll) {
        let Some(script) = self.scripts.get_mut(&fork) else { return };
        let Some(socket) = script.sockets.tcp.get_mut(&inode) else { return };
        if let Some(number) = socket.connecting.take() {
            self.watchlist.remove(epoll, &socket.file, number);
        }
        if !socket.waiting.is_empty() {
            let outcome = socket.outcome().map(|()| 0);
            for waiting in std::mem::take(&mut socket.waiting) {
                self.listener.answer(waiting, outcome);
            }
        }
        if socket.is_connected() {
            // EG-8
            script.sockets.tcp.remove(&inode);
        }
    }

    /// bind(2): to no address in particular, which changes nothing. A script is nobody's server.
    fn on_bind(&self, call: &Call) -> Outcome {
        match destination(&caller::address(&self.listener, call, 1)?)? {
            Destination::Host(host) if host.ip().is_unspecified() && host.port() == 0 => DONE,
            _ => Err(Errno::EPERM),
        }
    }

    /// sendto(2) with an address.
    fn on_sendto(&mut self, call: &Call, fork: u64, epoll: &Epoll) -> Outcome {
        let to = destination(&caller::address(&self.listener, call, 4)?)?;
        let inode = caller::socket(call, call.int(0))?;
        let Some(script) = self.scripts.get_mut(&fork) else { return Err(Errno::EPERM) };
        let stub = script.sockets.stubs.get_mut(&inode).ok_or(Errno::EISCONN)?;
        match to {
            Destination::Host(host) if host.port() == DNS_PORT => {
                let count = usize::try_from(call.argument(2)).unwrap_or(usize::MAX);
                if count > MAX_QUESTION_BYTES {
                    return Err(Errno::EMSGSIZE);
                }
                let question = caller::memory(&self.listener, call, call.argument(1), count)?;
                stub.asked = Some(host);
                self.question(fork, inode, &question, epoll);
                Ok(i64::try_from(count).ok())
            }
            Destination::Host(host) => Err(no_datagrams(script, host)),
            _ => Err(Errno::EAFNOSUPPORT),
        }
    }
}

/// Of the fork server, or a process that waits for its script: both have their sockets, and get no others.
pub(super) fn of_nobody(listener: &Listener, call: &Call) -> Outcome {
    match call.number {
        libc::SYS_getsockname | libc::SYS_getpeername | libc::SYS_recvfrom => {
            listener.let_pass(call.id);
            Ok(None)
        }
        start if is_start(start) => {
            listener.let_pass(call.id);
            Ok(None)
        }
        _ => Err(Errno::EPERM),
    }
}

fn no_datagrams(script: &mut Script, host: std::net::SocketAddr) -> Errno {
    let shown = script.answers.name_of(host.ip(), &[], &script.policy);
    script.record.count(&shown, Some(host.port()), Some(Refusal::Datagram));
    Errno::EPERM
}
