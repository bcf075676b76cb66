//! The limits of a profile, from the admin's call to what a script meets.

use serde_json::json;

use crate::support::{names, shared, text};

#[tokio::test]
async fn limits_of_a_locked_profile_apply_to_the_next_execution_and_its_error_names_them() {
    let admin = shared().await.admin().await;
    let agent = admin.locked_profile(&[]).await;
    let path = format!("/profiles/{}", agent.id);
    let eat = "x = bytearray(200 << 20)\nset_result(len(x))";
    assert_eq!(agent.result(eat).await, 200 << 20);
    let shown = admin.put(&path, &json!({"limits": {"memory_bytes": 100 << 20}})).await.expect(200);
    assert_eq!(shown["limits"]["memory_bytes"], 100 << 20);
    let failed = agent.failure(eat, "MemoryError").await;
    for part in ["100 MiB of memory", "`memory_bytes`", "profile's limits"] {
        assert!(text(&failed, "error").contains(part), "{failed}");
    }
    // Null is the server's own again.
    admin.put(&path, &json!({"limits": null})).await.expect(200);
    assert_eq!(agent.result(eat).await, 200 << 20);
}

#[tokio::test]
async fn processes_are_granted_up_to_the_limit_and_not_one_more() {
    let admin = shared().await.admin().await;
    let agent = admin.locked_profile(&[]).await;
    admin.put(&format!("/profiles/{}", agent.id), &json!({"limits": {"processes": 8}})).await.expect(200);
    // Itself is one.
    let start = |count: usize| {
        format!("import os, signal\nfor _ in range({count}):\n    if os.fork() == 0: signal.pause()\nset_result(1)")
    };
    assert_eq!(agent.result(&start(7)).await, 1);
    let failed = agent.failure(&start(8), "BlockingIOError").await;
    assert!(text(&failed, "error").contains("8 processes and threads"), "{failed}");
    let threads = |count: usize| {
        format!(
            "import threading\nstop = threading.Event()\nfor _ in range({count}): threading.Thread(target=stop.wait).start()\nstop.set()\nset_result(1)"
        )
    };
    assert_eq!(agent.result(&threads(7)).await, 1);
    let failed = agent.failure(&threads(8), "RuntimeError").await;
    assert!(text(&failed, "error").contains("8 processes and threads"), "{failed}");
}

#[tokio::test]
async fn temporary_space_is_one_limit_for_all_files() {
    let admin = shared().await.admin().await;
    let agent = admin.locked_profile(&[]).await;
    admin.put(&format!("/profiles/{}", agent.id), &json!({"limits": {"tmp_bytes": 8 << 20}})).await.expect(200);
    let write = |files: usize| {
        format!(
            "import threading\nfor n in range({files}):\n    with open(str(n), 'wb') as f: f.write(bytes(1 << 20))\n"
        )
    };
    // Below it for longer than it takes to be looked at.
    let below = format!("{}threading.Event().wait(0.5)\nset_result(1)", write(7));
    assert_eq!(agent.result(&below).await, 1);
    let failed = agent.failure(&format!("{}threading.Event().wait()", write(9)), "DiskLimit").await;
    for part in ["8 MiB", "`tmp_bytes`", "--tmp-space"] {
        assert!(text(&failed, "error").contains(part), "{failed}");
    }
}

#[tokio::test]
async fn the_doctor_answers_the_administrator_alone() {
    let server = shared().await;
    let admin = server.admin().await;
    let report = admin.get("/doctor").await.expect(200);
    let layers = names(&report["layers"]);
    for layer in ["landlock", "seccomp", "no_new_privs", "accounting"] {
        assert!(layers.iter().any(|name| name == layer), "{layer} is not in {layers:?}");
    }
    assert_eq!(report["degraded"], json!([]));
    server.client().get("/api/admin/doctor").await.problem(401);
}
