//! Restart after a panic, from a factory.

use std::time::Duration;

use actix::{Actor, Addr, AsyncContext, Context};
use actix_rt::ArbiterHandle;
use tokio::sync::watch;

use super::Mailbox;
use crate::ports::StoreError;

/// Pause before a restart, so that an actor which panics at once does not take a core.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Starts an actor on `arbiter` and keeps it running: after a panic `factory` makes the next instance, which reads its
/// state from the store again. An actor that stops by itself is not restarted.
///
/// The mailbox may be called at once: it answers `Unavailable` for the moment until the actor is up.
pub fn supervise<A, F>(name: &'static str, arbiter: &ArbiterHandle, factory: F) -> Mailbox<A>
where
    A: Actor<Context = Context<A>>,
    F: Fn() -> Result<A, StoreError> + Send + 'static,
{
    let (publish, mailbox) = Mailbox::new(name);
    let spawned = arbiter.spawn_fn(move || drop(actix_rt::spawn(keep_running(name, publish, factory))));
    if !spawned {
        tracing::error!(actor = name, "actor could not be started: its thread is gone");
    }
    mailbox
}

async fn keep_running<A, F>(name: &'static str, publish: watch::Sender<Option<Addr<A>>>, factory: F)
where
    A: Actor<Context = Context<A>>,
    F: Fn() -> Result<A, StoreError>,
{
    let mut restarts = 0u32;
    loop {
        match factory() {
            Ok(actor) => {
                let context = Context::new();
                publish.send_replace(Some(context.address()));
                let ended = actix_rt::spawn(context.into_future(actor)).await;
                publish.send_replace(None);
                if ended.is_ok() {
                    return;
                }
                tracing::error!(actor = name, restarts, "actor panicked, restarting it");
            }
            Err(error) => {
                tracing::error!(actor = name, restarts, %error, "actor could not read its state, trying again")
            }
        }
        restarts += 1;
        tokio::time::sleep(RESTART_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use actix::{Handler, Message};

    use super::*;
    use crate::core::Unavailable;

    struct Fragile;
    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "u32")]
    struct Half(u32);
    impl Handler<Half> for Fragile {
        type Result = u32;
        fn handle(&mut self, Half(number): Half, _: &mut Context<Self>) -> u32 {
            assert!(number.is_multiple_of(2), "odd");
            number / 2
        }
    }

    #[actix::test]
    async fn an_actor_that_panicked_answers_the_next_call() {
        let mailbox = supervise("fragile", &actix_rt::Arbiter::current(), || Ok(Fragile));
        mailbox.up().await.expect("it starts");
        assert_eq!(mailbox.call(Half(4)).await.ok(), Some(2));
        assert!(matches!(mailbox.call(Half(3)).await, Err(Unavailable::Actor("fragile"))));
        loop {
            match mailbox.call(Half(8)).await {
                Ok(half) => break assert_eq!(half, 4),
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }
}
