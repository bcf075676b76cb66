//! The JSON shapes of the API, one function each.

use airlock_actors::core::{CredentialView, ExecutionDetail, Weaknesses};
use airlock_actors::domain::{
    EgressEntry, ExecutionId, ExecutionOutput, ExecutionRecord, ExecutionView, LlmEnd, LlmExchange, ProfileId,
    ProfileRecord, Status,
};
use jiff::Timestamp;

use super::json::{self, Object};

/// A credential as agents see it.
pub(super) fn slot(object: &mut Object<'_>, credential: &CredentialView) {
    object.text("name", credential.name.as_str());
    object.text("description", &credential.description);
    object.flag("value_exists", credential.has_value);
}

/// A credential as the administrator sees it, with the profiles that use it.
pub(super) fn admin_credential(
    object: &mut Object<'_>,
    credential: &CredentialView,
    used_by: &[&ProfileId],
    weaknesses: &Weaknesses,
) {
    object.text("name", credential.name.as_str());
    object.text("description", &credential.description);
    object.text("described_by", credential.described_by.as_str());
    object.flag("has_value", credential.has_value);
    object.flag("secret", credential.secret);
    object.time("created_at", credential.created_at);
    object.time("updated_at", credential.updated_at);
    object.texts("used_by", used_by.iter().map(|id| id.as_str()));
    if let Some(weaknesses) = weaknesses.get(&credential.name) {
        object.texts("warnings", weaknesses.iter().map(ToString::to_string));
    }
}

/// A profile as agents see it. `credentials` has at least its own, sorted by name.
pub(super) fn profile(object: &mut Object<'_>, record: &ProfileRecord, credentials: &[CredentialView], now: Timestamp) {
    profile_members(object, record, credentials, now, false);
}

/// What both see of a profile; with `authors`, whose words the descriptions of its credentials are.
fn profile_members(
    object: &mut Object<'_>,
    profile: &ProfileRecord,
    credentials: &[CredentialView],
    now: Timestamp,
    authors: bool,
) {
    object.text("id", profile.id.as_str());
    object.text("description", &profile.description);
    object.text("status", profile.status(now).as_str());
    object.flag("locked", profile.locked());
    object.flag("revoked", profile.revoked);
    object.time_or_null("expires_at", profile.expires_at);
    object.objects("credentials", &profile.credentials, |object, name| {
        let known = credentials.binary_search_by(|credential| credential.name.cmp(name));
        let known = known.ok().and_then(|index| credentials.get(index));
        object.text("name", name.as_str());
        object.text("description", known.map_or("", |credential| &credential.description));
        if let Some(credential) = known.filter(|_| authors) {
            object.text("described_by", credential.described_by.as_str());
        }
        object.flag("value_exists", known.is_some_and(|credential| credential.has_value));
    });
    match &profile.allowed_hosts {
        Some(hosts) => object.texts("allowed_hosts", hosts),
        None => object.raw("allowed_hosts", "null"),
    }
    object.time("created_at", profile.created_at);
    object.time("updated_at", profile.updated_at);
    object.time_or_null("last_used_at", profile.last_used_at);
}

/// A profile as the administrator sees it.
pub(super) fn admin_profile(
    object: &mut Object<'_>,
    record: &ProfileRecord,
    credentials: &[CredentialView],
    now: Timestamp,
) {
    profile_members(object, record, credentials, now, true);
    object.text("described_by", record.described_by.as_str());
    let limits = &record.limits;
    object.object("limits", |object| {
        object.number_or_null("memory_bytes", limits.memory_bytes);
        object.number_or_null("cpu_seconds", limits.cpu_seconds);
        object.number_or_null("processes", limits.processes);
        object.number_or_null("open_files", limits.open_files);
        object.number_or_null("tmp_bytes", limits.tmp_bytes);
        object.number_or_null("output_bytes", limits.output_bytes);
    });
    object.text("on_leak", if record.suspend_on_leak { "suspend" } else { "record" });
    object.flag("suspended", record.suspended);
}

/// The answer to a submission that is not awaited.
pub(super) fn accepted(view: &ExecutionView, poll_url: &str) -> Vec<u8> {
    json::object(256, |object| {
        object.text("execution_id", view.record.id.as_str());
        object.text("status", view.record.status.as_str());
        object.text("poll_url", poll_url);
    })
}

/// The answer to a poll. `open`: the requests to the LLM that await an answer.
pub(super) fn execution(view: &ExecutionView, open: &[LlmExchange]) -> Vec<u8> {
    let prompts: usize = open.iter().map(LlmExchange::bytes).sum();
    json::object(512 + output_bytes(view) + 2 * prompts, |object| execution_members(object, view, open))
}

/// The answer to an answer.
pub(super) fn responded(id: &ExecutionId, status: Status) -> Vec<u8> {
    json::object(128, |object| {
        object.text("execution_id", id.as_str());
        object.text("status", status.as_str());
    })
}

/// A request to the LLM, as the agent is asked.
pub(super) fn llm_request(object: &mut Object<'_>, exchange: &LlmExchange) {
    object.text("id", &exchange.id.to_string());
    object.text("prompt", &exchange.prompt);
    object.text("model", &exchange.model);
    if let Some(schema) = &exchange.schema {
        // It is JSON: it was checked when it came.
        object.raw("schema", schema);
    }
    object.time("expires_at", exchange.deadline);
}

/// A request to the LLM with its answer, for the administrator.
fn llm_exchange(object: &mut Object<'_>, exchange: &LlmExchange) {
    object.text("id", &exchange.id.to_string());
    object.text("prompt", &exchange.prompt);
    object.text("model", &exchange.model);
    if let Some(schema) = &exchange.schema {
        object.raw("schema", schema);
    }
    let (answer, at) = match &exchange.end {
        Some((LlmEnd::Answered(text), at)) => (Some(text.as_str()), Some(*at)),
        Some((LlmEnd::TimedOut, at)) => (None, Some(*at)),
        None => (None, None),
    };
    object.text_or_null("response", answer);
    object.flag("timed_out", matches!(&exchange.end, Some((LlmEnd::TimedOut, _))));
    object.time("asked_at", exchange.asked_at);
    object.time_or_null("answered_at", at);
}

/// An execution in the administrator's list: everything but the texts.
pub(super) fn listed_execution(object: &mut Object<'_>, record: &ExecutionRecord) {
    record_head(object, record);
    record_tail(object, record, None);
    object.flag("suspicious", record.suspicious);
}

/// One execution with all that only the administrator sees.
pub(super) fn execution_detail(detail: &ExecutionDetail) -> Vec<u8> {
    let record = &detail.view.record;
    json::object(1024 + output_bytes(&detail.view) + detail.script.len(), |object| {
        execution_members(object, &detail.view, &[]);
        object.text("script", &detail.script);
        object.text("on_restart", record.on_restart.as_str());
        object.number("attempts", u64::from(record.attempts));
        if let Some(rerun_of) = &record.rerun_of {
            object.text("rerun_of", rerun_of.as_str());
        }
        if let Some(environment) = &record.environment {
            object.text("environment", environment);
        }
        object.objects("redactions", &record.redactions, |object, redaction| {
            object.text("field", &redaction.field);
            object.text("credential", redaction.credential.as_str());
            object.text("form", &redaction.form);
            object.number("count", redaction.count);
        });
        let egress = detail.view.output.as_deref().map_or(&[][..], |output| &output.egress);
        object.objects("egress", egress, egress_entry);
        object.flag("suspicious", record.suspicious);
        object.objects("llm_exchanges", &detail.exchanges, llm_exchange);
    })
}

/// All that an execution asked of one host and port.
fn egress_entry(object: &mut Object<'_>, entry: &EgressEntry) {
    object.text("host", &entry.host);
    object.number_or_null("port", entry.port.map(u64::from));
    object.flag("allowed", entry.allowed);
    object.text_or_null("reason", entry.reason.as_deref());
    object.number("count", entry.count);
    object.number_or_null("bytes_sent", entry.bytes_sent);
    object.number_or_null("bytes_received", entry.bytes_received);
    object.time("first_at", entry.first_at);
}

fn execution_members(object: &mut Object<'_>, view: &ExecutionView, open: &[LlmExchange]) {
    record_head(object, &view.record);
    let output = view.output.as_deref();
    if let Some(output) = output {
        output_members(object, output);
    } else if view.record.status.is_final() {
        output_members(object, &ExecutionOutput::default());
    }
    if let Some(first) = open.first() {
        object.object("llm_request", |object| llm_request(object, first));
        object.objects("llm_requests", open, llm_request);
    }
    record_tail(object, &view.record, output.and_then(|output| output.traceback.as_deref()));
}

fn record_head(object: &mut Object<'_>, record: &ExecutionRecord) {
    object.text("execution_id", record.id.as_str());
    object.text("profile_id", record.profile_id.as_str());
    object.text("status", record.status.as_str());
    object.time("created_at", record.created_at);
    if let Some(at) = record.started_at {
        object.time("started_at", at);
    }
    if let Some(at) = record.completed_at {
        object.time("completed_at", at);
    }
    if let Some(ms) = record.execution_time_ms {
        object.number("execution_time_ms", ms);
    }
}

fn output_members(object: &mut Object<'_>, output: &ExecutionOutput) {
    object.raw("result", output.result.as_deref().unwrap_or("null"));
    object.text("stdout", &output.stdout);
    object.text("stderr", &output.stderr);
    object.text_or_null("error", output.error.as_deref());
}

fn record_tail(object: &mut Object<'_>, record: &ExecutionRecord, traceback: Option<&str>) {
    if let Some(error_type) = &record.error_type {
        object.text("error_type", error_type.as_str());
    }
    if let Some(traceback) = traceback {
        object.text("traceback", traceback);
    }
    if let Some(usage) = &record.usage {
        object.object("usage", |object| {
            object.number("cpu_ms", usage.cpu_ms);
            object.number("max_rss_bytes", usage.max_rss_bytes);
        });
    }
}

/// About how many bytes the texts come to.
fn output_bytes(view: &ExecutionView) -> usize {
    view.output.as_deref().map_or(0, |output| {
        let optional = [&output.result, &output.error, &output.traceback];
        let optional: usize = optional.into_iter().flatten().map(String::len).sum();
        optional + output.stdout.len() + output.stderr.len()
    })
}

/// True when a poll has nothing to wait for.
pub(super) fn is_settled(status: Status) -> bool {
    status.is_final() || status == Status::AwaitingLlm
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use airlock_actors::domain::{ErrorType, Limits, Maker, Redaction, Usage};

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + ms).expect("in range")
    }

    fn pending() -> ExecutionRecord {
        let id = "exec_0123456789abcdefghjkmnpqrstvwxyz0123".parse().expect("an id");
        ExecutionRecord::accepted(id, "ark_abcdefghijklmnopqrstuvwx".parse().expect("an id"), at(0))
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("UTF-8")
    }

    const HEAD: &str = concat!(
        r#""execution_id":"exec_0123456789abcdefghjkmnpqrstvwxyz0123","#,
        r#""profile_id":"ark_abcdefghijklmnopqrstuvwx""#
    );

    #[test]
    fn a_pending_execution_has_no_members_without_value() {
        let view = ExecutionView { record: pending(), output: None, awaited: Vec::new() };
        let expected = format!(r#"{{{HEAD},"status":"pending","created_at":"2023-11-14T22:13:20.000Z"}}"#);
        assert_eq!(text(execution(&view, &[])), expected);
    }

    fn failed() -> ExecutionView {
        let record = ExecutionRecord {
            status: Status::Error,
            started_at: Some(at(1)),
            completed_at: Some(at(1_024)),
            execution_time_ms: Some(1_023),
            error_type: Some(ErrorType::Python("NameError".to_owned())),
            usage: Some(Usage { cpu_ms: 12, max_rss_bytes: 4096 }),
            environment: Some("e1".to_owned()),
            redactions: vec![Redaction {
                field: "stdout".to_owned(),
                credential: "TOKEN".parse().expect("a name"),
                form: "literal".to_owned(),
                count: 2,
            }],
            ..pending()
        };
        let output = ExecutionOutput {
            result: Some(r#"{"rows":[1.50,"é"]}"#.to_owned()),
            stdout: "a\n".to_owned(),
            stderr: String::new(),
            error: Some("NameError: name 'x' is not defined (line 3)".to_owned()),
            traceback: Some("line 3".to_owned()),
            egress: vec![EgressEntry {
                host: "db.example".to_owned(),
                port: Some(5432),
                allowed: false,
                reason: Some("not_listed".to_owned()),
                count: 3,
                bytes_sent: None,
                bytes_received: Some(7),
                first_at: at(2),
            }],
        };
        ExecutionView { record, output: Some(Arc::new(output)), awaited: Vec::new() }
    }

    const FAILED: &str = concat!(
        r#""status":"error","created_at":"2023-11-14T22:13:20.000Z","started_at":"2023-11-14T22:13:20.001Z","#,
        r#""completed_at":"2023-11-14T22:13:21.024Z","execution_time_ms":1023,"result":{"rows":[1.50,"é"]},"#,
        r#""stdout":"a\n","stderr":"","error":"NameError: name 'x' is not defined (line 3)","#,
        r#""error_type":"NameError","traceback":"line 3","usage":{"cpu_ms":12,"max_rss_bytes":4096}"#
    );

    #[test]
    fn a_finished_execution_has_its_result_as_it_was_written() {
        assert_eq!(text(execution(&failed(), &[])), format!("{{{HEAD},{FAILED}}}"));
    }

    #[test]
    fn a_finished_execution_has_result_and_error_even_when_there_is_none() {
        let record = ExecutionRecord { status: Status::Completed, ..pending() };
        for output in [None, Some(Arc::new(ExecutionOutput::default()))] {
            let view = ExecutionView { record: record.clone(), output, awaited: Vec::new() };
            let json = text(execution(&view, &[]));
            assert!(json.ends_with(r#""result":null,"stdout":"","stderr":"","error":null}"#), "{json}");
        }
    }

    #[test]
    fn the_detail_adds_what_only_the_administrator_sees() {
        let mut detail = ExecutionDetail { view: failed(), script: "print(1)\n".to_owned(), exchanges: Vec::new() };
        let redactions = r#"[{"field":"stdout","credential":"TOKEN","form":"literal","count":2}]"#;
        let egress =
            r#"[{"host":"db.example","port":5432,"allowed":false,"reason":"not_listed","count":3,"bytes_sent":null,"#
                .to_owned()
                + r#""bytes_received":7,"first_at":"2023-11-14T22:13:20.002Z"}]"#;
        let lists = format!(r#""redactions":{redactions},"egress":{egress}"#);
        let head = r#""script":"print(1)\n","on_restart":"fail","attempts":0,"environment":"e1""#;
        let more = format!(r#"{head},{lists},"suspicious":false,"llm_exchanges":[]"#);
        assert_eq!(text(execution_detail(&detail)), format!("{{{HEAD},{FAILED},{more}}}"));
        detail.view.record.suspicious = true;
        assert!(text(execution_detail(&detail)).contains(r#""suspicious":true,"#));
    }

    #[test]
    fn a_profile_lists_its_credentials_with_what_is_known_of_them() {
        let credential = |name: &str, has_value| CredentialView {
            name: name.parse().expect("a name"),
            description: format!("about {name}"),
            described_by: Maker::Agent,
            has_value,
            secret: true,
            created_at: at(0),
            updated_at: at(5),
        };
        let credentials = [credential("A", true), credential("B", false)];
        let record = ProfileRecord {
            id: "ark_abcdefghijklmnopqrstuvwx".parse().expect("an id"),
            description: "d".to_owned(),
            described_by: Maker::Person,
            credentials: ["B", "A", "GONE"].into_iter().map(|name| name.parse().expect("a name")).collect(),
            key: None,
            key_version: 0,
            revoked: false,
            expires_at: Some(at(10)),
            allowed_hosts: Some(Vec::new()),
            limits: Limits { memory_bytes: Some(1), ..Limits::default() },
            suspend_on_leak: false,
            suspended: false,
            created_at: at(0),
            updated_at: at(1),
            last_used_at: None,
        };
        let agent = concat!(
            r#"{"id":"ark_abcdefghijklmnopqrstuvwx","description":"d","status":"unlocked","locked":false,"#,
            r#""revoked":false,"expires_at":"2023-11-14T22:13:20.010Z","credentials":["#,
            r#"{"name":"A","description":"about A","value_exists":true},"#,
            r#"{"name":"B","description":"about B","value_exists":false},"#,
            r#"{"name":"GONE","description":"","value_exists":false}],"allowed_hosts":[],"#,
            r#""created_at":"2023-11-14T22:13:20.000Z","updated_at":"2023-11-14T22:13:20.001Z","last_used_at":null"#
        );
        assert_eq!(text(json::object(0, |o| profile(o, &record, &credentials, at(9)))), format!("{agent}}}"));
        let more = concat!(
            r#","described_by":"person","limits":{"memory_bytes":1,"cpu_seconds":null,"processes":null,"#,
            r#""open_files":null,"tmp_bytes":null,"output_bytes":null},"on_leak":"record","suspended":false}"#
        );
        let authored = agent.replace(r#","value_exists""#, r#","described_by":"agent","value_exists""#);
        let unknown = r#""name":"GONE","description":"","#;
        let admin = authored.replace(&format!(r#"{unknown}"described_by":"agent","#), unknown) + more;
        assert_eq!(text(json::object(0, |o| admin_profile(o, &record, &credentials, at(9)))), admin);
        let expired = text(json::object(0, |o| profile(o, &record, &credentials, at(10))));
        assert!(expired.contains(r#""status":"expired""#));
        let used = text(json::object(0, |o| admin_credential(o, &credentials[0], &[&record.id], &Weaknesses::new())));
        assert_eq!(
            used,
            concat!(
                r#"{"name":"A","description":"about A","described_by":"agent","has_value":true,"secret":true,"#,
                r#""created_at":"2023-11-14T22:13:20.000Z","updated_at":"2023-11-14T22:13:20.005Z","#,
                r#""used_by":["ark_abcdefghijklmnopqrstuvwx"]}"#
            )
        );
    }
}
