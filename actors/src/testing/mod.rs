//! Stand-ins for the world, for tests of this crate and of those that use it.

mod clock;
mod entropy;
mod store;
mod worker;

pub use clock::FakeClock;
pub use entropy::SeededEntropy;
pub use store::MemoryStore;
pub use worker::{ScriptedLauncher, ScriptedRun};
