//! `GET /openapi.json`: the document that every exchange of these tests is held against (`support/contract.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::support::contract::{Asked, Contract};
use crate::support::{Request, shared, shared_agent};

async fn document() -> Value {
    shared().await.client().get("/openapi.json").await.expect(200)
}

#[tokio::test]
async fn the_document_is_asked_for_again_only_when_it_has_changed() {
    let client = shared().await.client();
    let first = client.get("/openapi.json").await;
    assert_eq!(first.expect(200)["openapi"], "3.1.1");
    let tag = first.header("etag").to_owned();
    for (known, status) in [(tag.as_str(), 304), ("\"x\"", 200), (&format!("\"x\", W/{tag}"), 304)] {
        let reply = client.send(Request::get("/openapi.json").header("If-None-Match", known)).await;
        assert_eq!((reply.status, reply.body.is_empty(), reply.header("etag")), (status, status == 304, tag.as_str()));
    }
    let head = client.send(Request::new("HEAD", "/openapi.json")).await;
    assert_eq!((head.status, head.header("etag")), (200, tag.as_str()));
}

#[tokio::test]
async fn every_path_takes_the_methods_that_the_document_says() {
    let client = shared().await.client();
    for path in document().await["paths"].as_object().unwrap().keys() {
        let path = path.replace("{id}", "x").replace("{name}", "x");
        // The client compares `Allow` with the document.
        assert_eq!(client.send(Request::new("OPTIONS", &path)).await.status, 204, "{path}");
        client.send(Request::new("PATCH", &path)).await.problem(405);
    }
}

#[tokio::test]
async fn what_the_document_gives_as_an_example_is_taken() {
    let (server, document) = (shared().await, document().await);
    let example = |schema: &str| document["components"]["schemas"][schema]["examples"][0].clone();
    let (client, admin) = (server.client(), server.admin().await);
    client.post("/credentials", &example("NewSlots")).await.expect(201);
    let profile = client.post("/profiles", &example("NewProfile")).await.expect(201);
    let path = format!("/profiles/{}", profile["id"].as_str().unwrap());
    client.post(&format!("{path}/credentials"), &example("Names")).await.expect(200);
    admin.put(&path, &example("ProfileChange")).await.expect(200);
    admin.put("/credentials/REPORTS_DB", &example("CredentialChange")).await.expect(200);
}

/// The comparison is worth something only if it fails.
#[tokio::test]
async fn an_exchange_that_is_not_as_the_document_says_is_found_out() {
    let (document, agent) = (document().await, shared_agent().await);
    let id = agent.submit("set_result(1)").await;
    agent.finish(&id).await;
    let path = format!("/executions/{id}?wait=1");
    let reply = agent.client().get(&path).await;
    let fits = |change: &dyn Fn(&mut Value)| {
        let mut document = document.clone();
        change(&mut document);
        let asked = Asked { method: "GET", path: &path, body: None };
        catch_unwind(AssertUnwindSafe(|| Contract::read(&document).judge(&asked, &reply))).is_ok()
    };
    assert!(fits(&|_| {}));
    const PATH: &str = "/executions/{id}";
    let schema = |document: &mut Value| document["components"]["schemas"]["Execution"].take();
    assert!(!fits(&|document| drop(document["paths"].as_object_mut().unwrap().remove(PATH))), "a path");
    assert!(!fits(&|document| document["paths"][PATH] = json!({})), "a method");
    assert!(
        !fits(&|document| drop(document["paths"][PATH]["get"]["responses"].as_object_mut().unwrap().remove("200"))),
        "a status"
    );
    for (what, change) in [
        ("a member", json!({ "properties": { "status": true }, "additionalProperties": false })),
        ("a requirement", json!({ "required": ["colour"] })),
        ("a type", json!({ "properties": { "status": { "type": "number" } } })),
    ] {
        let changed = |document: &mut Value| {
            schema(document);
            document["components"]["schemas"]["Execution"] = change.clone();
        };
        assert!(!fits(&changed), "{what}");
    }
    let typed = |document: &mut Value| {
        let answer = &mut document["paths"][PATH]["get"]["responses"]["200"];
        answer["content"] = json!({ "text/plain": { "schema": { "type": "string" } } });
    };
    assert!(!fits(&typed), "a content type");
    let headed = |document: &mut Value| {
        let answer = &mut document["paths"][PATH]["get"]["responses"]["200"];
        answer["headers"] = json!({ "Location": { "$ref": "#/components/headers/Location" } });
    };
    assert!(!fits(&headed), "a header");
}
