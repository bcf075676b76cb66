//! The Sanitizer: what must not leave is compiled once per set of credential values, cached, and then applied to every
//! byte that an agent can see, before it is stored, streamed or returned.
//!
//! May use: `domain`. The work of scrubbing is done by the caller of a [`Redactor`], on its own thread: the actor only
//! compiles and caches.
//!
//! How it works. Of each value the parts that are secrets too are found (`parts`), and how each looks in every form that
//! needs no decoding (`encode`). All of that goes, without anything but letters and digits and without case, into one
//! index (`needles`, `index`), and a text is searched for it in the same shape (`squeeze`): separators, line ends and case
//! are gone from both. What looks encoded is decoded and searched again (`decode`, `scan`). What was found is merged
//! (`intervals`), replaced (`marker`, `redactor`) and counted (`counts`); `output`, `result` and `stream` are the three
//! shapes of text there are.
//!
//! Invariants
//! - SA-1: nothing that ran with a set of credentials is shown without the redactor of that set.
//! - SA-2: text that holds none of the values, in no form, comes out unchanged, byte for byte.
//! - SA-3: where the middle of an output was dropped, no part of a value that straddled the cut is left.
//! - SA-4: a scrubbed result is valid JSON; what is no string keeps its type unless it spells a long value.
//! - SA-5: a text that is scrubbed in pieces comes out as it would as a whole.
//! - SA-6: the work for a text is bounded by its length, whatever it holds, and hardly depends on the number of values.
//! - SA-7: what was scrubbed and is scrubbed again does not change: a marker is never looked into.
//! - SA-8: an execution keeps its redactor until its last output is scrubbed, whatever became of the credentials.

mod counts;
mod decode;
mod encode;
mod form;
mod held;
mod index;
mod intervals;
mod live;
mod marker;
mod needles;
mod output;
mod parts;
mod redactor;
mod result;
mod scan;
mod squeeze;
mod stream;
#[cfg(test)]
mod tests;
pub mod weakness;

use std::collections::HashMap;
use std::sync::Arc;

use actix::{Actor, ActorFutureExt, Context, Handler, Message, ResponseActFuture, WrapFuture};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

pub use counts::Counts;
pub use live::LiveScrub;
pub use output::Captured;
pub use redactor::Redactor;
pub use result::RefusedResult;
pub use stream::Stream;
pub use weakness::Weakness;

use crate::core::Unavailable;
use crate::domain::{CredentialName, Secret};
use crate::vault::Setting;

/// Most compiled sets kept, and most memory they take: one of a hundred ordinary credentials takes about 2 MB, the largest
/// there can be about 50 MB.
const CACHED_SETS: usize = 256;
const CACHED_BYTES: usize = 64 * 1024 * 1024;
/// Compilations at once: a large set takes a core for a tenth of a second.
const COMPILING_AT_ONCE: usize = 2;

/// What a compiled set is known by: the digest of its names and values. Not by versions, which say nothing of a
/// credential that was deleted and made again.
type SetKey = [u8; 32];

struct Compiled {
    redactor: Arc<Redactor>,
    memory: usize,
    last_used: u64,
}

/// The actor.
pub struct Sanitizer {
    compiled: HashMap<SetKey, Compiled>,
    uses: u64,
    permits: Arc<Semaphore>,
}

/// The redactor for what an execution was given. Settings that are marked as not secret are left alone.
#[derive(Message)]
#[rtype(result = "Result<Arc<Redactor>, Unavailable>")]
pub struct Prepare(pub Arc<Vec<Setting>>);

impl Default for Sanitizer {
    fn default() -> Self {
        Self { compiled: HashMap::new(), uses: 0, permits: Arc::new(Semaphore::new(COMPILING_AT_ONCE)) }
    }
}

impl Actor for Sanitizer {
    type Context = Context<Self>;
}

impl Handler<Prepare> for Sanitizer {
    type Result = ResponseActFuture<Self, Result<Arc<Redactor>, Unavailable>>;

    fn handle(&mut self, Prepare(settings): Prepare, _: &mut Self::Context) -> Self::Result {
        let key = set_key(&settings);
        self.uses += 1;
        if let Some(known) = self.compiled.get_mut(&key) {
            known.last_used = self.uses;
            return Box::pin(actix::fut::ready(Ok(known.redactor.clone())));
        }
        let permits = self.permits.clone();
        let compiling = async move {
            // The semaphore is never closed.
            let _permit = permits.acquire().await.map_err(|_| Unavailable::Actor("sanitizer"))?;
            let compiling = tokio::task::spawn_blocking(move || Redactor::compile(secrets_of(&settings)));
            compiling.await.map(Arc::new).map_err(|_| Unavailable::Actor("sanitizer"))
        };
        Box::pin(compiling.into_actor(self).map(move |compiled, sanitizer, _| {
            let redactor = compiled?;
            sanitizer.keep(key, redactor.clone(), redactor.memory());
            Ok(redactor)
        }))
    }
}

impl Sanitizer {
    fn keep(&mut self, key: SetKey, redactor: Arc<Redactor>, memory: usize) {
        self.compiled.insert(key, Compiled { redactor, memory, last_used: self.uses });
        let held = |sets: &HashMap<SetKey, Compiled>| sets.values().map(|set| set.memory).sum::<usize>();
        // One set may be larger than all there may be: the one in use always stays.
        while self.compiled.len() > 1 && (self.compiled.len() > CACHED_SETS || held(&self.compiled) > CACHED_BYTES) {
            let oldest = self.compiled.iter().filter(|(other, _)| **other != key).min_by_key(|(_, set)| set.last_used);
            let Some(oldest) = oldest.map(|(other, _)| *other) else { break };
            self.compiled.remove(&oldest);
        }
    }
}

fn secrets_of(settings: &[Setting]) -> impl Iterator<Item = (&CredentialName, &Secret)> {
    settings.iter().filter(|setting| setting.secret).map(|setting| (&setting.name, &setting.value))
}

/// Every part is preceded by its length, so that no two sets run into each other.
fn set_key(settings: &[Setting]) -> SetKey {
    let mut digest = Sha256::new();
    for (name, value) in secrets_of(settings) {
        for part in [name.as_str(), value.expose()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
    }
    digest.finalize().into()
}
