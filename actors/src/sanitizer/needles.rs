//! Everything to search for, compiled.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use zeroize::Zeroizing;

use super::encode;
use super::form::Form;
use super::index::{Builder, Index, SHORTEST};
use super::marker::Markers;
use super::parts::{self, Freedom, Part};
use super::scan::gaps;
use super::squeeze::squeezed_and_folded;

/// Texts of more bytes than this in all are compiled to the kind of automaton that takes less memory.
const FASTEST_KIND_BYTES: usize = 8 * 1024;
/// Letters and digits that a form of a common word needs.
const ENOUGH_OF_A_WORD: usize = 10;
/// Digits that a form without a letter needs.
const ENOUGH_DIGITS: usize = 12;
/// Texts of this many bytes or more that are searched for as they are go into an automaton, as those do that are too short
/// for an index.
const LONG: usize = 256;
/// What is compared of the beginning of a text that is searched for as it is.
const HEAD: usize = 32;

/// A part, and what is known of it.
pub(super) struct Known {
    pub(super) part: Part,
    /// Whose value it is of.
    pub(super) credential: u32,
    /// Letters and digits, in squeezed bytes.
    pub(super) letters: usize,
    /// The longest stretch in it that is neither, in bytes.
    pub(super) gap: usize,
}

/// What is searched for as it is, because it has too few letters and digits, and is too short or too long for an index.
#[derive(Default)]
pub(super) struct Exact {
    automaton: Option<AhoCorasick>,
    /// Of each pattern: its part, its form, and its text.
    patterns: Vec<(u32, Form, usize)>,
    /// The texts, in order.
    sorted: Vec<Zeroizing<Vec<u8>>>,
    longest: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Needles {
    known: Vec<Known>,
    longest_gap: usize,
    pub(super) index: Index,
    /// What is searched for as it is, and is neither short nor long.
    pub(super) raw: Index,
    pub(super) exact: Exact,
    /// What the values are replaced by.
    pub(super) markers: Markers,
}

impl Needles {
    /// Compiles the values, each with the number of its credential.
    pub(super) fn compile<'a>(values: impl Iterator<Item = (u32, &'a str)>, markers: Markers) -> Self {
        let mut builder = Builder::default();
        let mut raw = Builder::default();
        let mut exact: Vec<(Zeroizing<Vec<u8>>, u32, Form)> = Vec::new();
        let mut known: Vec<Known> = Vec::new();
        let mut longest_gap = 0;
        for (credential, part) in
            values.flat_map(|(number, value)| parts::of(value).into_iter().map(move |p| (number, p)))
        {
            let Ok(number) = u32::try_from(known.len()) else { break };
            let letters = squeezed_and_folded(part.text.as_bytes()).len();
            // An index knows no case, which matters for a common word.
            let in_any_case = part.freedom != Freedom::Exactly;
            let mut as_it_is = |text: &[u8], form| {
                if (SHORTEST..LONG).contains(&text.len()) && (in_any_case || form != Form::Literal) {
                    raw.add(text, number, form);
                } else {
                    exact.push((Zeroizing::new(text.to_vec()), number, form));
                }
            };
            if part.freedom == Freedom::Exactly {
                as_it_is(part.text.as_bytes(), Form::Literal);
            }
            encode::all(&part.text, &mut |form, text| match place(&part, form, text) {
                Place::Index(squeezed) => builder.add(&squeezed, number, form),
                Place::Exact => as_it_is(text, form),
                Place::Nowhere => {}
            });
            let (_, gap) = gaps(part.text.as_bytes());
            longest_gap = longest_gap.max(gap);
            known.push(Known { part, credential, letters, gap });
        }
        Self { known, longest_gap, index: builder.build(), raw: raw.build(), exact: Exact::compile(exact), markers }
    }

    pub(super) fn known(&self, part: u32) -> Option<&Known> {
        self.known.get(part as usize)
    }

    /// The longest stretch in any part that is neither letter nor digit, in bytes.
    pub(super) fn longest_gap(&self) -> usize {
        self.longest_gap
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Bytes it takes.
    pub(super) fn memory(&self) -> usize {
        let texts: usize = self.known.iter().map(|known| known.part.text.capacity() + size_of::<Known>()).sum();
        self.index.memory() + self.raw.memory() + self.exact.memory() + texts
    }
}

enum Place {
    Index(Zeroizing<Vec<u8>>),
    Exact,
    Nowhere,
}

/// How a form of a part is searched for, if it is.
fn place(part: &Part, form: Form, text: &[u8]) -> Place {
    let squeezed = Zeroizing::new(squeezed_and_folded(text));
    let only_digits = squeezed.iter().all(u8::is_ascii_digit);
    let least = if only_digits { ENOUGH_DIGITS } else { SHORTEST };
    if part.freedom == Freedom::Exactly {
        // Neither its other case nor its characters with things between: ordinary text has those. Numbers and base64 are no
        // ordinary text.
        let told_apart = form >= Form::Hex && squeezed.len() >= least.max(ENOUGH_OF_A_WORD) && part.text.len() >= 4;
        return if told_apart { Place::Index(squeezed) } else { few_letters(part, form, text) };
    }
    if squeezed.len() >= least { Place::Index(squeezed) } else { few_letters(part, form, text) }
}

/// A text of many characters but few letters and digits is searched for as it is.
fn few_letters(part: &Part, form: Form, text: &[u8]) -> Place {
    // Every short value has such forms: a pass over every text for them is more than they are worth.
    if form == Form::Base85 {
        return Place::Nowhere;
    }
    let letters = squeezed_and_folded(part.text.as_bytes());
    let punctuated = part.text.len() >= SHORTEST && letters.len() < SHORTEST;
    let of_some_letters = part.freedom != Freedom::Exactly;
    if (punctuated || of_some_letters) && text.len() >= SHORTEST { Place::Exact } else { Place::Nowhere }
}

impl Exact {
    fn compile(mut texts: Vec<(Zeroizing<Vec<u8>>, u32, Form)>) -> Self {
        texts.retain(|(text, _, _)| !text.is_empty());
        texts.sort_by(|(left, part, form), (right, other, kind)| {
            (left.as_slice(), part, form).cmp(&(right.as_slice(), other, kind))
        });
        // A value that is there twice counts for its first credential.
        texts.dedup_by(|(later, _, _), (first, _, _)| later == first);
        if texts.is_empty() {
            return Self::default();
        }
        // The fastest automaton costs about a kilobyte for each byte of the texts, the other kind some tens of bytes.
        let large = texts.iter().map(|(text, _, _)| text.len()).sum::<usize>() > FASTEST_KIND_BYTES;
        let kind = large.then_some(AhoCorasickKind::ContiguousNFA);
        // Overlapping hits need the standard semantics. Building fails only past 2^31 states, which the limits on
        // values and profiles rule out; should it fail all the same, nothing may leave unscrubbed.
        #[expect(clippy::expect_used, reason = "failing closed: the execution ends, its output is not shown")]
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(kind)
            .build(texts.iter().map(|(text, _, _)| text.as_slice()))
            .expect("the values fit an automaton");
        Self {
            automaton: Some(automaton),
            longest: texts.iter().map(|(text, _, _)| text.len()).max().unwrap_or(0),
            patterns: texts.iter().map(|(text, part, form)| (*part, *form, text.len())).collect(),
            sorted: texts.into_iter().map(|(text, _, _)| text).collect(),
        }
    }

    /// Calls `each` with the part, the form and the place of every text that is in `text` and has at least `least` bytes.
    pub(super) fn find(&self, text: &[u8], least: usize, mut each: impl FnMut(u32, Form, std::ops::Range<usize>)) {
        if self.longest < least {
            return;
        }
        let Some(automaton) = self.automaton.as_ref().filter(|automaton| automaton.is_match(text)) else { return };
        for hit in automaton.find_overlapping_iter(text) {
            if let Some(&(part, form, len)) = self.patterns.get(hit.pattern().as_usize())
                && len >= least
            {
                each(part, form, hit.range());
            }
        }
    }

    pub(super) fn longest(&self) -> usize {
        self.longest
    }

    fn memory(&self) -> usize {
        let texts: usize = self.sorted.iter().map(|text| text.capacity() + 24).sum();
        self.automaton.as_ref().map_or(0, AhoCorasick::memory_usage) + texts + self.patterns.capacity() * 24
    }

    /// The first position from which `text` may be the beginning of one of the texts that goes on after it.
    pub(super) fn open_from(&self, text: &[u8]) -> usize {
        let first = text.len().saturating_sub(self.longest.saturating_sub(1));
        (first..text.len()).find(|&start| self.may_begin(text.get(start..).unwrap_or_default())).unwrap_or(text.len())
    }

    fn may_begin(&self, end: &[u8]) -> bool {
        let head = end.get(..end.len().min(HEAD)).unwrap_or_default();
        let from = self.sorted.partition_point(|text| text.as_slice() < head);
        let same = self.sorted.get(from..).unwrap_or_default().iter().take_while(|text| text.starts_with(head));
        same.map(|text| text.len()).any(|len| len > end.len())
    }
}
