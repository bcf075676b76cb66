//! Airlock: a stand-in until the server is merged.
fn main() {}
