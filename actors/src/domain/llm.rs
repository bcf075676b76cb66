//! What a script asks the agent's LLM, and what it is answered.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::InvalidId;

/// Longest prompt, and longest answer, in bytes.
pub const MAX_PROMPT_BYTES: usize = 1024 * 1024;
/// Longest name of a model, in bytes.
pub const MAX_MODEL_BYTES: usize = 256;
/// Longest JSON Schema of an answer, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// Names a request within its execution: `llm_` and its number, from 1, in the order asked. A replay gives the same question
/// the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LlmRequestId(pub u32);

const PREFIX: &str = "llm_";

impl fmt::Display for LlmRequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

impl FromStr for LlmRequestId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId { kind: "LLM request" };
        let digits = text.strip_prefix(PREFIX).filter(|digits| !digits.starts_with(['0', '+']));
        digits.and_then(|digits| digits.parse().ok()).map(Self).ok_or(invalid)
    }
}

/// How a request to the LLM ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LlmEnd {
    /// The agent answered, with this text.
    Answered(String),
    /// Its time was up.
    TimedOut,
}

/// A request to the LLM, as it is stored: the prompt has passed the sanitizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LlmExchange {
    /// Its name within the execution.
    pub id: LlmRequestId,
    /// What was asked.
    pub prompt: String,
    /// Which model the script would like.
    pub model: String,
    /// JSON text of the schema that the answer must fit.
    pub schema: Option<String>,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// When its time is up.
    pub deadline: Timestamp,
    /// How it ended and when; `None` while it is open, and for good when the execution ended before it.
    pub end: Option<(LlmEnd, Timestamp)>,
}

impl LlmExchange {
    /// Bytes of its texts.
    pub fn bytes(&self) -> usize {
        let answer = match &self.end {
            Some((LlmEnd::Answered(text), _)) => text.len(),
            Some((LlmEnd::TimedOut, _)) | None => 0,
        };
        self.prompt.len() + self.model.len() + self.schema.as_ref().map_or(0, String::len) + answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_named_in_one_way_only() {
        for id in [LlmRequestId(1), LlmRequestId(40), LlmRequestId(u32::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "llm_", "llm_0", "llm_01", "llm_+1", "llm_-1", "1", "llm_4294967296", "LLM_1", "llm_1 "] {
            assert!(text.parse::<LlmRequestId>().is_err(), "{text:?} was accepted");
        }
    }
}
