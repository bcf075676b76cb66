//! Airlock's core: what it is about ([`domain`]), what it needs from the world ([`ports`]), and the actors that do the work.
//! It can't name a transport, a database or a container engine: adapters in the `airlock` package implement the ports and
//! call [`core::Core`].
//!
//! ```text
//! Core ── what adapters call
//!  ├─ Vault             ┐
//!  ├─ ProfileRegistry   │ one each, on the control thread, restarted after a panic from what is on disk
//!  ├─ WorkerPool        │ (runtime::supervise)
//!  ├─ Sanitizer         ┘
//!  ├─ Execution × n       one for each live execution, on the executors' threads; found through its Directory
//!  └─ Sessions            no actor: a map behind a lock
//! ```
//!
//! The invariants are numbered at the top of each module (`VA-1`, `EX-2`, …), and tests and comments cite them.

pub mod core;
pub mod crypto;
pub mod domain;
pub mod execution;
pub mod ports;
pub mod profile_registry;
pub mod runtime;
pub mod sanitizer;
pub mod schema;
pub mod sessions;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vault;
pub mod worker_pool;
