//! Scrubbing standard output and standard error, and cutting them to what is kept. Redact first, then cut.

use super::counts::Counts;
use super::intervals::{Hit, not_inside};
use super::redactor::{Redactor, lossy};
use crate::ports::OutputTail;

/// What was captured of one stream, raw.
#[derive(Debug, Default)]
pub struct Captured {
    /// The first bytes, in order.
    pub head: Vec<u8>,
    /// How it ended, if it was longer than the head.
    pub tail: Option<OutputTail>,
}

impl Redactor {
    /// The text of a stream that an agent may see: scrubbed, of more than `keep` bytes the head and the tail, with the
    /// number of dropped bytes between. What is not UTF-8 becomes U+FFFD.
    pub fn scrub_output(&self, captured: Captured, keep: usize, field: &'static str, counts: &mut Counts) -> String {
        let Captured { mut head, tail } = captured;
        let tail = tail.unwrap_or_default();
        let half = keep / 2;
        if tail.dropped_bytes > 0 {
            // What was dropped may hold the rest of a value that begins in the head or ends in the tail: what may be a
            // part of one is not shown on either side (SA-3).
            let scan = self.search(&head, true);
            let head_hits = self.hits(&scan, usize::MAX);
            let at_risk = self.at_risk();
            // Of something encoded that goes on for long, what lies further back was searched as a whole.
            let open = scan.open.max(head.len().saturating_sub(at_risk)).min(scan.value_open);
            let end = front_cut(&head, &head_hits, half.min(open));
            self.count(&scan, end, field, counts);
            let tail_hits = self.find(&tail.bytes, field, counts);
            let wanted = tail.bytes.len().saturating_sub(half).max(at_risk.min(tail.bytes.len()));
            let start = back_cut(&tail.bytes, &tail_hits, wanted);
            let lost = (head.len() - end) as u64 + tail.dropped_bytes + start as u64;
            let front = self.replaced(&head, 0..end, &head_hits, &mut None);
            let back = self.replaced(&tail.bytes, start..tail.bytes.len(), &tail_hits, &mut None);
            return joined(front, lost, back);
        }
        head.extend(tail.bytes);
        let hits = self.find(&head, field, counts);
        if head.len() <= keep {
            return lossy(self.replaced(&head, 0..head.len(), &hits, &mut None));
        }
        let end = front_cut(&head, &hits, half);
        let start = back_cut(&head, &hits, head.len() - half).max(end);
        joined(
            self.replaced(&head, 0..end, &hits, &mut None),
            (start - end) as u64,
            self.replaced(&head, start..head.len(), &hits, &mut None),
        )
    }

    /// A text of the runtime's own making (an error, a traceback), of which no more than the first `keep` bytes are shown.
    /// The runtime cuts such a text at `keep` + 64 KiB or later, so what it cut through is never shown.
    pub fn scrub_head(&self, text: &str, keep: usize, field: &'static str, counts: &mut Counts) -> String {
        if text.len() <= keep {
            return self.scrub(text, field, counts);
        }
        let hits = self.find(text.as_bytes(), field, counts);
        let end = front_cut(text.as_bytes(), &hits, keep);
        joined(self.replaced(text.as_bytes(), 0..end, &hits, &mut None), (text.len() - end) as u64, Vec::new())
    }
}

/// Where to end a head of about `wanted` bytes: outside every hit, and not inside a character.
fn front_cut(bytes: &[u8], hits: &[Hit], wanted: usize) -> usize {
    let mut cut = wanted.min(bytes.len());
    while cut > 0 && bytes.get(cut).is_some_and(continues_a_character) && wanted - cut < 3 {
        cut -= 1;
    }
    not_inside(hits, cut)
}

/// Where to begin a tail at about `wanted`: outside every hit, and not inside a character.
fn back_cut(bytes: &[u8], hits: &[Hit], wanted: usize) -> usize {
    let mut cut = wanted.min(bytes.len());
    while bytes.get(cut).is_some_and(continues_a_character) && cut - wanted < 3 {
        cut += 1;
    }
    not_inside(hits, cut)
}

fn continues_a_character(byte: &u8) -> bool {
    byte & 0xC0 == 0x80
}

fn joined(front: Vec<u8>, dropped: u64, back: Vec<u8>) -> String {
    format!("{}\n[... {dropped} bytes dropped ...]\n{}", lossy(front), lossy(back))
}
