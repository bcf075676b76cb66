//! gzip and zlib data, as far as it is allowed to grow.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use flate2::bufread::{GzDecoder, ZlibDecoder};

/// Attempts at compressed data that begins inside other such data.
pub(in crate::sanitizer) const MOST_COMPRESSED: usize = 8;

/// How data starts that may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sanitizer) enum Kind {
    Gzip,
    Zlib,
}

/// The first bytes of gzip data (RFC 1952, 2.3).
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// What `bytes` begins as, if it may be compressed data. Of zlib the two bytes are a multiple of 31 (RFC 1950, 2.2).
pub(in crate::sanitizer) fn kind(bytes: &[u8]) -> Option<Kind> {
    match bytes {
        _ if bytes.starts_with(&GZIP) => Some(Kind::Gzip),
        [first, second, ..]
            if is_zlib(*first)
                && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31)
                && second & 0x20 == 0 =>
        {
            Some(Kind::Zlib)
        }
        _ => None,
    }
}

fn is_zlib(first: u8) -> bool {
    matches!(first, 0x18 | 0x28 | 0x38 | 0x48 | 0x58 | 0x68 | 0x78)
}

/// What a part of some data expands to.
pub(in crate::sanitizer) struct Inflated {
    pub(in crate::sanitizer) bytes: Vec<u8>,
    /// Which part of the data.
    pub(in crate::sanitizer) data: Range<usize>,
    end: End,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As such data ends, or it had expanded to as much as it was allowed to.
    Whole,
    /// More data would give more bytes.
    Open,
    /// It is no such data, from some point on.
    Damaged,
}

/// What `data` expands to, up to `most` bytes in all, and what follows right after it, if that is compressed too. What else
/// follows, or is damaged, does not matter.
pub(in crate::sanitizer) fn members(data: &[u8], most: usize) -> Vec<Inflated> {
    let (mut all, mut from, mut most): (Vec<Inflated>, _, _) = (Vec::new(), 0, most);
    while let Some((kind, rest)) = data.get(from..).and_then(|rest| Some((kind(rest)?, rest))) {
        let member = inflate(kind, rest, from, most);
        most = most.saturating_sub(member.bytes.len());
        from = member.data.end;
        let last = member.end != End::Whole || member.data.is_empty() || most == 0;
        all.push(member);
        if last {
            break;
        }
    }
    all
}

/// Whether `data` begins as compressed data and may be that, as far as a look at `most` bytes of what it expands to tells.
pub(in crate::sanitizer) fn is_sound(data: &[u8], most: usize) -> bool {
    kind(data).is_some_and(|kind| inflate(kind, data, 0, most).end != End::Damaged)
}

/// Whether more data would make more of what `members` said of `data`.
pub(in crate::sanitizer) fn may_go_on(members: &[Inflated], data: &[u8]) -> bool {
    members.last().is_some_and(|last| {
        let rest = data.get(last.data.end..).unwrap_or_default();
        let begins = GZIP.starts_with(rest) || matches!(rest, [first] if is_zlib(*first));
        last.end == End::Open || last.end == End::Whole && begins
    })
}

fn inflate(kind: Kind, data: &[u8], start: usize, most: usize) -> Inflated {
    let (mut bytes, mut rest) = (Vec::new(), data);
    // What was expanded before an error is there all the same.
    let end = match kind {
        Kind::Gzip => GzDecoder::new(&mut rest).take(most as u64).read_to_end(&mut bytes),
        Kind::Zlib => ZlibDecoder::new(&mut rest).take(most as u64).read_to_end(&mut bytes),
    };
    let end = match end.map_err(|error| error.kind()) {
        Ok(_) => End::Whole,
        Err(ErrorKind::UnexpectedEof) => End::Open,
        Err(_) => End::Damaged,
    };
    Inflated { bytes, data: start..start + data.len() - rest.len(), end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sanitizer::tests::spell::{gzip, zlib};

    fn of(data: &[u8]) -> (Vec<Vec<u8>>, bool) {
        let members = members(data, 1_000);
        let goes_on = may_go_on(&members, data);
        (members.into_iter().map(|member| member.bytes).collect(), goes_on)
    }

    #[test]
    fn what_follows_right_after_compressed_data_is_expanded_too() {
        let (one, other) = (gzip(b"one"), zlib(b"other"));
        let both = [one.as_slice(), &other].concat();
        assert_eq!(of(&both), (vec![b"one".to_vec(), b"other".to_vec()], true));
        assert_eq!(members(&both, 1_000)[1].data, one.len()..both.len());
        assert!(!of(&[both.as_slice(), b"!"].concat()).1);
        assert_eq!(of(&one[..one.len() - 1]), (vec![b"one".to_vec()], true));
        assert_eq!(of(b"no such data"), (vec![], false));
        for begun in 1..3 {
            assert!(of(&[one.as_slice(), &one[..begun]].concat()).1, "{begun} bytes of another");
        }
    }

    #[test]
    fn it_expands_to_what_it_may_and_to_no_more() {
        let data = [gzip(&[b'a'; 600]), gzip(&[b'b'; 600])].concat();
        let lengths = |most| members(&data, most).iter().map(|member| member.bytes.len()).collect::<Vec<_>>();
        assert_eq!([lengths(1_200), lengths(1_199), lengths(599)], [vec![600, 600], vec![600, 599], vec![599]]);
    }
}
