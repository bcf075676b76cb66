//! Where values stand in a text, merged so that what overlaps is scrubbed together.

use std::ops::Range;

/// A stretch of text to replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) range: Range<usize>,
    /// Where a text must be cut, if not behind it, so that it is still found.
    pub(super) within: usize,
    /// Whose value it is; `None` when several's.
    pub(super) credential: Option<u32>,
    /// It goes on in the next one of the same credential, if that is this near: parts of one long value.
    pub(super) reach: usize,
}

/// Merges hits that overlap, and those of one credential that reach each other. `hits` are in order of their start. Those that
/// touch stay apart: in a stream the first may be shown before the second is there.
pub(super) fn merge(hits: impl Iterator<Item = Hit>) -> Vec<Hit> {
    let mut merged: Vec<Hit> = Vec::new();
    for hit in hits {
        match merged.last_mut() {
            Some(last) if hit.range.start < last.range.end || last.goes_on_in(&hit) => {
                if last.credential != hit.credential {
                    last.credential = None;
                }
                last.within = last.within.min(hit.within);
                if hit.range.end > last.range.end {
                    (last.range.end, last.reach) = (hit.range.end, hit.reach);
                }
            }
            _ => merged.push(hit),
        }
    }
    merged
}

impl Hit {
    /// Whether it is of this credential and of no other.
    pub(super) fn is_of(&self, credential: Option<u32>) -> bool {
        self.credential.is_some() && self.credential == credential
    }

    fn goes_on_in(&self, next: &Self) -> bool {
        let reach = self.reach.min(next.reach);
        reach > 0 && self.is_of(next.credential) && next.range.start <= self.range.end + reach
    }
}

/// The end of the interval that `position` is inside of, else `position`: where a text can be cut with no part of a
/// value on the left side left over.
pub(super) fn not_inside(merged: &[Hit], position: usize) -> usize {
    let after = merged.partition_point(|hit| hit.range.end <= position);
    match merged.get(after) {
        Some(hit) if hit.range.start < position => hit.range.end,
        _ => position,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(range: Range<usize>, credential: u32, reach: usize) -> Hit {
        Hit { within: range.start, range, credential: Some(credential), reach }
    }

    #[test]
    fn hits_that_overlap_become_one_and_those_that_touch_stay_apart() {
        let merged =
            merge([hit(0..3, 1, 0), hit(2..5, 1, 0), hit(5..6, 1, 0), hit(6..7, 2, 0), hit(9..10, 2, 0)].into_iter());
        assert_eq!(merged, [hit(0..5, 1, 0), hit(5..6, 1, 0), hit(6..7, 2, 0), hit(9..10, 2, 0)]);
        let merged = merge([hit(0..9, 1, 0), hit(2..3, 2, 0)].into_iter());
        assert_eq!(merged, [Hit { range: 0..9, within: 0, credential: None, reach: 0 }]);
    }

    #[test]
    fn parts_of_one_value_reach_each_other() {
        let merged = merge([hit(0..3, 1, 4), hit(7..9, 1, 4), hit(14..15, 1, 4), hit(16..17, 1, 0)].into_iter());
        assert_eq!(merged, [hit(0..9, 1, 4), hit(14..15, 1, 4), hit(16..17, 1, 0)]);
    }

    #[test]
    fn a_cut_moves_out_of_an_interval_and_stays_at_its_borders() {
        let merged = [hit(2..5, 1, 0), hit(8..9, 1, 0)];
        let moved: Vec<usize> = (0..=9).map(|position| not_inside(&merged, position)).collect();
        assert_eq!(moved, [0, 1, 2, 5, 5, 5, 6, 7, 8, 9]);
    }
}
