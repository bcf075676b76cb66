//! The server's side of workers: adapters for the core's `WorkerLauncher` port.
//!
//! - [`local`]: workers as processes of this machine;
//! - `process`: one guard as a child of the server, from its start to its last trace;
//! - `link`: the frames to and from it, and the limits on what may come (WK-6);
//! - `lease`: which user and folder a worker may call its own;
//! - [`python`]: which interpreter there is.

mod lease;
mod link;
pub mod local;
mod process;
pub mod python;

pub use local::{LocalConfig, LocalLauncher};
