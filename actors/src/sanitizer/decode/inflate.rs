//! gzip and zlib data, as far as it is allowed to grow.

use std::io::{ErrorKind, Read};

use flate2::bufread::{GzDecoder, ZlibDecoder};

/// Attempts at compressed data that begins inside other such data.
pub(in crate::sanitizer) const MOST_COMPRESSED: usize = 8;

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

/// What compressed data expands to.
pub(in crate::sanitizer) struct Inflated {
    pub(in crate::sanitizer) bytes: Vec<u8>,
    /// Bytes of the data that this took.
    pub(in crate::sanitizer) taken: usize,
    /// More data would give more bytes: it neither ended nor turned out to be something else.
    pub(in crate::sanitizer) goes_on: bool,
    /// It is no such data, from some point on.
    pub(in crate::sanitizer) damaged: bool,
}

/// Up to `most` bytes of what `data` expands to; what follows the data, or is damaged, does not matter.
pub(in crate::sanitizer) fn inflate(kind: Kind, data: &[u8], most: usize) -> Inflated {
    let mut bytes = Vec::new();
    let mut rest = data;
    loop {
        let before = rest.len();
        let most = most.saturating_sub(bytes.len()) as u64;
        // What was expanded before an error is there all the same.
        let end = match kind {
            Kind::Gzip => GzDecoder::new(&mut rest).take(most).read_to_end(&mut bytes),
            Kind::Zlib => ZlibDecoder::new(&mut rest).take(most).read_to_end(&mut bytes),
        };
        let failed = end.err().map(|error| error.kind());
        let goes_on = failed == Some(ErrorKind::UnexpectedEof);
        let another = failed.is_none() && rest.len() < before && self::kind(rest) == Some(Kind::Gzip);
        if !another || most == 0 {
            return Inflated { bytes, taken: data.len() - rest.len(), goes_on, damaged: failed.is_some() && !goes_on };
        }
    }
}
