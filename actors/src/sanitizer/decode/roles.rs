//! Which bytes can play which role in something encoded, for eight positions at once.
//!
//! A table says what roles a byte can play, and three shifts and an AND say for eight positions whether four bytes play
//! theirs. Ordinary text has hardly any position where that goes on for twelve bytes.

use super::runs;

/// What a byte can be: the first, second or third of four in base64 that decode to ASCII, since the top bit of a byte is
/// clear; the first of two hexadecimal digits of a character of text, or of a zero; any hexadecimal digit; of base32; the
/// first or second character of zlib data in base64 or hexadecimal.
pub(super) const FIRST: u8 = 1;
pub(super) const SECOND: u8 = 2;
pub(super) const THIRD: u8 = 4;
pub(super) const HIGH: u8 = 8;
pub(super) const HEX: u8 = 16;
pub(super) const BASE32: u8 = 32;
const ZLIB_FIRST: u8 = 64;
const ZLIB_SECOND: u8 = 128;

const ROLES: [u8; 256] = {
    let mut roles = [0; 256];
    let mut index = 0;
    #[expect(clippy::indexing_slicing, reason = "index is below 256, and a constant that fails does not compile")]
    while index < 256 {
        let byte = index as u8;
        let sextet = runs::SEXTETS[index];
        if byte.is_ascii_alphanumeric() {
            roles[index] = has(FIRST, sextet & 32 == 0)
                | has(SECOND, sextet & 8 == 0)
                | has(THIRD, sextet & 2 == 0)
                | has(HIGH, byte >= b'2' && byte <= b'7' || byte == b'0')
                | has(HEX, byte.is_ascii_hexdigit())
                | has(BASE32, byte.is_ascii_uppercase() || byte >= b'2' && byte <= b'7')
                | has(ZLIB_FIRST, matches!(byte, b'e' | b'7'))
                | has(ZLIB_SECOND, matches!(byte, b'A' | b'F' | b'J' | b'N' | b'8'));
        }
        index += 1;
    }
    roles
};
const fn has(role: u8, it_has: bool) -> u8 {
    if it_has { role } else { 0 }
}

/// The lowest bit of each of eight bytes.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The lowest bits of every other byte.
const EVEN: u64 = 0x0001_0001_0001_0001;
const ODD: u64 = EVEN << 8;

/// How many roles before the eight there are, and how many after them.
pub(super) const BEHIND: usize = 8;
pub(super) const AHEAD: usize = 16;

/// All that a byte can be.
pub(super) fn role(byte: u8) -> u8 {
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    ROLES[usize::from(byte)]
}

pub(super) fn can_be(byte: u8, wanted: u8) -> bool {
    role(byte) & wanted != 0
}

/// The roles of eight bytes, from [`BEHIND`] on, and of those beside them. What it says is said for each of eight positions,
/// in the lowest bit of its byte.
#[derive(Clone, Copy)]
pub(super) struct Roles<'a>(&'a [u8; BEHIND + 8 + AHEAD]);

impl<'a> Roles<'a> {
    pub(super) fn of(roles: &'a [u8; BEHIND + 8 + AHEAD]) -> Self {
        Self(roles)
    }

    fn word(self, at: usize) -> u64 {
        self.0.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_le_bytes(*word))
    }

    /// Whether it is worth to look closer: at three bytes that can be the first of a quad, each with a second one after it, or
    /// before it, where it stands backwards; at the other kinds.
    pub(super) fn may_begin_something(self) -> bool {
        let pairs = self.pairs(BEHIND);
        let forwards = |at| self.word(at) & self.word(at + 1) >> 1 & ONES;
        let backwards = |at: usize| self.word(at) & self.word(at - 1) >> 1 & ONES;
        let quads =
            in_a_row(forwards(BEHIND), forwards(BEHIND + 8)) | in_a_row(backwards(BEHIND), backwards(BEHIND + 8));
        let rows = pairs & EVEN == EVEN || pairs & ODD == ODD || self.base32(BEHIND) == ONES;
        quads | self.zlib() | u64::from(rows) != 0
    }

    /// Where three quads in a row begin.
    pub(super) fn quads(self) -> u64 {
        let quads = |at| self.word(at) & self.word(at + 1) >> 1 & self.word(at + 2) >> 2 & ONES;
        in_a_row(quads(BEHIND), quads(BEHIND + 8))
    }

    /// Where the third byte of a quad is, and of two more, which stand backwards.
    pub(super) fn backwards(self) -> u64 {
        let quads = |at: usize| self.word(at - 2) >> 2 & self.word(at - 1) >> 1 & self.word(at) & ONES;
        in_a_row(quads(BEHIND), quads(BEHIND + 8))
    }

    /// Where a pair of digits is.
    fn pairs(self, at: usize) -> u64 {
        self.word(at) >> 3 & self.word(at + 1) >> 4 & ONES
    }

    fn base32(self, at: usize) -> u64 {
        self.word(at) >> 5 & ONES
    }

    pub(super) fn zlib(self) -> u64 {
        self.word(BEHIND) >> 6 & self.word(BEHIND + 1) >> 7 & ONES
    }

    /// Of sixteen in a row eight are here, and of the others four right before or after these.
    pub(super) fn are_digits(self) -> bool {
        let (here, beside) = (self.pairs(BEHIND), self.pairs(0) >> 32 | self.pairs(BEHIND + 8) << 32);
        let digits = |every: u64| here & every == every && halves(beside, every);
        digits(EVEN) || digits(ODD)
    }

    pub(super) fn is_base32(self) -> bool {
        self.base32(BEHIND) == ONES && halves(self.base32(0) >> 32 | self.base32(BEHIND + 8) << 32, ONES)
    }
}

/// The positions that are flagged.
pub(super) fn places(mut flags: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = (flags != 0).then(|| flags.trailing_zeros() as usize / 8);
        flags &= flags.wrapping_sub(1);
        place
    })
}

/// Whether one half of `flags` has all that are in `every`.
fn halves(flags: u64, every: u64) -> bool {
    let has = |half: u32| half & every as u32 == every as u32;
    has(flags as u32) || has((flags >> 32) as u32)
}

/// Where flags are set at a position, four further on and eight further on.
fn in_a_row(flags: u64, next: u64) -> u64 {
    flags & (flags >> 32 | next << 32) & next
}
