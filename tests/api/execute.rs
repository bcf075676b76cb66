//! `POST /execute`: who may, what is checked first, and what comes back.

use serde_json::{Value, json};

use crate::support::{Agent, Request, Server, Wire, keys, ready_profile, shared, shared_agent, sign, text};

#[tokio::test]
async fn an_accepted_script_is_a_202_that_says_where_to_poll() {
    let agent = shared_agent().await;
    let reply = agent.execute("set_result('hello')").await;
    let accepted = reply.expect(202);
    assert_eq!(keys(&accepted), ["execution_id", "poll_url", "status"]);
    assert_eq!(accepted["status"], "pending");
    let id = text(&accepted, "execution_id");
    let tail = id.strip_prefix("exec_").unwrap();
    assert!(tail.len() >= 22 && tail.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{id}");
    assert_eq!(text(&accepted, "poll_url"), format!("{}/executions/{id}", shared().await.url()));
    assert_eq!(reply.header("location"), text(&accepted, "poll_url"));
    assert_eq!(agent.finish(id).await["result"], "hello");
}

#[tokio::test]
async fn execution_ids_sort_by_time() {
    let agent = shared_agent().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let id = agent.submit("pass").await;
        agent.finish(&id).await;
        ids.push(id);
    }
    assert!(ids.is_sorted(), "{ids:?}");
}

#[tokio::test]
async fn the_poll_url_follows_the_host_and_what_a_proxy_forwards() {
    let agent = shared_agent().await;
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[("host", "airlock.internal:9090")], "http://airlock.internal:9090/executions/"),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "airlock.example")],
            "https://airlock.example/executions/",
        ),
        (&[("host", "airlock.example"), ("x-forwarded-proto", "https")], "https://airlock.example/executions/"),
        (
            &[("x-forwarded-proto", "https"), ("x-forwarded-host", "airlock.example:8443")],
            "https://airlock.example:8443/executions/",
        ),
    ];
    for (headers, base) in cases {
        let request = agent.request("", &agent.body("pass"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let reply = agent.client().send(request).await;
        let accepted = reply.expect(202);
        assert!(text(&accepted, "poll_url").starts_with(base), "with {headers:?}: {accepted}");
        assert_eq!(reply.header("location"), text(&accepted, "poll_url"));
    }
}

#[tokio::test]
async fn a_forwarded_host_that_is_no_host_never_gets_into_the_poll_url() {
    let agent = shared_agent().await;
    for odd in
        ["evil.example/path?", "a b", "\"><script>", "user@evil.example", "evil.example#", "javascript:alert(1)//"]
    {
        let request = agent.request("", &agent.body("pass")).header("x-forwarded-host", odd);
        let reply = agent.client().send(request).await;
        if reply.status == 202 {
            assert!(!text(&reply.expect(202), "poll_url").contains(odd), "{odd:?}: {reply:?}");
        } else {
            reply.problem_of(&[400, 422]);
        }
    }
    let request = agent.request("", &agent.body("pass")).header("x-forwarded-proto", "javascript");
    let accepted = agent.client().send(request).await.expect(202);
    assert!(text(&accepted, "poll_url").starts_with("http"), "{accepted}");
}

#[tokio::test]
async fn the_profile_may_be_named_in_the_body_instead_or_as_well_but_not_differently() {
    let agent = shared_agent().await;
    let other = ready_profile(shared().await, &[]).await;
    let mut body = agent.body("set_result(1)");
    body["profile_id"] = agent.id.clone().into();
    agent.client().post("/execute", &body).await.expect(202);
    agent.post("", &body).await.expect(202);
    other.post("", &body).await.problem_naming(422, "profile_id");
    body["profile_id"] = "not an id".into();
    agent.post("", &body).await.problem_of(&[422]);
    agent.client().post("/execute", &body).await.problem(401);
}

#[tokio::test]
async fn the_scheme_of_the_authorization_header_has_no_case() {
    let agent = shared_agent().await;
    for scheme in ["bearer", "BEARER"] {
        let request = Request::post("/execute").header("authorization", &format!("{scheme} {}", agent.id));
        agent.client().send(request.json(&agent.body("pass"))).await.expect(202);
    }
}

#[tokio::test]
async fn nobody_we_know_is_a_401_that_names_its_scheme() {
    let agent = shared_agent().await;
    let body = agent.body("set_result(1)");
    let unknown = "Bearer ark_000000000000000000000000".to_owned();
    let with_secret = format!("Bearer {}:{}", agent.id, agent.secret);
    let basic = format!("Basic {}", agent.id);
    let bad = [
        unknown,
        with_secret,
        basic,
        "Bearer".into(),
        "Bearer ".into(),
        "Bearer ark_".into(),
        agent.id.clone(),
        "ü".into(),
    ];
    for authorization in bad {
        let reply =
            agent.client().send(Request::post("/execute").header("authorization", &authorization).json(&body)).await;
        assert_eq!(reply.status, 401, "{authorization:?}: {reply:?}");
        assert!(reply.header("www-authenticate").to_lowercase().starts_with("bearer"), "RFC 9110, 15.5.2: {reply:?}");
    }
    agent.client().post("/execute", &body).await.problem(401);
}

#[tokio::test]
async fn only_the_exact_script_under_the_right_secret_is_run() {
    let agent = shared_agent().await;
    let script = "set_result('signed')";
    let good = sign(&agent.secret, script);
    let mut flipped = good.clone();
    let last = if flipped.pop() == Some('0') { '1' } else { '0' };
    flipped.push(last);
    let bad = [
        json!(flipped),
        json!(sign("another secret", script)),
        json!(sign(&agent.secret, "set_result('other')")),
        json!(""),
        json!("00"),
        json!(&good[..62]),
        json!(format!("{good}00")),
        json!(format!(" {good}")),
        json!("zz".repeat(32)),
        json!("é".repeat(32)),
    ];
    for hash in bad {
        let reply = agent.post("", &json!({"script": script, "hash": hash})).await;
        reply.problem(403);
        assert!(!reply.text().contains(&good) && !reply.text().contains(&agent.secret), "{reply:?}");
    }
    agent.post("", &json!({"script": script})).await.problem(403);
    // One byte more is another script.
    agent.post("", &json!({"script": format!("{script}\n"), "hash": good})).await.problem(403);
    agent.post("", &json!({"script": script, "hash": good})).await.expect(202);
}

#[tokio::test]
async fn scripts_are_signed_as_utf8_to_the_byte() {
    let agent = shared_agent().await;
    for word in ["é", "e\u{301}", "👩‍👩‍👧", "\u{feff}", "\u{10ffff}", "\r\n# b"] {
        let script = format!("# {word}\nset_result({})", word.len());
        assert_eq!(agent.result(&script).await, word.len(), "{word:?}");
    }
}

#[tokio::test]
async fn an_unlocked_profile_runs_nothing_whatever_the_signature() {
    let server = shared().await;
    let id = server.admin().await.open_profile(&[]).await;
    let agent = Agent::from_key(server.client(), &format!("{id}:"));
    agent.post("", &json!({"script": "pass", "hash": "00"})).await.problem(409);
    agent.post("", &json!({"script": "pass"})).await.problem(409);
}

#[tokio::test]
async fn a_locked_profile_keeps_its_values_or_says_which_one_is_missing() {
    let server = shared().await;
    let agent =
        ready_profile(server, &[("CLEARED_LATER", "a value for now"), ("STAYS_FILLED", "a value that stays")]).await;
    let reply = server.admin().await.put("/credentials/CLEARED_LATER", &json!({"value": null})).await;
    if reply.status == 422 {
        // A value can't be taken away: then it is still there, and the profile runs.
        return assert_eq!(agent.result("set_result(len(settings['CLEARED_LATER']))").await, 15);
    }
    assert_eq!(reply.expect(200)["has_value"], false, "null takes the value away or is refused");
    agent.post("", &json!({"script": "pass", "hash": "00"})).await.problem(403);
    let reply = agent.execute("pass").await;
    reply.problem_naming(409, "CLEARED_LATER");
    assert!(!reply.text().contains("STAYS_FILLED"), "{reply:?}");
}

#[tokio::test]
async fn a_timeout_is_a_whole_number_of_seconds_from_1_to_3600() {
    let agent = shared_agent().await;
    let with = |timeout: Value| {
        let mut body = agent.body("pass");
        body["timeout"] = timeout;
        body
    };
    for good in [1, 60, 3600] {
        agent.post("", &with(json!(good))).await.expect(202);
    }
    for bad in [
        json!(0),
        json!(-1),
        json!(3601),
        json!(1.5),
        json!("60"),
        json!(true),
        json!([60]),
        json!(4_294_967_297_u64),
        json!(1e300),
    ] {
        agent.post("", &with(bad)).await.problem_naming(422, "timeout");
    }
}

#[tokio::test]
async fn a_body_of_the_wrong_shape_is_a_422_that_names_the_member() {
    let agent = shared_agent().await;
    let with = |member: &str, value: Value| {
        let mut body = agent.body("pass");
        body[member] = value;
        body
    };
    let cases = [
        (with("script", json!(7)), "script"),
        (with("script", json!(null)), "script"),
        (with("script", json!(["pass"])), "script"),
        (json!({"hash": "00"}), "script"),
        (with("hash", json!(7)), "hash"),
        (with("profile_id", json!(7)), "profile_id"),
        (with("llm_timeout", json!("long")), "llm_timeout"),
        (with("llm_timeout", json!(-1)), "llm_timeout"),
        (with("on_restart", json!("sometimes")), "on_restart"),
        (with("on_restart", json!(false)), "on_restart"),
        (with("tiemout", json!(5)), "tiemout"),
        (with("settings", json!({})), "settings"),
    ];
    for (body, word) in cases {
        agent.post("", &body).await.problem_naming(422, word);
    }
    for on_restart in ["fail", "replay"] {
        agent.post("", &with("on_restart", json!(on_restart))).await.expect(202);
    }
    agent.post("", &with("llm_timeout", json!(300))).await.expect(202);
}

#[tokio::test]
async fn with_wait_the_finished_execution_comes_at_once() {
    let agent = shared_agent().await;
    let reply = agent.post("?wait=30", &agent.body("set_result([1, 2])")).await;
    let done = reply.expect(200);
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!([1, 2])));
    assert_eq!(agent.poll(text(&done, "execution_id"), 0).await, done);
    // A script that fails is an execution like another, not a failed request.
    let failed = agent.post("?wait=30", &agent.body("1/0")).await.expect(200);
    assert_eq!(failed["error_type"], "ZeroDivisionError");
}

#[tokio::test]
async fn with_a_wait_that_is_over_too_early_the_answer_is_the_202() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    let reply = agent.post("?wait=1", &agent.body("import time\ntime.sleep(600)")).await;
    let accepted = reply.expect(202);
    assert_eq!(reply.header("location"), text(&accepted, "poll_url"));
    server.admin().await.profile_action(&agent.id, "revoke").await.expect(200);
    assert_eq!(agent.finish(text(&accepted, "execution_id")).await["status"], "cancelled");
}

#[tokio::test]
async fn a_wait_of_nonsense_is_a_422_and_runs_nothing() {
    let server = shared().await;
    let agent = ready_profile(server, &[]).await;
    for query in ["?wait=abc", "?wait=61", "?wait=-1", "?wait=1.5", "?wait=", "?wait=99999999999999999999"] {
        agent.post(query, &agent.body("pass")).await.problem_naming(422, "wait");
    }
    let none = server.admin().await.executions(&format!("profile_id={}", agent.id)).await;
    assert!(none.is_empty(), "{none:?}");
}

#[tokio::test]
async fn an_agent_that_hangs_up_after_posting_does_not_take_its_execution_along() {
    let server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let body = agent.body("set_result('nobody waited')").to_string();
    let head = format!("POST /execute?wait=60 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n", agent.id);
    let mut wire = Wire::connect(&server).await;
    wire.send(format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    let admin = server.admin().await;
    crate::support::eventually("accepted", async || !admin.executions("").await.is_empty()).await;
    drop(wire);
    let id = text(&admin.executions("").await[0], "execution_id").to_owned();
    assert_eq!(agent.finish(&id).await["result"], "nobody waited");
}
