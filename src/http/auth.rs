//! Who is asking: agents by their profile's id, administrators by a session.

use airlock_actors::domain::Secret;
use http::Method;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, ORIGIN};

use super::base_url::{PublicUrl, is_fixed_name, is_https, is_own_origin};
use super::problem::{FOREIGN_ORIGIN, NO_IDENTITY, Problem};
use super::router::Exchange;
use super::routes::Call;

/// The session's cookie where the browser talks plain HTTP, and where it talks HTTPS.
const COOKIE_NAME: &str = "airlock_session";
const HTTPS_COOKIE_NAME: &str = "__Host-airlock_session";

/// What an `Authorization` header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bearer<'a> {
    /// There is none.
    Absent,
    /// There is one, but not of the form `Bearer TOKEN`, or more than one.
    Malformed,
    /// The token.
    Token(&'a str),
}

/// Reads the `Authorization` header.
pub(super) fn bearer(headers: &HeaderMap) -> Bearer<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(AUTHORIZATION) { Bearer::Malformed } else { Bearer::Absent };
    };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        let token = token.trim();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    });
    token.map_or(Bearer::Malformed, Bearer::Token)
}

/// Proves an administrator's session and returns its token: the bearer's, else the cookie's, which for a call that
/// changes state also takes proof that it comes from Airlock's own pages.
pub(super) async fn admin(call: &Call) -> Result<Secret, Problem> {
    let token = session_token(&call.exchange, call.app.config.public_url.as_ref())?;
    call.app.core.authenticate(&token).await?;
    Ok(token)
}

fn session_token(exchange: &Exchange, public: Option<&PublicUrl>) -> Result<Secret, Problem> {
    match bearer(&exchange.headers) {
        Bearer::Token(token) => Ok(Secret::new(token.to_owned())),
        Bearer::Malformed => Err(Problem::unauthorized(&NO_IDENTITY, "Send `Authorization: Bearer` and one token.")),
        Bearer::Absent => {
            let token = session_cookie(&exchange.headers).ok_or_else(|| {
                let detail = "Log in with POST /api/admin/login and send its token as `Authorization: Bearer`.";
                Problem::unauthorized(&NO_IDENTITY, detail)
            })?;
            refuse_rebound_name(exchange, public)?;
            let changes_state = !matches!(exchange.method, Method::GET | Method::HEAD);
            if changes_state && !is_same_origin(exchange, public) {
                return Err(foreign_origin());
            }
            Ok(Secret::new(token.to_owned()))
        }
    }
}

fn foreign_origin() -> Problem {
    Problem::new(
        &FOREIGN_ORIGIN,
        "With a cookie, a call that changes something has to come from Airlock's own pages; send the token as \
         `Authorization: Bearer` instead.",
    )
}

/// Refuses what a browser says comes from another site, for the calls that open a session.
pub(super) fn refuse_cross_site(exchange: &Exchange, public: Option<&PublicUrl>) -> Result<(), Problem> {
    refuse_rebound_name(exchange, public)?;
    if is_from_browser(exchange) && !is_same_origin(exchange, public) { Err(foreign_origin()) } else { Ok(()) }
}

/// Refuses what a browser sends from a page whose name may be anybody's: see [`is_fixed_name`].
fn refuse_rebound_name(exchange: &Exchange, public: Option<&PublicUrl>) -> Result<(), Problem> {
    let origin = exchange.headers.get(ORIGIN).map(|value| value.to_str().unwrap_or_default());
    if !is_from_browser(exchange) || is_fixed_name(origin, exchange, public) {
        return Ok(());
    }
    Err(Problem::new(
        &FOREIGN_ORIGIN,
        "A browser reaches this server by an IP address, by localhost, or by the name in its public URL; start it with \
         `--public-url` and the URL in the address bar, if that is how it is meant to be reached.",
    ))
}

/// Whether it carries what only browsers send of their own accord.
fn is_from_browser(exchange: &Exchange) -> bool {
    exchange.headers.contains_key(SEC_FETCH_SITE) || exchange.headers.contains_key(ORIGIN)
}

/// What a browser tells of where a request comes from (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Proof that a request comes from this origin: the browser says so, or its `Origin` is one of our names. Where both are
/// there, both must say it.
fn is_same_origin(exchange: &Exchange, public: Option<&PublicUrl>) -> bool {
    let header = |name: &str| exchange.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let own_origin = header(ORIGIN.as_str()).map(|origin| is_own_origin(origin, exchange, public));
    match header(SEC_FETCH_SITE) {
        Some("same-origin") => own_origin.unwrap_or(true),
        None | Some("none") => own_origin.unwrap_or(false),
        Some(_) => false,
    }
}

fn session_cookie(headers: &HeaderMap) -> Option<&str> {
    let named = |wanted: &str| {
        let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == wanted).map(|(_, token)| token)
    };
    named(HTTPS_COOKIE_NAME).or_else(|| named(COOKIE_NAME)).filter(|token| !token.is_empty())
}

/// The `Set-Cookie` that hands a browser its session. It ends with the browser, or when the server ends it.
pub(super) fn set_cookie(exchange: &Exchange, public: Option<&PublicUrl>, token: &Secret) -> Option<HeaderValue> {
    let (name, secure) = if is_https(exchange, public) { (HTTPS_COOKIE_NAME, "; Secure") } else { (COOKIE_NAME, "") };
    let cookie = format!("{name}={}; Path=/; HttpOnly; SameSite=Strict{secure}", token.expose());
    let mut value = HeaderValue::from_str(&cookie).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The `Set-Cookie`s that take it away again, under either name.
pub(super) fn clear_cookies() -> [HeaderValue; 2] {
    [
        HeaderValue::from_static("airlock_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"),
        HeaderValue::from_static("__Host-airlock_session=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::exchange;
    use super::*;

    #[test]
    fn reads_one_bearer_token() {
        for (values, read) in [
            (&[][..], Bearer::Absent),
            (&["Bearer abc"], Bearer::Token("abc")),
            (&["bearer  abc "], Bearer::Token("abc")),
            (&["Basic abc"], Bearer::Malformed),
            (&["Bearer"], Bearer::Malformed),
            (&["Bearer "], Bearer::Malformed),
            (&["Bearer a", "Bearer b"], Bearer::Malformed),
        ] {
            let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
            assert_eq!(bearer(&exchange("GET", "/", &headers).headers), read, "{values:?}");
        }
    }

    fn token(method: &str, headers: &[(&str, &str)]) -> Result<String, u16> {
        let read = session_token(&exchange(method, "/", headers), None);
        read.map(|token| token.expose().to_owned()).map_err(|problem| problem.into_response().status().as_u16())
    }

    #[test]
    fn a_session_is_a_bearer_or_a_cookie() {
        assert_eq!(token("GET", &[]), Err(401));
        assert_eq!(token("GET", &[("authorization", "Basic x"), ("cookie", "airlock_session=c")]), Err(401));
        assert_eq!(token("POST", &[("authorization", "Bearer b"), ("cookie", "airlock_session=c")]), Ok("b".into()));
        assert_eq!(token("GET", &[("cookie", "a=1; airlock_session=c;b=2")]), Ok("c".into()));
        assert_eq!(token("GET", &[("cookie", "airlock_session=c; __Host-airlock_session=s")]), Ok("s".into()));
        assert_eq!(token("GET", &[("cookie", "airlock_session=")]), Err(401));
        assert_eq!(token("GET", &[("cookie", "xairlock_session=c")]), Err(401));
    }

    #[test]
    fn a_cookie_changes_state_only_with_proof_of_origin() {
        let post = |headers: &[(&str, &str)]| {
            let all = [&[("cookie", "airlock_session=c"), ("host", "127.0.0.1:9090")], headers].concat();
            token("POST", &all).err()
        };
        assert_eq!(post(&[]), Some(403));
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), None);
        assert_eq!(post(&[("origin", "https://127.0.0.1:9090")]), None);
        assert_eq!(post(&[("sec-fetch-site", "none"), ("origin", "https://127.0.0.1:9090")]), None);
        assert_eq!(post(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]), Some(403));
        assert_eq!(post(&[("sec-fetch-site", "none")]), Some(403));
        assert_eq!(post(&[("sec-fetch-site", "same-site"), ("origin", "https://127.0.0.1:9090")]), Some(403));
        assert_eq!(post(&[("sec-fetch-site", "cross-site")]), Some(403));
        assert_eq!(post(&[("origin", "https://evil.example")]), Some(403));
        assert_eq!(post(&[("origin", "null")]), Some(403));
    }

    #[test]
    fn sessions_are_not_opened_for_other_sites() {
        let refused = |headers: &[(&str, &str)]| refuse_cross_site(&exchange("POST", "/", headers), None).is_err();
        assert!(!refused(&[]));
        assert!(!refused(&[("host", "localhost"), ("sec-fetch-site", "same-origin")]));
        assert!(refused(&[("sec-fetch-site", "cross-site")]));
        assert!(refused(&[("host", "a"), ("origin", "http://b")]));
    }

    #[test]
    fn a_page_under_a_name_that_may_be_anybodys_gets_no_session_and_uses_none() {
        let rebound: [(&str, &str); 3] =
            [("host", "evil.example:9090"), ("origin", "http://evil.example:9090"), ("x-forwarded-host", "localhost")];
        let public: PublicUrl = "http://evil.example:9090".parse().expect("a URL");
        let opened =
            |headers: &[(&str, &str)], public| refuse_cross_site(&exchange("POST", "/", headers), public).is_ok();
        assert!(!opened(&rebound, None));
        assert!(opened(&rebound, Some(&public)), "the name is the server's own");
        assert!(!opened(&[("host", "evil.example"), ("sec-fetch-site", "same-origin")], None));
        assert!(opened(&[("host", "evil.example")], None), "not a browser");
        let with_cookie = [&[("cookie", "airlock_session=c")], rebound.as_slice()].concat();
        assert_eq!(token("POST", &with_cookie), Err(403));
        assert_eq!(token("GET", &with_cookie), Err(403));
        assert_eq!(token("POST", &[&[("authorization", "Bearer b")], rebound.as_slice()].concat()), Ok("b".into()));
    }

    #[test]
    fn the_cookie_is_secure_exactly_when_the_browser_talks_https() {
        let token = Secret::new("t0ken".to_owned());
        let cookie = |headers: &[(&str, &str)], public: Option<&PublicUrl>| {
            set_cookie(&exchange("POST", "/", headers), public, &token)
                .expect("a header")
                .to_str()
                .expect("text")
                .to_owned()
        };
        let plain = "airlock_session=t0ken; Path=/; HttpOnly; SameSite=Strict";
        let secure = "__Host-airlock_session=t0ken; Path=/; HttpOnly; SameSite=Strict; Secure";
        let public: PublicUrl = "https://a.example".parse().expect("a URL");
        assert_eq!(cookie(&[], None), plain);
        assert_eq!(cookie(&[("x-forwarded-proto", "https")], None), secure);
        assert_eq!(cookie(&[], Some(&public)), secure);
        assert_eq!(cookie(&[("x-forwarded-proto", "http")], Some(&public)), plain);
    }
}
