//! What becomes of an execution whose actor panicked.

use std::sync::Arc;

use super::actor::Execution;
use super::awaiting::commit_until_stored;
use super::outcome;
use crate::ports::Write;

impl Drop for Execution {
    /// An Execution that panicked must not leave its script running, nor its record without an end.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        if let Some(lease) = &self.lease {
            lease.link().kill(self.token);
        }
        let (store, directory, id) = (self.parts.store.clone(), self.parts.directory.clone(), self.record.id.clone());
        let (record, output) = outcome::interrupted(self.record.clone(), self.parts.clock.now());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let write = Write::FinishExecution { record, output: Arc::new(output) };
                let _ = commit_until_stored(&*store, vec![write]).await;
                directory.leave(&id);
            });
        }
    }
}
