//! Setup, login, logout, password.

use serde_json::{Value, json};

use crate::support::{Admin, PASSWORD, Request, Server, keys, shared};

#[tokio::test]
async fn setup_is_required_once_and_gives_a_working_session() {
    let server = Server::start();
    let client = server.client();
    let status = client.get("/api/admin/status").await.expect(200);
    assert_eq!(status["setup_required"], true);

    client.post("/api/admin/setup", &json!({"password": "1234567"})).await.problem(422);
    client.post("/api/admin/setup", &json!({"password": "ééééééé"})).await.problem(422);
    client.post("/api/admin/setup", &json!({})).await.problem_naming(422, "password");
    client.post("/api/admin/setup", &json!({"password": 12345678})).await.problem_naming(422, "password");

    let reply = client.post("/api/admin/setup", &json!({"password": "ééééééé8"})).await;
    let answer = reply.success().json();
    assert_eq!(keys(&answer), ["token"]);
    client.post("/api/admin/setup", &json!({"password": "another password"})).await.problem(409);
    let status = client.get("/api/admin/status").await.expect(200);
    assert_eq!(status["setup_required"], false);

    let token = answer["token"].as_str().unwrap();
    client.send(Request::get("/api/admin/credentials").bearer(token)).await.expect(200);
    Admin::log_in(client, "ééééééé8").await.get("/profiles").await.expect(200);
}

#[tokio::test]
async fn of_many_setups_at_once_one_wins() {
    let server = Server::start();
    let client = server.client();
    let attempts = (0..6).map(|number| {
        let client = client.clone();
        let password = format!("password number {number}");
        tokio::spawn(async move { (client.post("/api/admin/setup", &json!({"password": password})).await, password) })
    });
    let mut winners = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        let (reply, password) = attempt.await.unwrap();
        match reply.status {
            409 => {}
            _ => winners.push((reply.success().json()["token"].clone(), password)),
        }
    }
    let [(token, password)] = winners.as_slice() else { panic!("{} setups succeeded", winners.len()) };
    assert!(token.is_string());
    Admin::log_in(client, password).await;
}

#[tokio::test]
async fn before_setup_nobody_gets_in() {
    let server = Server::start();
    let client = server.client();
    client.post("/api/admin/login", &json!({"password": ""})).await.problem_of(&[401, 409]);
    client.post("/api/admin/login", &json!({"password": PASSWORD})).await.problem_of(&[401, 409]);
    client.get("/api/admin/credentials").await.problem(401);
}

#[tokio::test]
async fn without_a_session_every_admin_call_is_a_401_that_names_its_scheme() {
    let server = shared().await;
    let client = server.client();
    let id = server.admin().await.open_profile(&[]).await;
    let calls: Vec<(&str, String, Option<Value>)> = vec![
        ("POST", "/logout".into(), None),
        ("POST", "/password".into(), Some(json!({"current_password": PASSWORD, "new_password": "a new password"}))),
        ("GET", "/credentials".into(), None),
        ("POST", "/credentials".into(), Some(json!({"name": "NOBODY_MADE_THIS"}))),
        ("PUT", "/credentials/ANY".into(), Some(json!({"value": "x"}))),
        ("DELETE", "/credentials/ANY".into(), None),
        ("GET", "/profiles".into(), None),
        ("POST", "/profiles".into(), Some(json!({}))),
        ("GET", format!("/profiles/{id}"), None),
        ("PUT", format!("/profiles/{id}"), Some(json!({"description": "taken over"}))),
        ("DELETE", format!("/profiles/{id}"), None),
        ("POST", format!("/profiles/{id}/credentials"), Some(json!({"credentials": []}))),
        ("DELETE", format!("/profiles/{id}/credentials"), Some(json!({"credentials": []}))),
        ("POST", format!("/profiles/{id}/lock"), None),
        ("POST", format!("/profiles/{id}/regenerate-key"), None),
        ("POST", format!("/profiles/{id}/revoke"), None),
        ("GET", "/executions".into(), None),
        ("GET", "/executions/exec_000000000000000000000000000000000000".into(), None),
    ];
    for (method, path, body) in calls {
        let request = Request::new(method, &format!("/api/admin{path}"));
        let request = if let Some(body) = body { request.json(&body) } else { request };
        for request in [request.clone(), request.clone().bearer("x"), request.bearer(&id)] {
            let reply = client.send(request).await;
            reply.problem(401);
            assert!(!reply.header("www-authenticate").is_empty(), "RFC 9110, 15.5.2: {reply:?}");
        }
    }
    let untouched = client.get(&format!("/profiles/{id}")).await.expect(200);
    assert_eq!((&untouched["description"], &untouched["status"]), (&json!("a test"), &json!("unlocked")));
}

#[tokio::test]
async fn logout_ends_this_session_and_no_other() {
    let server = shared().await;
    let kept = server.admin().await;
    let ended = Admin::log_in(server.client(), PASSWORD).await;
    ended.get("/profiles").await.expect(200);
    ended.call("POST", "/logout", None).await.success();
    ended.get("/profiles").await.problem(401);
    kept.get("/profiles").await.expect(200);
}

#[tokio::test]
async fn changing_the_password_ends_the_other_sessions() {
    let mut server = Server::start();
    let changer = server.admin().await;
    let other = Admin::log_in(server.client(), PASSWORD).await;
    let change = |current: &str, new: &str| json!({"current_password": current, "new_password": new});

    changer.post("/password", &change("not the password", "a new password")).await.problem_of(&[401, 403]);
    changer.post("/password", &change(PASSWORD, "short")).await.problem(422);
    other.get("/profiles").await.expect(200);

    changer.post("/password", &change(PASSWORD, "a new password")).await.success();
    other.get("/profiles").await.problem(401);
    changer.get("/profiles").await.expect(200);
    server.client().post("/api/admin/login", &json!({"password": PASSWORD})).await.problem(401);
    Admin::log_in(server.client(), "a new password").await;

    server.kill9();
    server.restart();
    Admin::log_in(server.client(), "a new password").await;
    changer.with(server.client()).get("/profiles").await.expect(200);
}

#[tokio::test]
async fn failed_logins_are_slowed_until_the_time_that_retry_after_names() {
    let server = Server::start();
    let session = server.admin().await;
    let client = server.client();
    let mut refused = None;
    for _ in 0..40 {
        let reply = client.post("/api/admin/login", &json!({"password": "a guess"})).await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        reply.problem(401);
    }
    let refused = refused.expect("40 wrong passwords in a row, and never a 429");
    session.get("/profiles").await.expect(200);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!(seconds <= 3600, "locked out for {seconds} s");
    if seconds <= 10 {
        // What is tested is that the promised moment is honest, so the moment has to come.
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        Admin::log_in(client, PASSWORD).await;
    }
}
