//! Profiles as the administrator locks, limits and ends them.

use std::ops::RangeInclusive;

use airlock_actors::core::ProfileChange;
use airlock_actors::domain::credential::MAX_DESCRIPTION_BYTES;
use airlock_actors::domain::limits::MIB;
use airlock_actors::domain::{Limits, Maker, ProfileRecord, Secret};
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::profiles::{all, attached, detached, made, shown};
use super::{Answer, Call, done, max_body, ok, to_the_end};
use crate::http::fields::{self, Fields, Read, boolean, integer, nullable, object, text, text_up_to};
use crate::http::hosts::allowed_hosts;
use crate::http::problem::Fault;
use crate::http::{auth, views};

/// `GET /api/admin/profiles?limit=&cursor=`
pub(in crate::http) async fn list(call: Call) -> Answer {
    auth::admin(&call).await?;
    all(&call, views::admin_profile).await
}

/// `POST /api/admin/profiles`
pub(in crate::http) async fn create(call: Call) -> Answer {
    auth::admin(&call).await?;
    made(&call, Maker::Person, views::admin_profile, "/api/admin/profiles").await
}

/// `GET /api/admin/profiles/{id}`
pub(in crate::http) async fn one(call: Call) -> Answer {
    auth::admin(&call).await?;
    let record = call.app.core.profile(&call.profile_id()?).await?;
    answer(&call, &record).await
}

/// `PUT /api/admin/profiles/{id}`: what is left out stays as it is; `limits` are replaced as a whole.
pub(in crate::http) async fn update(call: Call) -> Answer {
    auth::admin(&call).await?;
    let id = call.profile_id()?;
    let body = call.body(max_body::SETTINGS).await?;
    let change = fields::read(&body, change)?;
    let core = call.app.core.clone();
    let record = to_the_end(async move { core.update_profile(&id, change).await }).await?;
    answer(&call, &record).await
}

/// `DELETE /api/admin/profiles/{id}`
pub(in crate::http) async fn remove(call: Call) -> Answer {
    auth::admin(&call).await?;
    let id = call.profile_id()?;
    call.no_body().await?;
    let core = call.app.core.clone();
    to_the_end(async move { core.delete_profile(&id).await }).await?;
    Ok(done())
}

/// `POST /api/admin/profiles/{id}/credentials`
pub(in crate::http) async fn attach(call: Call) -> Answer {
    auth::admin(&call).await?;
    attached(&call, views::admin_profile).await
}

/// `DELETE /api/admin/profiles/{id}/credentials`
pub(in crate::http) async fn detach(call: Call) -> Answer {
    auth::admin(&call).await?;
    detached(&call, views::admin_profile).await
}

/// `POST /api/admin/profiles/{id}/lock`: the only time, but for the next, that the key is shown.
pub(in crate::http) async fn lock(call: Call) -> Answer {
    auth::admin(&call).await?;
    let id = call.profile_id()?;
    call.no_body().await?;
    let core = call.app.core.clone();
    let (record, secret) = to_the_end(async move { core.lock_profile(&id).await }).await?;
    with_key(&call, &record, &secret).await
}

/// `POST /api/admin/profiles/{id}/regenerate-key`
pub(in crate::http) async fn regenerate_key(call: Call) -> Answer {
    auth::admin(&call).await?;
    let id = call.profile_id()?;
    call.no_body().await?;
    let core = call.app.core.clone();
    let (record, secret) = to_the_end(async move { core.regenerate_key(&id).await }).await?;
    with_key(&call, &record, &secret).await
}

/// `POST /api/admin/profiles/{id}/revoke`
pub(in crate::http) async fn revoke(call: Call) -> Answer {
    auth::admin(&call).await?;
    let id = call.profile_id()?;
    call.no_body().await?;
    let core = call.app.core.clone();
    let record = to_the_end(async move { core.revoke_profile(&id).await }).await?;
    answer(&call, &record).await
}

async fn answer(call: &Call, record: &ProfileRecord) -> Answer {
    ok(shown(call, record, views::admin_profile, |_| {}).await?)
}

async fn with_key(call: &Call, record: &ProfileRecord, secret: &Secret) -> Answer {
    let key = zeroize::Zeroizing::new(format!("{}:{}", record.id, secret.expose()));
    ok(shown(call, record, views::admin_profile, |object| object.text("key", &key)).await?)
}

fn change(fields: &mut Fields<'_>) -> Option<ProfileChange> {
    let description = fields.optional("description", text_up_to(MAX_DESCRIPTION_BYTES));
    let expires_at = fields.optional("expires_at", nullable(time));
    let allowed_hosts = fields.optional("allowed_hosts", nullable(allowed_hosts));
    let limits = fields.optional("limits", limits);
    let suspend_on_leak = fields.optional("on_leak", on_leak);
    let suspended = fields.optional("suspended", boolean);
    Some(ProfileChange {
        description: description?,
        expires_at: expires_at?,
        allowed_hosts: allowed_hosts?,
        limits: limits?,
        suspend_on_leak: suspend_on_leak?,
        suspended: suspended?,
    })
}

/// A moment with its offset. Times without one, or with a zone's name, are refused.
fn time(raw: &RawValue) -> Read<Timestamp> {
    let text = text(raw)?;
    let plain = text.len() <= 40 && !text.contains('[');
    let time = text.parse().ok().filter(|_| plain);
    time.ok_or_else(|| vec![Fault::new("", "must be a time such as 2030-01-31T12:00:00Z, or null")])
}

fn on_leak(raw: &RawValue) -> Read<bool> {
    match text(raw)?.as_str() {
        "record" => Ok(false),
        "suspend" => Ok(true),
        _ => Err(vec![Fault::new("", "must be `record` or `suspend`")]),
    }
}

/// Limits within which a script can run at all and the machine is not at its mercy. Null is all defaults.
fn limits(raw: &RawValue) -> Read<Limits> {
    let limits = nullable(|raw| {
        object(raw, |fields| {
            let mut limit =
                |name, range: RangeInclusive<u64>| fields.optional(name, nullable(integer(range))).map(Option::flatten);
            let memory_bytes = limit("memory_bytes", 64 * MIB..=1024 * 1024 * MIB);
            let cpu_seconds = limit("cpu_seconds", 1..=86_400);
            let processes = limit("processes", 1..=65_536);
            let open_files = limit("open_files", 16..=65_536);
            let tmp_bytes = limit("tmp_bytes", 0..=1024 * 1024 * MIB);
            let output_bytes = limit("output_bytes", 1024..=64 * MIB);
            Some(Limits {
                memory_bytes: memory_bytes?,
                cpu_seconds: cpu_seconds?,
                processes: processes?,
                open_files: open_files?,
                tmp_bytes: tmp_bytes?,
                output_bytes: output_bytes?,
            })
        })
    })(raw)?;
    Ok(limits.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<ProfileChange, u16> {
        fields::read(body.as_bytes(), change).map_err(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn null_clears_and_absence_keeps() {
        let kept = read("{}").expect("valid");
        assert!(kept.expires_at.is_none() && kept.allowed_hosts.is_none() && kept.limits.is_none());
        let cleared = read(r#"{"expires_at":null,"allowed_hosts":null,"limits":null}"#).expect("valid");
        assert_eq!((cleared.expires_at, cleared.allowed_hosts), (Some(None), Some(None)));
        assert_eq!(cleared.limits, Some(Limits::default()));
        let set = read(r#"{"expires_at":"2030-01-31T12:00:00.5+02:00","allowed_hosts":[],"on_leak":"suspend"}"#);
        let set = set.expect("valid");
        assert_eq!(set.expires_at.flatten().map(|at| at.as_millisecond()), Some(1_896_084_000_500));
        assert_eq!((set.allowed_hosts, set.suspend_on_leak), (Some(Some(Vec::new())), Some(true)));
    }

    #[test]
    fn limits_have_ranges_and_null_is_the_default() {
        let limits = read(r#"{"limits":{"processes":1,"cpu_seconds":null}}"#).expect("valid").limits;
        assert_eq!(limits, Some(Limits { processes: Some(1), ..Limits::default() }));
        for faulty in [
            r#"{"limits":{"processes":0}}"#,
            r#"{"limits":{"memory_bytes":1}}"#,
            r#"{"limits":{"output_bytes":-1}}"#,
            r#"{"limits":{"threads":1}}"#,
            r#"{"limits":[]}"#,
            r#"{"expires_at":"tomorrow"}"#,
            r#"{"expires_at":"2030-01-31T12:00:00"}"#,
            r#"{"expires_at":1}"#,
            r#"{"on_leak":"x"}"#,
            r#"{"allowed_hosts":"a"}"#,
            r#"{"allowed_hosts":["a b"]}"#,
            r#"{"description":null}"#,
            r#"{"locked":true}"#,
        ] {
            assert_eq!(read(faulty).err(), Some(422), "{faulty}");
        }
    }
}
