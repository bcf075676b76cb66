//! A typed way to an actor that outlives the actor's restarts.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

use crate::core::Unavailable;

/// How long a call may take before the caller is told that the actor does not answer. Generous: a slow disk is within
/// it, a dead actor is not.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Reaches the current instance of a supervised actor.
pub struct Mailbox<A: Actor> {
    name: &'static str,
    current: Arc<RwLock<Option<Addr<A>>>>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { name: self.name, current: self.current.clone() }
    }
}

impl<A: Actor> Mailbox<A> {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, current: Arc::new(RwLock::new(None)) }
    }

    pub(super) fn set(&self, address: Option<Addr<A>>) {
        *self.current.write().unwrap_or_else(std::sync::PoisonError::into_inner) = address;
    }

    /// Sends a message and awaits its answer. The answer of an actor that panicked over it is `Unavailable`.
    pub async fn call<M>(&self, message: M) -> Result<M::Result, Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let address = self.current.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let address = address.ok_or(Unavailable::Actor(self.name))?;
        match tokio::time::timeout(CALL_TIMEOUT, address.send(message)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unavailable::Actor(self.name)),
        }
    }
}
