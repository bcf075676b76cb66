//! What an execution asked the network for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// All that an execution asked of one host and port, with one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressEntry {
    /// The name the script asked for, or the address if it asked for none.
    pub host: String,
    /// The port; `None` for the resolution of a name.
    pub port: Option<u16>,
    /// Whether it was let through.
    pub allowed: bool,
    /// Why not, or by which rule.
    pub reason: Option<String>,
    /// How often it was asked for.
    pub count: u64,
    /// Bytes that left, where they were counted.
    pub bytes_sent: Option<u64>,
    /// Bytes that came in, where they were counted; the end of each connection may count as one.
    pub bytes_received: Option<u64>,
    /// When it was first asked for.
    pub first_at: Timestamp,
}
