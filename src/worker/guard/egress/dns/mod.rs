//! The guard's own name service: scripts ask it in place of the machine's name servers.
//!
//! It asks those itself, with a question made anew from the name alone, and passes on the records of the answer. Which
//! addresses a name led to is remembered by the caller: connections are decided by it.
//!
//! - [`message`]: questions and answers as bytes;
//! - [`servers`]: whom to ask, after resolv.conf(5);
//! - [`lookup`]: one question under way.

pub(super) mod lookup;
pub(super) mod message;
pub(super) mod servers;
