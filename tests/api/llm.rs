//! `llm.complete` and `llm.map`: pauses, answers, schemas, time-outs, and scripts that break the rules.

use serde_json::{Value, json};

use crate::support::{Agent, Reply, ready_profile, shared_agent, text};

/// Polls until something is asked.
pub(crate) async fn asked(agent: &Agent, id: &str) -> Value {
    loop {
        let view = agent.poll(id, 60).await;
        match text(&view, "status") {
            "awaiting_llm" => return view,
            "pending" | "running" => {}
            status => panic!("{status} before it asked: {view}"),
        }
    }
}

pub(crate) async fn respond(agent: &Agent, id: &str, body: &Value) -> Reply {
    agent.client().post(&format!("/executions/{id}/respond"), body).await
}

/// Answers what is asked first with `answer`, which must be taken.
pub(crate) async fn answer(agent: &Agent, id: &str, answer: &str) -> Value {
    let view = asked(agent, id).await;
    let body = json!({"response": answer, "request_id": view["llm_request"]["id"]});
    respond(agent, id, &body).await.expect(200);
    view
}

#[tokio::test]
async fn a_script_asks_waits_and_goes_on_with_the_answer_as_often_as_it_likes() {
    let agent = shared_agent().await;
    let id = agent
        .submit(
            "one = llm.complete('first?')\ntwo = llm.complete('after ' + one, model='large')\nset_result([one, two])",
        )
        .await;
    let view = asked(&agent, &id).await;
    assert_eq!(view["llm_request"]["prompt"], "first?");
    assert_eq!(view["llm_request"]["model"], "default");
    assert_eq!(view["llm_requests"].as_array().unwrap().len(), 1);
    assert!(view["llm_request"].get("schema").is_none());
    let taken = respond(&agent, &id, &json!({"response": "é"})).await.expect(200);
    assert_eq!(taken["execution_id"], id.as_str());
    assert_eq!(taken["status"], "running");
    let view = answer(&agent, &id, "2").await;
    assert_eq!((&view["llm_request"]["prompt"], &view["llm_request"]["model"]), (&json!("after é"), &json!("large")));
    let done = agent.finish(&id).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!(["é", "2"])), "{done}");
    assert!(done.get("llm_request").is_none() && done.get("llm_requests").is_none());
}

#[tokio::test]
async fn map_asks_all_at_once_and_takes_the_answers_in_any_order() {
    let agent = shared_agent().await;
    let id = agent.submit("set_result(llm.map([f'q{n}' for n in range(5)]))").await;
    let view = asked(&agent, &id).await;
    let open = view["llm_requests"].as_array().unwrap().clone();
    assert_eq!(open.len(), 5);
    assert_eq!(open[0], view["llm_request"]);
    for (position, index) in [4, 0, 2, 3, 1].into_iter().enumerate() {
        let request = &open[index];
        assert_eq!(request["prompt"], format!("q{index}"));
        let body = json!({"response": format!("a{index}"), "request_id": request["id"]});
        let taken = respond(&agent, &id, &body).await.expect(200);
        assert_eq!(taken["status"], if position < 4 { "awaiting_llm" } else { "running" });
        if position < 4 {
            let left = agent.poll(&id, 0).await["llm_requests"].as_array().unwrap().len();
            assert_eq!(left, 4 - position);
        }
    }
    assert_eq!(agent.finish(&id).await["result"], json!(["a0", "a1", "a2", "a3", "a4"]));
}

#[tokio::test]
async fn an_answer_is_taken_once_and_a_retry_of_it_is_no_error() {
    let agent = shared_agent().await;
    let id = agent.submit("a = llm.complete('1')\nb = llm.complete('2')\nset_result(a + b)").await;
    let first = text(&asked(&agent, &id).await["llm_request"], "id").to_owned();
    let body = json!({"response": "x", "request_id": first});
    for _ in 0..3 {
        respond(&agent, &id, &body).await.expect(200);
    }
    let second = asked(&agent, &id).await;
    // Not applied to the next question, neither the retry nor another.
    respond(&agent, &id, &body).await.expect(200);
    respond(&agent, &id, &json!({"response": "y", "request_id": first})).await.problem_naming(409, &first);
    assert_eq!(asked(&agent, &id).await["llm_request"], second["llm_request"]);
    respond(&agent, &id, &json!({"response": "z"})).await.expect(200);
    assert_eq!(agent.finish(&id).await["result"], "xz");
    respond(&agent, &id, &body).await.expect(200);
    respond(&agent, &id, &json!({"response": "y", "request_id": first})).await.problem(409);
    respond(&agent, &id, &json!({"response": "y"})).await.problem_naming(409, "completed");
}

#[tokio::test]
async fn what_is_no_answer_is_refused_and_the_pause_stays_open() {
    let agent = shared_agent().await;
    let id = agent.submit("set_result(len(llm.complete('?')))").await;
    asked(&agent, &id).await;
    let unknown = "exec_000000000000000000000000000000000000";
    respond(&agent, unknown, &json!({"response": "x"})).await.problem(404);
    respond(&agent, &id, &json!({})).await.problem_naming(422, "response");
    respond(&agent, &id, &json!({"response": 5})).await.problem_naming(422, "response");
    respond(&agent, &id, &json!({"response": "x", "more": 1})).await.problem_naming(422, "more");
    for request_id in ["llm_2", "llm_0", "llm_01", "x", ""] {
        respond(&agent, &id, &json!({"response": "x", "request_id": request_id}))
            .await
            .problem_naming(422, "request_id");
    }
    respond(&agent, &id, &json!({"response": "x".repeat(1_048_577)})).await.problem(413);
    respond(&agent, &id, &json!({"response": "é".repeat(524_289)})).await.problem(413);
    assert_eq!(agent.poll(&id, 0).await["status"], "awaiting_llm");
    // At the limit, and as many bytes of a request as that can take.
    respond(&agent, &id, &json!({"response": "\u{1}".repeat(1_048_576)})).await.expect(200);
    assert_eq!(agent.finish(&id).await["result"], 1_048_576);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_schema_is_told_where_and_may_be_mended() {
    let agent = shared_agent().await;
    let schema = "{'type': 'object', 'required': ['rows'], 'properties': {'rows': {'items': {'type': 'integer'}}}}";
    let id = agent.submit(&format!("set_result(llm.complete('?', schema={schema})['rows'])")).await;
    let view = asked(&agent, &id).await;
    assert_eq!(view["llm_request"]["schema"]["required"], json!(["rows"]));
    for (bad, place) in [("no JSON", "JSON"), ("{}", "rows"), (r#"{"rows": [1, "x"]}"#, "/rows/1")] {
        let problem = respond(&agent, &id, &json!({"response": bad})).await.problem_naming(422, place);
        assert!(problem["pointer"].is_string(), "{problem}");
    }
    respond(&agent, &id, &json!({"response": r#"{"rows": [1, 2]}"#})).await.expect(200);
    assert_eq!(agent.finish(&id).await["result"], json!([1, 2]));
    let done = agent.failure("llm.complete('?', schema={'typo': 1})", "ValueError").await;
    assert!(text(&done, "error").contains("#/typo"), "{done}");
}

#[tokio::test]
async fn no_answer_in_time_is_an_exception_that_can_be_caught() {
    let agent = shared_agent().await;
    let mut body = agent.body("llm.complete('?')");
    body["llm_timeout"] = json!(1);
    let id = text(&agent.post("", &body).await.expect(202), "execution_id").to_owned();
    let done = agent.finish(&id).await;
    assert_eq!((&done["status"], &done["error_type"]), (&json!("error"), &json!("LlmTimeout")), "{done}");
    assert!(text(&done, "error").contains("within 1 s"), "{done}");
    respond(&agent, &id, &json!({"response": "late", "request_id": "llm_1"})).await.problem_naming(409, "timed out");

    let script = "import airlock\ntry:\n    llm.complete('?')\nexcept airlock.LlmTimeout as e:\n    set_result(llm.complete('again?'))";
    let mut body = agent.body(script);
    body["llm_timeout"] = json!(2);
    let id = text(&agent.post("", &body).await.expect(202), "execution_id").to_owned();
    let first = asked(&agent, &id).await;
    assert_eq!(first["llm_request"]["prompt"], "?");
    loop {
        let view = agent.poll(&id, 60).await;
        if view["llm_request"]["prompt"] == "again?" {
            break;
        }
    }
    respond(&agent, &id, &json!({"response": "now", "request_id": "llm_1"})).await.problem(409);
    respond(&agent, &id, &json!({"response": "now", "request_id": "llm_2"})).await.expect(200);
    assert_eq!(agent.finish(&id).await["result"], "now");
}

#[tokio::test]
async fn time_that_it_waits_does_not_count_and_nothing_of_it_runs_meanwhile() {
    let agent = shared_agent().await;
    // Beside the one that asks, a process that has left its session and does nothing but count.
    let script = "\
import os
counts = os.path.join(os.environ['TMPDIR'], 'counts')
if os.fork() == 0:
    os.setsid()
    n = 0
    while True:
        n += 1
        with open(counts, 'w') as f: f.write(str(n))
while not os.path.exists(counts): pass
set_result(llm.complete('?'))
";
    let mut body = agent.body(script);
    body["timeout"] = json!(1);
    let id = text(&agent.post("", &body).await.expect(202), "execution_id").to_owned();
    asked(&agent, &id).await;
    // It has a second of running time, and waits while another script takes two.
    agent.result("import time\ntime.sleep(2)\nset_result(1)").await;
    assert_eq!(agent.poll(&id, 0).await["status"], "awaiting_llm");
    respond(&agent, &id, &json!({"response": "ok"})).await.expect(200);
    let done = agent.finish(&id).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!("ok")), "{done}");
    assert!(done["execution_time_ms"].as_u64().unwrap() < 1_000, "{done}");
    assert!(done["usage"]["cpu_ms"].as_u64().unwrap() < 1_500, "something ran while it waited: {done}");
}

#[tokio::test]
async fn threads_may_ask_at_once_and_each_gets_its_own_answer() {
    let agent = shared_agent().await;
    let id = agent
        .submit(
            "\
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    set_result(list(pool.map(lambda n: llm.complete(f'{n}'), range(20))))
",
        )
        .await;
    let mut answered = 0;
    while answered < 20 {
        let view = asked(&agent, &id).await;
        for request in view["llm_requests"].as_array().unwrap() {
            let body = json!({"response": format!("<{}>", text(request, "prompt")), "request_id": request["id"]});
            respond(&agent, &id, &body).await.expect(200);
            answered += 1;
        }
    }
    let expected: Vec<String> = (0..20).map(|n| format!("<{n}>")).collect();
    assert_eq!(agent.finish(&id).await["result"], json!(expected));
}

#[tokio::test]
async fn a_prompt_has_passed_the_sanitizer_and_so_has_all_an_agent_is_shown() {
    let server = crate::support::Server::start();
    let agent = ready_profile(&server, &[("TOKEN", "hunter2-hunter2")]).await;
    let script = "\
t = settings['TOKEN']
set_result(llm.complete('use ' + t, model=t, schema={'description': t}))";
    let id = agent.submit(script).await;
    let view = asked(&agent, &id).await;
    assert!(!view.to_string().contains("hunter2"), "{view}");
    assert!(text(&view["llm_request"], "prompt").starts_with("use [REDACTED"), "{view}");
    respond(&agent, &id, &json!({"response": "1"})).await.expect(200);
    agent.finish(&id).await;
    let admin = server.admin().await;
    let detail = admin.get(&format!("/executions/{id}")).await.expect(200);
    assert!(!detail["llm_exchanges"].to_string().contains("hunter2"), "{detail}");
    let exchange = &detail["llm_exchanges"][0];
    assert_eq!((&exchange["response"], &exchange["timed_out"]), (&json!("1"), &json!(false)));
    for member in ["asked_at", "answered_at"] {
        crate::support::time(exchange, member);
    }
    let fields: Vec<&str> = detail["redactions"].as_array().unwrap().iter().map(|row| text(row, "field")).collect();
    assert!(fields.contains(&"prompt"), "{detail}");
}

#[tokio::test]
async fn what_is_too_much_to_ask_is_an_error_at_that_line() {
    let agent = shared_agent().await;
    for (script, error_type) in [
        ("llm.complete(5)", "TypeError"),
        ("llm.map('one string')", "TypeError"),
        ("llm.complete('x', schema='{}')", "TypeError"),
        ("llm.complete('x' * 1_048_577)", "LlmLimit"),
        ("llm.complete('x', model='m' * 257)", "LlmLimit"),
        ("llm.map(['x'] * 101)", "LlmLimit"),
        ("llm.map(['x' * 1_000_000] * 9)", "LlmLimit"),
        (
            "import os\nif os.fork() == 0:\n    try:\n        llm.complete('x')\n    except RuntimeError:\n        os._exit(7)\nraise ValueError(os.waitstatus_to_exitcode(os.wait()[1]))",
            "ValueError",
        ),
    ] {
        let done = agent.failure(script, error_type).await;
        if error_type == "ValueError" {
            assert!(text(&done, "error").contains('7'), "a child asked: {done}");
        }
    }
    assert_eq!(agent.result("set_result(llm.map([]))").await, json!([]));
    let id = agent.submit("set_result(len(llm.complete('x' * 1_048_576)))").await;
    let view = answer(&agent, &id, "fine").await;
    assert_eq!(text(&view["llm_request"], "prompt").len(), 1_048_576);
    assert_eq!(agent.finish(&id).await["result"], 4);
}

/// WK-1: the script holds the descriptor and may write what it likes.
#[tokio::test]
async fn forged_frames_end_the_script_or_get_it_nowhere() {
    let agent = shared_agent().await;
    let prelude = "\
import os, struct
def frame(kind, payload): os.write(3, kind + struct.pack('<I', len(payload)) + payload)
def text(t): return struct.pack('<I', len(t)) + t
NONE = struct.pack('<I', 0xFFFFFFFF)
def ask(batch, prompt=b'p'): return struct.pack('<I', batch) + text(prompt) + text(b'm') + NONE
";
    for forgery in [
        "frame(b'A', ask(2))",
        "frame(b'A', ask(0))",
        "frame(b'A', ask(1)); frame(b'A', ask(1))",
        "frame(b'A', struct.pack('<I', 1))",
        "frame(b'A', b'')",
        "frame(b'A', ask(1)[:-5])",
        "frame(b'A', ask(1, b'\\xff\\xfe'))",
        "frame(b'A', struct.pack('<I', 1) + (text(b'p') + text(b'm') + NONE) * 101)",
        "[frame(b'A', ask(n)) for n in range(1, 200)]",
        "os.write(3, b'A' + struct.pack('<I', 1 << 31))",
        "os.write(3, b'A' + struct.pack('<I', 4 + 12 + (1 << 20) + 2)); os.write(3, struct.pack('<II', 1, (1 << 20) + 1) + b'x' * 100_000)\nwhile True: os.write(3, b'x' * 65536)",
        "frame(b'I', b'')",
        "frame(b'L', b'\\0' * 10)",
    ] {
        let done = agent.run(&format!("{prelude}{forgery}\nimport time\ntime.sleep(50)")).await;
        assert_eq!(done["error_type"], "ProtocolViolation", "{forgery}: {done}");
    }
    // Claims to wait, with nothing asked: ignored. With something asked: it only holds itself up.
    let done =
        agent.run(&format!("{prelude}[frame(b'I', struct.pack('<I', n)) for n in (0, 1, 9)]\nset_result(1)")).await;
    assert_eq!(done["result"], 1, "{done}");
    let id = agent
        .submit(&format!("{prelude}frame(b'A', ask(1)); frame(b'I', struct.pack('<I', 0))\nwhile True: pass"))
        .await;
    asked(&agent, &id).await;
    respond(&agent, &id, &json!({"response": "x"})).await.expect(200);
    let cancelled = agent.client().post(&format!("/executions/{id}/cancel"), &json!({})).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
}
