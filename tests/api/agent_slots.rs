//! What agents do with credentials: ask for slots and see which are filled. Never a value.

use serde_json::{Value, json};

use crate::support::{keys, names, shared};

#[tokio::test]
async fn an_agent_asks_for_slots_and_sees_them_without_values() {
    let server = shared().await;
    let client = server.client();
    let wanted = json!({"credentials": [{"name": "SLOT_B", "description": "the second"}, {"name": "SLOT_A"}]});
    let answer = client.post("/credentials", &wanted).await.expect(201);
    assert_eq!(keys(&answer), ["created", "skipped"]);
    assert_eq!(
        (names(&answer["created"]), names(&answer["skipped"])),
        (vec!["SLOT_A".into(), "SLOT_B".into()], vec![])
    );

    server.admin().await.create_credential("SLOT_FILLED", "a value that agents never see").await;
    let reply = client.get("/credentials").await;
    let listed = reply.expect(200);
    assert!(!reply.text().contains("a value that agents never see"));
    let slot = |name: &str| find(&listed, name).clone();
    assert_eq!(keys(&slot("SLOT_B")), ["description", "name", "value_exists"]);
    assert_eq!(slot("SLOT_B"), json!({"name": "SLOT_B", "description": "the second", "value_exists": false}));
    assert_eq!(slot("SLOT_A")["value_exists"], false);
    assert_eq!(slot("SLOT_FILLED")["value_exists"], true);
    let in_order: Vec<&str> =
        listed["credentials"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(in_order.is_sorted(), "{in_order:?}");
}

fn find<'a>(listed: &'a Value, name: &str) -> &'a Value {
    listed["credentials"].as_array().unwrap().iter().find(|credential| credential["name"] == name).unwrap()
}

#[tokio::test]
async fn a_slot_that_exists_is_skipped_and_never_changed() {
    let server = shared().await;
    let admin = server.admin().await;
    let client = server.client();
    let full = json!({"name": "TAKEN_SLOT", "value": "v-of-taken-slot", "description": "made by a person"});
    admin.post("/credentials", &full).await.expect(201);
    let before = find(&admin.get("/credentials").await.expect(200), "TAKEN_SLOT").clone();

    let wanted = json!({"credentials": [{"name": "TAKEN_SLOT", "description": "mine now"}, {"name": "FREE_SLOT"}]});
    let answer = client.post("/credentials", &wanted).await.expect(201);
    assert_eq!(
        (names(&answer["created"]), names(&answer["skipped"])),
        (vec!["FREE_SLOT".into()], vec!["TAKEN_SLOT".into()])
    );
    let again = client.post("/credentials", &wanted).await.expect(201);
    assert_eq!((names(&again["created"]).len(), names(&again["skipped"]).len()), (0, 2));

    assert_eq!(find(&admin.get("/credentials").await.expect(200), "TAKEN_SLOT"), &before);
}

#[tokio::test]
async fn a_name_that_comes_twice_in_one_request_is_one_slot_with_the_first_description() {
    let client = shared().await.client();
    let twice =
        json!({"credentials": [{"name": "TWICE", "description": "one"}, {"name": "TWICE", "description": "two"}]});
    let answer = client.post("/credentials", &twice).await.expect(201);
    assert_eq!(names(&answer["created"]), ["TWICE"]);
    let listed = client.get("/credentials").await.expect(200);
    let same: Vec<&Value> = listed["credentials"].as_array().unwrap().iter().filter(|c| c["name"] == "TWICE").collect();
    assert_eq!(same, [&json!({"name": "TWICE", "description": "one", "value_exists": false})]);
}

#[tokio::test]
async fn names_that_differ_in_case_are_different_slots() {
    let client = shared().await.client();
    let both = json!({"credentials": [{"name": "Case_Matters"}, {"name": "CASE_MATTERS"}]});
    let answer = client.post("/credentials", &both).await.expect(201);
    assert_eq!(names(&answer["created"]), ["CASE_MATTERS", "Case_Matters"]);
}

#[tokio::test]
async fn a_value_in_an_agents_request_is_refused_and_nothing_is_created() {
    let client = shared().await.client();
    for value in [json!("smuggled-in-value"), json!(null), json!("")] {
        let body = json!({"credentials": [{"name": "SMUGGLED_BESIDE"}, {"name": "SMUGGLED", "value": value}]});
        let reply = client.post("/credentials", &body).await;
        reply.problem_naming(422, "value");
        assert!(!reply.text().contains("smuggled-in-value"), "{reply:?}");
    }
    let listed = client.get("/credentials").await;
    assert!(!listed.text().contains("SMUGGLED"), "{listed:?}");
}

#[tokio::test]
async fn bad_names_are_refused_and_nothing_of_the_request_is_created() {
    let client = shared().await.client();
    let long = "N".repeat(129);
    let bad = [
        "",
        "1ST",
        "A-B",
        "A B",
        "A.B",
        "É",
        "A\u{301}",
        "\u{ff21}",
        "A\u{200b}",
        "\u{202e}A",
        "🔑",
        "A\n",
        "A\0",
        "../A",
        "а",
        &long,
    ];
    for name in bad {
        let body = json!({"credentials": [{"name": "BESIDE_A_BAD_NAME"}, {"name": name}]});
        let reply = client.post("/credentials", &body).await;
        assert_eq!(reply.status, 422, "{name:?}: {reply:?}");
    }
    for name in [json!(null), json!(7), json!(["A"]), json!({})] {
        client.post("/credentials", &json!({"credentials": [{"name": name}]})).await.problem_naming(422, "name");
    }
    let listed = client.get("/credentials").await;
    assert!(!listed.text().contains("BESIDE_A_BAD_NAME"), "{listed:?}");

    let longest = "N".repeat(128);
    let answer =
        client.post("/credentials", &json!({"credentials": [{"name": longest}, {"name": "_"}]})).await.expect(201);
    assert_eq!(names(&answer["created"]).len(), 2);
}

#[tokio::test]
async fn odd_unicode_in_a_description_comes_back_as_it_was() {
    let client = shared().await.client();
    let odd = "e\u{301} é \u{202e}right to left\u{202c} \u{0}nul \u{7f} \u{feff} 👩‍👩‍👧 <script>alert(1)</script> \"\\\n\u{10ffff}";
    let reply = client.post("/credentials", &json!({"credentials": [{"name": "ODD_TEXT", "description": odd}]})).await;
    reply.expect(201);
    let listed = client.get("/credentials").await.expect(200);
    assert_eq!(find(&listed, "ODD_TEXT")["description"], odd);
}

#[tokio::test]
async fn wrong_shapes_are_422_and_name_the_member() {
    let client = shared().await.client();
    let cases = [
        (json!({}), "credentials"),
        (json!({"credentials": null}), "credentials"),
        (json!({"credentials": "A"}), "credentials"),
        (json!({"credentials": {"name": "A"}}), "credentials"),
        (json!({"credentials": [{"description": "no name"}]}), "name"),
        (json!({"credentials": [{"name": "WRONG_SHAPE", "description": 7}]}), "description"),
        (json!({"credentials": [{"name": "WRONG_SHAPE", "secret": false}]}), "secret"),
        (json!({"credentials": [{"name": "WRONG_SHAPE"}], "dry_run": true}), "dry_run"),
    ];
    for (body, word) in cases {
        client.post("/credentials", &body).await.problem_naming(422, word);
    }
    assert!(!client.get("/credentials").await.text().contains("WRONG_SHAPE"));
}
