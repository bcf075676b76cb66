//! Airlock's adapters and wiring.

pub mod store;
pub mod system;
