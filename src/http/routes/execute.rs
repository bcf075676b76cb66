//! Submitting a script.

use std::sync::Arc;
use std::time::Duration;

use airlock_actors::core::{MAX_KEY_BYTES, Submission, SubmitError};
use airlock_actors::domain::{OnRestart, ProfileId};
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, LOCATION};
use serde_json::value::RawValue;

use super::executions::{shown, unless_draining, wait};
use super::{Answer, Call, json_response, to_the_end};
use crate::http::auth::{Bearer, bearer};
use crate::http::base_url::base_url;
use crate::http::fields::{self, Read, integer, text};
use crate::http::problem::{Fault, NO_IDENTITY, Problem, TOO_LARGE};
use crate::http::views;

const DEFAULT_TIMEOUT_S: u64 = 60;
const MAX_TIMEOUT_S: u64 = 3_600;
const DEFAULT_LLM_TIMEOUT_S: u64 = 300;
const MAX_LLM_TIMEOUT_S: u64 = 86_400;
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// `POST /execute?wait=`
pub(in crate::http) async fn submit(call: Call) -> Answer {
    let wait = wait(&call)?;
    // Who names a wrong profile is told before the body is taken in.
    let in_header = named_in(&call.exchange.headers)?;
    let body = call.body(call.app.config.max_body_bytes).await?;
    let form = Form::read(&body, call.app.config.max_script_bytes)?;
    drop(body);
    let profile_id = identity(in_header, form.profile_id.as_deref())?;
    let idempotency_key = idempotency_key(&call.exchange.headers)?;
    let base_url = base_url(&call.exchange, call.app.config.public_url.as_ref())?;
    let submission = Submission {
        profile_id,
        script: form.script,
        hash: form.hash,
        timeout_s: form.timeout_s,
        llm_timeout_s: form.llm_timeout_s,
        on_restart: form.on_restart,
        idempotency_key,
    };
    let core = call.app.core.clone();
    let mut view = to_the_end(async move { core.submit(submission).await }).await?;
    if wait > Duration::ZERO {
        let id = view.record.id.clone();
        let waited = unless_draining(&call, &id, call.app.core.wait_settled(&id, wait)).await;
        // It is accepted, whatever became of the waiting: the client has to learn its id.
        if let Ok(Some(now)) = waited {
            view = now;
        }
        if views::is_settled(view.record.status) {
            return shown(&call, &view).await;
        }
    }
    let poll_url = format!("{base_url}/executions/{}", view.record.id);
    let mut response = json_response(StatusCode::ACCEPTED, views::accepted(&view, &poll_url));
    if let Ok(location) = HeaderValue::from_str(&poll_url) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// What the body says.
#[derive(Debug)]
struct Form {
    script: Arc<str>,
    hash: Option<String>,
    profile_id: Option<String>,
    timeout_s: u32,
    llm_timeout_s: u32,
    on_restart: OnRestart,
}

impl Form {
    fn read(body: &[u8], max_script_bytes: usize) -> Result<Self, Problem> {
        let form = fields::read(body, |fields| {
            let script = fields.required("script", text);
            let hash = fields.optional("hash", text);
            let profile_id = fields.optional("profile_id", text);
            let timeout = fields.optional("timeout", integer(1..=MAX_TIMEOUT_S));
            let llm_timeout = fields.optional("llm_timeout", integer(1..=MAX_LLM_TIMEOUT_S));
            let on_restart = fields.optional("on_restart", on_restart);
            Some(Self {
                script: script?.into(),
                hash: hash?,
                profile_id: profile_id?,
                timeout_s: seconds(timeout?.unwrap_or(DEFAULT_TIMEOUT_S)),
                llm_timeout_s: seconds(llm_timeout?.unwrap_or(DEFAULT_LLM_TIMEOUT_S)),
                on_restart: on_restart?.unwrap_or_default(),
            })
        })?;
        if form.script.len() > max_script_bytes {
            let detail = format!("The script is larger than {max_script_bytes} bytes of UTF-8; send less.");
            return Err(Problem::new(&TOO_LARGE, detail));
        }
        Ok(form)
    }
}

/// Seconds that were read within a range that fits.
fn seconds(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn on_restart(raw: &RawValue) -> Read<OnRestart> {
    match text(raw)?.as_str() {
        "fail" => Ok(OnRestart::Fail),
        "replay" => Ok(OnRestart::Replay),
        _ => Err(vec![Fault::new("", "must be `fail` or `replay`")]),
    }
}

/// The `Idempotency-Key` header: visible ASCII, as any client makes them.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= MAX_KEY_BYTES);
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => {
            let problem = format!("must be one header of 1 to {MAX_KEY_BYTES} visible characters");
            Err(Problem::invalid(vec![Fault::new(IDEMPOTENCY_KEY, problem)]))
        }
    }
}

/// The profile that the header names, if there is one.
pub(in crate::http) fn named_in(headers: &HeaderMap) -> Result<Option<ProfileId>, Problem> {
    match bearer(headers) {
        Bearer::Absent => Ok(None),
        Bearer::Token(id) => profile_id(id).map(Some),
        Bearer::Malformed => {
            Err(Problem::unauthorized(&NO_IDENTITY, "Send `Authorization: Bearer ark_…` with the profile's id."))
        }
    }
}

/// The profile that the header names, or the body.
fn identity(in_header: Option<ProfileId>, in_body: Option<&str>) -> Result<ProfileId, Problem> {
    if let (Some(in_header), Some(in_body)) = (&in_header, in_body)
        && in_header.as_str() != in_body
        && !is_whole_key(in_body)
    {
        let fault = Fault::new("profile_id", "differs from the one in the Authorization header; send either");
        return Err(Problem::invalid(vec![fault]));
    }
    let in_body = in_body.map(profile_id).transpose()?;
    in_header.or(in_body).ok_or_else(|| {
        let detail = "Say who you are: send `Authorization: Bearer ark_…` with the id of a locked profile.";
        Problem::unauthorized(&NO_IDENTITY, detail)
    })
}

fn is_whole_key(text: &str) -> bool {
    text.starts_with("ark_") && text.contains(':')
}

fn profile_id(text: &str) -> Result<ProfileId, Problem> {
    if is_whole_key(text) {
        return Err(Problem::unauthorized(
            &NO_IDENTITY,
            "That was the whole key. Never send the part after the colon: it only signs. Ask a person to regenerate the \
             key, since this secret has left you, and send only the `ark_…` part before the colon.",
        ));
    }
    text.parse().map_err(|_| SubmitError::UnknownProfile.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{body_text, exchange};

    const MAX: usize = 8;

    fn form(body: &str) -> Result<Form, u16> {
        Form::read(body.as_bytes(), MAX).map_err(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn defaults_and_limits_are_the_documented_ones() {
        let read = form(r#"{"script":""}"#).expect("valid");
        assert_eq!((read.timeout_s, read.llm_timeout_s), (60, 300));
        assert_eq!((read.hash, read.profile_id), (None, None));
        let read =
            form(r#"{"script":"","timeout":3600,"llm_timeout":86400,"on_restart":"replay","hash":""}"#).expect("valid");
        assert_eq!((read.timeout_s, read.llm_timeout_s, read.on_restart), (3_600, 86_400, OnRestart::Replay));
        for faulty in [
            r#""timeout":0"#,
            r#""timeout":3601"#,
            r#""llm_timeout":0"#,
            r#""llm_timeout":86401"#,
            r#""on_restart":"x""#,
            r#""on_restart":null"#,
            r#""hash":7"#,
            r#""profile_id":[]"#,
            r#""extra":1"#,
        ] {
            assert_eq!(form(&format!(r#"{{"script":"",{faulty}}}"#)).err(), Some(422), "{faulty}");
        }
        assert_eq!(form("{}").err(), Some(422));
    }

    #[test]
    fn a_script_is_measured_in_bytes_of_utf_8() {
        assert_eq!(form(r#"{"script":"12345678"}"#).err(), None);
        assert_eq!(form(r#"{"script":"123456789"}"#).err(), Some(413));
        assert_eq!(form(r#"{"script":"\u00e9\u00e9\u00e9\u00e9"}"#).err(), None);
        assert_eq!(form(r#"{"script":"ééééx"}"#).err(), Some(413));
    }

    const ID: &str = "ark_abcdefghijklmnopqrstuvwx";
    const OTHER: &str = "ark_abcdefghijklmnopqrstuvwy";

    fn asked(authorization: Option<&str>, in_body: Option<&str>) -> Result<String, u16> {
        let value = authorization.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = value.iter().map(|value| ("authorization", value.as_str())).collect();
        let named = named_in(&exchange("POST", "/execute", &headers).headers);
        let read = named.and_then(|in_header| identity(in_header, in_body));
        read.map(|id| id.to_string()).map_err(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn the_profile_is_in_the_header_or_the_body_but_one() {
        assert_eq!(asked(Some(ID), None), Ok(ID.to_owned()));
        assert_eq!(asked(None, Some(ID)), Ok(ID.to_owned()));
        assert_eq!(asked(Some(ID), Some(ID)), Ok(ID.to_owned()));
        assert_eq!(asked(Some(ID), Some(OTHER)), Err(422));
        assert_eq!(asked(Some(ID), Some("nonsense")), Err(422));
        assert_eq!(asked(None, None), Err(401));
        assert_eq!(asked(Some("nonsense"), None), Err(401));
        assert_eq!(asked(None, Some("nonsense")), Err(401));
    }

    #[test]
    fn a_whole_key_is_refused_with_what_to_do_and_not_repeated() {
        let key = format!("{ID}:{}", "S".repeat(48));
        for (header, body) in [(Some(key.as_str()), None), (None, Some(key.as_str())), (Some(ID), Some(key.as_str()))] {
            assert_eq!(asked(header, body), Err(401));
        }
        let refusal = identity(None, Some(&key)).expect_err("refused").into_response();
        let text = body_text(refusal);
        assert!(text.contains("regenerate") && !text.contains("SSSS"), "{text}");
    }
}
