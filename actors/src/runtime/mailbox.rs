//! A typed way to an actor that outlives the actor's restarts.

use std::time::Duration;

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};

use tokio::sync::watch;

use crate::core::Unavailable;

/// How long a call may take before the caller is told that the actor does not answer. Generous: a slow disk is within
/// it, a dead actor is not.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Reaches the current instance of a supervised actor.
pub struct Mailbox<A: Actor> {
    name: &'static str,
    current: watch::Receiver<Option<Addr<A>>>,
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self { name: self.name, current: self.current.clone() }
    }
}

impl<A: Actor> Mailbox<A> {
    pub(super) fn new(name: &'static str) -> (watch::Sender<Option<Addr<A>>>, Self) {
        let (publish, current) = watch::channel(None);
        (publish, Self { name, current })
    }

    /// Waits until the actor is up for the first time.
    pub async fn up(&self) -> Result<(), Unavailable> {
        let mut current = self.current.clone();
        match tokio::time::timeout(CALL_TIMEOUT, current.wait_for(Option::is_some)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unavailable::Actor(self.name)),
        }
    }

    /// Sends a message and awaits its answer. The answer of an actor that panicked over it is `Unavailable`.
    pub async fn call<M>(&self, message: M) -> Result<M::Result, Unavailable>
    where
        M: Message + Send + 'static,
        M::Result: Send,
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
    {
        let address = self.current.borrow().clone().ok_or(Unavailable::Actor(self.name))?;
        match tokio::time::timeout(CALL_TIMEOUT, address.send(message)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unavailable::Actor(self.name)),
        }
    }
}
