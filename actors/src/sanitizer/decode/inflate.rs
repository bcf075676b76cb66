//! gzip and zlib data, as far as it is allowed to grow.

use std::io::Read;

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};

/// How data starts that may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sanitizer) enum Kind {
    Gzip,
    Zlib,
}

/// What `bytes` begins as, if it may be compressed data. Of zlib the two bytes are a multiple of 31 (RFC 1950, 2.2).
pub(in crate::sanitizer) fn kind(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        [0x1f, 0x8b, 8, ..] => Some(Kind::Gzip),
        [first @ (0x18 | 0x28 | 0x38 | 0x48 | 0x58 | 0x68 | 0x78), second, ..]
            if (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31) && second & 0x20 == 0 =>
        {
            Some(Kind::Zlib)
        }
        _ => None,
    }
}

/// Up to `most` bytes of what `bytes` expands to; what follows the data, or is damaged, does not matter.
pub(in crate::sanitizer) fn inflate(kind: Kind, bytes: &[u8], most: usize) -> Vec<u8> {
    let mut expanded = Vec::new();
    let most = u64::try_from(most).unwrap_or(u64::MAX);
    // What was expanded before an error is there all the same.
    let _ends_early = match kind {
        Kind::Gzip => MultiGzDecoder::new(bytes).take(most).read_to_end(&mut expanded),
        Kind::Zlib => ZlibDecoder::new(bytes).take(most).read_to_end(&mut expanded),
    };
    expanded
}
