//! An Execution: one actor each, from acceptance to the final record.
//!
//! May use: the Store port, a pool's [`Lease`], the mailboxes of Vault, Sanitizer and WorkerPool.
//!
//! Invariants
//! - EX-1: nothing is shown, acknowledged or started before the record that says so is on disk.
//! - EX-2: a script is started once at most: a record that may have started is never `pending` again.
//! - EX-3: a final record is written once and never changes.
//! - EX-4: everything an agent can see has passed the redactor of what the script was given.
//! - EX-5: a timer of an earlier state does nothing.

mod actor;
mod directory;
mod machine;
mod outcome;
#[cfg(test)]
mod tests;

pub use actor::{Accepted, Execution, Parts, Ticket};
pub use directory::Directory;
pub use machine::StopReason;
pub(crate) use outcome::interrupted;
