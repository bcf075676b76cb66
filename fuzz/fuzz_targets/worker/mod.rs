//! The modules under test, by path: they need little of the package around them.

#[allow(dead_code, missing_docs)]
#[path = "../../../src/worker/protocol.rs"]
pub mod protocol;
#[allow(dead_code)]
#[path = "../../../src/worker/wiped.rs"]
pub(crate) mod wiped;
