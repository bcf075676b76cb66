//! What the guard's epoll tells descriptors apart by.

use airlock_actors::ports::OutputStream;

/// What a descriptor in the epoll is; with the execution's number, if it is one's, packed into 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Server,
    ToServer,
    ForkServer,
    Signals,
    Channel(u64),
    Stream(u64, OutputStream),
    Egress(u64),
}

/// What the epoll says when a descriptor of egress is ready.
pub(crate) fn egress_event(number: u64) -> u64 {
    Source::Egress(number).pack()
}

impl Source {
    pub(super) fn pack(self) -> u64 {
        match self {
            Self::Server => 0,
            Self::ToServer => 1,
            Self::ForkServer => 2,
            Self::Signals => 3,
            Self::Channel(fork) => fork << 3 | 4,
            Self::Stream(fork, OutputStream::Stdout) => fork << 3 | 5,
            Self::Stream(fork, OutputStream::Stderr) => fork << 3 | 6,
            Self::Egress(number) => number << 3 | 7,
        }
    }

    pub(super) fn unpack(packed: u64) -> Option<Self> {
        let fork = packed >> 3;
        Some(match packed & 7 {
            0 => Self::Server,
            1 => Self::ToServer,
            2 => Self::ForkServer,
            3 => Self::Signals,
            4 => Self::Channel(fork),
            5 => Self::Stream(fork, OutputStream::Stdout),
            6 => Self::Stream(fork, OutputStream::Stderr),
            7 => Self::Egress(fork),
            _ => return None,
        })
    }
}
