//! Workers: the processes that run scripts, and the server's side of them.
//!
//! - [`protocol`] and [`wiped`]: the typed frames between the two, and the buffers that leave no secret behind;
//! - [`launch`]: the server's side, an adapter for the core's `WorkerLauncher` port;
//! - [`guard`]: the worker's side, `airlock worker`: confinement and supervision of the Python fork server;
//! - `python/`: the fork server and the script's SDK, embedded here and handed over in memory;
//! - `native/`: the fork server's loop and what makes a forked process an execution's, a library that `build.rs` compiles;
//! - [`cgroup`]: control groups, the server's part and the guard's;
//! - [`tree`]: removes folders that untrusted code has filled.
//!
//! Invariants, which the tests cite:
//!
//! - **WK-1** What comes from the other side of a pipe is hostile: lengths are checked before memory is taken.
//! - **WK-2** A run's `Ended` is sent once, last, and after every process of that run is gone.
//! - **WK-3** Nothing of a worker outlives its guard, and no guard its server, however either of them ended.
//! - **WK-4** A script starts under the whole confinement or not at all.
//! - **WK-5** Settings travel in pipes alone; no environment, argument or file of any process holds one.
//! - **WK-6** The memory that one run's output and result can take in guard and server has a bound.

pub mod cgroup;
pub mod guard;
pub mod launch;
pub mod protocol;
pub(crate) mod tree;
pub(crate) mod wiped;

/// Not part of this crate: here so that rustfmt and clippy see it. Its tests are those of `python/`, which loads it.
#[cfg(test)]
mod native {
    mod linux;
    mod process;
    mod serve;
}
