//! What is particular to a field.

use serde_json::{Value, json};

use crate::support::{ready_profile, shared, text};
use crate::table::SECRET;

async fn agent_with(name: &str) -> crate::support::Agent {
    ready_profile(shared().await, &[(name, SECRET)]).await
}

#[tokio::test]
async fn a_result_that_spells_a_value_across_its_members_is_withheld() {
    let agent = agent_with("SPELLED").await;
    let admin = shared().await.admin().await;
    for script in [
        "set_result(list(settings['SPELLED'].encode()))",
        "set_result(list(settings['SPELLED']))",
        "set_result({'rows': [{'c': c} for c in [settings['SPELLED'][:12], settings['SPELLED'][12:]]]}) or set_result([settings['SPELLED'][:12], settings['SPELLED'][12:]])",
    ] {
        let done = agent.run(script).await;
        assert_eq!(
            (&done["status"], &done["error_type"]),
            (&json!("error"), &json!("ResultWithheld")),
            "{script}: {done}"
        );
        assert_eq!(done["result"], Value::Null, "{done}");
        assert!(text(&done, "error").contains("withheld"), "{done}");
        let detail = admin.execution(text(&done, "execution_id")).await;
        assert_eq!(detail["suspicious"], true, "{detail}");
    }
}

#[tokio::test]
async fn short_values_change_nothing_but_the_strings_that_hold_them() {
    let values = [("SHORT_TRUE", "true"), ("SHORT_ONE", "1"), ("SHORT_PORT", "5432")];
    let agent = ready_profile(shared().await, &values).await;
    let result = agent.result("set_result({'ok': True, 'n': 1, 'port': 5432, 'text': 'port 5432'})").await;
    assert_eq!(result, json!({"ok": true, "n": 1, "port": 5432, "text": "port [REDACTED]"}));
}

#[tokio::test]
async fn a_marker_shows_the_end_of_a_long_plain_value_only() {
    let values = [
        ("END_PLAIN", "Zq8vT2mK4xW9pL6s"),
        ("END_URL", "mysql://app:Zk3vT8mK1xW5pL7r@db/main"),
        ("END_SHORT", "hK3x9Qz7"),
    ];
    let agent = ready_profile(shared().await, &values).await;
    let script = "print(settings['END_PLAIN'], settings['END_URL'], settings['END_SHORT'], settings['END_URL'].split(':')[2].split('@')[0])";
    let done = agent.run(script).await;
    assert_eq!(done["stdout"], "[REDACTED...pL6s] [REDACTED] [REDACTED] [REDACTED]\n", "{done}");
}

#[tokio::test]
async fn plain_configuration_is_shown_in_every_form_and_as_such() {
    let admin = shared().await.admin().await;
    let made = admin
        .post("/credentials", &json!({"name": "PLAIN_HOST", "value": "db-7.internal.example", "secret": false}))
        .await;
    assert_eq!(made.expect(201)["secret"], false);
    let agent = admin.locked_profile(&["PLAIN_HOST"]).await;
    let script = "import base64\ns = settings['PLAIN_HOST']\nprint(s, s.upper(), base64.b64encode(s.encode()).decode())\nset_result(list(s))";
    let done = agent.run(script).await;
    assert_eq!(done["stdout"], "db-7.internal.example DB-7.INTERNAL.EXAMPLE ZGItNy5pbnRlcm5hbC5leGFtcGxl\n", "{done}");
    let detail = admin.execution(text(&done, "execution_id")).await;
    assert_eq!((&detail["redactions"], &detail["suspicious"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn where_a_flood_is_cut_no_piece_of_an_encoded_value_is_left() {
    let agent = agent_with("FLOOD").await;
    for form in [
        "s.encode().hex()",
        "base64.b64encode(s.encode()).decode()",
        "' '.join(s)",
        "base64.b64encode(s.encode().hex().encode()).decode()",
    ] {
        let done = agent.run(&format!("import base64\ns = settings['FLOOD']\nx = {form}\nprint('.\\n'.join([x] * 60_000))\nopen('x', 'w').write(x)")).await;
        assert_eq!(done["status"], "completed", "{}", done["error"]);
        let out = text(&done, "stdout");
        let cut = out.find("bytes dropped").expect("it was cut");
        let around: String = out[cut.saturating_sub(400)..(cut + 400).min(out.len())].to_owned();
        let letters: Vec<&str> =
            around.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.len() > 5).collect();
        assert!(
            letters
                .iter()
                .all(|word| ["REDACTED", "dropped"].contains(word) || word.bytes().all(|b| b.is_ascii_digit())),
            "{around}"
        );
    }
}
