//! Setting a server up over HTTP, as a person and agents do, and the request that an agent then repeats.

use anyhow::{Context, Result, ensure};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The administrator's session.
pub(crate) struct Admin {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Admin {
    /// Sets the server up, or logs in where that was done before.
    pub(crate) async fn open(url: &str, password: &str) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let base = format!("{url}/api/admin");
        let status: Value = client.get(format!("{base}/status")).send().await?.error_for_status()?.json().await?;
        let call = if status.get("setup_required") == Some(&Value::Bool(true)) { "setup" } else { "login" };
        let reply = client.post(format!("{base}/{call}")).json(&json!({"password": password})).send().await?;
        let answer: Value = reply.error_for_status()?.json().await?;
        let token = member(&answer, "token")?.to_owned();
        Ok(Self { client, base, token })
    }

    /// Changes something.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.put(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body);
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(&self.token);
        let request = if let Some(body) = body { request.json(body) } else { request };
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    /// A locked profile with one credential, as a real one would have.
    pub(crate) async fn profile(&self) -> Result<Agent> {
        let profile = self.post("/profiles", Some(&json!({"description": "load test"}))).await?;
        let id = member(&profile, "id")?;
        let suffix = id.trim_start_matches("ark_").to_uppercase();
        let name = format!("LOADTEST_{suffix}");
        let credential = json!({"name": name, "value": format!("a value of the load test, {suffix}")});
        self.post("/credentials", Some(&credential)).await?;
        self.post(&format!("/profiles/{id}/credentials"), Some(&json!({"credentials": [name]}))).await?;
        let locked = self.post(&format!("/profiles/{id}/lock"), None).await?;
        let (id, secret) = member(&locked, "key")?.split_once(':').context("a key without its secret")?;
        Ok(Agent { id: id.to_owned(), secret: secret.to_owned() })
    }
}

/// One agent: a profile's id and secret.
pub(crate) struct Agent {
    id: String,
    secret: String,
}

impl Agent {
    /// Its public id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The signed body of a submission.
    pub(crate) fn body(&self, script: &str) -> Result<Value> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(script.as_bytes());
        let hash = hex::encode(mac.finalize().into_bytes());
        Ok(json!({"script": script, "hash": hash}))
    }

    /// The whole request that runs `script` and waits for its end.
    pub(crate) fn execute(&self, script: &str) -> Result<Vec<u8>> {
        let body = self.body(script)?.to_string();
        let head =
            format!("POST /execute?wait=60 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n", self.id);
        let framing = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        Ok([head, framing, body].concat().into_bytes())
    }
}

/// Checks that an answer is the completed execution; returns its id.
pub(crate) fn completed(status: u16, body: &[u8]) -> Result<String> {
    ensure!(status == 200, "status {status}: {}", String::from_utf8_lossy(body));
    let execution: Value = serde_json::from_slice(body)?;
    let ok = execution.pointer("/result/ok") == Some(&Value::Bool(true));
    ensure!(member(&execution, "status")? == "completed" && ok, "not completed: {execution}");
    Ok(member(&execution, "execution_id")?.to_owned())
}

fn member<'a>(object: &'a Value, name: &str) -> Result<&'a str> {
    object.get(name).and_then(Value::as_str).with_context(|| format!("no {name} in the answer"))
}
