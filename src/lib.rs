//! Airlock's adapters and wiring: HTTP, the store, the workers, the command line.

pub mod http;
