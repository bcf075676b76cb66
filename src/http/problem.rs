//! Errors as clients see them: `application/problem+json` (RFC 9457), and the one mapping of the core's errors to them.
//!
//! A problem never carries a value from a request's body, a secret, or the words of an internal error: those go to the
//! log. `type` is a URN that a program can compare, `detail` one sentence that says what to do next.

use std::borrow::Cow;
use std::time::Duration;

use airlock_actors::core::{ConfigError, EndError, RespondError, SessionError, SubmitError, Unavailable};
use airlock_actors::domain::CredentialName;
use airlock_actors::domain::llm::MAX_PROMPT_BYTES;
use airlock_actors::ports::StoreError;
use airlock_actors::schema::Misfit;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{StatusCode, header};
use warp::reply::Response;

use super::json;

/// What is the same in every problem of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kind {
    status: StatusCode,
    slug: &'static str,
    title: &'static str,
}

const fn kind(status: StatusCode, slug: &'static str, title: &'static str) -> Kind {
    Kind { status, slug, title }
}

impl Kind {
    /// The status of the response.
    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// What tells it from others of the same status.
    pub(super) fn slug(&self) -> &'static str {
        self.slug
    }

    /// The `type` of the problem.
    pub(super) fn urn(&self) -> String {
        format!("urn:airlock:problem:{}", self.slug)
    }

    /// The `title` of the problem.
    pub(super) fn title(&self) -> &'static str {
        self.title
    }
}

pub(super) const MALFORMED: Kind = kind(StatusCode::BAD_REQUEST, "malformed-request", "Malformed request");
pub(super) const NO_IDENTITY: Kind = kind(StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized");
pub(super) const WRONG_PASSWORD: Kind = kind(StatusCode::UNAUTHORIZED, "wrong-password", "Wrong password");
pub(super) const WRONG_SIGNATURE: Kind = kind(StatusCode::FORBIDDEN, "wrong-signature", "Wrong signature");
pub(super) const FOREIGN_ORIGIN: Kind = kind(StatusCode::FORBIDDEN, "foreign-origin", "Not from the same origin");
pub(super) const NOT_FOUND: Kind = kind(StatusCode::NOT_FOUND, "not-found", "Not found");
pub(super) const WRONG_METHOD: Kind = kind(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed");
pub(super) const STALLED: Kind = kind(StatusCode::REQUEST_TIMEOUT, "request-timeout", "Request timeout");
pub(super) const WRONG_STATE: Kind = kind(StatusCode::CONFLICT, "wrong-state", "Wrong state");
pub(super) const TOO_LARGE: Kind = kind(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Too large");
pub(super) const WRONG_TYPE: Kind =
    kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "Unsupported media type");
pub(super) const INVALID: Kind = kind(StatusCode::UNPROCESSABLE_ENTITY, "invalid-request", "Invalid request");
pub(super) const SLOW_DOWN: Kind = kind(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "Too many requests");
pub(super) const INTERNAL: Kind = kind(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error");
pub(super) const UNAVAILABLE: Kind = kind(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable");

/// Most faults of one body that are listed.
const MAX_FAULTS: usize = 20;

/// One answer that is an error. Boxed, since it travels in `Result`s.
#[derive(Debug)]
pub(super) struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: &'static Kind,
    detail: Cow<'static, str>,
    members: Vec<(&'static str, Member)>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A member besides the four that every problem has.
#[derive(Debug)]
enum Member {
    Text(String),
    Texts(Vec<String>),
    Faults(Vec<Fault>),
}

/// What is wrong with one field of a request: its path in the body, such as `credentials[2].name`, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// Empty when it is the body as a whole.
    pub(super) field: String,
    /// Completes the sentence that begins with the field.
    pub(super) problem: Cow<'static, str>,
}

impl Fault {
    /// A fault of `field`.
    pub(super) fn new(field: impl Into<String>, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl Problem {
    /// A problem of a kind, with its sentence.
    pub(super) fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, detail: detail.into(), members: Vec::new(), headers: Vec::new() }))
    }

    /// Valid JSON with invalid values: every faulty field is named.
    pub(super) fn invalid(mut faults: Vec<Fault>) -> Self {
        let detail = match faults.first() {
            Some(first) if first.field.is_empty() => format!("The request body {}.", first.problem),
            Some(first) => format!("`{}` {}.", first.field, first.problem),
            None => "The request is invalid.".to_owned(),
        };
        faults.truncate(MAX_FAULTS);
        Self::new(&INVALID, detail).with("errors", Member::Faults(faults))
    }

    /// No such thing at this path.
    pub(super) fn no_such(what: &'static str) -> Self {
        Self::new(&NOT_FOUND, format!("There is no such {what}; check the id."))
    }

    /// 500, with nothing about why. The caller logs the why.
    pub(super) fn internal() -> Self {
        Self::new(&INTERNAL, "Airlock failed to answer; the reason is in its log.")
    }

    /// 401 with the challenge that RFC 9110 asks for.
    pub(super) fn unauthorized(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(kind, detail).header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"airlock\""))
    }

    /// An administrator was let in: that a profile can't run scripts is a conflict then, and no matter of who asks.
    pub(super) fn without_challenge(self) -> Self {
        if self.0.kind == &NO_IDENTITY { Self::new(&WRONG_STATE, self.0.detail) } else { self }
    }

    /// Adds a list of names.
    pub(super) fn names(self, member: &'static str, names: impl IntoIterator<Item = impl ToString>) -> Self {
        self.with(member, Member::Texts(names.into_iter().map(|name| name.to_string()).collect()))
    }

    /// Adds a header to the response.
    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Asks the client to come back after so many seconds, at least one.
    pub(super) fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Ends the connection after this response, as its state is not worth saving.
    pub(super) fn closing(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    fn with(mut self, name: &'static str, member: Member) -> Self {
        self.0.members.push((name, member));
        self
    }

    fn named(self, member: &'static str, name: &CredentialName) -> Self {
        self.with(member, Member::Text(name.to_string()))
    }

    /// The response.
    pub(super) fn into_response(self) -> Response {
        let inner = *self.0;
        let body = json::object(256, |object| {
            object.text("type", &inner.kind.urn());
            object.text("title", inner.kind.title);
            object.number("status", u64::from(inner.kind.status()));
            object.text("detail", &inner.detail);
            for (name, member) in &inner.members {
                match member {
                    Member::Text(text) => object.text(name, text),
                    Member::Texts(texts) => object.texts(name, texts),
                    Member::Faults(faults) => object.objects(name, faults, |object, fault| {
                        object.text("field", &fault.field);
                        object.text("problem", &fault.problem);
                    }),
                }
            }
        });
        let mut response = Response::new(body.into());
        *response.status_mut() = inner.kind.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().extend(inner.headers.into_iter().map(|(name, value)| (Some(name), value)));
        response
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let conflict = |detail: &'static str| Self::new(&WRONG_STATE, detail);
        match error {
            ConfigError::UnknownCredential(name) => {
                let detail = format!("There is no credential {name}; make its slot first with POST /credentials.");
                Self::new(&NOT_FOUND, detail).named("credential", &name)
            }
            ConfigError::CredentialExists(name) => {
                let detail = format!("There is already a credential {name}; change that one, or pick another name.");
                Self::new(&WRONG_STATE, detail).named("credential", &name)
            }
            ConfigError::CredentialInUse { name, profiles } => {
                let detail = format!("Locked profiles use {name}; revoke them first.");
                Self::new(&WRONG_STATE, detail).named("credential", &name).names("profiles", profiles)
            }
            ConfigError::UnknownProfile => Self::no_such("profile"),
            ConfigError::Locked => conflict(
                "The profile is locked: it stays as it is until it is revoked; make a new one to change something.",
            ),
            ConfigError::NotLocked => conflict("The profile is not locked yet; a person has to lock it first."),
            ConfigError::Revoked => conflict("The profile is revoked for good; make a new one."),
            ConfigError::MissingValues(names) => {
                let listed = names.iter().map(CredentialName::as_str).collect::<Vec<_>>().join(", ");
                let detail = format!("A person has to set a value first for: {listed}.");
                Self::new(&WRONG_STATE, detail).names("credentials", names)
            }
            ConfigError::TooMany(most) => {
                Self::new(&WRONG_STATE, format!("There can't be more than {most}; delete what is not needed any more."))
            }
            ConfigError::TooManyInProfile(most) => Self::new(
                &WRONG_STATE,
                format!("A profile can't have more than {most} credentials; make another for the rest."),
            ),
            ConfigError::Unavailable(error) => error.into(),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let refuse = |detail: &'static str| Self::unauthorized(&NO_IDENTITY, detail);
        match error {
            SubmitError::UnknownProfile => {
                refuse("No profile has this id; send `Authorization: Bearer ark_…` with the id of a locked profile.")
            }
            SubmitError::Revoked => refuse("The profile is revoked for good; ask a person for another."),
            SubmitError::Expired => refuse("The profile has expired; ask a person to move its date."),
            SubmitError::Unlocked => {
                Self::new(&WRONG_STATE, "The profile is not locked yet; a person has to lock it and give you its key.")
            }
            SubmitError::Suspended => Self::new(
                &WRONG_STATE,
                "The profile is suspended, because one of its scripts disguised a credential and tried to show it; ask a \
                 person to look at that and lift it.",
            ),
            SubmitError::MissingHash => Self::new(
                &WRONG_SIGNATURE,
                "`hash` is missing; send the hexadecimal HMAC-SHA256 of the script, keyed with the profile's secret.",
            ),
            SubmitError::WrongHash => Self::new(
                &WRONG_SIGNATURE,
                "`hash` does not match; it is the hexadecimal HMAC-SHA256 of exactly this script's UTF-8 bytes, keyed \
                 with the part of the profile's key after the colon.",
            ),
            SubmitError::MissingValue(name) => {
                let detail = format!("{name} has no value; a person has to set it first.");
                Self::new(&WRONG_STATE, detail).named("credential", &name)
            }
            SubmitError::KeyUsedOtherwise => Self::new(
                &WRONG_STATE,
                "This Idempotency-Key was used for another script or other settings; send a new key with a new submission.",
            ),
            SubmitError::FirstIsGone => Self::new(
                &WRONG_STATE,
                "This Idempotency-Key has led to an execution that was removed since; send a new key.",
            ),
            SubmitError::QueueFull { retry_after } => {
                Self::new(&SLOW_DOWN, "The queue is full; send it again after the time in Retry-After.")
                    .retry_after(retry_after)
            }
            SubmitError::Unavailable(error) => error.into(),
        }
    }
}

impl From<RespondError> for Problem {
    fn from(error: RespondError) -> Self {
        let conflict = |detail: String| Self::new(&WRONG_STATE, detail);
        match error {
            RespondError::UnknownExecution => Self::no_such("execution"),
            RespondError::UnknownRequest => {
                let problem = "names no request of this execution; take the `id` of its `llm_request`";
                Self::invalid(vec![Fault::new("request_id", problem)])
            }
            RespondError::Finished(status) => {
                conflict(format!("The execution is {} already; no answer is taken any more.", status.as_str()))
            }
            RespondError::NothingAsked => {
                conflict("The execution awaits no answer now; poll until its status is awaiting_llm.".to_owned())
            }
            RespondError::AnsweredOtherwise(id) => {
                conflict(format!("{id} has another answer already; poll for what is asked now."))
            }
            RespondError::TimedOut(id) => {
                conflict(format!("{id} has timed out; poll for what became of the execution."))
            }
            RespondError::TooLong => Self::new(
                &TOO_LARGE,
                format!("`response` is longer than {MAX_PROMPT_BYTES} bytes of UTF-8; answer with less."),
            ),
            RespondError::Misfit(Misfit { at, problem }) => {
                let place = if at.is_empty() { "the answer".to_owned() } else { format!("the answer at {at}") };
                let problem = format!("does not fit the schema of the request: {place} {problem}");
                Self::invalid(vec![Fault::new("response", problem)]).with("pointer", Member::Text(at))
            }
            RespondError::Unavailable(error) => error.into(),
        }
    }
}

impl From<EndError> for Problem {
    fn from(error: EndError) -> Self {
        match error {
            EndError::Unknown => Self::no_such("execution"),
            EndError::Finished(status) => {
                Self::new(&WRONG_STATE, format!("The execution is {} already.", status.as_str()))
            }
            EndError::Live(status) => {
                Self::new(&WRONG_STATE, format!("The execution is {}; cancel it first.", status.as_str()))
            }
            EndError::Unavailable(error) => error.into(),
        }
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::SetUpAlready => Self::new(&WRONG_STATE, "The password is set already; log in with it."),
            SessionError::SetUpRequired => {
                Self::new(&WRONG_STATE, "No password is set yet; set it with POST /api/admin/setup.")
            }
            SessionError::PasswordLength => Self::new(&INVALID, "A password has 8 to 1024 characters."),
            SessionError::WrongPassword => Self::unauthorized(&WRONG_PASSWORD, "That is not the password."),
            SessionError::SlowDown { retry_after } => {
                Self::new(&SLOW_DOWN, "Too many failed logins; try again after the time in Retry-After.")
                    .retry_after(retry_after)
            }
            SessionError::NoSession => {
                Self::unauthorized(&NO_IDENTITY, "There is no such session, or it has ended; log in again.")
            }
            SessionError::Unavailable(error) => error.into(),
        }
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        let later =
            |detail: &'static str, seconds| Self::new(&UNAVAILABLE, detail).retry_after(Duration::from_secs(seconds));
        match error {
            Unavailable::Store(StoreError::Full) => {
                tracing::error!(%error, "store refused a write");
                later("The disk is full and nothing was written; a person has to make space.", 30)
            }
            Unavailable::Store(StoreError::Closed) | Unavailable::Draining => {
                later("The server is shutting down; send it again in a moment.", 2)
            }
            Unavailable::Actor(_) => {
                tracing::warn!(%error, "part of the core does not answer");
                later("The server is too busy to answer; send it again in a moment.", 1)
            }
            Unavailable::Store(StoreError::Failed(_)) | Unavailable::Sealed => {
                tracing::error!(%error, "request failed");
                Self::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{body_json, body_text};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_has_the_four_members_of_the_rfc_and_its_own() {
        let name: CredentialName = "TOKEN".parse().expect("a name");
        let response = Problem::from(SubmitError::MissingValue(name)).into_response();
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            body_json(response),
            json!({"type": "urn:airlock:problem:wrong-state", "title": "Wrong state", "status": 409,
                   "detail": "TOKEN has no value; a person has to set it first.", "credential": "TOKEN"})
        );
    }

    #[test]
    fn faults_are_listed_by_field_and_the_first_is_the_detail() {
        let faults = vec![Fault::new("timeout", "must be a whole number"), Fault::new("x", "is not a known field")];
        let body = body_json(Problem::invalid(faults).into_response());
        assert_eq!(body["detail"], "`timeout` must be a whole number.");
        assert_eq!(body["errors"][1], json!({"field": "x", "problem": "is not a known field"}));
    }

    #[test]
    fn internal_errors_keep_their_words_for_the_log() {
        let error = Unavailable::Store(StoreError::Failed("/data/airlock.redb: bad checksum".to_owned()));
        let response = Problem::from(error).into_response();
        assert_eq!(response.status(), 500);
        assert!(!body_text(response).contains("checksum"));
    }

    #[test]
    fn waiting_times_are_whole_seconds_rounded_up_and_at_least_one() {
        for (wait, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_500, "60")] {
            let error = SessionError::SlowDown { retry_after: Duration::from_millis(wait) };
            let response = Problem::from(error).into_response();
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn every_401_carries_a_challenge() {
        let admins = [SessionError::WrongPassword, SessionError::NoSession].map(Problem::from);
        let agents = [SubmitError::UnknownProfile, SubmitError::Revoked, SubmitError::Expired].map(Problem::from);
        for response in admins.into_iter().chain(agents).map(Problem::into_response) {
            assert_eq!(response.status(), 401);
            assert!(response.headers().contains_key(WWW_AUTHENTICATE));
        }
    }
}
