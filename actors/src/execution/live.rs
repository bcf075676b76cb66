//! Output while the script runs, for those who look: scrubbed, as far as it can't change any more.
//!
//! What is published of a stream is the beginning of the text that the final record will have: a reader knows where it is by
//! the number of bytes it has, before and after the end, and across a restart. Nothing is kept for a reader, so a slow one holds
//! nothing up.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::ports::OutputStream;
use crate::sanitizer::{LiveScrub, Redactor};

/// Raw bytes scrubbed in a turn of the actor.
const TURN_BYTES: usize = 64 * 1024;

/// What is published so far.
#[derive(Default)]
pub(crate) struct LiveOutput {
    texts: Mutex<Texts>,
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct Texts {
    stdout: String,
    stderr: String,
}

impl Texts {
    fn of(&mut self, stream: OutputStream) -> &mut String {
        match stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        }
    }
}

impl LiveOutput {
    fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next at most `most` bytes of a stream from byte `from`, and where they end; empty when there are none yet.
    pub(crate) fn part(&self, stream: OutputStream, from: usize, most: usize) -> (String, usize) {
        let mut texts = self.texts();
        let (part, end) = part_of(texts.of(stream), from, most);
        (part.to_owned(), end)
    }

    /// Wakes when there may be more.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn append(&self, stream: OutputStream, text: &str) {
        if !text.is_empty() {
            self.texts().of(stream).push_str(text);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }
}

/// At most `most` bytes of `text` from byte `from`, whole characters, and where they end. From within a character it goes on
/// after that.
pub(crate) fn part_of(text: &str, from: usize, most: usize) -> (&str, usize) {
    let start = (from..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let wanted = start.saturating_add(most).min(text.len());
    let end = (start..=wanted).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(start);
    (text.get(start..end).unwrap_or_default(), end)
}

/// How far an Execution has published its output.
#[derive(Default)]
pub(super) struct Publisher {
    watched: bool,
    stdout: LiveScrub,
    stderr: LiveScrub,
}

impl Publisher {
    /// Somebody looks.
    pub(super) fn begin(&mut self) {
        self.watched = true;
    }

    /// Publishes a turn's worth of what was captured, of a head of at most `half` bytes; true when there may be more to do.
    pub(super) fn advance(
        &mut self,
        output: &LiveOutput,
        redactor: &Redactor,
        half: usize,
        captured: [(OutputStream, &[u8]); 2],
    ) -> bool {
        if !self.watched {
            return false;
        }
        let mut more = false;
        for (stream, raw) in captured {
            let scrub = match stream {
                OutputStream::Stdout => &mut self.stdout,
                OutputStream::Stderr => &mut self.stderr,
            };
            let (text, unfinished) = redactor.scrub_live(raw, scrub, half, TURN_BYTES);
            output.append(stream, &text);
            more |= unfinished;
        }
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_characters_and_put_together_are_the_text() {
        let text = "aé€😀z".repeat(9);
        for most in 4..20 {
            let mut read = String::new();
            loop {
                let (part, end) = part_of(&text, read.len(), most);
                assert!(part.len() <= most);
                if part.is_empty() {
                    break;
                }
                read.push_str(part);
                assert_eq!(end, read.len());
            }
            assert_eq!(read, text);
        }
        assert_eq!(part_of(&text, text.len() + 5, 9).0, "");
    }
}
