//! What executions ask their LLM on its way to the server, and the answers on their way back.

use airlock_actors::ports::RunToken;
use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Guard, Source};
use crate::worker::guard::uplink::Uplink;
use crate::worker::protocol::{Ask, FromGuard, Reply};

impl Guard {
    /// Passes on what an execution asked, and has it stand still if it only waits.
    pub(super) fn pass_questions_on(&mut self, fork: u64, uplink: &mut Uplink) {
        let Some(execution) = self.executions.get_mut(&fork) else { return };
        let Some((token, _)) = execution.run else { return };
        for (batch, asks) in execution.channel.take_asked() {
            let asks = asks.iter().map(|ask| Ask {
                prompt: ask.prompt.as_str(),
                model: ask.model.as_str(),
                schema: ask.schema.as_deref(),
            });
            uplink.send(&FromGuard::Asked(token, batch, asks.collect()));
        }
        if let Some(answered) = execution.pause() {
            uplink.send(&FromGuard::Paused(token, answered));
        }
    }

    /// Passes an answer on. Those to runs that are gone are ignored.
    pub(super) fn answer(&mut self, token: RunToken, batch: u32, index: u32, last: bool, reply: &Reply<'_>) {
        let Some(&fork) = self.by_token.get(&token) else { return };
        let Some(execution) = self.executions.get_mut(&fork) else { return };
        execution.answer(batch, index, last, reply);
        if !execution.channel.flush() {
            // Its end of the channel is full: the rest goes when it has read.
            let both = &mut EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT, Source::Channel(fork).pack());
            let _ = self.epoll.modify(execution.channel.socket(), both);
        }
    }
}
