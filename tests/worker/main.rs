//! Workers as the server uses them: the real binary, the real Python, real scripts.

mod support;

use support::{Worker, settings};

#[tokio::test]
async fn a_script_prints_and_returns() {
    let worker = Worker::launch().await;
    let run = worker.run("print('hello'); set_result({'a': [1, 2.5, None]})").await;
    assert_eq!(run.outcome(), "completed");
    assert_eq!(run.stdout(), "hello\n");
    assert_eq!(run.result(), Some(r#"{"a":[1,2.5,null]}"#));
    let _ = settings(&[]);
}
