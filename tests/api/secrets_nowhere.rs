//! After everything that can be done with them, secrets are in no answer, no log and no file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::client::Transcript;
use crate::support::{Admin, Agent, Client, Launch, PASSWORD, Server, text};

const VALUE: &str = "Vn8sQ2-this-value-must-never-leave-0xC0FFEE";
const FIRST_VALUE: &str = "Jd3kW9-nor-may-the-one-before-it-0xFACADE";

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// A secret in the forms in which it could lie about.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let utf16: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let reversed: String = secret.chars().rev().collect();
    vec![secret.as_bytes().to_vec(), hex::encode(secret).into_bytes(), utf16, reversed.into_bytes()]
}

/// Uses the values in every way there is, the wrong ones above all.
async fn use_everything(admin: &Admin, client: &Client) -> Agent {
    admin.create_credential("NOWHERE", FIRST_VALUE).await;
    admin.put("/credentials/NOWHERE", &json!({"value": VALUE})).await.expect(200);
    admin.post("/credentials", &json!({"name": "NOWHERE", "value": VALUE})).await.problem(409);
    admin.post("/credentials", &json!({"name": "NOW HERE", "value": VALUE})).await.problem(422);
    admin.post("/credentials", &json!({"name": "NOWHERE_2", "value": VALUE, "odd": VALUE})).await.problem(422);
    admin.put("/credentials/NOWHERE", &json!({"value": [VALUE]})).await.problem(422);
    client.post("/credentials", &json!({"credentials": [{"name": "NOWHERE_3", "value": VALUE}]})).await.problem(422);
    let agent = admin.locked_profile(&["NOWHERE"]).await.with(client.clone());
    let scripts = [
        "set_result(settings['NOWHERE'])",
        "import sys\nprint(settings['NOWHERE'])\nprint(settings['NOWHERE'], file=sys.stderr)\nraise ValueError(settings['NOWHERE'])",
        "open('in-a-file', 'w').write(settings['NOWHERE'])",
        "import os\nprint(settings['NOWHERE'], flush=True)\nos._exit(1)",
        "print(settings['NOWHERE'] * 60_000)",
        "set_result({'key': {settings['NOWHERE']: [settings['NOWHERE']]}})",
    ];
    for script in scripts {
        let done = agent.run(script).await;
        admin.execution(text(&done, "execution_id")).await;
    }
    let slow = agent.run_for("import time\nprint(settings['NOWHERE'])\ntime.sleep(600)", 1).await;
    assert_eq!(slow["status"], "timeout", "{slow}");
    agent.post("", &json!({"script": "pass", "hash": agent.secret})).await.problem(403);
    for path in ["/credentials", "/profiles", "/ready", "/health"] {
        client.get(path).await;
    }
    for path in ["/credentials", "/profiles", "/executions", "/status"] {
        admin.get(path).await.expect(200);
    }
    agent
}

#[tokio::test]
async fn values_keys_tokens_and_passwords_are_in_no_file_no_log_and_no_answer() {
    let mut server: Server = Launch::new().env("RUST_LOG", "trace").start();
    // The two answers that show a secret once are not recorded: the session's token here, the key in `use_everything`.
    let session = server.admin().await;
    let transcript = Transcript::default();
    let recording = server.client().recording(&transcript);
    let unrecorded_lock = use_everything(&session, &recording).await;
    let watched = session.with(recording.clone());
    for path in ["/credentials", "/profiles", "/executions"] {
        watched.get(path).await.expect(200);
    }
    for execution in watched.executions("").await {
        watched.execution(text(&execution, "execution_id")).await;
    }
    watched.post("/credentials", &json!({"name": "NOWHERE", "value": VALUE})).await.problem(409);
    watched.put("/credentials/NOWHERE", &json!({"value": VALUE})).await.expect(200);
    watched.post("/login", &json!({"password": format!("{PASSWORD}{VALUE}")})).await.problem(401);
    watched.profile_action(&unrecorded_lock.id, "revoke").await.expect(200);

    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "", "stdout has one line, the first");
    let mut places = vec![
        ("the log".to_owned(), ended.stderr.into_bytes()),
        ("an answer".to_owned(), transcript.lock().unwrap().clone()),
    ];
    let files = files_below(server.dir());
    assert!(files.iter().any(|file| file.ends_with("airlock.redb")), "{files:?}");
    places.extend(files.into_iter().map(|file| (file.display().to_string(), fs::read(&file).unwrap())));

    for secret in [VALUE, FIRST_VALUE, &unrecorded_lock.secret, &session.token, PASSWORD] {
        for form in forms(secret) {
            for (place, bytes) in &places {
                assert!(!contains(bytes, &form), "{:?} is in {place}", String::from_utf8_lossy(&form));
            }
        }
    }
}

#[tokio::test]
async fn values_reach_a_script_neither_by_environment_nor_by_arguments_nor_by_disk() {
    let server = Server::start();
    let agent = crate::support::ready_profile(&server, &[("IN_FLIGHT", VALUE)]).await;
    let id = agent.submit("held = settings['IN_FLIGHT']\nimport time\ntime.sleep(600)").await;
    assert_eq!(agent.started(&id).await["status"], "running");
    let processes = server.descendants();
    assert!(processes.len() >= 2, "no guard and no fork server below the server: {processes:?}");
    let mut looked = 0;
    for pid in processes {
        for file in ["cmdline", "environ"] {
            // Not every process lets itself be looked at; as root all do.
            let Ok(bytes) = fs::read(format!("/proc/{pid}/{file}")) else { continue };
            looked += 1;
            assert!(!contains(&bytes, VALUE.as_bytes()), "{file} of {pid}");
        }
    }
    assert!(looked > 0, "nothing could be looked at");
    for file in files_below(server.dir()) {
        assert!(!contains(&fs::read(&file).unwrap_or_default(), VALUE.as_bytes()), "{}", file.display());
    }
}

#[tokio::test]
async fn the_key_file_is_the_owners_alone_and_is_no_text_of_the_log() {
    use std::os::unix::fs::PermissionsExt;
    let mut server = Server::start();
    server.admin().await;
    let path = server.dir().join(".secret");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read(&path).unwrap();
    assert!(key.len() >= 32, "a master key of {} bytes", key.len());
    let store = server.dir().join("airlock.redb");
    assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o077, 0, "others may read the store");
    let log = server.stop().stderr;
    let written = String::from_utf8_lossy(&key).trim().to_owned();
    assert!(!log.contains(&written) && !log.contains(&hex::encode(&key)));
    assert!(!contains(&fs::read(&store).unwrap(), &key), "the key lies in the store");
}
