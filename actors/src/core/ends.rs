//! Ending executions, running them again, and removing them.

use std::sync::Arc;

use super::{Core, SubmitError, Unavailable};
use crate::domain::{ExecutionId, ExecutionView, Status};
use crate::execution::{Command, StopReason};
use crate::ports::{StoreError, Write};
use crate::profile_registry::Authorize;

/// Why an execution was not ended or removed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EndError {
    /// No such execution.
    #[error("there is no such execution")]
    Unknown,
    /// It has ended by itself.
    #[error("the execution is {} already", .0.as_str())]
    Finished(Status),
    /// It has not ended.
    #[error("the execution is {}", .0.as_str())]
    Live(Status),
    /// Not known what came of it.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Core {
    /// Cancels a live execution; returns once it is final and everything that it started is gone.
    pub async fn cancel(&self, id: &ExecutionId) -> Result<ExecutionView, EndError> {
        let before = self.execution(id).await?.ok_or(EndError::Unknown)?;
        if before.record.status.is_final() {
            return Err(EndError::Finished(before.record.status));
        }
        let directory = &self.inner.parts.directory;
        // Subscribed before it is told: its end is not missed.
        let watched = directory.watch(id);
        directory.tell(id, Command::Stop(StopReason::Cancelled));
        if let Some(mut watched) = watched {
            let ended = watched.wait_for(|view| view.record.status.is_final());
            // `Err`: it left without an end, at a shutdown.
            let _ = tokio::time::timeout(super::executions::END_ONE, ended).await;
        }
        let after = self.execution(id).await?.ok_or(EndError::Unknown)?;
        match after.record.status {
            Status::Cancelled => Ok(after),
            status if status.is_final() => Err(EndError::Finished(status)),
            _ if self.inner.ports.store.is_full() => Err(Unavailable::Store(StoreError::Full).into()),
            _ => Err(Unavailable::Actor("execution").into()),
        }
    }

    /// Removes a finished execution with its script, output and exchanges.
    pub async fn delete_execution(&self, id: &ExecutionId) -> Result<(), EndError> {
        let view = self.execution(id).await?.ok_or(EndError::Unknown)?;
        if !view.record.status.is_final() {
            return Err(EndError::Live(view.record.status));
        }
        Ok(self.inner.ports.store.commit(vec![Write::DeleteExecution(id.clone())]).await.map_err(Unavailable::from)?)
    }

    /// Runs the script of an execution again, for the same profile, as a person wants it: no signature is needed, all else that
    /// a submission needs is.
    pub async fn run_again(&self, id: &ExecutionId) -> Result<Option<ExecutionView>, SubmitError> {
        let store = &self.inner.ports.store;
        let before = match self.execution(id).await? {
            Some(view) => view.record,
            None => return Ok(None),
        };
        let Some(script) = store.execution_script(id).map_err(Unavailable::from)? else { return Ok(None) };
        self.refuse_if_draining()?;
        let authority = self.inner.registry.call(Authorize(before.profile_id.clone())).await?;
        let authority = authority.map_err(super::executions::refused)?;
        let terms = super::executions::Terms {
            timeout_s: before.timeout_s,
            llm_timeout_s: before.llm_timeout_s,
            on_restart: before.on_restart,
            rerun_of: Some(before.id),
        };
        self.admit(authority.profile().clone(), Arc::from(script), terms, None).await.map(Some)
    }
}
