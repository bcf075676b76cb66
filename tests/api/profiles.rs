//! Profiles and their life: unlocked, locked, revoked, deleted.

use serde_json::{Value, json};

use crate::support::{Agent, Request, keys, names, ready_profile, shared, text, time};

const MEMBERS: [&str; 11] = [
    "allowed_hosts",
    "created_at",
    "credentials",
    "description",
    "expires_at",
    "id",
    "last_used_at",
    "locked",
    "revoked",
    "status",
    "updated_at",
];

const UNKNOWN: &str = "ark_000000000000000000000000";

#[tokio::test]
async fn an_agent_makes_an_unlocked_profile() {
    let client = shared().await.client();
    let made = client.post("/profiles", &json!({"description": "reports"})).await.expect(201);
    assert_eq!(keys(&made), MEMBERS);
    let expected = json!({"description": "reports", "status": "unlocked", "locked": false, "revoked": false, "expires_at": null,
        "credentials": [], "allowed_hosts": null, "last_used_at": null});
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&made[member], value, "{member}");
    }
    assert!(time(&made, "created_at") <= time(&made, "updated_at"));
    let tail = text(&made, "id").strip_prefix("ark_").unwrap();
    assert!(tail.len() == 24 && tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{made}");

    let id = text(&made, "id");
    assert_eq!(client.get(&format!("/profiles/{id}")).await.expect(200), made);
    let all = client.get("/profiles").await.expect(200);
    assert!(all["profiles"].as_array().unwrap().contains(&made));
    client.post("/profiles", &json!({})).await.expect(201);
}

#[tokio::test]
async fn profile_ids_that_are_not_ids_are_404_everywhere() {
    let server = shared().await;
    let (client, admin) = (server.client(), server.admin().await);
    let odd = [
        UNKNOWN,
        "ark_",
        "ark_0",
        "ark_00000000000000000000000g0",
        "ARK_000000000000000000000000",
        "ark_00000000000000000000000A",
        "exec_000000000000000000000000000000000000",
        "ark_%00",
        "%FF%FE",
        "%zz",
        "ark_00000000000000000000000%2F",
        "🔑",
        "null",
    ];
    for id in odd {
        let body = json!({"credentials": ["ANY"]});
        client.get(&format!("/profiles/{id}")).await.problem_of(&[400, 404]);
        let credentials = format!("/profiles/{id}/credentials");
        client.post(&credentials, &body).await.problem_of(&[400, 404]);
        client.send(Request::delete(&credentials).json(&body)).await.problem_of(&[400, 404]);
        for action in ["lock", "revoke", "regenerate-key"] {
            admin.profile_action(id, action).await.problem_of(&[400, 404]);
        }
        admin.get(&format!("/profiles/{id}")).await.problem_of(&[400, 404]);
        admin.put(&format!("/profiles/{id}"), &json!({"description": "x"})).await.problem_of(&[400, 404]);
        admin.delete(&format!("/profiles/{id}")).await.problem_of(&[400, 404]);
    }
    client.get(&format!("/profiles/{UNKNOWN}")).await.problem(404);
    admin.get(&format!("/profiles/{UNKNOWN}")).await.problem(404);
    admin.delete(&format!("/profiles/{UNKNOWN}")).await.problem(404);
    admin.profile_action(UNKNOWN, "lock").await.problem(404);
}

#[tokio::test]
async fn a_percent_encoded_id_is_the_same_id() {
    let server = shared().await;
    let id = server.admin().await.open_profile(&[]).await;
    let encoded = id.replace("ark_", "%61rk%5F");
    assert_eq!(server.client().get(&format!("/profiles/{encoded}")).await.expect(200)["id"], id);
}

#[tokio::test]
async fn credentials_are_attached_and_taken_off_as_often_as_one_likes() {
    let server = shared().await;
    let client = server.client();
    server.admin().await.create_credential("ATTACH_A", "value a").await;
    client.post("/credentials", &json!({"credentials": [{"name": "ATTACH_B", "description": "b"}]})).await.expect(201);
    let profile = client.post("/profiles", &json!({})).await.expect(201);
    let path = format!("/profiles/{}/credentials", text(&profile, "id"));
    let both = json!({"credentials": ["ATTACH_B", "ATTACH_A", "ATTACH_A"]});
    let take_off =
        async |list: Value| client.send(Request::delete(&path).json(&json!({"credentials": list}))).await.expect(200);

    let attached = client.post(&path, &both).await.expect(200);
    let shown = json!([{"name": "ATTACH_A", "description": attached["credentials"][0]["description"], "value_exists": true},
        {"name": "ATTACH_B", "description": "b", "value_exists": false}]);
    assert_eq!(attached["credentials"], shown);
    assert_eq!(keys(&attached), MEMBERS);
    assert_eq!(client.post(&path, &both).await.expect(200)["credentials"], shown);

    assert_eq!(names(&take_off(json!(["ATTACH_A", "NOT_ATTACHED"])).await["credentials"]), ["ATTACH_B"]);
    assert_eq!(names(&take_off(json!(["ATTACH_A"])).await["credentials"]), ["ATTACH_B"]);
    assert_eq!(names(&take_off(json!(["ATTACH_B"])).await["credentials"]), Vec::<String>::new());
}

#[tokio::test]
async fn an_unknown_credential_is_a_404_that_names_it_and_attaches_nothing() {
    let server = shared().await;
    let admin = server.admin().await;
    admin.create_credential("ATTACH_KNOWN", "value").await;
    let id = admin.open_profile(&[]).await;
    let body = json!({"credentials": ["ATTACH_KNOWN", "ATTACH_UNKNOWN"]});
    server.client().post(&format!("/profiles/{id}/credentials"), &body).await.problem_naming(404, "ATTACH_UNKNOWN");
    admin.post(&format!("/profiles/{id}/credentials"), &body).await.problem_naming(404, "ATTACH_UNKNOWN");
    let profile = server.client().get(&format!("/profiles/{id}")).await.expect(200);
    assert_eq!(profile["credentials"], json!([]));
}

#[tokio::test]
async fn the_lock_shows_the_key_once_and_freezes_the_profile() {
    let server = shared().await;
    let (client, admin) = (server.client(), server.admin().await);
    admin.create_credential("FROZEN_IN", "value in").await;
    admin.create_credential("FROZEN_OUT", "value out").await;
    let id = admin.open_profile(&["FROZEN_IN"]).await;
    let locked = admin.profile_action(&id, "lock").await.expect(200);
    assert_eq!((&locked["status"], &locked["locked"], &locked["id"]), (&json!("locked"), &json!(true), &json!(id)));
    let secret = text(&locked, "key").strip_prefix(&format!("{id}:")).unwrap().to_owned();
    assert!(secret.len() == 48 && secret.bytes().all(|b| b.is_ascii_alphanumeric()), "not 48 of [A-Za-z0-9]");

    let credentials = format!("/profiles/{id}/credentials");
    // The lock is checked first: before the names, and whether or not anything would change.
    for list in [json!(["FROZEN_OUT"]), json!(["FROZEN_IN"]), json!(["NEVER_HEARD_OF"]), json!([])] {
        let body = json!({"credentials": list});
        client.post(&credentials, &body).await.problem(409);
        client.send(Request::delete(&credentials).json(&body)).await.problem(409);
        admin.post(&credentials, &body).await.problem(409);
        admin.call("DELETE", &credentials, Some(&body)).await.problem(409);
    }
    admin.profile_action(&id, "lock").await.problem(409);
    for reply in [
        client.get(&format!("/profiles/{id}")).await,
        client.get("/profiles").await,
        admin.get(&format!("/profiles/{id}")).await,
        admin.get("/profiles").await,
        admin.put(&format!("/profiles/{id}"), &json!({"description": "still locked"})).await,
    ] {
        reply.success();
        assert!(!reply.text().contains(&secret), "{reply:?}");
    }
    let shown = client.get(&format!("/profiles/{id}")).await.expect(200);
    assert_eq!((names(&shown["credentials"]), shown["status"].clone()), (vec!["FROZEN_IN".into()], json!("locked")));
}

#[tokio::test]
async fn a_profile_with_an_empty_slot_is_not_locked() {
    let server = shared().await;
    let admin = server.admin().await;
    admin.post("/credentials", &json!({"name": "STILL_EMPTY"})).await.expect(201);
    let id = admin.open_profile(&["STILL_EMPTY"]).await;
    admin.profile_action(&id, "lock").await.problem_naming(409, "STILL_EMPTY");
    admin.put("/credentials/STILL_EMPTY", &json!({"value": "no longer"})).await.expect(200);
    admin.profile_action(&id, "lock").await.expect(200);
}

#[tokio::test]
async fn of_many_locks_at_once_one_wins() {
    let server = shared().await;
    let admin = server.admin().await;
    let id = admin.open_profile(&[]).await;
    let attempts: Vec<_> = (0..8)
        .map(|_| {
            let (admin, id) = (admin.clone(), id.clone());
            tokio::spawn(async move { admin.profile_action(&id, "lock").await })
        })
        .collect();
    let mut won = Vec::new();
    for attempt in attempts {
        let reply = attempt.await.unwrap();
        if reply.status == 409 {
            continue;
        }
        won.push(text(&reply.expect(200), "key").to_owned());
    }
    let [key] = won.as_slice() else { panic!("{} locks succeeded", won.len()) };
    assert_eq!(Agent::from_key(server.client(), key).result("set_result('the key works')").await, "the key works");
}

#[tokio::test]
async fn a_new_key_ends_the_old_one_at_once_and_keeps_the_id() {
    let server = shared().await;
    let admin = server.admin().await;
    let old = ready_profile(server, &[]).await;
    old.result("set_result(1)").await;
    let renewed = admin.profile_action(&old.id, "regenerate-key").await.expect(200);
    let new = Agent::from_key(server.client(), text(&renewed, "key"));
    assert_eq!((&new.id, &renewed["status"]), (&old.id, &json!("locked")));
    assert_ne!(new.secret, old.secret);
    old.execute("set_result(2)").await.problem(403);
    assert_eq!(new.result("set_result(3)").await, 3);

    let open = admin.open_profile(&[]).await;
    admin.profile_action(&open, "regenerate-key").await.problem(409);
}

#[tokio::test]
async fn revoking_is_for_good_and_cancels_what_runs() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[]).await;
    let running = agent.submit("print('it runs', flush=True)\nimport time\ntime.sleep(600)").await;
    assert_eq!(agent.started(&running).await["status"], "running");

    let revoked = admin.profile_action(&agent.id, "revoke").await.expect(200);
    assert_eq!((&revoked["status"], &revoked["revoked"]), (&json!("revoked"), &json!(true)));
    let ended = agent.finish(&running).await;
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert!(ended["error"].is_string() && ended["result"].is_null(), "{ended}");

    agent.execute("set_result(1)").await.problem(401);
    let wrong_hash = json!({"script": "set_result(1)", "hash": "00"});
    agent.post("", &wrong_hash).await.problem(401);
    admin.profile_action(&agent.id, "lock").await.problem(409);
    admin.profile_action(&agent.id, "regenerate-key").await.problem(409);
    let path = format!("/profiles/{}/credentials", agent.id);
    server.client().post(&path, &json!({"credentials": ["NEVER_HEARD_OF"]})).await.problem(409);
    admin.post(&path, &json!({"credentials": []})).await.problem(409);
    let shown = server.client().get(&format!("/profiles/{}", agent.id)).await.expect(200);
    assert_eq!(shown["status"], "revoked");
}

#[tokio::test]
async fn a_profile_is_deleted_unless_it_is_locked_and_not_revoked() {
    let server = shared().await;
    let (client, admin) = (server.client(), server.admin().await);
    let open = admin.open_profile(&[]).await;
    admin.delete(&format!("/profiles/{open}")).await.success();
    client.get(&format!("/profiles/{open}")).await.problem(404);
    admin.delete(&format!("/profiles/{open}")).await.problem(404);

    let agent = ready_profile(server, &[]).await;
    let done = agent.run("set_result('kept')").await;
    admin.delete(&format!("/profiles/{}", agent.id)).await.problem(409);
    admin.profile_action(&agent.id, "revoke").await.expect(200);
    admin.delete(&format!("/profiles/{}", agent.id)).await.success();
    client.get(&format!("/profiles/{}", agent.id)).await.problem(404);
    agent.execute("set_result(1)").await.problem(401);
    // The record of what it ran outlives it.
    assert_eq!(agent.poll(text(&done, "execution_id"), 0).await, done);
}

#[tokio::test]
async fn the_administrator_changes_one_member_and_the_others_stay() {
    let admin = shared().await.admin().await;
    let id = admin.open_profile(&[]).await;
    let path = format!("/profiles/{id}");
    let limits = json!({"memory_bytes": 268_435_456, "cpu_seconds": 5, "processes": null, "open_files": null, "tmp_bytes": null, "output_bytes": 65_536});
    let steps = [
        ("description", json!("new words")),
        ("expires_at", json!("2099-12-31T23:59:59.000Z")),
        ("allowed_hosts", json!(["db.example", "*.example.org", "api.example:443"])),
        ("allowed_hosts", json!([])),
        ("allowed_hosts", json!(null)),
        ("limits", limits),
        ("on_leak", json!("suspend")),
        ("expires_at", json!(null)),
    ];
    let mut expected = admin.get(&path).await.expect(200);
    assert_eq!(expected["on_leak"], "record");
    for (member, value) in steps {
        let changed = admin.put(&path, &json!({member: value})).await.expect(200);
        expected[member] = value;
        for member in ["description", "expires_at", "allowed_hosts", "limits", "on_leak", "id", "status", "created_at"]
        {
            assert_eq!(changed[member], expected[member], "{member}");
        }
    }
    assert_eq!(admin.get(&path).await.expect(200)["limits"], expected["limits"]);
}

#[tokio::test]
async fn a_times_offset_is_understood_and_written_in_utc() {
    let admin = shared().await.admin().await;
    let id = admin.open_profile(&[]).await;
    let changed =
        admin.put(&format!("/profiles/{id}"), &json!({"expires_at": "2099-01-01T02:00:00+02:00"})).await.expect(200);
    assert_eq!(changed["expires_at"], "2099-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn wrong_shapes_are_422_and_name_the_member() {
    let server = shared().await;
    let (client, admin) = (server.client(), server.admin().await);
    let id = admin.open_profile(&[]).await;
    for (body, word) in
        [(json!({"description": 7}), "description"), (json!({"locked": true}), "locked"), (json!({"id": id}), "id")]
    {
        client.post("/profiles", &body).await.problem_naming(422, word);
        admin.post("/profiles", &body).await.problem_naming(422, word);
    }
    let lists = [
        (json!({}), "credentials"),
        (json!({"credentials": "A"}), "credentials"),
        (json!({"credentials": [{"name": "A"}]}), "credentials"),
        (json!({"credentials": [1]}), "credentials"),
        (json!({"credentials": [], "force": true}), "force"),
    ];
    for (body, word) in lists {
        client.post(&format!("/profiles/{id}/credentials"), &body).await.problem_naming(422, word);
        admin.post(&format!("/profiles/{id}/credentials"), &body).await.problem_naming(422, word);
    }
    let changes = [
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"expires_at": 1_900_000_000}), "expires_at"),
        (json!({"allowed_hosts": "db.example"}), "allowed_hosts"),
        (json!({"limits": {"memory_bytes": -1}}), "memory_bytes"),
        (json!({"limits": {"memory_bytes": "1G"}}), "memory_bytes"),
        (json!({"limits": {"memory": 1}}), "memory"),
        (json!({"on_leak": "ignore"}), "on_leak"),
        (json!({"status": "locked"}), "status"),
        (json!({"revoked": true}), "revoked"),
    ];
    for (body, word) in changes {
        admin.put(&format!("/profiles/{id}"), &body).await.problem_naming(422, word);
    }
}
