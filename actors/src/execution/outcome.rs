//! From what the worker reported, or why it did not, to the final record and what an agent may see of it.

use std::time::Duration;

use jiff::Timestamp;

use super::machine::{INTERRUPTED, StopReason, Verdict};
use crate::domain::{EgressEntry, ErrorType, ExecutionOutput, ExecutionRecord, Status, Usage};
use crate::ports::{EgressSeen, RunEnd, RunOutcome};
use crate::sanitizer::{Captured, Counts, Redactor, RefusedResult};

/// What is shown of an error's sentence and of a traceback, in bytes. The script's runtime cuts them at 80 Ki and 160 Ki
/// characters: further on than a value is long.
const ERROR_BYTES: usize = 16 * 1024;
const TRACEBACK_BYTES: usize = 64 * 1024;

/// What an execution left behind, raw.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    pub(super) end: Option<Box<RunEnd>>,
    /// Standard output and error kept, in bytes each.
    pub(super) output_bytes: usize,
    /// What was scrubbed from it before.
    pub(super) counts: Counts,
}

/// The final record and output. Everything raw passes `redactor` on its way (EX-4).
pub(super) fn conclude(
    mut record: ExecutionRecord,
    verdict: &Verdict,
    remains: Remains,
    redactor: &Redactor,
    now: Timestamp,
) -> (ExecutionRecord, ExecutionOutput) {
    let Remains { stdout, stderr, end, output_bytes, mut counts } = remains;
    let end = end.map(|end| *end).unwrap_or_else(nothing_reported);
    let stdout = Captured { head: stdout, tail: end.stdout_tail };
    let stderr = Captured { head: stderr, tail: end.stderr_tail };
    let mut output = ExecutionOutput {
        stdout: redactor.scrub_output(stdout, output_bytes, "stdout", &mut counts),
        stderr: redactor.scrub_output(stderr, output_bytes, "stderr", &mut counts),
        ..ExecutionOutput::default()
    };

    let timeout = Duration::from_secs(u64::from(record.timeout_s));
    let (status, error_type) = match verdict.explained(timeout) {
        Some((status, error_type, sentence)) => {
            output.error = Some(sentence);
            (status, Some(error_type))
        }
        None => match end.outcome {
            RunOutcome::Completed => (Status::Completed, None),
            RunOutcome::Failed { error_type, error, traceback } => {
                output.error = Some(redactor.scrub_head(&error, ERROR_BYTES, "error", &mut counts));
                output.traceback =
                    traceback.map(|text| redactor.scrub_head(&text, TRACEBACK_BYTES, "traceback", &mut counts));
                (Status::Error, Some(scrubbed_type(error_type, redactor, &mut counts)))
            }
            RunOutcome::Killed => {
                output.error = Some("ProcessDied: the script was ended, and nothing says why".to_owned());
                (Status::Error, Some(ErrorType::ProcessDied))
            }
        },
    };
    let result = end.result.map(|json| redactor.scrub_result(&json, &mut counts)).transpose();
    (record.status, record.error_type) = (status, error_type);
    match result {
        // What a script set before it was told to end is not a result: nobody knows whether it is whole.
        Ok(result) if matches!(verdict, Verdict::AsReported) => output.result = result,
        Ok(_) => {}
        Err(refused) if record.status == Status::Completed => {
            let kind = match refused {
                RefusedResult::NotJson => ErrorType::ProtocolViolation,
                RefusedResult::SpellsValue => ErrorType::ResultWithheld,
            };
            output.error = Some(format!("{}: {refused}", kind.as_str()));
            (record.status, record.error_type) = (Status::Error, Some(kind));
        }
        Err(_) => {}
    }

    output.egress = egress_of(end.egress, record.started_at.unwrap_or(now), redactor, &mut counts);
    record.usage = record.execution_time_ms.map(|_| end.usage);
    record.suspicious |= counts.is_suspicious();
    record.redactions = counts.into_redactions();
    finish(&mut record, now);
    (record, output)
}

/// The final record and output when the texts could not be scrubbed: they are withheld, failing closed.
pub(super) fn withheld(mut record: ExecutionRecord, now: Timestamp) -> (ExecutionRecord, ExecutionOutput) {
    (record.status, record.error_type) = (Status::Error, Some(ErrorType::SandboxFailed));
    finish(&mut record, now);
    let error = "SandboxFailed: the output could not be checked for secrets and is withheld".to_owned();
    (record, ExecutionOutput { error: Some(error), ..ExecutionOutput::default() })
}

/// The record of an execution that is to start again from the top, after the server stopped or crashed under it.
pub(crate) fn to_be_replayed(mut record: ExecutionRecord) -> ExecutionRecord {
    record.status = Status::Pending;
    (record.deadline, record.llm_deadline, record.ran_ms) = (None, None, 0);
    record
}

/// The final record and output of an execution that waited for a slot when the server stopped, and whose profile has ended since.
pub(crate) fn stopped_while_down(
    mut record: ExecutionRecord,
    reason: StopReason,
    now: Timestamp,
) -> (ExecutionRecord, ExecutionOutput) {
    let timeout = Duration::from_secs(u64::from(record.timeout_s));
    let Some((status, error_type, sentence)) = Verdict::Stopped(reason).explained(timeout) else {
        return interrupted(record, now);
    };
    (record.status, record.error_type) = (status, Some(error_type));
    finish(&mut record, now);
    (record, ExecutionOutput { error: Some(sentence), ..ExecutionOutput::default() })
}

/// The final record and output of an execution that the server stopped or crashed under.
pub(crate) fn interrupted(mut record: ExecutionRecord, now: Timestamp) -> (ExecutionRecord, ExecutionOutput) {
    (record.status, record.error_type) = (Status::Error, Some(ErrorType::Interrupted));
    // How long it ran is not known: the moment it stopped is the crash, not this restart.
    finish(&mut record, now);
    (record, ExecutionOutput { error: Some(INTERRUPTED.to_owned()), ..ExecutionOutput::default() })
}

fn finish(record: &mut ExecutionRecord, now: Timestamp) {
    record.completed_at = Some(now);
    (record.deadline, record.llm_deadline) = (None, None);
}

/// Of a name, what is shown: names have at most 253 bytes.
const HOST_BYTES: usize = 256;

/// A script may ask for a host that is called like a secret.
fn egress_of(seen: Vec<EgressSeen>, started: Timestamp, redactor: &Redactor, counts: &mut Counts) -> Vec<EgressEntry> {
    let entry = |seen: EgressSeen| EgressEntry {
        host: redactor.scrub_head(&seen.host, HOST_BYTES, "egress", counts),
        port: seen.port,
        allowed: seen.refusal.is_none(),
        reason: seen.refusal,
        count: seen.count,
        bytes_sent: seen.bytes_sent,
        bytes_received: seen.bytes_received,
        first_at: started.checked_add(Duration::from_millis(seen.first_ms)).unwrap_or(started),
    };
    seen.into_iter().map(entry).collect()
}

fn nothing_reported() -> RunEnd {
    RunEnd {
        outcome: RunOutcome::Killed,
        result: None,
        stdout_tail: None,
        stderr_tail: None,
        usage: Usage::default(),
        egress: Vec::new(),
    }
}

/// The name of an exception is the script's choice, and so may be a secret.
fn scrubbed_type(error_type: ErrorType, redactor: &Redactor, counts: &mut Counts) -> ErrorType {
    match error_type {
        ErrorType::Python(name) => ErrorType::Python(redactor.scrub_head(&name, 256, "error", counts)),
        own => own,
    }
}
