//! What has ended is kept for a while. Old executions and idempotency keys are removed a few at a time, so that nobody who
//! writes waits long; one that is live is never touched.

use std::time::Duration;

use jiff::Timestamp;

use super::{Core, Unavailable, idempotency};
use crate::ports::Write;

/// How much of what has ended is kept; the rest is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// No longer than this.
    pub age: Duration,
    /// No more than this many executions, live ones included.
    pub executions: u64,
}

/// Removals in one transaction.
const AT_ONCE: usize = 100;
/// Pause between two of them: whoever writes gets in between.
const BREATH: Duration = Duration::from_millis(20);
/// Pause between two looks.
const EVERY: Duration = Duration::from_secs(60);

impl Core {
    /// Keeps the store within `retention`, now and then, until the server stops.
    pub(super) fn keep_tidy(&self, retention: Retention) {
        let core = self.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                let Some(core) = core.upgrade() else { return };
                if core.refuse_if_draining().is_err() {
                    return;
                }
                if let Err(error) = core.tidy(retention).await {
                    tracing::warn!(%error, "could not remove old executions, trying again later");
                }
            }
        });
    }

    /// Removes what is too old or too much; returns how many executions that were.
    pub(super) async fn tidy(&self, retention: Retention) -> Result<u64, Unavailable> {
        let removed = self.prune_executions(retention).await?;
        self.prune_keys().await?;
        if removed > 0 {
            tracing::info!(removed, "removed old executions");
        }
        Ok(removed)
    }

    async fn prune_executions(&self, retention: Retention) -> Result<u64, Unavailable> {
        let store = &self.inner.ports.store;
        let oldest = self.inner.ports.clock.now().saturating_sub(retention.age).unwrap_or(Timestamp::MIN);
        let (mut removed, mut after) = (0u64, None);
        loop {
            let surplus = store.count_executions()?.saturating_sub(retention.executions);
            let page = store.oldest_executions(after.as_ref(), AT_ONCE)?;
            let Some(last) = page.last() else { return Ok(removed) };
            let is_old = |created_at: Timestamp| created_at < oldest;
            let done = surplus == 0 && !page.first().is_some_and(|first| is_old(first.created_at));
            if done {
                return Ok(removed);
            }
            after = Some(last.id.clone());
            let finished = page.into_iter().filter(|record| record.status.is_final());
            let most = usize::try_from(surplus).unwrap_or(usize::MAX);
            let too_many = finished.enumerate().filter(|(index, record)| {
                let ended = record.completed_at.unwrap_or(record.created_at);
                *index < most || is_old(ended)
            });
            let batch: Vec<Write> = too_many.map(|(_, record)| Write::DeleteExecution(record.id)).collect();
            if batch.is_empty() {
                continue;
            }
            removed += u64::try_from(batch.len()).unwrap_or(0);
            store.commit(batch).await?;
            tokio::time::sleep(BREATH).await;
        }
    }

    async fn prune_keys(&self) -> Result<(), Unavailable> {
        let store = &self.inner.ports.store;
        let before = self.inner.ports.clock.now().saturating_sub(idempotency::KEPT).unwrap_or(Timestamp::MIN);
        loop {
            let old = store.idempotency_before(before, AT_ONCE)?;
            if old.is_empty() {
                return Ok(());
            }
            store.commit(old.into_iter().map(Write::DeleteIdempotency).collect()).await?;
            tokio::time::sleep(BREATH).await;
        }
    }
}
