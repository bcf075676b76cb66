//! `allowed_hosts` from the person who sets it to the script that is refused.

use std::io::Read as _;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{Server, text};

const SCRIPT: &str = "
import socket
with socket.create_connection(('127.0.0.1', PORT), timeout=30) as c: c.sendall(b'hello')
set_result('reached')
";

fn script(port: u16) -> String {
    SCRIPT.replace("PORT", &port.to_string())
}

#[tokio::test]
async fn a_change_holds_for_new_executions_at_once_on_a_locked_profile_too() {
    let server = Server::start();
    let admin = server.admin().await;
    let agent = admin.locked_profile(&[]).await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let path = format!("/profiles/{}", agent.id);

    let refused = agent.failure(&script(port), "PermissionError").await;
    let sentence = format!("127.0.0.1:{port} is the machine that Airlock runs on");
    assert!(text(&refused, "error").contains(&sentence), "{refused}");

    let entry = format!(" 127.0.0.1:{port} ");
    let changed = admin.put(&path, &json!({"allowed_hosts": [entry, "API.Example.com."]})).await.expect(200);
    assert_eq!(changed["allowed_hosts"], json!([format!("127.0.0.1:{port}"), "api.example.com"]));
    let done = agent.run(&script(port)).await;
    assert_eq!(done["result"], "reached", "{done}");
    let mut received = String::new();
    listener.accept().unwrap().0.read_to_string(&mut received).unwrap();
    assert_eq!(received, "hello");

    let detail = admin.execution(text(&done, "execution_id")).await;
    let [seen] = detail["egress"].as_array().expect("a list").as_slice() else { panic!("{detail}") };
    assert_eq!((&seen["host"], &seen["port"]), (&json!("127.0.0.1"), &json!(port)));
    assert_eq!((&seen["allowed"], &seen["reason"], &seen["count"]), (&json!(true), &Value::Null, &json!(1)));
    assert_eq!(seen["bytes_sent"], 5);
    assert!(text(seen, "first_at") >= text(&done, "started_at"), "{detail}");

    admin.put(&path, &json!({"allowed_hosts": []})).await.expect(200);
    let refused = agent.failure(&script(port), "PermissionError").await;
    let detail = admin.execution(text(&refused, "execution_id")).await;
    assert_eq!(detail["egress"][0]["reason"], "loopback", "{detail}");
    // Whom a script asked for is the administrator's business.
    assert!(agent.poll(text(&refused, "execution_id"), 0).await.get("egress").is_none());
}

#[tokio::test]
async fn a_script_does_not_reach_the_server_it_runs_under() {
    let server = Server::start();
    let admin = server.admin().await;
    let agent = admin.locked_profile(&[]).await;
    let port = server.address().rsplit(':').next().unwrap().to_owned();
    admin.put(&format!("/profiles/{}", agent.id), &json!({"allowed_hosts": ["127.0.0.0/8"]})).await.expect(200);
    let script = format!("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}/health')");
    let refused = agent.failure(&script, "URLError").await;
    assert!(text(&refused, "error").contains("is the machine that Airlock runs on"), "{refused}");
}

#[tokio::test]
async fn a_secret_as_a_host_name_is_neither_asked_for_nor_written_down() {
    const SECRET: &str = "hunter2-as-a-label";
    let server = Server::start();
    let admin = server.admin().await;
    admin.create_credential("PASSWORD", SECRET).await;
    let agent = admin.locked_profile(&["PASSWORD"]).await;
    admin.put(&format!("/profiles/{}", agent.id), &json!({"allowed_hosts": ["api.example.com"]})).await.expect(200);
    let script = "import socket\nsocket.getaddrinfo(settings['PASSWORD'] + '.example.org', 80)";
    let done = agent.failure(script, "gaierror").await;
    assert!(text(&done, "error").contains(".example.org is not in the allowed_hosts"), "{done}");
    assert!(!done.to_string().contains(SECRET), "{done}");
    let detail = admin.execution(text(&done, "execution_id")).await;
    assert_eq!(detail["egress"][0]["allowed"], false, "{detail}");
    assert!(text(&detail["egress"][0], "host").ends_with(".example.org"), "{detail}");
    assert!(!detail["egress"].to_string().contains(SECRET), "{detail}");
}

#[tokio::test]
async fn entries_that_are_none_are_refused_with_what_to_write_and_change_nothing() {
    let server = Server::start();
    let admin = server.admin().await;
    let id = admin.open_profile(&[]).await;
    let path = format!("/profiles/{id}");
    admin.put(&path, &json!({"allowed_hosts": ["db.example"]})).await.expect(200);
    for (entry, told) in [
        ("https://api.example.com", "without a scheme"),
        ("127.1", "four numbers"),
        ("10.0.0.5/8", "10.0.0.0/8"),
        ("*", "*.example.com"),
        ("a.example:0", "1 to 65535"),
    ] {
        let problem = admin.put(&path, &json!({"allowed_hosts": ["ok.example", entry]})).await.problem(422);
        assert!(problem.to_string().contains(told), "{entry}: {problem}");
    }
    let many = |count: usize| (0..count).map(|n| format!("h{n}.example")).collect::<Vec<_>>();
    admin.put(&path, &json!({"allowed_hosts": many(257)})).await.problem(422);
    assert_eq!(admin.get(&path).await.expect(200)["allowed_hosts"], json!(["db.example"]));
    admin.put(&path, &json!({"allowed_hosts": many(256)})).await.expect(200);
}
