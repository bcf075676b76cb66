//! What the first page of the web UI shows: what needs a person, what lives now, and how it went.

use airlock_actors::core::{Bucket, CredentialView, Durations, LiveCounts, Outcomes, Overview, Span};
use airlock_actors::domain::{ProfileRecord, ProfileStatus};
use jiff::Timestamp;

use super::{Answer, Call, ok};
use crate::http::json::{self, Object};
use crate::http::problem::{Fault, Problem};
use crate::http::{auth, views};

/// How many of each kind that needs a person are named.
const NAMED: usize = 5;

/// `GET /api/admin/overview?window=`: over the last `1h`, `24h` (unless said) or `7d`.
pub(in crate::http) async fn overview(call: Call) -> Answer {
    auth::admin(&call).await?;
    let span = span(&call)?;
    let core = &call.app.core;
    let overview = core.overview(span).await?;
    let live = core.live_counts();
    let readiness = core.readiness().await;
    let degraded = readiness.worker.as_ref().map(|worker| worker.degraded()).unwrap_or_default();
    let _turn = call.app.turn().await;
    let (credentials, profiles) = (core.credentials().await?, core.profiles().await?);
    let now = core.now();
    ok(json::object(16 * 1024, |object| {
        object.time("now", overview.at);
        let (length, parts) = span.parts();
        object.number("window_s", length.as_secs());
        object.number("bucket_s", length.as_secs() / u64::try_from(parts).unwrap_or(u64::MAX).max(1));
        object.time_or_null("counted_since", overview.counted_since);
        object.object("live", |object| live_members(object, live));
        object.object("totals", |object| outcome_members(object, overview.outcomes));
        object.object("durations", |object| duration_members(object, overview.durations));
        object.objects("buckets", &overview.buckets, bucket);
        object.object("attention", |object| attention(object, &overview, &credentials, &profiles, now));
        object.number("credentials", count(credentials.len()));
        object.number("profiles", count(profiles.len()));
        object.texts("problems", &readiness.problems);
        object.texts("degraded", degraded);
    }))
}

fn span(call: &Call) -> Result<Span, Problem> {
    match call.query("window")?.as_deref() {
        Some("1h") => Ok(Span::Hour),
        None | Some("24h") => Ok(Span::Day),
        Some("7d") => Ok(Span::Week),
        Some(_) => Err(Problem::invalid(vec![Fault::new("window", "must be `1h`, `24h` or `7d`")])),
    }
}

fn live_members(object: &mut Object<'_>, live: LiveCounts) {
    object.number("pending", live.pending);
    object.number("running", live.running);
    object.number("awaiting_llm", live.awaiting_llm);
}

fn outcome_members(object: &mut Object<'_>, outcomes: Outcomes) {
    object.number("completed", outcomes.completed);
    object.number("error", outcomes.error);
    object.number("timeout", outcomes.timeout);
    object.number("cancelled", outcomes.cancelled);
}

fn duration_members(object: &mut Object<'_>, durations: Durations) {
    object.number_or_null("p50_ms", durations.p50_ms);
    object.number_or_null("p95_ms", durations.p95_ms);
}

fn bucket(object: &mut Object<'_>, bucket: &Bucket) {
    object.time("start", bucket.start);
    outcome_members(object, bucket.outcomes);
    duration_members(object, bucket.durations);
}

/// Values that agents asked for, profiles that only wait for their lock, those that are suspended, and executions that look
/// like a leak: how many there are, and the newest of each.
fn attention(
    object: &mut Object<'_>,
    overview: &Overview,
    credentials: &[CredentialView],
    profiles: &[ProfileRecord],
    now: Timestamp,
) {
    let mut wanted: Vec<&CredentialView> = credentials.iter().filter(|credential| !credential.has_value).collect();
    wanted.sort_by_key(|credential| std::cmp::Reverse(credential.created_at));
    object.object("values_wanted", |object| {
        object.number("count", count(wanted.len()));
        object.objects("credentials", wanted.iter().take(NAMED), |object, credential| {
            object.text("name", credential.name.as_str());
            object.text("description", &credential.description);
            object.text("described_by", credential.described_by.as_str());
        });
    });
    // Oldest first, so the newest are at the end.
    let ready: Vec<&ProfileRecord> =
        profiles.iter().rev().filter(|profile| is_ready(profile, credentials, now)).collect();
    object.object("profiles_ready", |object| named_profiles(object, &ready));
    let suspended: Vec<&ProfileRecord> = profiles.iter().rev().filter(|profile| is_held(profile, now)).collect();
    object.object("profiles_suspended", |object| named_profiles(object, &suspended));
    object.object("suspicious", |object| {
        object.number("count", overview.suspicious);
        object.objects("executions", &overview.suspicious_newest, views::listed_execution);
    });
}

fn named_profiles(object: &mut Object<'_>, profiles: &[&ProfileRecord]) {
    object.number("count", count(profiles.len()));
    object.objects("profiles", profiles.iter().take(NAMED), |object, profile| {
        object.text("id", profile.id.as_str());
        object.text("description", &profile.description);
        object.text("described_by", profile.described_by.as_str());
    });
}

/// Whether a person has to lift a suspension before a profile runs anything: one that has ended for good waits for nobody.
fn is_held(profile: &ProfileRecord, now: Timestamp) -> bool {
    profile.suspended && profile.status(now) == ProfileStatus::Locked
}

/// Whether a profile has credentials, all of them with values, and no lock. `credentials` are sorted by name.
fn is_ready(profile: &ProfileRecord, credentials: &[CredentialView], now: Timestamp) -> bool {
    let has_value = |name| {
        let found = credentials.binary_search_by(|credential| credential.name.cmp(name)).ok();
        found.and_then(|index| credentials.get(index)).is_some_and(|credential| credential.has_value)
    };
    profile.status(now) == ProfileStatus::Unlocked
        && !profile.credentials.is_empty()
        && profile.credentials.iter().all(has_value)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
