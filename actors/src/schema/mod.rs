//! JSON Schema (draft 2020-12, without its rarer parts) for the answers of an LLM.
//!
//! A schema is a script's and so hostile if it likes. A general library follows references without end, or compiles patterns
//! that take for ever; this takes a subset whose cost is bounded, and refuses the rest by name.
//!
//! Invariants
//! - SC-1: a schema is checked as a whole before it is used: what is not understood is an error, never ignored.
//! - SC-2: whatever schema and answer are, judging takes at most [`FUEL`] steps and [`DEEPEST`] levels.
//! - SC-3: nothing is fetched: references point into the schema itself.

mod check;
mod judge;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use judge::Misfit;

/// Steps that judging an answer may take; one is a look at a value, a member, or 64 bytes of a pattern's text.
const FUEL: u64 = 2_000_000;
/// Schemas within schemas, references followed.
const DEEPEST: usize = 200;

/// Whether this JSON text is a schema that answers can be judged by; if not, why.
pub fn check(schema: &str) -> Result<(), String> {
    let schema: Value = serde_json::from_str(schema).map_err(|_| "it is not JSON".to_owned())?;
    check::check(&schema)
}

/// Whether an answer is JSON that fits a checked schema. Costly for large ones: not for an async thread.
pub fn judge(schema: &str, answer: &str) -> Result<(), Misfit> {
    let misfit = |problem: &str| Misfit { at: String::new(), problem: problem.to_owned() };
    let schema: Value = serde_json::from_str(schema).map_err(|_| misfit("can't be judged: its schema is not JSON"))?;
    let answer: Value = serde_json::from_str(answer).map_err(|error| {
        misfit(&format!(
            "must be JSON: it breaks off or goes wrong at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    judge::judge(&schema, &answer)
}
