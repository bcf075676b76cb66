//! What becomes of a profile whose script disguised a credential and tried to show it.

use super::actor::Parts;
use crate::core::ConfigError;
use crate::domain::{ExecutionId, ExecutionRecord};
use crate::profile_registry::Leaked;

/// Raises the alarm. Before the final state is on disk, so that nobody who has seen it can run a script once more.
pub(super) async fn leaked(parts: &Parts, record: &ExecutionRecord) {
    let forms: Vec<String> =
        record.redactions.iter().map(|row| format!("{} in {} as {}", row.credential, row.field, row.form)).collect();
    tracing::warn!(
        execution = short(&record.id), profile = %record.profile_id, found = forms.join(", "),
        "a script disguised a credential and tried to show it"
    );
    match parts.registry.call(Leaked(record.profile_id.clone())).await {
        Ok(Ok((_, true))) => {
            tracing::warn!(profile = %record.profile_id, "suspended a profile because of a leak");
            parts.directory.stop_suspended(&record.profile_id);
        }
        Ok(Ok((_, false)) | Err(ConfigError::UnknownProfile)) => {}
        Ok(Err(error)) => {
            tracing::error!(profile = %record.profile_id, %error, "could not suspend a profile after a leak")
        }
        Err(error) => tracing::error!(profile = %record.profile_id, %error, "could not suspend a profile after a leak"),
    }
}

/// The part of an id that tells which and when: the whole of it grants access, and does not belong in a log.
fn short(id: &ExecutionId) -> &str {
    id.as_str().get(..15).unwrap_or_default()
}
