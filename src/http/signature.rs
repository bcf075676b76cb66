//! The signature of a call that has no script: a profile proves that it asks for its own.

use std::sync::Arc;

use airlock_actors::core::SubmitError;
use airlock_actors::domain::ProfileId;
use http::HeaderMap;

use super::problem::{NO_IDENTITY, Problem, WRONG_SIGNATURE};
use super::router::Exchange;
use super::routes::{Call, named_in};

const TIMESTAMP: &str = "Airlock-Timestamp";
const SIGNATURE: &str = "Airlock-Signature";

/// How far a call's time may be from ours, in seconds: a signature that was seen is of no use for longer.
const TOLERANCE_S: i64 = 300;

const HOW: &str = "send Airlock-Timestamp (Unix seconds) and Airlock-Signature, the hexadecimal HMAC-SHA256 of \
                   \"METHOD\\nPATH?QUERY\\nTIMESTAMP\" as sent, keyed with the part of the profile's key after the colon";

/// Proves the signature of a call, and returns whose it is.
pub(super) async fn prove(call: &Call) -> Result<ProfileId, Problem> {
    let profile = named_in(&call.exchange.headers)?.ok_or_else(|| {
        let detail = format!("Say who you are: send `Authorization: Bearer ark_…`, and {HOW}.");
        Problem::unauthorized(&NO_IDENTITY, detail)
    })?;
    let (signed, signature) = signed(&call.exchange, call.app.core.now().as_second())?;
    match call.app.core.verify_signature(&profile, &signed, &signature).await {
        Ok(()) => Ok(profile),
        Err(SubmitError::WrongHash) => Err(wrong("Airlock-Signature does not match")),
        Err(error) => Err(error.into()),
    }
}

/// What is signed, and with what.
fn signed(exchange: &Exchange, now: i64) -> Result<(Arc<str>, String), Problem> {
    let timestamp = one(&exchange.headers, TIMESTAMP)?;
    let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: Option<i64> = timestamp.parse().ok().filter(|_| digits);
    let seconds = seconds.ok_or_else(|| wrong("Airlock-Timestamp is not a number of seconds"))?;
    if seconds.abs_diff(now) > TOLERANCE_S.unsigned_abs() {
        return Err(wrong("Airlock-Timestamp is more than 300 s from the server's time"));
    }
    let signature = one(&exchange.headers, SIGNATURE)?;
    let path = exchange.uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((format!("{}\n{path}\n{timestamp}", exchange.method).into(), signature.to_owned()))
}

fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(wrong("The call is not signed")),
    }
}

fn wrong(what: &str) -> Problem {
    Problem::new(&WRONG_SIGNATURE, format!("{what}; {HOW}."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::exchange;

    fn asked(timestamp: &str, now: i64) -> Option<String> {
        let headers = [("airlock-timestamp", timestamp), ("airlock-signature", "ab")];
        signed(&exchange("GET", "/executions?limit=1&status=error", &headers), now)
            .ok()
            .map(|(text, _)| text.to_string())
    }

    #[test]
    fn method_path_query_and_time_are_signed() {
        let text = asked("1000", 1000).expect("in time");
        assert_eq!(text, "GET\n/executions?limit=1&status=error\n1000");
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_either_way() {
        for (now, good) in [(1300, true), (1301, false), (700, true), (699, false)] {
            assert_eq!(asked("1000", now).is_some(), good, "at {now}");
        }
        for timestamp in ["", "+1000", "-1", "1000.0", "999999999999999999999999"] {
            assert_eq!(asked(timestamp, 1000), None, "{timestamp:?}");
        }
    }

    #[test]
    fn a_header_that_is_missing_or_there_twice_is_refused() {
        let twice = [("airlock-timestamp", "1000"), ("airlock-timestamp", "1000"), ("airlock-signature", "ab")];
        for headers in [&twice[..], &twice[..1], &twice[2..]] {
            assert!(signed(&exchange("GET", "/executions", headers), 1000).is_err());
        }
    }
}
