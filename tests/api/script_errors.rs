//! How scripts fail: the error that an agent can act on, its kind, and the script's own lines.

use serde_json::{Value, json};

use crate::support::{shared_agent, text};

/// Every frame of the traceback is the script's, and the interpreter's own machinery is not in it.
fn own_lines_only(done: &Value) {
    let traceback = text(done, "traceback");
    for line in traceback.lines().filter(|line| line.trim_start().starts_with("File ")) {
        assert!(line.contains("\"<script>\""), "a line of someone else's: {traceback}");
    }
    assert!(!traceback.to_lowercase().contains("airlock"), "{traceback}");
}

#[tokio::test]
async fn an_uncaught_exception_names_its_kind_words_and_line() {
    let done = shared_agent().await.failure("a = 1\n\nfoo(a)", "NameError").await;
    assert_eq!(done["error"], "NameError: name 'foo' is not defined (line 3)");
    own_lines_only(&done);
    let traceback = text(&done, "traceback");
    assert!(
        traceback.starts_with("Traceback (most recent call last):") && traceback.contains("line 3, in <module>"),
        "{traceback}"
    );
    assert!(traceback.contains("foo(a)"), "the source line is missing: {traceback}");
}

#[tokio::test]
async fn the_line_is_the_innermost_one_of_the_script() {
    let script = "def inner():\n    raise ValueError('deep down')\n\ndef outer():\n    inner()\n\nouter()";
    let done = shared_agent().await.failure(script, "ValueError").await;
    assert_eq!(done["error"], "ValueError: deep down (line 2)");
    own_lines_only(&done);
    for frame in ["line 7, in <module>", "line 5, in outer", "line 2, in inner"] {
        assert!(text(&done, "traceback").contains(frame), "{done}");
    }
}

#[tokio::test]
async fn an_exception_inside_a_library_points_at_the_scripts_line() {
    let done = shared_agent().await.failure("import json\nx = 1\njson.loads('{')", "JSONDecodeError").await;
    assert!(
        text(&done, "error").starts_with("JSONDecodeError: ") && text(&done, "error").ends_with("(line 3)"),
        "{done}"
    );
    assert!(text(&done, "traceback").contains("File \"<script>\", line 3"), "{done}");
}

#[tokio::test]
async fn exceptions_of_the_scripts_own_and_without_words_are_named_too() {
    let agent = shared_agent().await;
    let done =
        agent.failure("class NoSuchReport(Exception):\n    pass\nraise NoSuchReport('march')", "NoSuchReport").await;
    assert_eq!(done["error"], "NoSuchReport: march (line 3)");
    let done = agent.failure("raise ValueError", "ValueError").await;
    assert!(text(&done, "error").starts_with("ValueError") && text(&done, "error").ends_with("(line 1)"), "{done}");
    let done = agent.failure("assert 1 == 2, 'sums differ'", "AssertionError").await;
    assert_eq!(done["error"], "AssertionError: sums differ (line 1)");
}

#[tokio::test]
async fn a_chain_shows_the_cause() {
    let script =
        "try:\n    1/0\nexcept ZeroDivisionError as cause:\n    raise RuntimeError('while dividing') from cause";
    let done = shared_agent().await.failure(script, "RuntimeError").await;
    assert_eq!(done["error"], "RuntimeError: while dividing (line 4)");
    own_lines_only(&done);
    assert!(text(&done, "traceback").contains("ZeroDivisionError: division by zero"), "{done}");
}

#[tokio::test]
async fn a_syntax_error_shows_line_and_caret() {
    let agent = shared_agent().await;
    let done = agent.failure("a = 1\nb = = 2\n", "SyntaxError").await;
    let error = text(&done, "error");
    assert!(error.starts_with("SyntaxError: ") && error.ends_with("(line 2)"), "{error}");
    own_lines_only(&done);
    let lines: Vec<&str> = text(&done, "traceback").lines().collect();
    let source =
        lines.iter().position(|line| line.trim() == "b = = 2").unwrap_or_else(|| panic!("no source line: {lines:?}"));
    let caret = lines.get(source + 1).and_then(|line| line.find('^')).unwrap_or_else(|| panic!("no caret: {lines:?}"));
    assert_eq!(caret - lines[source].find('b').unwrap(), 4, "the caret is under the second equals sign: {lines:?}");
    assert!(done["usage"].is_object() && text(&done, "stdout").is_empty());

    assert_eq!(agent.failure("def f():\npass", "IndentationError").await["status"], "error");
    assert_eq!(agent.failure("x = 'open", "SyntaxError").await["status"], "error");
    assert_eq!(agent.failure("return 1", "SyntaxError").await["status"], "error");
}

#[tokio::test]
async fn leaving_with_zero_or_nothing_completes() {
    let agent = shared_agent().await;
    for exit in ["sys.exit()", "sys.exit(0)", "sys.exit(None)", "raise SystemExit", "exit()"] {
        let done = agent.run(&format!("import sys\nset_result('kept')\nprint('said')\n{exit}\nprint('never')")).await;
        assert_eq!(
            (&done["status"], &done["result"], &done["stdout"], &done["error"]),
            (&json!("completed"), &json!("kept"), &json!("said\n"), &json!(null)),
            "{exit}"
        );
    }
}

#[tokio::test]
async fn leaving_with_words_or_another_code_is_an_error() {
    let agent = shared_agent().await;
    for (exit, word) in [
        ("sys.exit('no such table')", "no such table"),
        ("sys.exit(3)", "3"),
        ("raise SystemExit(-1)", "-1"),
        ("sys.exit(True)", "1"),
    ] {
        let done = agent.failure(&format!("import sys\nprint('said')\n{exit}"), "SystemExit").await;
        let error = text(&done, "error");
        assert!(error.contains(if word == "1" { "SystemExit" } else { word }), "{exit}: {error}");
        assert_eq!(done["stdout"], "said\n");
    }
}

#[tokio::test]
async fn what_was_printed_before_a_failure_is_kept() {
    let done = shared_agent()
        .await
        .run("import sys\nprint('out')\nprint('err', file=sys.stderr)\nset_result('half')\n1/0")
        .await;
    assert_eq!((text(&done, "stdout"), &done["status"]), ("out\n", &json!("error")), "{done}");
    assert!(text(&done, "stderr").starts_with("err\n"), "{done}");
}

#[tokio::test]
async fn exceptions_that_misbehave_when_they_are_printed_still_end_the_script() {
    let agent = shared_agent().await;
    let rude = "class Rude(Exception):\n    def __str__(self):\n        raise RuntimeError('not now')\n    __repr__ = __str__\nraise Rude()";
    agent.failure(rude, "Rude").await;
    let endless = "class Slow(Exception):\n    def __str__(self):\n        while True: pass\nraise Slow()";
    let done = agent.run_for(endless, 1).await;
    assert!(["error", "timeout"].contains(&text(&done, "status")), "{done}");
    let long = agent.failure("raise ValueError('x' * 5_000_000)", "ValueError").await;
    assert!(text(&long, "error").len() <= 1_100_000, "an error of {} bytes", text(&long, "error").len());
    let odd = agent.failure("raise ValueError('é\\ud800\\x00\\n' + 'second line')", "ValueError").await;
    assert!(text(&odd, "error").contains("second line"), "{odd}");
}

#[tokio::test]
async fn recursion_without_end_is_an_error_of_the_script() {
    let done = shared_agent().await.failure("def again():\n    again()\nagain()", "RecursionError").await;
    assert!(text(&done, "error").ends_with("(line 2)"), "{done}");
    assert!(text(&done, "traceback").len() < 20_000, "{} bytes of traceback", text(&done, "traceback").len());
}

#[tokio::test]
async fn every_way_to_raise_an_interrupt_is_an_ordinary_failure() {
    let agent = shared_agent().await;
    agent.failure("raise KeyboardInterrupt", "KeyboardInterrupt").await;
    agent.failure("raise GeneratorExit", "GeneratorExit").await;
    agent.failure("raise BaseException('base')", "BaseException").await;
    agent.failure("raise ExceptionGroup('several', [ValueError('one'), KeyError('two')])", "ExceptionGroup").await;
}

#[tokio::test]
async fn a_process_that_ends_without_a_word_says_so_and_harms_nobody() {
    let agent = shared_agent().await;
    for end in ["os._exit(0)", "os._exit(7)", "os.abort()", "os.kill(os.getpid(), 9)", "ctypes.string_at(0)"] {
        let done =
            agent.failure(&format!("import os, ctypes\nprint('so far', flush=True)\n{end}"), "ProcessDied").await;
        assert_eq!(done["stdout"], "so far\n", "{end}: {done}");
    }
    assert_eq!(agent.result("set_result('alive')").await, "alive");
}
