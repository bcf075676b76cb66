//! What looks encoded, decoded, so that it can be searched too.
//!
//! Each file finds its own kind in a text and says how positions of what it decoded map back. What is done with it, how deep
//! and how often, is `super::scan`'s business.
//!
//! `escapes` undoes those of languages, URLs and terminals; `integers` reads lists of numbers. Of base64, base32 and
//! hexadecimal, `roles` says which bytes may be what, `zones` where it goes on for long enough, and `runs` what it decodes to;
//! `inflate` expands what is compressed.

pub(super) mod escapes;
pub(super) mod inflate;
pub(super) mod integers;
mod roles;
pub(super) mod runs;
pub(super) mod zones;

/// Whether there are `least` bytes of printable ASCII in a row, with nothing but zeros between (UTF-16): what is encoded twice
/// decodes to text first.
pub(super) fn has_text(bytes: &[u8], least: usize) -> bool {
    let mut row = 0;
    bytes.iter().any(|byte| {
        row = match byte {
            b'\t' | b'\n' | b'\r' | b' '..=b'~' => row + 1,
            0 => row,
            _ => 0,
        };
        row >= least
    })
}
