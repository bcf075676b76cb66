//! The sockets that scripts were given, as the guard keeps them until they are connected.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socketpair, sockopt};

use super::notify::{Call, CallId};

/// A TCP socket of a script's: the same open file description, so that whatever the script sets on its own, timeouts and
/// buffers and whether it blocks, holds here too.
pub(super) struct TcpSocket {
    pub(super) file: OwnedFd,
    /// Calls that wait for the connection, on a socket that blocks.
    pub(super) waiting: Vec<CallId>,
    /// The number in the watch list of an attempt under way.
    pub(super) connecting: Option<u64>,
}

/// What a script takes for a datagram socket: the guard has the other end, and answers questions to name servers.
/// No datagram socket exists inside, so that none can be sent from.
pub(super) struct Stub {
    pub(super) ours: OwnedFd,
    /// The same open file description as the script's.
    pub(super) theirs: OwnedFd,
    /// What the script takes it for: IPv4 or IPv6.
    pub(super) family: i32,
    /// The name server that it is connected to.
    pub(super) peer: Option<SocketAddr>,
    /// The one that was asked last.
    pub(super) asked: Option<SocketAddr>,
    /// Calls that wait for an answer and its sender.
    pub(super) waiting: Vec<Call>,
}

/// What became of an attempt to connect.
pub(super) enum Attempt {
    /// There, or refused by the network: the call returns.
    Over(Result<(), Errno>),
    /// Under way.
    UnderWay,
}

impl TcpSocket {
    /// A new one. `family` and `protocol` as of socket(2), and checked by the filter.
    pub(super) fn new(family: i32, protocol: i32, non_blocking: bool) -> Result<Self, Errno> {
        let flags = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | if non_blocking { libc::SOCK_NONBLOCK } else { 0 };
        // SAFETY: plain system call; the descriptor that it returns is nobody else's.
        let file = unsafe {
            let descriptor = Errno::result(libc::socket(family, flags, protocol))?;
            OwnedFd::from_raw_fd(descriptor)
        };
        Ok(Self { file, waiting: Vec::new(), connecting: None })
    }

    /// True if the script set it so that its calls wait.
    pub(super) fn blocks(&self) -> Result<bool, Errno> {
        let flags = fcntl(&self.file, FcntlArg::F_GETFL)?;
        Ok(!OFlag::from_bits_truncate(flags).contains(OFlag::O_NONBLOCK))
    }

    /// Connects to the address in `bytes`, a `sockaddr` of the guard's own. Never waits.
    pub(super) fn connect(&self, bytes: &[u8]) -> Result<Attempt, Errno> {
        let flags = OFlag::from_bits_truncate(fcntl(&self.file, FcntlArg::F_GETFL)?);
        let blocks = !flags.contains(OFlag::O_NONBLOCK);
        if blocks {
            // For the moment of the call: a socket that is not connected has no other use that could notice.
            fcntl(&self.file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        let length = libc::socklen_t::try_from(bytes.len()).map_err(|_| Errno::EINVAL)?;
        // SAFETY: `bytes` outlives the call, and `length` is its length.
        let connected = unsafe { libc::connect(self.file.as_raw_fd(), bytes.as_ptr().cast(), length) };
        let connected = Errno::result(connected);
        if blocks {
            fcntl(&self.file, FcntlArg::F_SETFL(flags))?;
        }
        Ok(match connected {
            Ok(_) => Attempt::Over(Ok(())),
            Err(Errno::EINPROGRESS | Errno::EALREADY) => Attempt::UnderWay,
            Err(error) => Attempt::Over(Err(error)),
        })
    }

    /// How the attempt under way came out; only once the socket is writable. Takes the error, as getsockopt(2) does, so for
    /// sockets that block alone: on others the script asks for it.
    pub(super) fn outcome(&self) -> Result<(), Errno> {
        match getsockopt(&self.file, sockopt::SocketError)? {
            0 => Ok(()),
            error => Err(Errno::from_raw(error)),
        }
    }

    /// True once it is connected.
    pub(super) fn is_connected(&self) -> bool {
        // SAFETY: a null address with its length is what getpeername(2) would fill; `storage` and `length` outlive the call.
        unsafe {
            let mut storage = std::mem::zeroed::<libc::sockaddr_storage>();
            let mut length = libc::socklen_t::try_from(size_of_val(&storage)).unwrap_or(0);
            libc::getpeername(self.file.as_raw_fd(), (&raw mut storage).cast(), &raw mut length) == 0
        }
    }

    /// What the kernel knows the connection by (SO_COOKIE), after the descriptor is gone too.
    pub(super) fn cookie(&self) -> Option<u64> {
        let mut cookie = 0u64;
        let mut length = libc::socklen_t::try_from(size_of::<u64>()).ok()?;
        // SAFETY: `cookie` and `length` outlive the call, and the one has the length that the other says.
        let got = unsafe {
            let place = (&raw mut cookie).cast();
            libc::getsockopt(self.file.as_raw_fd(), libc::SOL_SOCKET, libc::SO_COOKIE, place, &raw mut length)
        };
        (got == 0).then_some(cookie)
    }
}

impl Stub {
    /// A pair: the guard's end, and the script's. Packets with borders, and no addresses: it leads nowhere else.
    pub(super) fn new(family: i32, non_blocking: bool) -> Result<Self, Errno> {
        let kind = SockType::SeqPacket;
        let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
        fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        if non_blocking {
            fcntl(&theirs, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        Ok(Self { ours, theirs, family, peer: None, asked: None, waiting: Vec::new() })
    }
}

/// The inode by which `/proc` names a socket.
pub(super) fn inode_of(file: &OwnedFd) -> Result<u64, Errno> {
    nix::sys::stat::fstat(file).map(|status| status.st_ino)
}

/// The sockets of one execution.
#[derive(Default)]
pub(super) struct Sockets {
    /// By inode.
    pub(super) tcp: HashMap<u64, TcpSocket>,
    /// By the inode of the script's end.
    pub(super) stubs: HashMap<u64, Stub>,
    /// Sweep when there are so many.
    pub(super) sweep_at: usize,
}

/// From so many kept sockets on, those that the script has closed are looked for.
pub(super) const SWEEP_AT: usize = 256;
/// Sockets of one execution that are not connected; and as many that ask name servers.
pub(super) const MAX_SOCKETS: usize = 4096;

impl Sockets {
    pub(super) fn new() -> Self {
        Self { tcp: HashMap::new(), stubs: HashMap::new(), sweep_at: SWEEP_AT }
    }

    /// True when it is time to look for sockets that are kept and closed.
    pub(super) fn many(&self) -> bool {
        self.tcp.len() + self.stubs.len() >= self.sweep_at
    }

    /// Drops what is not open in the execution any more.
    pub(super) fn sweep(&mut self, open: &std::collections::HashSet<u64>) {
        self.tcp.retain(|inode, socket| open.contains(inode) || !socket.waiting.is_empty());
        self.stubs.retain(|inode, stub| open.contains(inode) || !stub.waiting.is_empty());
        self.sweep_at = ((self.tcp.len() + self.stubs.len()) * 2).max(SWEEP_AT);
    }
}
