//! The agent's LLM: what is asked, and taking an answer.

use std::time::Duration;

use tokio::sync::oneshot;

use super::{Core, Unavailable};
use crate::domain::llm::MAX_PROMPT_BYTES;
use crate::domain::{ExecutionId, ExecutionView, LlmEnd, LlmExchange, LlmRequestId, Status};
use crate::execution::{Command, NotTaken, Respond};
use crate::schema::{self, Misfit};

/// Longest wait for an answer to be on disk.
const TAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// Texts of exchanges that are shown at once, in bytes.
const SHOWN_BYTES: usize = 16 * 1024 * 1024;

/// Why an answer to the LLM's question was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RespondError {
    /// No such execution.
    #[error("there is no such execution")]
    UnknownExecution,
    /// No such request.
    #[error("the execution has made no such request")]
    UnknownRequest,
    /// The execution has ended.
    #[error("the execution is {}", .0.as_str())]
    Finished(Status),
    /// Nothing is asked now.
    #[error("the execution awaits no answer")]
    NothingAsked,
    /// It has another answer.
    #[error("{0} is answered already, otherwise")]
    AnsweredOtherwise(LlmRequestId),
    /// Too late.
    #[error("{0} has timed out")]
    TimedOut(LlmRequestId),
    /// Too long.
    #[error("an answer has at most {MAX_PROMPT_BYTES} bytes")]
    TooLong,
    /// It does not fit the schema.
    #[error("the answer does not fit the schema")]
    Misfit(Misfit),
    /// Nothing was changed, or it is not known whether it was.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Core {
    /// Takes the agent's answer to a request, or to the first open one; returns once it is on disk. The same answer to the same
    /// request again is no error.
    pub async fn respond(
        &self,
        id: &ExecutionId,
        request: Option<LlmRequestId>,
        text: String,
    ) -> Result<Status, RespondError> {
        let view = self.execution(id).await?.ok_or(RespondError::UnknownExecution)?;
        if text.len() > MAX_PROMPT_BYTES {
            return Err(RespondError::TooLong);
        }
        let status = view.record.status;
        let ended = if status.is_final() { RespondError::Finished(status) } else { RespondError::NothingAsked };
        let request = request.or(view.awaited.first().copied()).ok_or_else(|| ended.clone())?;
        let store = &self.inner.ports.store;
        let exchange = store.exchange(id, request).map_err(Unavailable::from)?.ok_or(RespondError::UnknownRequest)?;
        match exchange.end {
            Some((LlmEnd::Answered(before), _)) if before == text => return Ok(status),
            Some((LlmEnd::Answered(_), _)) => return Err(RespondError::AnsweredOtherwise(request)),
            Some((LlmEnd::TimedOut, _)) => return Err(RespondError::TimedOut(request)),
            None if status.is_final() => return Err(ended),
            None => {}
        }
        let text = match exchange.schema {
            Some(schema) => self.judged(schema, text).await?,
            None => text,
        };
        let (told, taken) = oneshot::channel();
        self.inner.parts.directory.tell(id, Command::Respond(Respond { id: request, text, told }));
        match tokio::time::timeout(TAKE_TIMEOUT, taken).await {
            Ok(Ok(Ok(status))) => Ok(status),
            Ok(Ok(Err(NotTaken::AnsweredOtherwise))) => Err(RespondError::AnsweredOtherwise(request)),
            Ok(Ok(Err(NotTaken::TimedOut))) => Err(RespondError::TimedOut(request)),
            Ok(Ok(Err(NotTaken::NotAwaited))) => Err(self.ended(id).await?.unwrap_or(RespondError::NothingAsked)),
            // It was not live any more, or ended meanwhile: without an end of its own only when the server goes down, and then
            // the answer may be on disk and has to be sent again.
            Ok(Err(_)) => Err(self.ended(id).await?.unwrap_or(Unavailable::Actor("execution").into())),
            Err(_) => Err(Unavailable::Actor("execution").into()),
        }
    }

    /// That it has ended, if it has.
    async fn ended(&self, id: &ExecutionId) -> Result<Option<RespondError>, Unavailable> {
        let status = self.execution(id).await?.map(|view| view.record.status);
        Ok(status.filter(|status| status.is_final()).map(RespondError::Finished))
    }

    /// Judges an answer by its schema, on a thread that nobody waits for.
    async fn judged(&self, schema: String, text: String) -> Result<String, RespondError> {
        // The semaphore is never closed.
        let _turn = self.inner.judging.acquire().await.map_err(|_| Unavailable::Actor("schema"))?;
        let judging = tokio::task::spawn_blocking(move || schema::judge(&schema, &text).map(|()| text));
        judging.await.map_err(|_| Unavailable::Actor("schema"))?.map_err(RespondError::Misfit)
    }

    /// The requests that await an answer, oldest first, as far as they are shown at once; the first always is.
    pub async fn open_requests(&self, view: &ExecutionView) -> Result<Vec<LlmExchange>, Unavailable> {
        let mut open = Vec::new();
        let mut bytes = 0;
        for &request in &view.awaited {
            let Some(exchange) = self.inner.ports.store.exchange(&view.record.id, request)? else { continue };
            bytes += exchange.bytes();
            open.push(exchange);
            if bytes > SHOWN_BYTES {
                break;
            }
        }
        Ok(open)
    }

    /// One request.
    pub async fn llm_exchange(
        &self,
        id: &ExecutionId,
        request: LlmRequestId,
    ) -> Result<Option<LlmExchange>, Unavailable> {
        Ok(self.inner.ports.store.exchange(id, request)?)
    }

    /// All requests of an execution, as far as they are shown at once.
    pub(super) async fn exchanges(&self, id: &ExecutionId) -> Result<Vec<LlmExchange>, Unavailable> {
        let (store, id) = (self.inner.ports.store.clone(), id.clone());
        let reading = tokio::task::spawn_blocking(move || store.exchanges(&id, SHOWN_BYTES));
        Ok(reading.await.map_err(|_| Unavailable::Actor("store"))??)
    }
}
