//! The frames between the server and a guard: a 32-bit little-endian length, then that many bytes of postcard.
//!
//! Server to guard over the guard's standard input, guard to server over its standard output. Both types borrow: a frame is
//! written from, and read in, the buffer it is in, so that a setting's value is copied no more than it must be.

use std::fmt;

use airlock_actors::domain::{ErrorType, RunLimits, Usage};
use airlock_actors::ports::{EgressSeen, OutputStream, RunToken, SandboxLayer};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::wiped::WipedBuffer;

/// Longest payload of a frame, in bytes. What can be longer (results, the ends of streams) is sent in parts.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// Longest part of a stream or a result in one frame, in bytes.
pub const MAX_PART_BYTES: usize = 256 * 1024;

/// What a guard sends of each half of a stream beyond what is kept of it, in bytes: room for the sanitizer to cut away
/// what could be half a secret.
pub const OUTPUT_MARGIN_BYTES: u64 = 64 * 1024;

/// Most requests to the LLM that an execution has open at once,
pub const MAX_OPEN_ASKS: usize = 100;
/// and most bytes of them, schemas and names of models included.
pub const MAX_OPEN_BYTES: usize = 8 * 1024 * 1024;

/// Longest message of a run's end (error, its kind and its traceback), in bytes.
pub const MAX_REPORT_BYTES: usize = 4 * 1024 * 1024;

/// Most entries of [`Ended::egress`], and the longest host in one, in bytes.
pub const MAX_EGRESS_ENTRIES: usize = 202;
/// See [`MAX_EGRESS_ENTRIES`].
pub const MAX_EGRESS_HOST_BYTES: usize = 256;

const HEADER_BYTES: usize = 4;

/// Bytes of each half of a stream that a guard sends: the head live, the tail at the end.
pub fn half_of_output(limits: &RunLimits) -> u64 {
    (limits.output_bytes / 2).saturating_add(OUTPUT_MARGIN_BYTES)
}

/// From the server to a guard.
#[derive(Serialize, Deserialize)]
pub enum ToGuard<'a> {
    /// Start a script.
    #[serde(borrow)]
    Run(Run<'a>),
    /// End a run and everything it started; its `Ended` follows. Unknown tokens are ignored.
    Kill(RunToken),
    /// What a request to the LLM came to. They come in order within a batch, with the last of which the run goes on.
    Answer {
        /// Which run.
        token: RunToken,
        /// Which batch of its requests.
        batch: u32,
        /// Which of the batch.
        index: u32,
        /// Whether the batch is complete with it.
        last: bool,
        /// What it came to.
        #[serde(borrow)]
        reply: Reply<'a>,
    },
    /// End everything, then exit.
    Shutdown,
}

/// A script to run. Has no `Debug`: it carries secrets.
#[derive(Serialize, Deserialize)]
pub struct Run<'a> {
    /// Names the run.
    pub token: RunToken,
    /// For the guard's log.
    pub execution_id: &'a str,
    /// Python source.
    pub script: &'a str,
    /// Name and value of each setting.
    #[serde(borrow)]
    pub settings: Vec<(&'a str, &'a str)>,
    /// What it may use.
    pub limits: RunLimits,
    /// Which hosts it may reach: entries as a profile has them; `None`, every public one.
    #[serde(borrow)]
    pub allowed_hosts: Option<Vec<&'a str>>,
}

/// From a guard to the server.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromGuard<'a> {
    /// First frame of a guard that can run scripts.
    Ready(Ready),
    /// First and last frame of a guard that can't: a sentence that says what to do.
    Fatal(String),
    /// A part of what a run leaves.
    Part(RunToken, Piece, #[serde(borrow)] Bytes<'a>),
    /// A run asks the LLM a batch of requests, numbered from 1.
    Asked(RunToken, u32, #[serde(borrow)] Vec<Ask<&'a str>>),
    /// A run waits for its LLM and stands still, so many batches having been answered.
    Paused(RunToken, u32),
    /// The end of a run; every part of it was sent before.
    Ended(Box<Ended>),
}

/// A request to the LLM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask<T> {
    /// What is asked.
    pub prompt: T,
    /// Which model is wanted.
    pub model: T,
    /// JSON text of the schema that the answer must fit.
    pub schema: Option<T>,
}

impl<T: AsRef<str>> Ask<T> {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        let schema = self.schema.as_ref().map_or(0, |schema| schema.as_ref().len());
        self.prompt.as_ref().len() + self.model.as_ref().len() + schema
    }
}

/// What a request to the LLM came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// An answer.
    Text(&'a str),
    /// None in time: a sentence for the script.
    TimedOut(&'a str),
    /// It was not asked, since that was too much: a sentence for the script.
    Refused(&'a str),
    /// It was not asked, since it makes no sense: a sentence for the script.
    Invalid(&'a str),
}

/// What a guard says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Version of its Python.
    pub python: String,
    /// Digest of interpreter and packages.
    pub environment: String,
    /// The layers of its confinement.
    pub layers: Vec<SandboxLayer>,
}

/// What a part belongs to. Parts of the same piece follow each other in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// The beginning of a stream, sent while the script runs.
    Head(OutputStream),
    /// The last bytes of a stream whose middle was dropped.
    Tail(OutputStream),
    /// JSON text of the last `set_result`.
    Result,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which one.
    pub token: RunToken,
    /// How.
    pub outcome: Outcome,
    /// True if a result was sent.
    pub has_result: bool,
    /// Bytes of standard output between head and tail; `None` when nothing is missing, and so there is no tail.
    pub stdout_dropped: Option<u64>,
    /// The same of standard error.
    pub stderr_dropped: Option<u64>,
    /// What it used.
    pub usage: Usage,
    /// Whom it asked for, at most [`MAX_EGRESS_ENTRIES`], in order.
    pub egress: Vec<EgressSeen>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The script came to its end.
    Completed,
    /// An exception ended it, or the runtime did.
    Failed {
        /// The kind.
        error_type: ErrorType,
        /// One sentence.
        error: String,
        /// The script's own lines.
        traceback: Option<String>,
    },
    /// It was ended as asked for.
    Killed,
}

/// Bytes in place: serde's own `&[u8]` would be written byte by byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InPlace;
        impl<'de> Visitor<'de> for InPlace {
            type Value = Bytes<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_borrowed_bytes<E: serde::de::Error>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(bytes))
            }
            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Bytes<'de>, E> {
                Err(E::custom("not in place"))
            }
        }
        deserializer.deserialize_bytes(InPlace).map_err(D::Error::custom)
    }
}

/// Bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is longer than the {MAX_FRAME_BYTES} that are allowed")]
    TooLong(usize),
    /// Not what the sender's type is written as, or more than that.
    #[error("a frame that can't be read")]
    Malformed,
}

/// A frame, header included, in memory of exactly its size that is wiped when dropped.
pub fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    let size = postcard::experimental::serialized_size(message).map_err(|_| FrameError::Malformed)?;
    if size > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(size));
    }
    let mut frame = Zeroizing::new(vec![0; HEADER_BYTES + size]);
    let (header, payload) = frame.split_at_mut(HEADER_BYTES);
    let length = u32::try_from(size).map_err(|_| FrameError::TooLong(size))?;
    header.copy_from_slice(&length.to_le_bytes());
    postcard::to_slice(message, payload).map_err(|_| FrameError::Malformed)?;
    Ok(frame)
}

/// Reads a frame's payload; bytes that are left over are an error too.
pub fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, FrameError> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        _ => Err(FrameError::Malformed),
    }
}

/// Cuts a stream of bytes into frames. Takes no memory for what was only announced.
#[derive(Default)]
pub struct FrameReader {
    buffer: WipedBuffer,
}

impl FrameReader {
    /// Takes what was read. Call [`Self::next_frame`] until it has none, so that at most one unfinished frame is kept.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.append(bytes);
    }

    /// The payload of the next frame, if all of it is there.
    pub fn next_frame(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, FrameError> {
        let Some((header, rest)) = self.buffer.unread().split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let length = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(FrameError::TooLong(length));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let payload = Zeroizing::new(payload.to_vec());
        self.buffer.consume(HEADER_BYTES + length);
        Ok(Some(payload))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_run<'a>(script: &'a str, settings: Vec<(&'a str, &'a str)>) -> ToGuard<'a> {
        ToGuard::Run(Run {
            token: RunToken(7),
            execution_id: "exec_1",
            script,
            settings,
            limits: RunLimits::DEFAULT,
            allowed_hosts: Some(vec!["a.example"]),
        })
    }

    #[test]
    fn a_length_above_the_cap_is_refused_before_its_payload_arrives() {
        let mut reader = FrameReader::default();
        let length = u32::try_from(MAX_FRAME_BYTES + 1).expect("fits");
        reader.push(&length.to_le_bytes());
        assert_eq!(reader.next_frame(), Err(FrameError::TooLong(MAX_FRAME_BYTES + 1)));
    }

    #[test]
    fn a_length_at_the_cap_takes_no_memory_until_bytes_arrive() {
        let mut reader = FrameReader::default();
        reader.push(&u32::try_from(MAX_FRAME_BYTES).expect("fits").to_le_bytes());
        assert_eq!(reader.next_frame(), Ok(None));
        assert!(reader.buffer.unread().len() == HEADER_BYTES);
    }

    #[test]
    fn a_message_that_does_not_fit_a_frame_is_an_error_for_its_sender() {
        let long = "x".repeat(MAX_FRAME_BYTES);
        assert!(matches!(encode(&a_run(&long, vec![])), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn bytes_after_the_message_are_refused() {
        let mut frame = encode(&ToGuard::Shutdown).expect("encodes").to_vec();
        frame.push(0);
        let payload = frame.get(HEADER_BYTES..).expect("has a payload");
        assert!(decode::<ToGuard<'_>>(payload).is_err());
    }

    #[test]
    fn parts_print_their_length_and_not_their_content() {
        let part = FromGuard::Part(RunToken(1), Piece::Result, Bytes(b"hunter2"));
        assert_eq!(format!("{part:?}"), "Part(RunToken(1), Result, [7 bytes])");
    }

    proptest! {
        #[test]
        fn runs_come_back_as_they_were_however_the_stream_is_split(
            script in ".*",
            settings in proptest::collection::vec(("[A-Z]{1,8}", ".*"), 0..4),
            cuts in proptest::collection::vec(1usize..40, 1..64),
        ) {
            let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
            let mut stream = encode(&a_run(&script, pairs.clone())).expect("encodes").to_vec();
            stream.extend_from_slice(&encode(&ToGuard::Kill(RunToken(8))).expect("encodes"));
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            let mut rest = stream.as_slice();
            for cut in cuts.iter().cycle() {
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                reader.push(part);
                while let Some(frame) = reader.next_frame().expect("valid frames") {
                    frames.push(frame);
                }
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(frames.len(), 2);
            let ToGuard::Run(run) = decode(&frames[0]).expect("decodes") else { panic!("not a run") };
            prop_assert_eq!(run.token, RunToken(7));
            prop_assert_eq!(run.script, script.as_str());
            prop_assert_eq!(run.settings, pairs);
            prop_assert_eq!(run.limits, RunLimits::DEFAULT);
            let killed = matches!(decode(&frames[1]), Ok(ToGuard::Kill(RunToken(8))));
            prop_assert!(killed);
        }

        #[test]
        fn parts_and_ends_come_back_as_they_were(
            bytes in proptest::collection::vec(any::<u8>(), 0..512),
            error in ".*",
            dropped in any::<Option<u64>>(),
        ) {
            let part = encode(&FromGuard::Part(RunToken(1), Piece::Head(OutputStream::Stderr), Bytes(&bytes))).expect("encodes");
            let back = decode(&part[HEADER_BYTES..]);
            let same = matches!(
                back,
                Ok(FromGuard::Part(RunToken(1), Piece::Head(OutputStream::Stderr), Bytes(b))) if b == bytes
            );
            prop_assert!(same);
            let seen = EgressSeen {
                host: "a.example".into(), port: dropped.map(|_| 443), refusal: None, count: 1, first_ms: 2,
                bytes_sent: dropped, bytes_received: None,
            };
            let ended = Ended {
                token: RunToken(u64::MAX),
                outcome: Outcome::Failed { error_type: ErrorType::Python("E".into()), error, traceback: None },
                has_result: true,
                stdout_dropped: dropped,
                stderr_dropped: None,
                usage: Usage { cpu_ms: 3, max_rss_bytes: 4 },
                egress: vec![seen],
            };
            let frame = encode(&FromGuard::Ended(Box::new(ended.clone()))).expect("encodes");
            let Ok(FromGuard::Ended(back)) = decode(&frame[HEADER_BYTES..]) else { panic!("not an end") };
            prop_assert_eq!(*back, ended);
        }

        #[test]
        fn garbage_is_refused_or_read_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = decode::<ToGuard<'_>>(&bytes);
            let _ = decode::<FromGuard<'_>>(&bytes);
            let mut reader = FrameReader::default();
            for part in bytes.chunks(13) {
                reader.push(part);
                while let Ok(Some(frame)) = reader.next_frame() {
                    let _ = decode::<FromGuard<'_>>(&frame);
                }
            }
        }
    }
}
