//! Finds any of very many texts in one pass over a squeezed text, at a cost that hardly depends on their number.
//!
//! Of each text (a *needle*) four overlapping grams of eight bytes are entered into a table. The pass looks at every fourth
//! position only: wherever a needle stands, one of its four grams is there. A small bitmap says no to almost all of what is
//! no gram, so that the table is rarely asked; a fingerprint of the whole needle then decides. Needles too short for that
//! (8 to 10 bytes) have grams of five bytes and a bitmap of their own.
//!
//! No needle is kept: a gram, a length and a fingerprint are enough, about 250 bytes for each, however long it is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::form::Form;
use super::squeeze::FOLD;

/// Shortest needle.
pub(super) const SHORTEST: usize = 8;
/// Positions to a look.
const STRIDE: usize = 4;
const GRAM: usize = 8;
/// Needles from this length on have grams of eight bytes.
const LONG: usize = GRAM + STRIDE - 1;
const SHORT_GRAM: u64 = 0x00FF_FFFF_FFFF;
/// Bits of a bitmap for each gram in it. Each sets two bits of one word, so that about one look in fifty asks the table in
/// vain; more bits would be right more often, and fall out of the caches next to the core.
const BITS_FOR_A_GRAM: usize = 16;
/// Places of a needle that are compared for where its grams are best taken.
const PLACES: usize = 24;

/// One text to find, squeezed and folded.
pub(super) struct Needle {
    pub(super) part: u32,
    pub(super) form: Form,
    len: u32,
    fingerprint: u64,
}

/// Where a gram is from.
#[derive(Clone, Copy)]
struct Source {
    needle: u32,
    offset: u32,
}

type Grams = HashMap<u64, (u32, u32), BuildHasherDefault<Mixer>>;

/// See the module.
#[derive(Default)]
pub(super) struct Index {
    needles: Vec<Needle>,
    /// For each gram, which of `sources` are its.
    grams: Grams,
    sources: Vec<Source>,
    long: Bitmap,
    short: Bitmap,
    /// The first eight bytes of each needle, most significant first, and its length; in order.
    heads: Vec<(u64, u32)>,
    longest: usize,
}

/// Gathers needles.
#[derive(Default)]
pub(super) struct Builder {
    needles: Vec<Needle>,
    known: HashMap<(u64, u32), ()>,
    heads: Vec<(u64, u32)>,
    entries: Vec<(u64, Source)>,
    /// How many needles took their grams from where this one is.
    taken: HashMap<u64, u32>,
}

impl Builder {
    /// Adds a needle; the first of two that are the same is kept. `text` is folded.
    pub(super) fn add(&mut self, text: &[u8], part: u32, form: Form) {
        let (Ok(len), fingerprint) = (u32::try_from(text.len()), fingerprint(text)) else { return };
        if text.len() < SHORTEST || self.known.insert((fingerprint, len), ()).is_some() {
            return;
        }
        let Ok(needle) = u32::try_from(self.needles.len()) else { return };
        self.needles.push(Needle { part, form, len, fingerprint });
        self.heads.push((head(text), len));
        let at = if text.len() < LONG { 0 } else { self.best_place(text) };
        for offset in at..at + STRIDE {
            let Some(gram) = gram_at(text, offset) else { continue };
            let gram = if text.len() < LONG { gram & SHORT_GRAM } else { gram };
            self.entries.push((gram, Source { needle, offset: u32::try_from(offset).unwrap_or(0) }));
        }
    }

    /// Where the grams are shared with the fewest others, and of those where they have the most different bytes.
    fn best_place(&mut self, text: &[u8]) -> usize {
        let last = text.len() - LONG;
        let step = (last / PLACES).max(1);
        let cost = |at: &usize| {
            let window = text.get(*at..*at + LONG).unwrap_or_default();
            let shared = gram_at(text, *at).and_then(|gram| self.taken.get(&gram)).copied().unwrap_or(0);
            let repeated =
                window.iter().enumerate().filter(|(index, byte)| window.iter().take(*index).any(|b| b == *byte));
            (shared, repeated.count())
        };
        let best = (0..=last).step_by(step).min_by_key(cost).unwrap_or(0);
        if let Some(gram) = gram_at(text, best) {
            *self.taken.entry(gram).or_default() += 1;
        }
        best
    }

    pub(super) fn build(mut self) -> Index {
        self.heads.sort_unstable();
        self.entries.sort_unstable_by_key(|(gram, _)| *gram);
        let short = self.entries.iter().filter(|(gram, _)| *gram <= SHORT_GRAM).count();
        let mut index = Index {
            long: Bitmap::for_grams(self.entries.len() - short),
            short: Bitmap::for_grams(short),
            longest: self.heads.iter().map(|(_, len)| *len as usize).max().unwrap_or(0),
            needles: self.needles,
            heads: self.heads,
            ..Index::default()
        };
        for same in self.entries.chunk_by(|(left, _), (right, _)| left == right) {
            let Some(&(gram, _)) = same.first() else { continue };
            let start = u32::try_from(index.sources.len()).unwrap_or(u32::MAX);
            index.sources.extend(same.iter().map(|(_, source)| *source));
            index.grams.insert(gram, (start, u32::try_from(index.sources.len()).unwrap_or(u32::MAX)));
            if gram <= SHORT_GRAM { index.short.set(gram) } else { index.long.set(gram) }
        }
        index.needles.shrink_to_fit();
        index.heads.shrink_to_fit();
        index.sources.shrink_to_fit();
        index
    }
}

impl Index {
    /// The longest needle, in squeezed bytes.
    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    /// Bytes it takes.
    pub(super) fn memory(&self) -> usize {
        self.needles.capacity() * size_of::<Needle>()
            + self.sources.capacity() * size_of::<Source>()
            + self.heads.capacity() * size_of::<(u64, u32)>()
            // A control byte and a spare eighth for each entry.
            + self.grams.capacity() * (size_of::<(u64, (u32, u32))>() + 1) * 8 / 7
            + self.long.memory()
            + self.short.memory()
    }

    /// Calls `each` with every needle in `text` and where it begins. `text` need not be folded. Returns how many
    /// fingerprints had to be taken.
    pub(super) fn find(&self, text: &[u8], mut each: impl FnMut(&Needle, std::ops::Range<usize>)) -> u64 {
        if self.needles.is_empty() {
            return 0;
        }
        let (quads, rest) = text.as_chunks::<STRIDE>();
        let Some((first, more)) = quads.split_first() else { return 0 };
        let mut low = u64::from(folded(first));
        let (has_long, has_short) = (!self.long.words.is_empty(), !self.short.words.is_empty());
        let mut taken = 0;
        let mut look = |gram: u64, at: usize| {
            if has_long && self.long.has(gram) {
                taken += self.look_up(text, gram, at, &mut each);
            }
            if has_short && self.short.has(gram & SHORT_GRAM) {
                taken += self.look_up(text, gram & SHORT_GRAM, at, &mut each);
            }
        };
        for (number, quad) in more.iter().enumerate() {
            let high = u64::from(folded(quad));
            look(low | high << 32, number * STRIDE);
            low = high;
        }
        let mut last = [0; STRIDE];
        for (byte, end) in last.iter_mut().zip(rest) {
            *byte = *end;
        }
        look(low | u64::from(folded(&last)) << 32, more.len() * STRIDE);
        taken
    }

    #[cold]
    fn look_up(
        &self,
        text: &[u8],
        gram: u64,
        at: usize,
        each: &mut impl FnMut(&Needle, std::ops::Range<usize>),
    ) -> u64 {
        let Some(&(start, end)) = self.grams.get(&gram) else { return 0 };
        let mut taken = 0;
        for source in self.sources.get(start as usize..end as usize).unwrap_or_default() {
            let Some(needle) = self.needles.get(source.needle as usize) else { continue };
            let Some(start) = at.checked_sub(source.offset as usize) else { continue };
            let range = start..start + needle.len as usize;
            let Some(there) = text.get(range.clone()) else { continue };
            taken += 1;
            if fingerprint(there) == needle.fingerprint {
                each(needle, range);
            }
        }
        taken
    }

    /// The first position from which `text` may be the beginning of a needle that goes on after it; its length if none.
    /// Of a needle only the first eight bytes are compared, so that it may be one that turns out not to go on.
    pub(super) fn open_from(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest.saturating_sub(1));
        (first..text.len()).find(|&start| self.may_begin(text.get(start..).unwrap_or_default())).unwrap_or(text.len())
    }

    fn may_begin(&self, end: &[u8]) -> bool {
        let head = head(end);
        let unknown = 8 * GRAM.saturating_sub(end.len());
        let last = head | 1u64.checked_shl(unknown as u32).map_or(u64::MAX, |bit| bit - 1);
        let from = self.heads.partition_point(|(other, _)| *other < head);
        let candidates = self.heads.get(from..).unwrap_or_default();
        candidates.iter().take_while(|(other, _)| *other <= last).any(|(_, len)| *len as usize > end.len())
    }
}

fn folded(quad: &[u8; STRIDE]) -> u32 {
    u32::from_le_bytes(*quad) | u32::from_ne_bytes([FOLD; 4])
}

/// The folded gram at `at`, padded with zeros.
fn gram_at(text: &[u8], at: usize) -> Option<u64> {
    let mut gram = [0; GRAM];
    let there = text.get(at..)?;
    for (byte, text) in gram.iter_mut().zip(there) {
        *byte = *text | FOLD;
    }
    Some(u64::from_le_bytes(gram))
}

/// The first eight bytes, folded, padded with zeros, so that they sort as texts do.
fn head(text: &[u8]) -> u64 {
    gram_at(text, 0).map_or(0, u64::swap_bytes)
}

/// Of the folded text. Whoever makes two texts that have the same is scrubbed where he need not be, and that is all.
fn fingerprint(text: &[u8]) -> u64 {
    let (words, rest) = text.as_chunks::<8>();
    let folds = u64::from_ne_bytes([FOLD; 8]);
    let mut sum = mixed(text.len() as u64);
    for word in words {
        sum = mixed(sum ^ (u64::from_le_bytes(*word) | folds));
    }
    gram_at(rest, 0).map_or(sum, |gram| mixed(sum ^ gram))
}

/// The multiplication and shift of splitmix64.
fn mixed(number: u64) -> u64 {
    let product = number.wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    product ^ product >> 29
}

/// A set of grams that says yes too often.
#[derive(Default)]
struct Bitmap {
    words: Vec<u64>,
    /// How far to shift a hash for a word's number.
    shift: u32,
}

impl Bitmap {
    fn for_grams(count: usize) -> Self {
        if count == 0 {
            return Self::default();
        }
        let words = (count * BITS_FOR_A_GRAM / 64).next_power_of_two().max(2);
        Self { words: vec![0; words], shift: 64 - words.trailing_zeros() }
    }

    /// Which word, and which of its bits.
    fn place(&self, gram: u64) -> (usize, u64) {
        let hash = gram.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (word, bits) = (hash >> self.shift.min(63), hash >> 20);
        (word as usize, 1 << (bits % 64) | 1 << (bits / 64 % 64))
    }

    fn set(&mut self, gram: u64) {
        let (word, bits) = self.place(gram);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bits;
        }
    }

    fn has(&self, gram: u64) -> bool {
        let (word, bits) = self.place(gram);
        self.words.get(word).is_some_and(|word| word & bits == bits)
    }

    fn memory(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// Grams need no keyed hash: the table is only asked for what the bitmap lets through, and its keys are ours.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = mixed(self.0 ^ number);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn index(needles: &[String]) -> Index {
        let mut builder = Builder::default();
        for (part, needle) in needles.iter().enumerate() {
            builder.add(needle.as_bytes(), part as u32, Form::Literal);
        }
        builder.build()
    }

    fn found(index: &Index, text: &str) -> Vec<(u32, usize)> {
        let mut found = Vec::new();
        index.find(text.as_bytes(), |needle, range| found.push((needle.part, range.start)));
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn it_finds_what_a_search_for_each_finds(
            needles in proptest::collection::btree_set("[ab]{8,14}|[a-e]{8,40}", 1..6),
            text in "[abC]{0,60}",
            places in proptest::collection::vec((0usize..60, 0usize..6), 0..4),
        ) {
            let needles: Vec<String> = needles.into_iter().collect();
            let mut text = text;
            for (at, which) in places {
                if let Some(needle) = needles.get(which) {
                    text.insert_str(at.min(text.len()), needle);
                }
            }
            let folded = text.to_ascii_lowercase();
            let mut expected: Vec<(u32, usize)> = Vec::new();
            for (part, needle) in needles.iter().enumerate() {
                expected.extend((0..folded.len()).filter(|at| folded[*at..].starts_with(needle)).map(|at| (part as u32, at)));
            }
            expected.sort_unstable();
            prop_assert_eq!(found(&index(&needles), &text), expected);
        }

        #[test]
        fn what_may_go_on_is_held_and_nothing_before_it(needle in "[ab]{8,20}", text in "[abc]{0,30}", cut in 0usize..20) {
            let index = index(std::slice::from_ref(&needle));
            let text = format!("{text}c{}", &needle[..cut.min(needle.len() - 1)]);
            let open = index.open_from(text.as_bytes());
            let true_open = (0..text.len()).find(|at| needle.starts_with(&text[*at..])).unwrap_or(text.len());
            prop_assert!(open <= true_open, "{text} {open} {true_open}");
            if open < text.len() {
                let shown = &text[open..];
                prop_assert!(needle.starts_with(&shown[..shown.len().min(8)]) && shown.len() < needle.len());
            }
        }
    }

    #[test]
    fn needles_with_the_same_beginning_take_their_grams_elsewhere() {
        let needles: Vec<String> = (0..500).map(|n| format!("samebeginningofall{n:08x}andend")).collect();
        let index = index(&needles);
        let work = index.find("samebeginningofall".repeat(100).as_bytes(), |_, _| {});
        assert!(work < 2_000, "{work} fingerprints for a text of beginnings");
        assert_eq!(found(&index, &needles[77]), [(77, 0)]);
    }

    #[test]
    fn memory_is_some_hundred_bytes_a_needle_however_long_it_is() {
        let needles: Vec<String> = (0..1_000).map(|n| format!("{n:04}").repeat(500)).collect();
        let memory = index(&needles).memory();
        assert!((100_000..400_000).contains(&memory), "{memory}");
    }
}
