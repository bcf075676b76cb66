//! Credentials as the administrator sees them: everything but the value.

use serde_json::{Value, json};

use crate::support::{Admin, keys, ready_profile, shared, time};

const MEMBERS: [&str; 8] =
    ["created_at", "described_by", "description", "has_value", "name", "secret", "updated_at", "used_by"];

fn members(credential: &Value) -> Vec<&str> {
    keys(credential).into_iter().filter(|key| *key != "warnings").collect()
}

async fn listed(admin: &Admin, name: &str) -> Option<Value> {
    let all = admin.get("/credentials").await.expect(200);
    all["credentials"].as_array().unwrap().iter().find(|credential| credential["name"] == name).cloned()
}

#[tokio::test]
async fn a_value_goes_in_and_never_comes_out() {
    let admin = shared().await.admin().await;
    let body = json!({"name": "ADMIN_ONE", "value": "goes-in-never-out", "description": "for a test"});
    let reply = admin.post("/credentials", &body).await;
    let made = reply.expect(201);
    assert!(!reply.text().contains("goes-in-never-out"));
    assert_eq!(members(&made), MEMBERS);
    let expected =
        json!({"name": "ADMIN_ONE", "description": "for a test", "has_value": true, "secret": true, "used_by": []});
    for (member, value) in expected.as_object().unwrap() {
        assert_eq!(&made[member], value, "{member}");
    }
    assert!(time(&made, "created_at") <= time(&made, "updated_at"));
    assert_eq!(members(&listed(&admin, "ADMIN_ONE").await.unwrap()), MEMBERS);

    let changed = admin.put("/credentials/ADMIN_ONE", &json!({"value": "goes-in-never-out-2"})).await;
    assert!(!changed.text().contains("goes-in-never-out"));
    let changed = changed.expect(200);
    assert_eq!(changed["description"], "for a test", "members that are not given stay");
    assert!(time(&changed, "updated_at") > time(&made, "updated_at"));
    assert_eq!(changed["created_at"], made["created_at"]);
    let all = admin.get("/credentials").await;
    assert!(!all.text().contains("goes-in-never-out"));
}

#[tokio::test]
async fn a_slot_without_a_value_is_filled_later() {
    let admin = shared().await.admin().await;
    let made = admin.post("/credentials", &json!({"name": "ADMIN_LATER"})).await.expect(201);
    assert_eq!(made["has_value"], false);
    let filled = admin.put("/credentials/ADMIN_LATER", &json!({"value": "a later value"})).await.expect(200);
    assert_eq!(filled["has_value"], true);
    let words = admin.put("/credentials/ADMIN_LATER", &json!({"description": "new words"})).await.expect(200);
    assert_eq!((&words["description"], &words["has_value"]), (&json!("new words"), &json!(true)));
    let plain = admin.put("/credentials/ADMIN_LATER", &json!({"secret": false})).await.expect(200);
    assert_eq!((&plain["secret"], &plain["has_value"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn a_name_is_made_once() {
    let admin = shared().await.admin().await;
    admin.create_credential("ADMIN_DUPLICATE", "the first value").await;
    let again = json!({"name": "ADMIN_DUPLICATE", "value": "the second value"});
    admin.post("/credentials", &again).await.problem_naming(409, "ADMIN_DUPLICATE");
    let agent = admin.locked_profile(&["ADMIN_DUPLICATE"]).await;
    let script = "set_result(settings['ADMIN_DUPLICATE'] == 'the first value')";
    assert_eq!(agent.result(script).await, true);
}

#[tokio::test]
async fn credentials_that_do_not_exist_are_404() {
    let admin = shared().await.admin().await;
    admin.put("/credentials/NEVER_MADE", &json!({"value": "x"})).await.problem(404);
    admin.delete("/credentials/NEVER_MADE").await.problem(404);
    for odd in ["a%20b", "%00", "%FF", "%zz", "..%2Fprofiles", "%F0%9F%94%91", "A%0a", "ä"] {
        admin.put(&format!("/credentials/{odd}"), &json!({"value": "x"})).await.problem_of(&[400, 404, 422]);
        admin.delete(&format!("/credentials/{odd}")).await.problem_of(&[400, 404, 422]);
    }
}

#[tokio::test]
async fn a_percent_encoded_name_is_the_same_name() {
    let admin = shared().await.admin().await;
    admin.create_credential("ENCODED_NAME", "some value").await;
    let changed = admin.put("/credentials/ENCODED%5FNAME", &json!({"description": "reached"})).await.expect(200);
    assert_eq!(changed["name"], "ENCODED_NAME");
    admin.delete("/credentials/%45NCODED_NAME").await.success();
    assert!(listed(&admin, "ENCODED_NAME").await.is_none());
}

#[tokio::test]
async fn wrong_shapes_are_422_name_the_member_and_never_repeat_the_value() {
    let admin = shared().await.admin().await;
    let cases = [
        (json!({"value": "unrepeatable-1"}), "name"),
        (json!({"name": "BAD_SHAPE", "value": 7}), "value"),
        (json!({"name": "BAD_SHAPE", "value": ["unrepeatable-2"]}), "value"),
        (json!({"name": "BAD_SHAPE", "value": "unrepeatable-3", "secret": "no"}), "secret"),
        (json!({"name": "BAD_SHAPE", "value": "unrepeatable-4", "description": []}), "description"),
        (json!({"name": "BAD_SHAPE", "value": "unrepeatable-5", "colour": "red"}), "colour"),
        (json!({"name": "BAD SHAPE", "value": "unrepeatable-6"}), "name"),
    ];
    for (body, word) in cases {
        let reply = admin.post("/credentials", &body).await;
        reply.problem_naming(422, word);
        assert!(!reply.text().contains("unrepeatable"), "{reply:?}");
    }
    admin.create_credential("BAD_CHANGE", "a good value").await;
    for (body, word) in
        [(json!({"valu": "unrepeatable-7"}), "valu"), (json!({"value": {}}), "value"), (json!({"secret": 1}), "secret")]
    {
        let reply = admin.put("/credentials/BAD_CHANGE", &body).await;
        reply.problem_naming(422, word);
        assert!(!reply.text().contains("unrepeatable"), "{reply:?}");
    }
    assert!(listed(&admin, "BAD_SHAPE").await.is_none());
}

#[tokio::test]
async fn a_credential_names_its_profiles_and_stays_while_a_locked_one_uses_it() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[("HELD_BY_A_LOCK", "a held value")]).await;
    let held = listed(&admin, "HELD_BY_A_LOCK").await.unwrap();
    assert!(held["used_by"].to_string().contains(&agent.id), "{held}");
    admin.delete("/credentials/HELD_BY_A_LOCK").await.problem(409);
    assert_eq!(agent.result("set_result('HELD_BY_A_LOCK' in settings.keys())").await, true);
}

#[tokio::test]
async fn a_deleted_credential_leaves_the_unlocked_profiles_that_had_it() {
    let server = shared().await;
    let admin = server.admin().await;
    admin.create_credential("SOON_DELETED", "a value").await;
    let id = admin.open_profile(&["SOON_DELETED"]).await;
    admin.delete("/credentials/SOON_DELETED").await.success();
    assert!(listed(&admin, "SOON_DELETED").await.is_none());
    let profile = server.client().get(&format!("/profiles/{id}")).await.expect(200);
    assert_eq!(profile["credentials"], json!([]));
    let path = format!("/profiles/{id}/credentials");
    server.client().post(&path, &json!({"credentials": ["SOON_DELETED"]})).await.problem_naming(404, "SOON_DELETED");
}

#[tokio::test]
async fn a_changed_value_is_what_the_next_script_gets() {
    let server = shared().await;
    let agent = ready_profile(server, &[("ROTATED", "the-old-value")]).await;
    let script = "set_result(settings['ROTATED'][4:7])";
    assert_eq!(agent.result(script).await, "old");
    server.admin().await.put("/credentials/ROTATED", &json!({"value": "the-new-value"})).await.expect(200);
    assert_eq!(agent.result(script).await, "new");
    let shown = agent.run("print(settings['ROTATED'], 'the-old-value')").await;
    assert!(!shown["stdout"].as_str().unwrap().contains("the-new-value"), "{shown}");
}

#[tokio::test]
async fn values_of_every_kind_of_text_arrive_unchanged() {
    let server = shared().await;
    let value = "quotes \" ' \\ back, nl\n\r\n tab\t, é e\u{301} 👩‍👩‍👧 \u{10ffff}, {braces} $HOME %s  trailing ";
    let agent = ready_profile(server, &[("ANY_TEXT", value)]).await;
    let codes: Vec<u32> = value.chars().map(u32::from).collect();
    assert_eq!(agent.result("set_result([ord(c) for c in settings['ANY_TEXT']])").await, json!(codes));
}
