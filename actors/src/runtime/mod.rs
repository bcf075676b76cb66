//! The only place that knows actix well: starting actors, restarting them after a panic, and calling them.
//!
//! actix's own supervisor does not restart after a panic, its mailboxes give no back-pressure and `do_send` drops
//! silently. So an actor here is made by a factory, which is called again after a panic; it is reached through a
//! [`Mailbox`], which survives the restart; and every call has a time limit.

mod mailbox;
mod supervise;

pub use mailbox::Mailbox;
pub use supervise::supervise;
