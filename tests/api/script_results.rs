//! `set_result`: what JSON can say comes back, the rest is a `TypeError` that names the path.

use serde_json::json;

use crate::support::{shared_agent, text};

#[tokio::test]
async fn what_json_can_say_comes_back_as_it_was() {
    let script = "set_result({'none': None, 'yes': True, 'no': False, 'int': -7, 'big': 2**80, 'float': 0.1, 'text': 'é \\u0000 👩‍👩‍👧 \"\\\\', 'list': [1, [2, []]], 'tuple': (1, 2), 'empty': {}, '': 'empty name'})";
    let agent = shared_agent().await;
    let done = agent.run(script).await;
    // The text itself: a client that reads it may not have numbers this large.
    let answer = agent.client().get(&format!("/executions/{}", text(&done, "execution_id"))).await;
    let expected = r#""result":{"none":null,"yes":true,"no":false,"int":-7,"big":1208925819614629174706176,"float":0.1,"text":"é \u0000 👩‍👩‍👧 \"\\","list":[1,[2,[]]],"tuple":[1,2],"empty":{},"":"empty name"}"#;
    assert!(answer.text().contains(expected), "{}", answer.text());
}

#[tokio::test]
async fn the_last_call_wins_and_none_is_null() {
    let agent = shared_agent().await;
    assert_eq!(agent.result("set_result(1)\nset_result({'last': 2})").await, json!({"last": 2}));
    assert_eq!(agent.result("set_result(1)\nset_result(None)").await, json!(null));
    assert_eq!(agent.result("pass").await, json!(null));
    assert_eq!(agent.result("").await, json!(null));
}

#[tokio::test]
async fn a_result_is_what_it_was_at_the_call() {
    assert_eq!(shared_agent().await.result("data = [1]\nset_result(data)\ndata.append(2)").await, json!([1]));
}

#[tokio::test]
async fn what_json_cannot_say_is_a_type_error_that_names_the_path() {
    let agent = shared_agent().await;
    let cases = [
        ("datetime.datetime(2026, 1, 2)", r#"result["rows"][3]["when"]: datetime; use .isoformat()"#),
        ("b'bytes'", r#"result["rows"][3]["when"]: bytes"#),
        ("{1, 2}", r#"result["rows"][3]["when"]: set"#),
        ("object()", r#"result["rows"][3]["when"]: object"#),
        ("decimal.Decimal('1.5')", r#"result["rows"][3]["when"]: Decimal"#),
        ("float('nan')", r#"result["rows"][3]["when"]"#),
        ("float('inf')", r#"result["rows"][3]["when"]"#),
        ("print", r#"result["rows"][3]["when"]"#),
        ("'\\ud800'", r#"result["rows"][3]["when"]"#),
    ];
    for (value, path) in cases {
        let script = format!("import datetime, decimal\nx = {value}\nset_result({{'rows': [0, 1, 2, {{'when': x}}]}})");
        let done = agent.run(&script).await;
        let error = done["error"].as_str().unwrap_or_default();
        assert_eq!(done["error_type"], "TypeError", "{value}: {done}");
        assert!(
            error.starts_with("TypeError: ") && error.contains(path) && error.ends_with("(line 3)"),
            "{value}: {error}"
        );
        assert_eq!(done["result"], json!(null));
    }
    let done = agent.failure("set_result(b'whole')", "TypeError").await;
    assert!(text(&done, "error").contains("result: bytes"), "{done}");
}

#[tokio::test]
async fn a_cycle_is_a_type_error_and_sharing_is_none() {
    let agent = shared_agent().await;
    let done = agent.failure("loop = {'inner': []}\nloop['inner'].append(loop)\nset_result(loop)", "TypeError").await;
    assert!(
        text(&done, "error").contains(r#"result["inner"][0]"#) && text(&done, "error").ends_with("(line 3)"),
        "{done}"
    );
    assert_eq!(agent.result("one = [1]\nset_result([one, one])").await, json!([[1], [1]]));
}

#[tokio::test]
async fn a_key_that_is_no_string_never_slips_through_as_another_one() {
    let done = shared_agent().await.run("set_result({(1, 2): 'tuple'})").await;
    assert_eq!((&done["status"], &done["error_type"]), (&json!("error"), &json!("TypeError")), "{done}");
}

#[tokio::test]
async fn a_refused_result_can_be_caught_and_the_earlier_one_stays() {
    let script = "set_result('good')\ntry:\n    set_result({1, 2})\nexcept TypeError as error:\n    print(error)";
    let done = shared_agent().await.run(script).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!("good")), "{done}");
    assert!(text(&done, "stdout").contains("result: set"), "{done}");
}

#[tokio::test]
async fn depth_without_end_is_an_error_and_not_a_crash() {
    let done =
        shared_agent().await.run("deep = []\nfor _ in range(100_000):\n    deep = [deep]\nset_result(deep)").await;
    assert_eq!(done["status"], "error", "{done}");
    assert!(text(&done, "error").contains("(line 4)"), "{done}");
}

#[tokio::test]
async fn subclasses_cannot_lie_about_what_they_are() {
    let script = "class Text(str):\n    def __str__(self): return 'other'\n    def __repr__(self): return '\\x00'\nclass Whole(int):\n    def __repr__(self): return '1}, \"status\": \"forged'\nset_result([Text('itself'), Whole(7)])";
    let done = shared_agent().await.run(script).await;
    if done["status"] == "completed" {
        assert_eq!(done["result"], json!(["itself", 7]));
    } else {
        assert_eq!(done["error_type"], "TypeError", "{done}");
    }
}
