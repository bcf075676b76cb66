//! What one execution's process asks its LLM: the messages, and what it may have open. All of it may be forged by the script
//! (WK-1): numbers out of order, floods and giant texts end it, and claims to be idle only hold itself up.

use zeroize::Zeroizing;

use crate::worker::protocol::{Ask, MAX_OPEN_ASKS, MAX_OPEN_BYTES, Reply};
use airlock_actors::domain::llm::{MAX_MODEL_BYTES, MAX_PROMPT_BYTES, MAX_SCHEMA_BYTES};

/// In place of the length of a schema: there is none.
const NO_SCHEMA: u32 = u32::MAX;

type Broken = &'static str;

/// A process's open questions.
#[derive(Default)]
pub(crate) struct Asking {
    /// Number of the last batch.
    asked: u32,
    /// Batches that were answered as a whole.
    answered: u32,
    /// Open batches with their number of requests, and bytes.
    open: Vec<(u32, usize, usize)>,
    /// Not yet passed on.
    fresh: Vec<(u32, Vec<Ask<String>>)>,
    /// How many answered batches it had seen when it said last that it does nothing but wait.
    idle: Option<u32>,
}

impl Asking {
    /// Takes a batch.
    pub(crate) fn ask(&mut self, batch: u32, asks: Vec<Ask<String>>) -> Result<(), Broken> {
        if self.asked.checked_add(1) != Some(batch) {
            return Err("questions out of order");
        }
        let bytes: usize = asks.iter().map(Ask::bytes).sum();
        let (open_asks, open_bytes) = self.open.iter().fold((0, 0), |(asks, bytes), (_, a, b)| (asks + a, bytes + b));
        if asks.is_empty() || open_asks + asks.len() > MAX_OPEN_ASKS || open_bytes + bytes > MAX_OPEN_BYTES {
            return Err("more questions than are allowed at once");
        }
        self.asked = batch;
        self.open.push((batch, asks.len(), bytes));
        self.fresh.push((batch, asks));
        Ok(())
    }

    /// What was asked since the last look.
    pub(crate) fn take(&mut self) -> Vec<(u32, Vec<Ask<String>>)> {
        std::mem::take(&mut self.fresh)
    }

    /// It says that it does nothing but wait; the payload is how many answered batches it has seen.
    pub(crate) fn idle(&mut self, payload: &[u8]) {
        self.idle = payload.first_chunk().map(|seen| u32::from_le_bytes(*seen));
    }

    /// A batch is answered as a whole.
    pub(crate) fn answered(&mut self, batch: u32) {
        let before = self.open.len();
        self.open.retain(|(open, ..)| *open != batch);
        if self.open.len() < before {
            self.answered += 1;
        }
    }

    /// How many batches were answered, if it waits for the rest and has seen these; then that is forgotten.
    pub(crate) fn take_idle(&mut self) -> Option<u32> {
        let seen = self.idle.take()?;
        // Else an answer is on its way to it.
        (seen == self.answered && !self.open.is_empty()).then_some(seen)
    }
}

/// A batch as the process writes it: its number, then prompt, model and schema of each, every text with its length.
pub(crate) fn decode_ask(payload: &[u8]) -> Result<(u32, Vec<Ask<String>>), Broken> {
    const UNREADABLE: Broken = "a question that can't be read";
    let mut rest = payload;
    let batch = number(&mut rest).ok_or(UNREADABLE)?;
    let mut asks = Vec::new();
    while !rest.is_empty() {
        if asks.len() == MAX_OPEN_ASKS {
            return Err("more questions than are allowed at once");
        }
        let prompt = text(&mut rest, MAX_PROMPT_BYTES)?.ok_or(UNREADABLE)?;
        let model = text(&mut rest, MAX_MODEL_BYTES)?.ok_or(UNREADABLE)?;
        let schema = text(&mut rest, MAX_SCHEMA_BYTES)?;
        asks.push(Ask { prompt, model, schema });
    }
    Ok((batch, asks))
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u32::from_le_bytes(*number))
}

fn text(rest: &mut &[u8], limit: usize) -> Result<Option<String>, Broken> {
    const UNREADABLE: Broken = "a question that can't be read";
    let length = match number(rest).ok_or(UNREADABLE)? {
        NO_SCHEMA => return Ok(None),
        length => usize::try_from(length).map_err(|_| UNREADABLE)?,
    };
    if length > limit {
        return Err("a question that is too long");
    }
    let (bytes, after) = rest.split_at_checked(length).ok_or(UNREADABLE)?;
    *rest = after;
    let text = std::str::from_utf8(bytes).map_err(|_| UNREADABLE)?;
    Ok(Some(text.to_owned()))
}

/// An answer as the process reads it.
pub(crate) fn encode_answer(batch: u32, index: u32, last: bool, reply: &Reply<'_>) -> Zeroizing<Vec<u8>> {
    let (kind, text) = match reply {
        Reply::Text(text) => (0, text),
        Reply::TimedOut(text) => (1, text),
        Reply::Refused(text) => (2, text),
        Reply::Invalid(text) => (3, text),
    };
    let mut payload = Zeroizing::new(Vec::with_capacity(10 + text.len()));
    payload.extend_from_slice(&batch.to_le_bytes());
    payload.extend_from_slice(&index.to_le_bytes());
    payload.extend_from_slice(&[u8::from(last), kind]);
    payload.extend_from_slice(text.as_bytes());
    payload
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(prompt: &str, schema: Option<&str>) -> Ask<String> {
        Ask { prompt: prompt.to_owned(), model: "default".to_owned(), schema: schema.map(str::to_owned) }
    }

    fn written(batch: u32, asks: &[Ask<String>]) -> Vec<u8> {
        let mut bytes = batch.to_le_bytes().to_vec();
        for ask in asks {
            for text in [Some(&ask.prompt), Some(&ask.model), ask.schema.as_ref()] {
                let length = text.map_or(NO_SCHEMA, |text| u32::try_from(text.len()).expect("fits"));
                bytes.extend(length.to_le_bytes());
                bytes.extend(text.map_or("", String::as_str).as_bytes());
            }
        }
        bytes
    }

    #[test]
    fn a_text_at_its_limit_passes_and_past_it_fails() {
        for (bytes, passes) in [(MAX_PROMPT_BYTES, true), (MAX_PROMPT_BYTES + 1, false)] {
            let asks = [ask(&"x".repeat(bytes), None)];
            assert_eq!(decode_ask(&written(1, &asks)).is_ok(), passes);
        }
        for (bytes, passes) in [(MAX_SCHEMA_BYTES, true), (MAX_SCHEMA_BYTES + 1, false)] {
            let asks = [ask("", Some(&"x".repeat(bytes)))];
            assert_eq!(decode_ask(&written(1, &asks)).is_ok(), passes);
        }
        for (count, passes) in [(MAX_OPEN_ASKS, true), (MAX_OPEN_ASKS + 1, false)] {
            assert_eq!(decode_ask(&written(1, &vec![ask("x", None); count])).is_ok(), passes);
        }
    }

    #[test]
    fn what_may_be_open_is_bounded_until_it_is_answered() {
        let mut asking = Asking::default();
        asking.ask(1, vec![ask("x", None); 60]).expect("allowed");
        assert!(asking.ask(2, vec![ask("x", None); 41]).is_err());
        asking.ask(2, vec![ask("x", None); 40]).expect("allowed");
        asking.answered(1);
        asking.ask(3, vec![ask("x", None); 60]).expect("allowed");

        let mut asking = Asking::default();
        let megabyte = ask(&"x".repeat(1024 * 1024 - 7), None);
        asking.ask(1, vec![megabyte; 8]).expect("exactly what is allowed");
        assert!(asking.ask(2, vec![ask("", None)]).is_err());
    }

    #[test]
    fn numbers_are_in_order_and_no_batch_is_empty() {
        let mut asking = Asking::default();
        assert!(asking.ask(2, vec![ask("x", None)]).is_err());
        assert!(asking.ask(0, vec![ask("x", None)]).is_err());
        assert!(asking.ask(1, Vec::new()).is_err());
        asking.ask(1, vec![ask("x", None)]).expect("allowed");
        assert!(asking.ask(1, vec![ask("x", None)]).is_err());
    }

    #[test]
    fn idle_counts_only_when_it_knows_every_answer_and_waits_for_one() {
        let mut asking = Asking::default();
        asking.idle(&0u32.to_le_bytes());
        assert_eq!(asking.take_idle(), None, "it waits for nothing");
        asking.ask(1, vec![ask("x", None)]).expect("allowed");
        asking.ask(2, vec![ask("x", None)]).expect("allowed");
        asking.idle(&0u32.to_le_bytes());
        assert_eq!(asking.take_idle(), Some(0));
        assert_eq!(asking.take_idle(), None, "once");
        asking.answered(1);
        asking.answered(1);
        asking.idle(&0u32.to_le_bytes());
        assert_eq!(asking.take_idle(), None, "an answer is on its way");
        asking.idle(&1u32.to_le_bytes());
        assert_eq!(asking.take_idle(), Some(1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(batch: u32, texts in proptest::collection::vec((".*", proptest::option::of(".*")), 1..5)) {
            let asks: Vec<_> = texts.iter().map(|(prompt, schema)| ask(prompt, schema.as_deref())).collect();
            let payload = written(batch, &asks);
            prop_assert_eq!(decode_ask(&payload), Ok((batch, asks)));
        }

        #[test]
        fn garbage_is_refused_or_read_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode_ask(&bytes);
        }
    }
}
