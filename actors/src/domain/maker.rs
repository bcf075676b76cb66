//! Who made something, or wrote the words that go with it.

use serde::{Deserialize, Serialize};

/// Agents need no session: they may make fewer things than a person, and a person is told which words are theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maker {
    /// Whoever reaches the agents' interface.
    Agent,
    /// The administrator.
    Person,
}

impl Maker {
    /// As it is written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Person => "person",
        }
    }
}
