//! What a person or an agent finds first: the web UI and the agents' guide.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, X_FRAME_OPTIONS};
use warp::reply::Response;

use super::{Answer, Call};
use crate::http::assets;
use crate::http::base_url::base_url;
use crate::http::problem::Problem;

/// What stands at `/` in a binary that was built without the UI: it says how to build it.
const UNBUILT: &str = include_str!("../../../static/fallback/index.html");
const STYLE: &str = include_str!("../../../static/fallback/style.css");
const SKILL: &str = include_str!("../../../static/skill.md");

/// What stands in the guide for the URL of this server. Only letters, digits and `-._~:/[]` come in its place, so nothing
/// has to be escaped, in a shell's command or in Python.
const BASE_URL: &str = "{{BASE_URL}}";

/// Everything from this server and nothing inline. The one policy of trusted types is Svelte's own, through which it makes
/// its templates; a text never becomes markup.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
     trusted-types svelte-trusted-html",
);

/// `GET /`
pub(in crate::http) async fn page(call: Call) -> Answer {
    let page = assets::file("index.html", &call.exchange.headers);
    let mut response = page.unwrap_or_else(|| file("text/html; charset=utf-8", UNBUILT));
    let mut set = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
    set(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    set(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// `GET /assets/{name}`
pub(in crate::http) async fn asset(call: Call) -> Answer {
    let name = format!("assets/{}", call.parameter());
    assets::file(&name, &call.exchange.headers).ok_or_else(|| Problem::no_such("file"))
}

/// `GET /style.css`: of the page that says how to build the UI.
pub(in crate::http) async fn style(_: Call) -> Answer {
    let mut response = file("text/css; charset=utf-8", STYLE);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// `GET /skill.md`
pub(in crate::http) async fn skill(call: Call) -> Answer {
    let base_url = base_url(&call.exchange, call.app.config.public_url.as_ref())?;
    Ok(file("text/markdown; charset=utf-8", SKILL.replace(BASE_URL, &base_url)))
}

fn file(media_type: &'static str, body: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(body.into().into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::process::Command;
    use std::sync::Arc;

    use hmac::{Hmac, KeyInit, Mac};
    use http::StatusCode;
    use sha2::Sha256;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::http::body::BodyLimits;
    use crate::http::budget::Budget;
    use crate::http::fields::{self, text};
    use crate::http::problem::{Problem, WRONG_SIGNATURE};
    use crate::http::router::{self, at, edge, first_of, get, post};
    use crate::http::routes::json_response;
    use crate::http::{Server, ServerConfig};

    const ID: &str = "ark_abcdefghijklmnopqrstuvwx";
    const SECRET: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL";

    /// Takes a submission as the core would: the bearer is the bare id and the hash signs the script.
    async fn accept(call: router::Call<()>) -> Answer {
        let limits = BodyLimits { max_bytes: 10_000, idle: TIME, total: TIME };
        assert_eq!(call.exchange.headers["authorization"], format!("Bearer {ID}"));
        let body = call.json(limits, &Budget::new(0)).await?;
        let (script, hash) = fields::read(&body, |fields| {
            fields.optional("timeout", fields::integer(1..=3600))?;
            Some((fields.required("script", text)?, fields.required("hash", text)?))
        })?;
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
        mac.update(script.as_bytes());
        let signed = hex::decode(hash).is_ok_and(|hash| mac.verify_slice(&hash).is_ok());
        if !signed {
            return Err(Problem::new(&WRONG_SIGNATURE, "wrong"));
        }
        let accepted = r#"{"execution_id":"exec_1","status":"pending","poll_url":"unused"}"#;
        Ok(json_response(StatusCode::ACCEPTED, accepted.into()))
    }

    const TIME: std::time::Duration = std::time::Duration::from_secs(5);

    async fn finished(call: router::Call<()>) -> Answer {
        assert_eq!(call.parameter(), "exec_1");
        Ok(json_response(StatusCode::OK, r#"{"status":"completed","result":{"answer":42},"error":null}"#.into()))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_guides_example_signs_runs_and_reads() {
        let example = SKILL.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
        let config = ServerConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let server = Server::bind(config).await.expect("a port");
        let url = format!("http://{}", server.local_addr());
        let app = Arc::new(());
        let routes = first_of([at(&app, "/execute", [post(accept)]), at(&app, "/executions/{id}", [get(finished)])]);
        tokio::spawn(server.run(edge(routes), CancellationToken::new()));
        let run = |key: String| {
            let mut python = Command::new("python3");
            python.args(["-c", &example.replace(BASE_URL, &url)]).env("AIRLOCK_KEY", key).env_remove("AIRLOCK_URL");
            tokio::task::spawn_blocking(move || python.output().expect("python3"))
        };
        let output = run(format!("{ID}:{SECRET}")).await.expect("no panic");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "completed {'answer': 42} None\n", "{output:?}");
        let refused = run(format!("{ID}:another")).await.expect("no panic");
        assert_eq!(String::from_utf8_lossy(&refused.stderr), "403: wrong\n");
    }

    #[test]
    fn the_guide_has_its_places_and_the_page_without_a_build_loads_nothing_foreign() {
        assert!(SKILL.contains(BASE_URL) && UNBUILT.contains("make build"));
        for foreign in ["<script", "style=", "<style", "src=", "http://", "https://", "onclick"] {
            assert!(!UNBUILT.contains(foreign), "{foreign}");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
