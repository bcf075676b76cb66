//! Scrubbing a stream while it grows: what is released can't be part of a hit any more, and is the beginning of what the whole
//! is scrubbed to.

use super::redactor::{Redactor, lossy};
use super::stream::GROWTH;

/// Held back up to this many bytes, every call searches them again.
const ALWAYS: usize = 4096;

/// How many raw bytes of a stream have been released, and whose marker was the last of that.
#[derive(Debug, Default)]
pub struct LiveScrub {
    released: usize,
    /// How much of what follows was searched in vain.
    searched: usize,
    after: Option<u32>,
}

impl Redactor {
    /// What more of a stream can be shown: `raw` is all of its head that is there, of which no more than the first `half` are
    /// shown before the end. Looks at about `most` bytes, at more only where those are held back; says whether it stopped for
    /// that.
    pub fn scrub_live(&self, raw: &[u8], state: &mut LiveScrub, half: usize, most: usize) -> (String, bool) {
        let from = state.released;
        let held = raw.len().saturating_sub(from);
        // A script that writes byte by byte what may be anything costs no more than one that writes it at once.
        if state.searched > ALWAYS && held - state.searched.min(held) < state.searched / GROWTH {
            return (String::new(), false);
        }
        let mut window = most.max(1024);
        loop {
            let end = from.saturating_add(window).min(raw.len());
            let part = raw.get(from..end).unwrap_or_default();
            let scan = self.search(part, true);
            let wanted = whole_characters(part, scan.open.min(half.saturating_sub(from)));
            let cut = self.uncut(part, &scan, wanted);
            if cut == 0 && end < raw.len() && from < half {
                window = window.saturating_mul(2);
                continue;
            }
            let hits = self.hits(&scan, cut);
            let text = lossy(self.replaced(part, 0..cut, &hits, &mut state.after));
            state.released = from + cut;
            state.searched = if end < raw.len() { 0 } else { raw.len() - state.released };
            return (text, cut > 0 && end < raw.len() && state.released < half);
        }
    }
}

/// As much of the first `wanted` bytes as leaves no character of UTF-8 in two, one whose end may still come included.
fn whole_characters(part: &[u8], mut wanted: usize) -> usize {
    let goes_on = |byte: &u8| byte & 0xC0 == 0x80;
    while wanted > 0 && part.get(wanted).is_some_and(goes_on) {
        wanted -= 1;
    }
    if part.get(wanted).is_some() {
        return wanted;
    }
    for missing in 1..=3.min(wanted) {
        let Some(byte) = part.get(wanted - missing) else { break };
        let length = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            _ if goes_on(byte) => continue,
            _ => break,
        };
        return if length > missing { wanted - missing } else { wanted };
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{CredentialName, Secret};
    use crate::sanitizer::{Captured, Counts};

    fn redactor(values: &[String]) -> Redactor {
        let named: Vec<(CredentialName, Secret)> = (0..)
            .zip(values)
            .map(|(index, value)| (format!("C{index}").parse().expect("a name"), Secret::new(value.clone())))
            .collect();
        Redactor::compile(named.iter().map(|(name, value)| (name, value)))
    }

    proptest! {
        #[test]
        fn however_it_grows_it_is_the_beginning_of_the_whole(
            values in proptest::collection::vec("[ab]{2,5}", 0..3),
            text in "[abc\u{e9}\u{20ac}\u{1f600}]{0,80}",
            cuts in proptest::collection::vec(1usize..9, 1..20),
            keep in 8usize..200,
        ) {
            let redactor = redactor(&values);
            let raw = text.as_bytes();
            let captured = Captured { head: raw.to_vec(), tail: None };
            let whole = redactor.scrub_output(captured, keep, "stdout", &mut Counts::default());
            let (mut state, mut shown, mut there) = (LiveScrub::default(), String::new(), 0);
            for cut in cuts.iter().cycle() {
                there = (there + cut).min(raw.len());
                loop {
                    let (more, unfinished) = redactor.scrub_live(&raw[..there], &mut state, keep / 2, 7);
                    shown.push_str(&more);
                    prop_assert!(whole.starts_with(&shown), "{:?} is not how {:?} begins", shown, whole);
                    if !unfinished {
                        break;
                    }
                }
                if there == raw.len() {
                    break;
                }
            }
        }
    }

    #[test]
    fn byte_by_byte_costs_little_more_than_at_once() {
        let redactor = redactor(&["Zq8vT2mK4xW95432".to_owned()]);
        let raw = "A".repeat(64 * 1024);
        let (mut state, mut searched) = (LiveScrub::default(), 0);
        for there in (1..=raw.len()).step_by(16) {
            let before = state.searched;
            redactor.scrub_live(&raw.as_bytes()[..there], &mut state, 1024 * 1024, 64 * 1024);
            searched += if state.searched == before { 0 } else { there - state.released };
        }
        assert!(searched < raw.len() * 32, "each byte was searched {} times", searched / raw.len());
    }

    #[test]
    fn clean_output_is_shown_but_for_what_could_become_a_hit() {
        let redactor = redactor(&["hunter2-hunter2".to_owned()]);
        let mut state = LiveScrub::default();
        let (shown, _) = redactor.scrub_live(b"first line\nsecond line\nhunter2", &mut state, 1024, 1024);
        // The last letters could be part of some form of the value.
        assert!("first line\nsecond line\n".starts_with(&shown) && shown.len() > "first line\n".len(), "{shown}");
        let whole = b"first line\nsecond line\nhunter2-hunter2 and so on and on";
        let (more, _) = redactor.scrub_live(whole, &mut state, 1024, 1024);
        let shown = shown + &more;
        assert!("first line\nsecond line\n[REDACTED] and so on and on".starts_with(&shown), "{shown}");
        assert!(shown.len() > "first line\nsecond line\n[REDACTED] and".len(), "{shown}");
    }
}
