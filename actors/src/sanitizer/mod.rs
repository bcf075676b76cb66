//! The Sanitizer: what must not leave is compiled once per set of credential values, cached, and then applied to every
//! byte that an agent can see, before it is stored, streamed or returned.
//!
//! May use: `domain`. The work of scrubbing is done by the caller of a [`Redactor`], on its own thread: the actor only
//! compiles and caches.
//!
//! Invariants
//! - SA-1: nothing that ran with a set of credentials is shown without the redactor of that set.
//! - SA-2: text that holds none of the values comes out unchanged, byte for byte.
//! - SA-3: where the middle of an output was dropped, no part of a value that straddled the cut is left.
//! - SA-4: a scrubbed result is valid JSON; what is no string keeps its type unless it spells a long value.

mod intervals;
mod output;
mod redactor;
mod result;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};

pub use output::Captured;
pub use redactor::{Counts, Redactor};
pub use result::InvalidResult;

use crate::domain::CredentialName;
use crate::vault::Setting;

/// Most compiled sets kept. One is in the order of ten times its values' bytes.
const CACHED_SETS: usize = 256;

/// What a compiled set is known by: the credentials and the versions of their values.
type SetKey = Vec<(CredentialName, u64)>;

/// The actor.
#[derive(Default)]
pub struct Sanitizer {
    compiled: HashMap<SetKey, (u64, Arc<Redactor>)>,
    uses: u64,
}

/// The redactor for what an execution was given. Settings that are marked as not secret are left alone.
#[derive(Message)]
#[rtype(result = "Arc<Redactor>")]
pub struct Prepare(pub Arc<Vec<Setting>>);

impl Actor for Sanitizer {
    type Context = Context<Self>;
}

impl Handler<Prepare> for Sanitizer {
    type Result = Arc<Redactor>;

    fn handle(&mut self, Prepare(settings): Prepare, _: &mut Self::Context) -> Self::Result {
        let secrets = || settings.iter().filter(|setting| setting.secret);
        let key: SetKey = secrets().map(|setting| (setting.name.clone(), setting.version)).collect();
        self.uses += 1;
        if let Some((last_used, redactor)) = self.compiled.get_mut(&key) {
            *last_used = self.uses;
            return redactor.clone();
        }
        if self.compiled.len() >= CACHED_SETS {
            self.forget_least_recently_used();
        }
        let redactor = Arc::new(Redactor::compile(secrets().map(|setting| (&setting.name, &setting.value))));
        self.compiled.insert(key, (self.uses, redactor.clone()));
        redactor
    }
}

impl Sanitizer {
    fn forget_least_recently_used(&mut self) {
        let oldest = self.compiled.iter().min_by_key(|(_, (last_used, _))| *last_used);
        if let Some(key) = oldest.map(|(key, _)| key.clone()) {
            self.compiled.remove(&key);
        }
    }
}
