//! The person at the admin API.

use serde_json::{Value, json};

use super::{Agent, Client, Reply, Request};

/// The password of every server that tests set up.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A session of the administrator.
#[derive(Clone)]
pub(crate) struct Admin {
    client: Client,
    pub(crate) token: String,
}

impl Admin {
    /// Sets a fresh server up with [`PASSWORD`].
    pub(crate) async fn set_up(client: Client) -> Self {
        let reply = client.post("/api/admin/setup", &json!({"password": PASSWORD})).await;
        Self::from_token(client, &reply)
    }

    /// Opens another session.
    pub(crate) async fn log_in(client: Client, password: &str) -> Self {
        let reply = client.post("/api/admin/login", &json!({"password": password})).await;
        Self::from_token(client, &reply)
    }

    fn from_token(client: Client, reply: &Reply) -> Self {
        let answer = reply.success().json();
        let token = super::text(&answer, "token").to_owned();
        assert!(token.len() >= 22, "a token of fewer than 128 bits");
        Self { client, token }
    }

    /// The same session through another client (of another runtime, or to the restarted server).
    pub(crate) fn with(&self, client: Client) -> Self {
        Self { client, token: self.token.clone() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request with this session's token; `path` is below `/api/admin`.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let request = Request::new(method, &format!("/api/admin{path}")).bearer(&self.token);
        self.client.send(if let Some(body) = body { request.json(body) } else { request }).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call("POST", path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Reply {
        self.call("PUT", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call("DELETE", path, None).await
    }

    /// One of the calls that take no body: `lock`, `revoke`, `regenerate-key`.
    pub(crate) async fn profile_action(&self, id: &str, action: &str) -> Reply {
        self.call("POST", &format!("/profiles/{id}/{action}"), None).await
    }

    pub(crate) async fn create_credential(&self, name: &str, value: &str) -> Value {
        self.post("/credentials", &json!({"name": name, "value": value})).await.expect(201)
    }

    /// An unlocked profile with these credentials; returns its id.
    pub(crate) async fn open_profile(&self, credentials: &[&str]) -> String {
        let profile = self.post("/profiles", &json!({"description": "a test"})).await.expect(201);
        let id = super::text(&profile, "id").to_owned();
        if !credentials.is_empty() {
            let path = format!("/profiles/{id}/credentials");
            self.post(&path, &json!({"credentials": credentials})).await.expect(200);
        }
        id
    }

    /// A profile with these credentials, locked: an agent that can run scripts.
    pub(crate) async fn locked_profile(&self, credentials: &[&str]) -> Agent {
        let id = self.open_profile(credentials).await;
        let locked = self.profile_action(&id, "lock").await.expect(200);
        Agent::from_key(self.client.clone(), super::text(&locked, "key"))
    }

    /// An execution with all that only the admin may see.
    pub(crate) async fn execution(&self, id: &str) -> Value {
        self.get(&format!("/executions/{id}")).await.expect(200)
    }

    /// All executions that a filter such as `status=pending&` leaves, page by page.
    pub(crate) async fn executions(&self, filter: &str) -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        for _ in 0..1000 {
            let page = self.get(&format!("/executions?{filter}{cursor}")).await.expect(200);
            all.extend(page["executions"].as_array().expect("a list of executions").iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
        panic!("pages without end");
    }
}
