//! Scrubbing what arrives piece by piece: whatever the pieces, what comes out is what the whole would have become.

use std::sync::Arc;

use super::counts::Counts;
use super::held::cut_before;
use super::intervals::Hit;
use super::redactor::{Redactor, lossy};
use super::scan::Scan;

/// Held back at most, in bytes, for what may be something encoded: a value itself is waited for longer than that.
const HELD: usize = 256 * 1024;
/// What is held back is searched again when it has grown by this share of itself, so that many small pieces cost no more
/// than a few large ones.
pub(super) const GROWTH: usize = 8;

/// A text that is still being written, such as standard output, scrubbed as it comes.
///
/// ```ignore
/// let mut stream = redactor.stream("stdout");
/// show(stream.feed(b"the key is hunt"));
/// show(stream.feed(b"er2-hunter2 and more"));
/// let (rest, counts) = stream.finish();
/// ```
pub struct Stream {
    redactor: Arc<Redactor>,
    field: &'static str,
    counts: Counts,
    held: Vec<u8>,
    /// How much of `held` was searched in vain.
    searched: usize,
    /// Whose marker was the last thing to be released, if nothing came after it.
    after: Option<u32>,
}

impl Redactor {
    /// Where to cut at `at` or before it, so that no hit, nor anything it may go on in, and no marker is cut, and what is left
    /// is found to be the same without what is before it.
    pub(super) fn uncut(&self, text: &[u8], scan: &Scan, at: usize) -> usize {
        let hits = self.hits(scan, usize::MAX);
        let mut cut = at;
        loop {
            let moved = cut_before(text, scan.not_in_a_marker(begin_of_hit(&hits, cut)));
            if moved == cut {
                return cut;
            }
            cut = moved;
        }
    }

    /// Begins a stream; what is found in it counts for `field`.
    pub fn stream(self: &Arc<Self>, field: &'static str) -> Stream {
        let (counts, held) = Default::default();
        Stream { redactor: self.clone(), field, counts, held, searched: 0, after: None }
    }
}

impl Stream {
    /// Takes the next bytes and gives what may be shown now, scrubbed: everything before what may still turn out to be a part
    /// of a value. What is not UTF-8 becomes U+FFFD; a character that is not complete yet is held back.
    pub fn feed(&mut self, bytes: &[u8]) -> String {
        self.held.extend_from_slice(bytes);
        if self.held.len() - self.searched < self.searched / GROWTH {
            return String::new();
        }
        self.release(true)
    }

    /// The text has ended: the rest of it, and what was found in all of it.
    pub fn finish(mut self) -> (String, Counts) {
        let rest = self.release(false);
        (rest, self.counts)
    }

    /// The text goes on, but not here: what may be a part of a value that goes on with it is not shown (SA-3).
    pub fn cut(mut self) -> (String, Counts) {
        let rest = self.release(true);
        (rest, self.counts)
    }

    /// Bytes that were fed and not released yet.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn release(&mut self, more: bool) -> String {
        let scan = self.redactor.search(&self.held, more);
        let mut cut = if more { self.redactor.uncut(&self.held, &scan, scan.open) } else { self.held.len() };
        if self.held.len() - cut > HELD {
            cut = scan.not_in_a_marker(not_in_a_value(&scan));
        }
        let hits = self.redactor.hits(&scan, cut);
        self.redactor.count(&scan, cut, self.field, &mut self.counts);
        let text = self.redactor.replaced(&self.held, 0..cut, &hits, &mut self.after);
        self.held.drain(..cut);
        self.searched = self.held.len();
        lossy(text)
    }
}

fn begin_of_hit(hits: &[Hit], at: usize) -> usize {
    let cut = hits.iter().filter(|hit| hit.within < at && at < hit.range.end + hit.reach).map(|hit| hit.within).min();
    cut.unwrap_or(at)
}

/// Where to cut when too much is held: in front of the value that is open, or of one that reaches into it. Only of a row of
/// short values without anything between, which was taken as one, the end may be cut off what goes on.
fn not_in_a_value(scan: &Scan) -> usize {
    let mut cut = scan.value_open;
    for found in scan.found.iter().rev().filter(|found| found.range.start < scan.value_open) {
        if found.range.start < cut && cut < found.range.end {
            cut = if found.count > 1 { found.range.end } else { found.range.start };
        }
    }
    cut
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream of {}, {} bytes held", self.field, self.held.len())
    }
}
