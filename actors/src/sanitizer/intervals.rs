//! Where the values stand in a text, merged so that overlapping ones are scrubbed together.

use std::ops::Range;

/// Merges hits that overlap or touch; `hits` come in any order. Touching ones are merged too, so that two markers in a
/// row don't tell where one value ends and the next begins.
pub(super) fn merge(mut hits: Vec<Range<usize>>) -> Vec<Range<usize>> {
    hits.sort_unstable_by_key(|hit| hit.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(hits.len());
    for hit in hits {
        match merged.last_mut() {
            Some(last) if hit.start <= last.end => last.end = last.end.max(hit.end),
            _ => merged.push(hit),
        }
    }
    merged
}

/// The end of the interval that `position` is inside of, else `position`: where a text can be cut with no part of a
/// value on the left side left over.
pub(super) fn not_inside(merged: &[Range<usize>], position: usize) -> usize {
    let after = merged.partition_point(|interval| interval.end <= position);
    match merged.get(after) {
        Some(interval) if interval.start < position => interval.end,
        _ => position,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_that_overlap_touch_or_nest_become_one() {
        assert_eq!(merge(vec![4..6, 0..3, 2..5, 6..7, 9..10]), vec![0..7, 9..10]);
        assert_eq!(merge(vec![0..9, 2..3]), vec![0..9]);
        assert_eq!(merge(Vec::new()), Vec::<Range<usize>>::new());
    }

    #[test]
    fn a_cut_moves_out_of_an_interval_and_stays_at_its_borders() {
        let merged = [2..5, 8..9];
        let moved: Vec<usize> = (0..=9).map(|position| not_inside(&merged, position)).collect();
        assert_eq!(moved, [0, 1, 2, 5, 5, 5, 6, 7, 8, 9]);
    }
}
