//! Airlock's core.

pub mod core;
pub mod crypto;
pub mod domain;
pub mod execution;
pub mod ports;
pub mod profile_registry;
pub mod runtime;
pub mod sanitizer;
pub mod sessions;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod vault;
pub mod worker_pool;
