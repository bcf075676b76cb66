//! Lists that strangers can make long: they come in pages, and what one request adds to them is bounded.

use serde_json::{Value, json};

use crate::support::{Client, Request, Server, names, shared, text};

const MIB: usize = 1024 * 1024;

/// All of a list, page by page; checks that no page has more than `limit`.
async fn pages(client: &Client, bearer: &str, path: &str, list: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for _ in 0..1000 {
        let page = client.send(Request::get(&format!("{path}?limit={limit}{cursor}")).bearer(bearer)).await.expect(200);
        let items = page[list].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        all.extend(items.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
    panic!("pages without end");
}

#[tokio::test]
async fn every_list_comes_in_pages_that_together_are_the_whole() {
    let server = Server::start();
    let (client, admin) = (server.client(), server.admin().await);
    for n in 0..7 {
        client.post("/profiles", &json!({"description": format!("number {n}")})).await.expect(201);
        client.post("/credentials", &json!({"credentials": [{"name": format!("PAGED_{n}")}]})).await.expect(201);
    }
    let lists = [
        ("/profiles", "profiles"),
        ("/api/admin/profiles", "profiles"),
        ("/credentials", "credentials"),
        ("/api/admin/credentials", "credentials"),
    ];
    for (path, list) in lists {
        let whole = client.send(Request::get(path).bearer(&admin.token)).await.expect(200);
        assert!(whole.get("next_cursor").is_none(), "{whole}");
        assert_eq!(whole[list].as_array().unwrap().len(), 7, "{whole}");
        for limit in [1, 3, 7, 1000] {
            let paged = pages(&client, &admin.token, path, list, limit).await;
            assert_eq!(Value::from(paged), whole[list], "{path} in pages of {limit}");
        }
        for query in ["limit=0", "limit=1001", "limit=x", "cursor=%20", "cursor="] {
            client.send(Request::get(&format!("{path}?{query}")).bearer(&admin.token)).await.problem(422);
        }
    }
}

#[tokio::test]
async fn a_page_goes_on_after_a_profile_that_was_deleted() {
    let server = Server::start();
    let (client, admin) = (server.client(), server.admin().await);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let made = client.post("/profiles", &json!({})).await.expect(201);
        ids.push(text(&made, "id").to_owned());
    }
    let first = client.get("/profiles?limit=1").await.expect(200);
    assert_eq!(first["profiles"][0]["id"], ids[0]);
    admin.delete(&format!("/profiles/{}", ids[0])).await.success();
    let rest = client.get(&format!("/profiles?cursor={}", text(&first, "next_cursor"))).await.expect(200);
    let rest: Vec<&Value> = rest["profiles"].as_array().unwrap().iter().map(|profile| &profile["id"]).collect();
    assert_eq!(rest, [&ids[1], &ids[2]]);
}

#[tokio::test]
async fn a_profile_takes_a_hundred_credentials_and_not_one_more() {
    let client = shared().await.client();
    let slots: Vec<Value> = (0..101).map(|n| json!({"name": format!("HUNDRED_{n}")})).collect();
    let (most, more) = slots.split_at(100);
    client.post("/credentials", &json!({"credentials": most})).await.expect(201);
    client.post("/credentials", &json!({"credentials": more})).await.expect(201);
    let profile = client.post("/profiles", &json!({})).await.expect(201);
    let path = format!("/profiles/{}/credentials", text(&profile, "id"));
    let attach = async |list: &[Value]| client.post(&path, &json!({"credentials": names(&list.into())})).await;
    attach(most).await.expect(200);
    attach(more).await.problem_naming(409, "100");
    attach(&most[..3]).await.expect(200);
    let shown = client.get(path.trim_end_matches("/credentials")).await.expect(200);
    assert_eq!(names(&shown["credentials"]), names(&most.into()));
}

#[tokio::test]
async fn descriptions_of_agents_are_shorter_than_a_persons() {
    let server = shared().await;
    let (client, admin) = (server.client(), server.admin().await);
    let described = |name: &str, length: usize| json!({"name": name, "description": "d".repeat(length)});
    let slot = |name: &str, length| json!({"credentials": [described(name, length)]});
    client.post("/credentials", &slot("DESCRIBED_SHORT", 1_024)).await.expect(201);
    client.post("/credentials", &slot("DESCRIBED_LONG", 1_025)).await.problem_naming(422, "1024");
    client.post("/profiles", &json!({"description": "d".repeat(1_024)})).await.expect(201);
    client.post("/profiles", &json!({"description": "d".repeat(1_025)})).await.problem_naming(422, "1024");
    admin.post("/credentials", &described("DESCRIBED_BY_A_PERSON", 4_096)).await.expect(201);
    admin.post("/credentials", &described("DESCRIBED_TOO_LONG", 4_097)).await.problem_naming(422, "4096");
    admin.post("/profiles", &json!({"description": "d".repeat(4_096)})).await.expect(201);
    admin.post("/profiles", &json!({"description": "d".repeat(4_097)})).await.problem_naming(422, "4096");
}

/// What 120 requests of a stranger once made 41 MB of.
#[tokio::test]
async fn a_stranger_can_not_make_an_answer_of_tens_of_megabytes() {
    let server = Server::start();
    let client = server.client();
    let slots: Vec<Value> =
        (0..100).map(|n| json!({"name": format!("LONG_{n}"), "description": "d".repeat(1_024)})).collect();
    client.post("/credentials", &json!({"credentials": slots})).await.expect(201);
    for _ in 0..20 {
        let profile = client.post("/profiles", &json!({})).await.expect(201);
        let path = format!("/profiles/{}/credentials", text(&profile, "id"));
        client.post(&path, &json!({"credentials": names(&slots.clone().into())})).await.expect(200);
    }
    let reply = client.get("/profiles").await;
    let page = reply.expect(200);
    assert!((MIB..2 * MIB).contains(&reply.body.len()), "{} bytes", reply.body.len());
    assert_eq!(pages(&client, "nobody", "/profiles", "profiles", 1000).await.len(), 20);
    assert!(page["next_cursor"].is_string());
}
