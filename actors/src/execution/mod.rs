//! An Execution: one actor each, from acceptance to the final record.
//!
//! May use: the Store port, a pool's [`Lease`], the mailboxes of Vault, Sanitizer and WorkerPool.
//!
//! Invariants
//! - EX-1: nothing is shown, acknowledged or started before the record that says so is on disk.
//! - EX-2: a script is started once at most: a record that may have started is never `pending` again, unless whoever
//!   submitted it asked for a replay.
//! - EX-3: a final record is written once and never changes.
//! - EX-4: everything an agent can see has passed the redactor of what the script was given.
//! - EX-5: a timer of an earlier state does nothing.
//! - EX-6: an answer that was acknowledged is on disk and reaches the script, unless that ends before.
//! - EX-7: a script that stands still for its LLM holds no running slot, and its time does not count.

mod actor;
mod awaiting;
mod directory;
mod leak;
mod live;
mod machine;
mod outcome;
mod panicked;
mod questions;
mod steady;
#[cfg(test)]
mod tests;
mod waits;

pub use actor::{Accepted, Execution, Parts, Ticket};
pub(crate) use directory::Command;
pub use directory::Directory;
pub(crate) use live::{LiveOutput, part_of};
pub use machine::StopReason;
pub(crate) use outcome::{interrupted, stopped_while_down, to_be_replayed};
#[cfg(test)]
pub(crate) use questions::MAX_REQUESTS;
pub(crate) use questions::{NotTaken, Respond};
