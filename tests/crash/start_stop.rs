//! A clean end, and the starts that must be refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Launch, Server, eventually, process, ready_profile, text};

/// A data folder that a server has used: its store holds a credential under its own key.
async fn used_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Launch::new().data_dir(dir.path()).start();
    server.admin().await.create_credential("OWN", "sealed with the folder's own key").await;
    assert_eq!(server.stop().code, Some(0));
    dir
}

#[tokio::test]
async fn sigterm_ends_an_idle_server_with_zero_and_leaves_no_process() {
    let mut server = Server::start();
    let agent = ready_profile(&server, &[]).await;
    agent.result("set_result(1)").await;
    let processes = server.descendants();
    assert!(!processes.is_empty(), "no worker to be seen");
    let ended = server.stop();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""), "{ended:?}");
    eventually("all gone", async || !processes.iter().any(|pid| process::alive(*pid))).await;
}

#[tokio::test]
async fn sigint_ends_it_just_as_well() {
    let mut server = Server::start();
    server.signal(Signal::SIGINT);
    assert_eq!(server.stop_after_signal().code, Some(0));
}

#[tokio::test]
async fn after_a_clean_end_what_ran_is_interrupted_and_what_waited_runs() {
    let mut server = Launch::new().arg("--max-running", "1").start();
    let agent = ready_profile(&server, &[]).await;
    let done = agent.run("set_result('before')").await;
    let running = agent.submit("import time\ntime.sleep(600)").await;
    assert_eq!(agent.started(&running).await["status"], "running");
    let waiting = agent.submit("set_result('after')").await;
    assert_eq!(server.stop().code, Some(0));

    server.restart();
    let agent = agent.with(server.client());
    assert_eq!(agent.poll(text(&done, "execution_id"), 0).await, done);
    let ended = agent.finish(&running).await;
    assert_eq!((text(&ended, "status"), text(&ended, "error_type")), ("error", "Interrupted"), "{ended}");
    assert_eq!(agent.finish(&waiting).await["result"], "after");
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let first = Server::start();
    let agent = ready_profile(&first, &[]).await;
    Launch::new().data_dir(first.dir()).start_refused().refused_saying(&["already", "in use", "another"]);
    assert_eq!(agent.result("set_result('undisturbed')").await, "undisturbed");
}

#[tokio::test]
async fn a_used_folder_without_its_key_is_refused_and_gets_no_new_key() {
    let dir = used_folder().await;
    let key = dir.path().join(".secret");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    Launch::new().data_dir(dir.path()).start_refused().refused_saying(&[".secret", "key"]);
    assert!(!key.exists(), "a new key was made over an existing store");

    fs::write(&key, kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let server = Launch::new().data_dir(dir.path()).start();
    assert_eq!(server.client().get("/api/admin/status").await.expect(200)["setup_required"], false);
}

#[tokio::test]
async fn a_used_folder_with_another_key_is_refused_and_nothing_is_changed() {
    let (dir, other) = (used_folder().await, used_folder().await);
    let key = dir.path().join(".secret");
    let kept = fs::read(&key).unwrap();
    fs::copy(other.path().join(".secret"), &key).unwrap();
    Launch::new().data_dir(dir.path()).start_refused().refused_saying(&["key"]);
    let wrong = fs::read(&key).unwrap();
    assert_eq!(wrong, fs::read(other.path().join(".secret")).unwrap(), "the key file was overwritten");

    for garbage in [&b""[..], b"not a key", &[0; 31], &[0xff; 4096]] {
        fs::write(&key, garbage).unwrap();
        Launch::new().data_dir(dir.path()).start_refused().refused_saying(&["key"]);
        assert_eq!(fs::read(&key).unwrap(), garbage, "the key file was overwritten");
    }
    fs::write(&key, kept).unwrap();
    let server = Launch::new().data_dir(dir.path()).start();
    drop(server);
}

#[tokio::test]
async fn the_key_may_lie_elsewhere() {
    let dir = used_folder().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("master.key");
    fs::rename(dir.path().join(".secret"), &moved).unwrap();
    let launch = || Launch::new().data_dir(dir.path()).env("AIRLOCK_MASTER_KEY_FILE", moved.to_str().unwrap());
    let mut server = launch().start();
    assert!(!dir.path().join(".secret").exists(), "a second key was made");
    assert_eq!(server.client().get("/api/admin/status").await.expect(200)["setup_required"], false);
    assert_eq!(server.stop().code, Some(0));

    fs::remove_file(&moved).unwrap();
    launch().start_refused().refused_saying(&["key"]);
    assert!(!moved.exists() && !dir.path().join(".secret").exists(), "a new key was made over an existing store");
}

#[tokio::test]
async fn a_store_that_is_none_is_refused_and_left_alone() {
    let dir = used_folder().await;
    let store = dir.path().join("airlock.redb");
    fs::write(&store, "this is not a store").unwrap();
    Launch::new().data_dir(dir.path()).start_refused().refused_saying(&["airlock.redb", "store", "database"]);
    assert_eq!(fs::read_to_string(&store).unwrap(), "this is not a store");
}

#[tokio::test]
async fn without_a_python_it_says_so_and_what_to_do() {
    for python in ["/nonexistent/python3", "/bin/true", "/tmp"] {
        let dir = tempfile::tempdir().unwrap();
        let ended = Launch::new().data_dir(dir.path()).arg("--python", python).start_refused();
        ended.refused_saying(&["python"]);
        assert!(ended.stderr.contains(python), "does not name {python}: {ended:?}");
    }
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    fs::write(&file, "").unwrap();
    for bad in [file.as_path(), Path::new("/proc/airlock")] {
        Launch::new().data_dir(bad).start_refused().refused_saying(&[bad.to_str().unwrap()]);
    }
}

#[test]
fn an_address_that_is_taken_or_none_at_all_is_refused_with_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases = [(taken.as_str(), "--listen names another address"), ("localhost:9090", "is not like 127.0.0.1:9090")];
    for (address, says) in cases {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Command::new(env!("CARGO_BIN_EXE_airlock"));
        let output = server.args(["serve", "--listen", address, "--data-dir"]).arg(dir.path()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(address) && stderr.contains(says), "{stderr}");
    }
}

#[tokio::test]
async fn a_data_folder_that_is_missing_is_made_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("not/yet/there");
    let server = Launch::new().data_dir(&deep).start();
    server.client().get("/health").await.expect(200);
    assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o077, 0, "others may look into the data folder");
}

#[tokio::test]
async fn profiles_credentials_and_history_are_there_after_a_clean_restart() {
    let mut server = Server::start();
    let admin = server.admin().await;
    let agent = ready_profile(&server, &[("LASTING", "a lasting value")]).await;
    let done = agent.run("print('kept')\nset_result({'kept': [1, 2.5, None, 'é']})").await;
    let before = [
        admin.get("/credentials").await.json(),
        admin.get("/profiles").await.json(),
        admin.get("/executions").await.json(),
    ];
    let detail = admin.execution(text(&done, "execution_id")).await;
    server.stop();
    server.restart();

    let admin = admin.with(server.client());
    let after = [
        admin.get("/credentials").await.json(),
        admin.get("/profiles").await.json(),
        admin.get("/executions").await.json(),
    ];
    assert_eq!(before, after);
    assert_eq!(admin.execution(text(&done, "execution_id")).await, detail);
    let agent = agent.with(server.client());
    assert_eq!(agent.poll(text(&done, "execution_id"), 0).await, done);
    assert_eq!(agent.result("set_result(len(settings['LASTING']))").await, json!(15));
}

#[tokio::test]
async fn two_servers_do_not_share_anything() {
    let (one, two) = (Server::start(), Server::start());
    let agent = ready_profile(&one, &[("ONLY_ONE", "a value of one")]).await;
    let done = agent.run("pass").await;
    two.client().get(&format!("/executions/{}", text(&done, "execution_id"))).await.problem(404);
    agent.with(two.client()).execute("pass").await.problem(401);
    assert_eq!(two.client().get("/credentials").await.expect(200)["credentials"], json!([]));
}
