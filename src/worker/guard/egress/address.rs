//! Socket addresses as bytes, as a script hands them over.

use std::net::SocketAddr;

use nix::errno::Errno;

/// What a socket address means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker::guard::egress) enum Destination {
    /// A host's.
    Host(SocketAddr),
    /// None: the association is to be dissolved.
    Dissolve,
    /// Of a family that scripts don't have.
    Foreign,
}

/// Reads a `sockaddr`. Too short a one is EINVAL, as in the kernel.
pub(in crate::worker::guard::egress) fn destination(bytes: &[u8]) -> Result<Destination, Errno> {
    let part = |range: std::ops::Range<usize>| bytes.get(range).ok_or(Errno::EINVAL);
    let family = <[u8; 2]>::try_from(part(0..2)?).map(u16::from_ne_bytes).map_err(|_| Errno::EINVAL)?;
    let port =
        |range| part(range).and_then(|bytes| bytes.try_into().map(u16::from_be_bytes).map_err(|_| Errno::EINVAL));
    Ok(match i32::from(family) {
        libc::AF_UNSPEC => Destination::Dissolve,
        libc::AF_INET => {
            // The kernel wants all of `sockaddr_in`.
            part(0..size_of::<libc::sockaddr_in>())?;
            let address = <[u8; 4]>::try_from(part(4..8)?).map_err(|_| Errno::EINVAL)?;
            Destination::Host((address, port(2..4)?).into())
        }
        libc::AF_INET6 => {
            let address = <[u8; 16]>::try_from(part(8..24)?).map_err(|_| Errno::EINVAL)?;
            Destination::Host((address, port(2..4)?).into())
        }
        _ => Destination::Foreign,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_reads_them() {
        let mut v4 = [0; 16];
        v4[..8].copy_from_slice(&[2, 0, 0x15, 0x38, 192, 0, 2, 7]);
        assert_eq!(destination(&v4), Ok(Destination::Host((Ipv4Addr::new(192, 0, 2, 7), 5432).into())));
        assert_eq!(destination(&v4[..15]), Err(Errno::EINVAL));
        let mut v6 = [0; 28];
        v6[..4].copy_from_slice(&[10, 0, 0, 80]);
        v6[23] = 1;
        assert_eq!(destination(&v6), Ok(Destination::Host((Ipv6Addr::LOCALHOST, 80).into())));
        assert_eq!(
            destination(&v6[..24]),
            Ok(Destination::Host((Ipv6Addr::LOCALHOST, 80).into())),
            "RFC 2133's length"
        );
        assert_eq!(destination(&v6[..23]), Err(Errno::EINVAL));
        assert_eq!(destination(&[0, 0]), Ok(Destination::Dissolve));
        assert_eq!(destination(&[1, 0, b'/', 0]), Ok(Destination::Foreign));
        assert_eq!(destination(&[2]), Err(Errno::EINVAL));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = destination(&bytes);
        }
    }
}
