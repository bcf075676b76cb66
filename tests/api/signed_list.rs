//! `GET /executions`: a profile's own, proven by its signature.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Agent, Reply, Request, Server, ready_profile, sign, text};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn signed(agent: &Agent, path: &str, at: u64) -> Request {
    let signature = sign(&agent.secret, &format!("GET\n{path}\n{at}"));
    Request::get(path)
        .bearer(&agent.id)
        .header("Airlock-Timestamp", &at.to_string())
        .header("Airlock-Signature", &signature)
}

async fn list(agent: &Agent, query: &str) -> Reply {
    agent.client().send(signed(agent, &format!("/executions{query}"), now())).await
}

fn ids(page: &Value) -> Vec<String> {
    page["executions"].as_array().unwrap().iter().map(|one| text(one, "execution_id").to_owned()).collect()
}

#[tokio::test]
async fn a_profile_lists_its_own_newest_first_in_pages_that_stay_right() {
    let server = Server::start();
    let (agent, other) = (ready_profile(&server, &[]).await, ready_profile(&server, &[]).await);
    other.run("1").await;
    let mut own = Vec::new();
    for number in 0..7 {
        let script = if number % 2 == 0 { "1" } else { "1/0" };
        own.insert(0, text(&agent.run(script).await, "execution_id").to_owned());
    }
    assert_eq!(ids(&list(&agent, "").await.expect(200)), own);
    let mut seen = Vec::new();
    let mut query = "?limit=3".to_owned();
    loop {
        let page = list(&agent, &query).await.expect(200);
        seen.extend(ids(&page));
        // What arrives meanwhile comes on no later page.
        agent.run("1").await;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?limit=3&cursor={cursor}");
    }
    assert_eq!(seen, own);
    let failed = list(&agent, "?status=error").await.expect(200);
    assert_eq!(ids(&failed), [own[1].clone(), own[3].clone(), own[5].clone()]);
    for query in ["?status=done", "?limit=0", "?limit=201", "?cursor=x"] {
        list(&agent, query).await.problem(422);
    }
}

#[tokio::test]
async fn nobody_else_lists_them() {
    let server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    let other = ready_profile(&server, &[]).await;
    let client = agent.client();
    client.send(Request::get("/executions")).await.problem(401);
    client.send(Request::get("/executions").bearer(&agent.id)).await.problem_naming(403, "Airlock-Timestamp");
    client.send(signed(&agent, "/executions", now() - 301)).await.problem_naming(403, "300");
    client.send(signed(&agent, "/executions", now() + 302)).await.problem_naming(403, "300");
    client.send(signed(&agent, "/executions", now() - 290)).await.expect(200);
    let at = now().to_string();
    // Signed for another path, with another's secret, for another method, for no time.
    for (secret, message) in [
        (&agent.secret, format!("GET\n/executions?limit=1\n{at}")),
        (&other.secret, format!("GET\n/executions\n{at}")),
        (&agent.secret, format!("POST\n/executions\n{at}")),
        (&agent.secret, "GET\n/executions\n".to_owned()),
    ] {
        let request = Request::get("/executions").bearer(&agent.id);
        let request = request.header("Airlock-Timestamp", &at).header("Airlock-Signature", &sign(secret, &message));
        client.send(request).await.problem_naming(403, "Airlock-Signature");
    }
    server.admin().await.profile_action(&agent.id, "revoke").await.success();
    client.send(signed(&agent, "/executions", now())).await.problem(401);
}

#[tokio::test]
async fn sessions_are_listed_and_ended_by_the_administrator() {
    let server = Server::start();
    let admin = server.admin().await;
    let second = crate::support::Admin::log_in(server.client(), crate::support::PASSWORD).await;
    let listed = admin.get("/sessions").await.expect(200);
    let sessions = listed["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    let (own, others): (Vec<&Value>, Vec<&Value>) = sessions.iter().partition(|session| session["current"] == true);
    assert_eq!((own.len(), others.len()), (1, 1));
    assert!(!listed.to_string().contains(&admin.token));
    let id = text(others[0], "id");
    admin.delete(&format!("/sessions/{id}")).await.success();
    second.get("/sessions").await.problem(401);
    admin.delete(&format!("/sessions/{id}")).await.problem(404);
    for id in ["x", "00", &"0".repeat(64)] {
        admin.delete(&format!("/sessions/{id}")).await.problem(404);
    }
    assert_eq!(admin.get("/sessions").await.expect(200)["sessions"].as_array().unwrap().len(), 1);
}
