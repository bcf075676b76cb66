//! Airlock.

pub mod worker;
