//! Airlock.

fn main() {}
