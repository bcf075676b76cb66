//! A value that is replaced while a script has it.

use serde_json::json;

use crate::support::{ready_profile, shared, text};

#[tokio::test]
async fn the_value_a_script_was_given_stays_redacted_after_it_was_replaced_or_declared_plain() {
    let server = shared().await;
    let admin = server.admin().await;
    let agent = ready_profile(server, &[("ROTATED", "first-Value-7xK2mQ9wZ4")]).await;
    // What is kept of it is scrubbed when its time is up, which is after the change.
    let script = "import time\ns = settings['ROTATED']\nprint(s, s[::-1], flush=True)\ntime.sleep(600)";
    for change in [json!({"value": "second-Value-8yL3nR0xA5"}), json!({"secret": false})] {
        let mut body = agent.body(script);
        body["timeout"] = json!(4);
        let accepted = agent.post("", &body).await.expect(202);
        let id = text(&accepted, "execution_id").to_owned();
        assert_eq!(agent.started(&id).await["status"], "running");
        admin.put("/credentials/ROTATED", &change).await.expect(200);
        let done = agent.finish(&id).await;
        assert_eq!(done["status"], "timeout", "{done}");
        let shown = done.to_string();
        for value in ["first-Value-7xK2mQ9wZ4", "second-Value-8yL3nR0xA5"] {
            let reversed: String = value.chars().rev().collect();
            assert!(!shown.contains(value) && !shown.contains(&reversed), "{shown}");
        }
        assert!(text(&done, "stdout").contains("[REDACTED"), "{done}");
    }
    // What was declared plain is shown by the next script, which is given it as such.
    assert_eq!(agent.result("set_result(settings['ROTATED'])").await, "second-Value-8yL3nR0xA5");
}
