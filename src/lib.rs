//! Airlock's adapters and wiring: HTTP, the store, the workers, the command line.

pub mod app;
pub mod cli;
pub mod config;
pub mod data_folder;
pub mod http;
pub mod master_key;
pub(crate) mod sandbox;
pub mod store;
pub mod system;
pub mod telemetry;
pub mod worker;
