//! The server's side of workers: adapters for the core's `WorkerLauncher` port.
//!
//! - [`local`]: workers as processes of this machine;
//! - `process`: one guard as a child of the server, from its start to its last trace;
//! - `link`: the frames to and from it, and the limits on what may come (WK-6);
//! - `lease`: which user and folder a worker may call its own;
//! - `users`: that nobody else runs as that user, in other containers neither;
//! - [`python`]: which interpreter there is.

mod lease;
mod link;
pub mod local;
mod process;
pub mod python;
mod users;

pub use local::{LocalConfig, LocalLauncher};
