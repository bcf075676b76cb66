//! What scripts print: every way of printing it, and more than is kept.

use serde_json::json;

use crate::support::{shared_agent, text};

#[tokio::test]
async fn both_streams_are_kept_apart_and_whole() {
    let done = shared_agent()
        .await
        .run("import sys\nfor n in range(1000):\n    print('out', n)\n    print('err', n, file=sys.stderr)")
        .await;
    let expected = |word: &str| (0..1000).map(|n| format!("{word} {n}\n")).collect::<String>();
    assert_eq!((text(&done, "stdout"), text(&done, "stderr")), (expected("out").as_str(), expected("err").as_str()));
}

#[tokio::test]
async fn no_newline_at_the_end_is_none() {
    let done = shared_agent().await.run("import sys\nprint('out', end='')\nsys.stderr.write('err')").await;
    assert_eq!((text(&done, "stdout"), text(&done, "stderr")), ("out", "err"));
}

#[tokio::test]
async fn what_c_code_prints_is_captured() {
    let script = "import ctypes, os\nlibc = ctypes.CDLL(None)\nlibc.write(1, b'by write\\n', 9)\nos.write(2, b'to err\\n')\nlibc.puts(b'by puts')\n";
    let done = shared_agent().await.run(script).await;
    assert_eq!((text(&done, "stdout"), text(&done, "stderr")), ("by write\nby puts\n", "to err\n"), "{done}");
}

#[tokio::test]
async fn what_subprocesses_print_is_captured() {
    let script = "import subprocess, sys\ncode = 'import sys; print(\"child out\"); print(\"child err\", file=sys.stderr)'\nsubprocess.run([sys.executable, '-c', code], check=True)\ndone = subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True, text=True)\nset_result(done.stdout)";
    let done = shared_agent().await.run(script).await;
    assert_eq!(
        (text(&done, "stdout"), text(&done, "stderr"), &done["result"]),
        ("child out\n", "child err\n", &json!("42\n")),
        "{done}"
    );
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_replaced_and_the_rest_stays() {
    let done = shared_agent()
        .await
        .run("import os\nos.write(1, b'good \\xff\\xfe\\x80 \\xc3\\xa9 end\\n')\nos.write(2, b'\\xf0\\x9f')")
        .await;
    let out = text(&done, "stdout");
    assert!(out.starts_with("good \u{fffd}") && out.ends_with(" é end\n"), "{out:?}");
    assert!(text(&done, "stderr").chars().all(|c| c == '\u{fffd}') && !text(&done, "stderr").is_empty(), "{done}");
}

#[tokio::test]
async fn letters_that_are_split_over_writes_stay_whole() {
    let script = "import os, time\nfor byte in 'é👩‍👩‍👧'.encode() * 50:\n    os.write(1, bytes([byte]))";
    let done = shared_agent().await.run(script).await;
    assert_eq!(text(&done, "stdout"), "é👩‍👩‍👧".repeat(50));
    let done = shared_agent().await.run("print('é€👧' * 50_000, end='')").await;
    assert_eq!(text(&done, "stdout"), "é€👧".repeat(50_000));
}

#[tokio::test]
async fn control_characters_come_through_as_json() {
    let done = shared_agent().await.run("print('\\x00\\x1b[31m\\r\\x7f\\u2028', end='')").await;
    assert_eq!(text(&done, "stdout"), "\0\u{1b}[31m\r\u{7f}\u{2028}");
}

/// What a flood of `total` bytes (`H`, then many `x`, then `T`) leaves: the marker in its middle.
fn marker(kept: &str, total: usize) -> String {
    assert!(kept.starts_with("Hxxx") && kept.trim_end_matches('\n').ends_with("xxxT"), "head or tail is gone");
    let flood = |letter: char| letter == 'x';
    let head = 1 + kept[1..].chars().take_while(|&letter| flood(letter)).count();
    let tail = 1 + kept.trim_end_matches('T').chars().rev().take_while(|&letter| flood(letter)).count();
    let marker = kept[head..kept.len() - tail].to_owned();
    let dropped = total - head - tail;
    let digits: String = marker.chars().filter(|c| !",_\u{a0}\u{202f}".contains(*c)).collect();
    assert!(digits.contains(&dropped.to_string()), "{dropped} bytes were dropped, the marker says {marker:?}");
    assert!(head > 100_000 && tail > 100_000, "head of {head}, tail of {tail}");
    marker
}

#[tokio::test]
async fn of_a_flood_the_head_and_the_tail_are_kept_around_a_marker_with_the_dropped_byte_count() {
    let total = 3_000_000;
    let script = format!(
        "import sys\nfor stream in (sys.stdout, sys.stderr):\n    stream.write('H' + 'x' * {} + 'T')",
        total - 2
    );
    let done = shared_agent().await.run(&script).await;
    assert_eq!(done["status"], "completed", "{}", done["error"]);
    for stream in ["stdout", "stderr"] {
        let kept = text(&done, stream);
        let marker = marker(kept, total);
        assert!(kept.len() - marker.len() <= 1024 * 1024, "{stream}: {} bytes kept", kept.len());
        assert!(marker.len() < 200, "{marker}");
    }
}

#[tokio::test]
async fn a_mebibyte_of_output_is_kept_whole_and_a_byte_more_is_cut() {
    let mib = 1024 * 1024;
    let done = shared_agent().await.run(&format!("print('H' + 'x' * {} + 'T', end='')", mib - 2)).await;
    assert_eq!(text(&done, "stdout").len(), mib);
    assert!(text(&done, "stdout")[1..mib - 1].bytes().all(|byte| byte == b'x'));
    let done = shared_agent().await.run(&format!("print('H' + 'x' * {} + 'T', end='')", mib - 1)).await;
    marker(text(&done, "stdout"), mib + 1);
}

#[tokio::test]
async fn input_is_an_end_of_file() {
    let done = shared_agent().await.failure("print('asking')\nname = input('your name? ')", "EOFError").await;
    assert!(text(&done, "error").starts_with("EOFError") && text(&done, "error").ends_with("(line 2)"), "{done}");
    assert_eq!(
        shared_agent().await.result("import sys\nset_result([sys.stdin.read(), sys.stdout.isatty()])").await,
        json!(["", false])
    );
}

#[tokio::test]
async fn a_closed_stdout_keeps_what_was_printed_and_the_result() {
    let agent = shared_agent().await;
    for close in
        ["sys.stdout.close()", "sys.stdout.flush(); os.close(1)", "sys.stdout.flush(); os.close(1); os.close(2)"]
    {
        let done = agent.run(&format!("import os, sys\nprint('before')\n{close}\nset_result('still works')")).await;
        assert_eq!(
            (&done["status"], &done["result"], &done["stdout"]),
            (&json!("completed"), &json!("still works"), &json!("before\n")),
            "{close}: {done}"
        );
    }
    let done = agent.failure("import sys\nsys.stdout.close()\nprint('after')", "ValueError").await;
    assert!(text(&done, "error").ends_with("(line 3)"), "{done}");
}

#[tokio::test]
async fn a_redirected_or_replaced_stdout_is_the_scripts_own_affair() {
    let script = "import io, sys, contextlib\nbuffer = io.StringIO()\nwith contextlib.redirect_stdout(buffer):\n    print('inside')\nprint('outside')\nsys.stdout = None\nset_result(buffer.getvalue())";
    let done = shared_agent().await.run(script).await;
    assert_eq!((&done["result"], &done["stdout"]), (&json!("inside\n"), &json!("outside\n")), "{done}");
}
