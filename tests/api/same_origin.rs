//! The browser's session: a cookie, and the proof of same origin that calls with it owe.

use serde_json::json;

use crate::support::{Launch, PASSWORD, Request, Server, shared};

/// Logs in and returns the cookie as a browser would send it back, and as it was set.
async fn cookie(server: &Server) -> (String, String) {
    let reply = server.client().post("/api/admin/login", &json!({"password": PASSWORD})).await;
    let set = reply.success().header("set-cookie").to_owned();
    let pair = set.split(';').next().unwrap().to_owned();
    assert!(pair.contains('='), "no cookie from login: {set:?}");
    (pair, set)
}

fn create(cookie: &str) -> Request {
    Request::post("/api/admin/profiles").header("cookie", cookie).json(&json!({"description": "from a browser"}))
}

#[tokio::test]
async fn login_sets_a_cookie_that_scripts_cannot_read_and_other_sites_cannot_send() {
    let (_, set) = cookie(shared().await).await;
    let attributes: Vec<String> = set.split(';').skip(1).map(|part| part.trim().to_lowercase()).collect();
    assert!(attributes.iter().any(|attribute| attribute == "httponly"), "{set}");
    let same_site =
        attributes.iter().any(|attribute| ["samesite=strict", "samesite=lax"].contains(&attribute.as_str()));
    assert!(same_site, "{set}");
}

#[tokio::test]
async fn a_cookie_reads_without_any_proof() {
    let server = shared().await;
    let (cookie, _) = cookie(server).await;
    server.client().send(Request::get("/api/admin/profiles").header("cookie", &cookie)).await.expect(200);
}

#[tokio::test]
async fn a_cookie_changes_state_only_with_proof_of_same_origin() {
    let server = shared().await;
    let client = server.client();
    let (cookie, _) = cookie(server).await;
    let accepted = [
        vec![("sec-fetch-site", "same-origin")],
        vec![("origin", server.url())],
        vec![("origin", server.url()), ("sec-fetch-site", "same-origin")],
    ];
    for headers in accepted {
        let request = headers.iter().fold(create(&cookie), |request, (name, value)| request.header(name, value));
        let reply = client.send(request).await;
        assert_eq!(reply.status, 201, "with {headers:?}: {reply:?}");
    }
    let other_port = format!("{}0", server.url());
    let refused = [
        vec![],
        vec![("origin", "https://evil.example")],
        vec![("origin", "null")],
        vec![("origin", "")],
        vec![("origin", other_port.as_str())],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("origin", server.url()), ("sec-fetch-site", "cross-site")],
        vec![("origin", "https://evil.example"), ("sec-fetch-site", "same-origin")],
    ];
    for headers in refused {
        let request = headers.iter().fold(create(&cookie), |request, (name, value)| request.header(name, value));
        let reply = client.send(request).await;
        assert_eq!(reply.status, 403, "with {headers:?}: {reply:?}");
    }
}

#[tokio::test]
async fn a_bearer_token_needs_no_proof_of_origin() {
    let server = shared().await;
    let admin = server.admin().await;
    let request = Request::post("/api/admin/profiles").bearer(&admin.token).json(&json!({}));
    server.client().send(request.header("origin", "https://elsewhere.example")).await.expect(201);
}

#[tokio::test]
async fn logout_ends_the_cookie_too() {
    let server = shared().await;
    let client = server.client();
    let (cookie, _) = cookie(server).await;
    let logout = Request::post("/api/admin/logout").header("cookie", &cookie).header("origin", server.url());
    client.send(logout).await.success();
    client.send(Request::get("/api/admin/profiles").header("cookie", &cookie)).await.problem(401);
}

#[tokio::test]
async fn the_answers_carry_no_permission_for_other_origins() {
    let server = shared().await;
    let reply = server.client().send(Request::get("/credentials").header("origin", "https://evil.example")).await;
    reply.expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), "", "{reply:?}");
}

/// A page of `evil.example` whose name was pointed at this server once it was loaded: the browser takes it for its own.
#[tokio::test]
async fn a_page_under_a_rebound_name_opens_no_session_and_uses_none() {
    let server = Server::start();
    let client = server.client();
    let port = server.address().rsplit(':').next().unwrap();
    let password = json!({"password": PASSWORD});
    let rebound = |request: Request| {
        let host = format!("evil.example:{port}");
        request.header("host", &host).header("origin", &format!("http://{host}"))
    };
    for path in ["/api/admin/setup", "/api/admin/login"] {
        let page = Request::post(path).json(&password);
        client.send(rebound(page.clone())).await.problem_naming(403, "--public-url");
        let lying = rebound(page).header("x-forwarded-host", server.address()).header("sec-fetch-site", "same-origin");
        client.send(lying).await.problem_naming(403, "--public-url");
    }
    client.send(Request::post("/api/admin/setup").json(&password).header("host", "any.example")).await.expect(200);
    let (cookie, _) = cookie(&server).await;
    client.send(rebound(create(&cookie))).await.problem(403);
    client.send(rebound(Request::get("/credentials"))).await.expect(200);
}

#[tokio::test]
async fn the_public_urls_name_is_as_good_as_an_address() {
    let server = Launch::new().arg("--public-url", "https://airlock.example").start();
    let setup = Request::post("/api/admin/setup").json(&json!({"password": PASSWORD}));
    let other = setup.clone().header("host", "other.example").header("origin", "https://other.example");
    server.client().send(other).await.problem(403);
    let own = setup.header("host", "airlock.example").header("origin", "https://airlock.example");
    server.client().send(own.header("sec-fetch-site", "same-origin")).await.expect(200);
}
