//! The image that the Dockerfile makes, run in the ways that README.md promises: `make test-image` builds it and runs these.
//!
//! Each test lives through the whole of it: first visit, credential, profile, script, `docker stop`, and a second container on
//! the same volume, in which all of that is still there.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    dead_code,
    reason = "tests fail by panicking; support/ is shared"
)]

#[path = "../support/mod.rs"]
mod support;

use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Admin, Client, PASSWORD, Request, eventually};

fn image() -> String {
    std::env::var("AIRLOCK_TEST_IMAGE").expect("AIRLOCK_TEST_IMAGE names the image")
}

fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).stdin(Stdio::null()).output().expect("docker runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A container and its volume, removed when dropped.
struct Container {
    id: String,
    volume: String,
    client: Client,
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-f", &self.id]).output();
        let _ = Command::new("docker").args(["volume", "rm", "-f", &self.volume]).output();
    }
}

impl Container {
    fn run(volume: &str, options: &[&str]) -> Self {
        let (mount, image) = (format!("{volume}:/data"), image());
        // Not the users of servers on this machine.
        let users = "AIRLOCK_WORKER_UID_BASE=63000";
        let always = ["run", "-d", "-p", "127.0.0.1::9090", "-e", users, "-v", &mount];
        let id = docker(&[&always, options, &[image.as_str()]].concat());
        let client = Self::client(&id);
        Self { id, volume: volume.to_owned(), client }
    }

    fn client(id: &str) -> Client {
        let published = docker(&["port", id, "9090"]);
        Client::new(&format!("http://{}", published.lines().next().expect("a port")))
    }

    fn inspect(&self, format: &str) -> String {
        docker(&["inspect", "--format", format, &self.id])
    }

    async fn ready(&self) {
        eventually("the image is healthy, by its own check", async || {
            self.inspect("{{.State.Health.Status}}") == "healthy"
        })
        .await;
        eventually("scripts can run in it", async || {
            self.client.try_send(Request::get("/ready")).await.is_ok_and(|ready| ready.status == 200)
        })
        .await;
    }

    /// `docker stop`, and what became of the server.
    fn stop(&self) {
        docker(&["stop", &self.id]);
        assert_eq!(
            self.inspect("{{.State.ExitCode}} {{.State.OOMKilled}}"),
            "0 false",
            "{}",
            docker(&["logs", &self.id])
        );
    }

    fn start_again(&mut self) {
        docker(&["start", &self.id]);
        self.client = Self::client(&self.id);
    }

    /// The layers of the sandbox that are in force, by the program in the container.
    fn layers(&self) -> Vec<String> {
        let report: Value =
            serde_json::from_str(&docker(&["exec", &self.id, "airlock", "doctor", "--json"])).expect("JSON");
        let layers = report["layers"].as_array().expect("layers").iter();
        layers.filter(|layer| layer["active"] == true).map(|layer| layer["name"].as_str().unwrap().to_owned()).collect()
    }
}

async fn lives_through(name: &str, options: &[&str], own_users: bool) {
    let mut container = Container::run(&format!("airlock-test-{name}-{}", std::process::id()), options);
    container.ready().await;
    let page = container.client.send(Request::get("/")).await;
    assert!(page.success().text().contains("<script"), "the web UI is in the image");
    let admin = Admin::set_up(container.client.clone()).await;
    admin.create_credential("IMAGE_TOKEN", "a-token-that-nobody-sees").await;
    let agent = admin.locked_profile(&["IMAGE_TOKEN"]).await;
    let script = "import ssl; ssl.create_default_context(); print(settings['IMAGE_TOKEN']); set_result(6 * 7)";
    let done = agent.run(script).await;
    assert_eq!((&done["status"], &done["result"]), (&"completed".into(), &42.into()), "{done}");
    assert!(!done.to_string().contains("nobody-sees"), "{done}");
    let layers = container.layers();
    for floor in ["no_new_privs", "no capabilities", "landlock", "seccomp", "egress guard", "rlimits", "accounting"] {
        assert!(layers.iter().any(|layer| layer == floor), "{floor} is not among {layers:?}");
    }
    assert_eq!(layers.iter().any(|layer| layer == "own user"), own_users);

    // One that runs is waited for.
    let running = agent.submit("import time; time.sleep(2); set_result('finished')").await;
    agent.started(&running).await;
    container.stop();
    container.start_again();
    container.ready().await;
    let admin = Admin::log_in(container.client.clone(), PASSWORD).await;
    assert_eq!(admin.get("/credentials").await.expect(200)["credentials"].as_array().map(Vec::len), Some(1));
    let agent = agent.with(container.client.clone());
    assert_eq!(agent.finish(&running).await["result"], "finished");
    let id = done["execution_id"].as_str().expect("an id");
    assert_eq!(agent.poll(id, 0).await["result"], 42);
    assert_eq!(agent.result(script).await, 42);
    container.stop();
}

#[tokio::test]
async fn as_it_comes() {
    lives_through("plain", &[], true).await;
}

#[tokio::test]
async fn as_another_user() {
    lives_through("user", &["--user", "1000"], false).await;
}

#[tokio::test]
async fn without_capabilities() {
    lives_through("caps", &["--cap-drop", "ALL"], false).await;
}

#[tokio::test]
async fn with_a_root_file_system_that_can_not_be_written() {
    lives_through("read-only", &["--read-only", "--tmpfs", "/tmp", "--tmpfs", "/run"], true).await;
}

#[test]
fn it_says_what_it_is() {
    let image = image();
    let inspect = |format: &str| docker(&["image", "inspect", "--format", format, &image]);
    assert_eq!(inspect("{{index .Config.Labels \"org.opencontainers.image.title\"}}"), "Airlock");
    assert_eq!(inspect("{{index .Config.Labels \"org.opencontainers.image.licenses\"}}"), "MIT");
    assert_eq!(inspect("{{json .Config.ExposedPorts}}"), "{\"9090/tcp\":{}}");
    let version = docker(&["run", "--rm", &image, "--version"]);
    assert_eq!(version, format!("airlock {}", env!("CARGO_PKG_VERSION")));
}
