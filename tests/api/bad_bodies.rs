//! Bodies that are not what a call asks for: broken JSON, wrong content types, hostile nesting.

use serde_json::json;

use crate::support::{Client, PASSWORD, Reply, Request, shared, shared_agent};

/// Every call that takes a body: method, path, whether it needs a session.
const CALLS: [(&str, &str, bool); 8] = [
    ("POST", "/execute", false),
    ("POST", "/credentials", false),
    ("POST", "/profiles", false),
    ("POST", "/api/admin/login", false),
    ("POST", "/api/admin/password", true),
    ("POST", "/api/admin/credentials", true),
    ("PUT", "/api/admin/credentials/BAD_BODIES", true),
    ("POST", "/api/admin/profiles", true),
];

struct Everywhere {
    client: Client,
    token: String,
    id: String,
}

impl Everywhere {
    async fn new() -> Self {
        let server = shared().await;
        let admin = server.admin().await;
        // Made by whichever test comes first.
        admin.post("/credentials", &json!({"name": "BAD_BODIES"})).await;
        Self { client: server.client(), token: admin.token, id: shared_agent().await.id }
    }

    /// The same body to every call.
    async fn send(&self, content_type: &str, body: &[u8]) -> Vec<(&'static str, Reply)> {
        let mut replies = Vec::new();
        for (method, path, session) in CALLS {
            let request = Request::new(method, path).body(content_type, body);
            let request = if session { request.bearer(&self.token) } else { request.bearer(&self.id) };
            replies.push((path, self.client.send(request).await));
        }
        replies
    }

    async fn each_is(&self, statuses: &[u16], content_type: &str, body: &[u8]) {
        for (path, reply) in self.send(content_type, body).await {
            let start = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert!(statuses.contains(&reply.status), "{path} with {content_type} and {start:?}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn text_that_is_no_json_is_a_400() {
    let everywhere = Everywhere::new().await;
    let broken: [&[u8]; 16] = [
        b"",
        b" ",
        b"{",
        b"{}}",
        b"{} {}",
        b"{'a': 1}",
        b"{\"a\": 1,}",
        b"{\"a\" 1}",
        b"{\"a\": NaN}",
        b"{\"a\": 01}",
        b"nul",
        b"\"open",
        b"{\"a\": \"\n\"}",
        b"{\"a\": \"\\x\"}",
        b"{\"a\": \"\xff\"}",
        b"\x00",
    ];
    for body in broken {
        everywhere.each_is(&[400], "application/json", body).await;
    }
}

#[tokio::test]
async fn json_of_another_shape_is_a_422() {
    let everywhere = Everywhere::new().await;
    for body in ["[]", "null", "true", "7", "\"text\"", "[{\"name\": \"A\"}]"] {
        everywhere.each_is(&[422], "application/json", body.as_bytes()).await;
    }
}

#[tokio::test]
async fn an_unknown_member_is_a_422_that_names_it() {
    let everywhere = Everywhere::new().await;
    for name in ["surprise", "Script", "é", "__proto__", "name "] {
        for (_, reply) in everywhere.send("application/json", json!({name: 1}).to_string().as_bytes()).await {
            reply.problem_naming(422, name);
        }
    }
}

#[tokio::test]
async fn a_member_that_comes_twice_is_refused() {
    let agent = shared_agent().await;
    let body = agent.body("set_result('which?')").to_string();
    let twice = format!("{{\"script\": \"set_result('the other')\", {}", body.strip_prefix('{').unwrap());
    let request = Request::post("/execute").bearer(&agent.id).body("application/json", twice);
    agent.client().send(request).await.problem_of(&[400, 422]);
    let login = Request::post("/api/admin/login")
        .body("application/json", format!("{{\"password\": \"x\", \"password\": \"{PASSWORD}\"}}"));
    agent.client().send(login).await.problem_of(&[400, 422]);
}

#[tokio::test]
async fn json_that_is_nested_without_end_is_refused_and_harms_nobody() {
    let everywhere = Everywhere::new().await;
    for (open, close) in [("[", "]"), ("{\"script\":", "}"), ("{\"credentials\":[", "]}")] {
        let deep = format!("{}1{}", open.repeat(200_000), close.repeat(200_000));
        everywhere.each_is(&[400, 413, 422], "application/json", deep.as_bytes()).await;
    }
    everywhere.client.get("/health").await.expect(200);
}

#[tokio::test]
async fn half_a_surrogate_pair_is_refused() {
    let agent = shared_agent().await;
    let body = format!("{{\"script\": \"pass # \\ud800\", \"hash\": \"{}\"}}", "0".repeat(64));
    let request = Request::post("/execute").bearer(&agent.id).body("application/json", body);
    agent.client().send(request).await.problem_of(&[400, 422]);
}

#[tokio::test]
async fn other_content_types_are_415_even_around_good_json() {
    let everywhere = Everywhere::new().await;
    let other = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "text/json; application/json",
        "json",
    ];
    for content_type in other {
        everywhere.each_is(&[415], content_type, b"{}").await;
    }
}

#[tokio::test]
async fn json_may_say_its_charset_and_mind_no_case() {
    let agent = shared_agent().await;
    for content_type in ["application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"] {
        let request = Request::post("/execute").bearer(&agent.id).body(content_type, agent.body("pass").to_string());
        agent.client().send(request).await.expect(202);
    }
}

#[tokio::test]
async fn a_nul_in_a_script_is_refused_or_fails_like_any_script_python_cannot_read() {
    let agent = shared_agent().await;
    let script = "set_result(1)\0";
    let reply = agent.execute(script).await;
    if reply.status == 202 {
        let done = agent.finish(reply.json()["execution_id"].as_str().unwrap()).await;
        assert_eq!(done["status"], "error", "{done}");
        assert!(["SyntaxError", "ValueError"].contains(&done["error_type"].as_str().unwrap()), "{done}");
    } else {
        reply.problem(422);
    }
}

#[tokio::test]
async fn an_escaped_body_means_the_same_script() {
    let agent = shared_agent().await;
    let script = "set_result('é' + \"\\n/\")";
    let escaped: String = script.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let hash = crate::support::sign(&agent.secret, script);
    let body = format!("{{\"script\": \"{escaped}\", \"hash\": \"{hash}\"}}");
    let request = Request::post("/execute?wait=30").bearer(&agent.id).body("application/json", body);
    assert_eq!(agent.client().send(request).await.expect(200)["result"], "é\n/");
}
