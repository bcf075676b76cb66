//! An agent: has a profile's id and secret, signs scripts, posts and polls.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{Client, PATIENCE, Reply, Request, text};

/// The `hash` of a script.
pub(crate) fn sign(secret: &str, script: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(script.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// One profile's agent.
#[derive(Clone)]
pub(crate) struct Agent {
    client: Client,
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl Agent {
    /// From the key that `lock` shows once, `ark_ID:SECRET`.
    pub(crate) fn from_key(client: Client, key: &str) -> Self {
        let (id, secret) = key.split_once(':').unwrap_or_else(|| panic!("not a key: {key}"));
        Self { client, id: id.to_owned(), secret: secret.to_owned() }
    }

    /// The same agent through another client (of another runtime, or to the restarted server).
    pub(crate) fn with(&self, client: Client) -> Self {
        Self { client, id: self.id.clone(), secret: self.secret.clone() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A complete, rightly signed body of `POST /execute`.
    pub(crate) fn body(&self, script: &str) -> Value {
        json!({"script": script, "hash": sign(&self.secret, script)})
    }

    /// `POST /execute` with this body; `query` is empty or starts with `?`.
    pub(crate) async fn post(&self, query: &str, body: &Value) -> Reply {
        self.client.send(self.request(query, body)).await
    }

    pub(crate) fn request(&self, query: &str, body: &Value) -> Request {
        Request::post(&format!("/execute{query}")).bearer(&self.id).json(body)
    }

    /// Posts a script without waiting for it; returns the answer.
    pub(crate) async fn execute(&self, script: &str) -> Reply {
        self.post("", &self.body(script)).await
    }

    /// Posts a script that must be accepted; returns the execution's id.
    pub(crate) async fn submit(&self, script: &str) -> String {
        let accepted = self.execute(script).await.expect(202);
        text(&accepted, "execution_id").to_owned()
    }

    pub(crate) async fn poll(&self, id: &str, wait: u32) -> Value {
        self.client.get(&format!("/executions/{id}?wait={wait}")).await.expect(200)
    }

    /// Polls until the execution is finished.
    pub(crate) async fn finish(&self, id: &str) -> Value {
        self.poll_until(id, |status| !["pending", "running", "awaiting_llm"].contains(&status)).await
    }

    /// Polls until the execution has left the queue.
    pub(crate) async fn started(&self, id: &str) -> Value {
        self.poll_until(id, |status| status != "pending").await
    }

    async fn poll_until(&self, id: &str, enough: impl Fn(&str) -> bool) -> Value {
        let start = std::time::Instant::now();
        // A long poll would wait for the next change of what is enough already.
        let mut wait = 0;
        loop {
            let execution = self.poll(id, wait).await;
            wait = 30;
            if enough(text(&execution, "status")) {
                return execution;
            }
            assert!(start.elapsed() < PATIENCE, "still {execution}");
        }
    }

    /// Runs a script to its end, whatever that is.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.run_body(&self.body(script)).await
    }

    /// Runs a script that may take `timeout` seconds to its end.
    pub(crate) async fn run_for(&self, script: &str, timeout: u32) -> Value {
        let mut body = self.body(script);
        body["timeout"] = timeout.into();
        self.run_body(&body).await
    }

    async fn run_body(&self, body: &Value) -> Value {
        let accepted = self.post("", body).await.expect(202);
        self.finish(text(&accepted, "execution_id")).await
    }

    /// Runs a script that must complete; returns its result.
    pub(crate) async fn result(&self, script: &str) -> Value {
        let done = self.run(script).await;
        assert_eq!(done["status"], "completed", "{done}");
        done["result"].clone()
    }

    /// Runs a script that must fail with an exception of this kind; returns the finished execution.
    pub(crate) async fn failure(&self, script: &str, error_type: &str) -> Value {
        let done = self.run(script).await;
        assert_eq!(done["status"], "error", "{done}");
        assert_eq!(done["error_type"], error_type, "{done}");
        assert!(done["error"].is_string(), "{done}");
        done
    }
}
