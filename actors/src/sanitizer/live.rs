//! Scrubbing a stream while it grows: what is released can't be part of a hit any more, and is the beginning of what the whole
//! is scrubbed to.

use super::output::{front_cut, lossy};
use super::redactor::{Counts, Redactor, replaced};

/// How many raw bytes of a stream have been released.
#[derive(Debug, Default)]
pub struct LiveScrub {
    released: usize,
}

impl Redactor {
    /// What more of a stream can be shown: `raw` is all of its head that is there, of which no more than the first `half` are
    /// shown before the end. Looks at no more than about `most` bytes; says whether it stopped for that.
    pub fn scrub_live(&self, raw: &[u8], state: &mut LiveScrub, half: usize, most: usize) -> (String, bool) {
        let from = state.released;
        // A hit that begins before `decided` ends within what is there.
        let whole = raw.len() - unfinished_character(raw);
        let decided = raw.len().saturating_sub(self.longest().saturating_sub(1)).min(whole).min(half);
        let wanted = decided.min(from.saturating_add(most));
        if wanted <= from {
            return (String::new(), false);
        }
        let end = wanted.saturating_add(self.longest().max(1)).min(raw.len());
        let part = raw.get(from..end).unwrap_or_default();
        let hits = self.find(part, "live", &mut Counts::default());
        let cut = front_cut(part, &hits, wanted - from);
        // Another hit right behind one becomes one with it.
        let cut = hits.iter().find(|hit| hit.end == cut).map_or(cut, |hit| hit.start);
        state.released = from + cut;
        // Where a chain of hits is longer than a turn, nothing is released before its end is there.
        (lossy(replaced(part, 0..cut, &hits)), cut > 0 && state.released < decided)
    }
}

/// How many bytes at the end begin a character whose rest is not there yet.
fn unfinished_character(raw: &[u8]) -> usize {
    let last = raw.len().saturating_sub(3);
    let end = raw.get(last..).unwrap_or_default();
    let length_by_first = |byte: u8| match byte {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let first = end.iter().rposition(|byte| byte & 0xC0 != 0x80);
    first.map_or(0, |at| match (end.len() - at, end.get(at)) {
        (there, Some(&byte)) if there < length_by_first(byte) => there,
        _ => 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{CredentialName, Secret};
    use crate::sanitizer::Captured;

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
    fn clean_output_is_shown_but_for_what_could_become_a_hit() {
        let redactor = redactor(&["hunter2-hunter2".to_owned()]);
        let mut state = LiveScrub::default();
        let (shown, _) = redactor.scrub_live(b"first line\nsecond line\nhunter2", &mut state, 1024, 1024);
        assert_eq!(shown, "first line\nsecon");
        let (shown, _) =
            redactor.scrub_live(b"first line\nsecond line\nhunter2-hunter2 and so on and on", &mut state, 1024, 1024);
        assert_eq!(shown, "d line\n[REDACTED] an");
    }
}
