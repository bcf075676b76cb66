//! What a script gets, and what comes back from it.

use airlock_actors::domain::RunLimits;
use airlock_actors::ports::{OutputStream, RunEvent, RunToken};

use crate::support::Worker;

#[tokio::test]
async fn a_script_prints_and_returns() {
    let worker = Worker::launch().await;
    let run = worker
        .run("import sys\nprint('hello')\nprint('oops', file=sys.stderr)\nset_result({'a': [1, 2.5, None]})")
        .await;
    assert_eq!(run.outcome(), "completed");
    assert_eq!(run.stdout(), "hello\n");
    assert_eq!(run.stderr, b"oops\n");
    assert_eq!(run.result(), Some(r#"{"a":[1,2.5,null]}"#));
    assert_eq!((run.end.stdout_tail, run.end.stderr_tail), (None, None));
    assert!(run.end.usage.max_rss_bytes > 1 << 20);
}

#[tokio::test]
async fn the_worker_says_what_it_is() {
    let worker = Worker::launch().await;
    let info = &worker.worker.info;
    assert!(info.python.starts_with("3."), "{info:?}");
    assert_eq!(info.environment.len(), 64);
    // Whatever this machine lacks, the floor is there.
    let active = info.layers.iter().filter(|layer| layer.active).map(|layer| layer.summary()).collect::<Vec<_>>();
    for layer in ["no_new_privs", "no capabilities", "landlock (ABI", "seccomp (", "rlimits"] {
        assert!(active.iter().any(|active| active.starts_with(layer)), "{layer} is not in {active:?}");
    }
    assert_eq!(info.degraded(), Vec::<String>::new());
}

#[tokio::test]
async fn an_exception_comes_with_its_line_and_traceback() {
    let worker = Worker::launch().await;
    let run = worker.run("x = 1\ny = foo").await;
    assert_eq!(run.outcome(), "NameError");
    assert_eq!(run.error(), "NameError: name 'foo' is not defined (line 2)");
    assert_eq!(run.result(), None);
}

#[tokio::test]
async fn settings_and_the_largest_script_arrive_whole() {
    let worker = Worker::launch().await;
    let filler = format!("# {}\n", "ü".repeat(500_000));
    let value = "\u{1}\"\\\u{7f}é😀".repeat(100_000);
    let script = format!(
        "{filler}v = settings['KEY']\nset_result([len(v), v[:5], settings.keys() == ['KEY'] or list(settings.keys())])"
    );
    let run = worker.start_with(&script, &[("KEY", &value)], RunLimits::DEFAULT).end().await;
    let expected = serde_json::json!([600_000, "\u{1}\"\\\u{7f}é", true]);
    let got = run.value();
    assert_eq!(got[0], expected[0]);
    assert_eq!(got[1], expected[1]);
}

#[tokio::test]
async fn a_run_too_large_for_a_frame_ends_with_a_sentence_and_harms_nothing() {
    let worker = Worker::launch().await;
    let run = worker.start_with("", &[("KEY", &"x".repeat(17 << 20))], RunLimits::DEFAULT).end().await;
    assert_eq!(run.outcome(), "WorkerUnavailable");
    assert_eq!(worker.run("set_result(1)").await.result(), Some("1"));
}

#[tokio::test]
async fn a_hundred_runs_at_once_each_get_their_own_answer() {
    let worker = Worker::launch().await;
    let running =
        (0..100).map(|number| worker.start(&format!("print({number})\nset_result({number})"))).collect::<Vec<_>>();
    for (number, run) in running.into_iter().enumerate() {
        let run = run.end().await;
        assert_eq!(run.outcome(), "completed", "{}", run.error());
        assert_eq!(run.stdout(), format!("{number}\n"));
        assert_eq!(run.result(), Some(number.to_string().as_str()));
    }
}

#[tokio::test]
async fn a_flood_keeps_head_and_tail_and_the_exact_count_between() {
    let worker = Worker::launch().await;
    let limits = RunLimits { output_bytes: 100_000, ..RunLimits::DEFAULT };
    let script = "import os
for start in range(0, 1_000_000, 5_000):
    os.write(1, b''.join(b'%07d\\n' % number for number in range(start, start + 5_000)))
os.write(2, b'short')";
    let run = worker.run_with(script, limits).await;
    assert_eq!(run.outcome(), "completed", "{}", run.error());
    let whole = (0..1_000_000).map(|number| format!("{number:07}\n")).collect::<String>().into_bytes();
    let half = 50_000 + 64 * 1024;
    let tail = run.end.stdout_tail.expect("a tail");
    assert_eq!(run.stdout, whole[..half]);
    assert_eq!(tail.bytes, whole[whole.len() - half..]);
    assert_eq!(tail.dropped_bytes, (whole.len() - 2 * half) as u64);
    assert_eq!(run.stderr, b"short");
    assert_eq!(run.end.stderr_tail, None);
}

#[tokio::test]
async fn a_stream_that_just_fits_comes_whole() {
    let worker = Worker::launch().await;
    let limits = RunLimits { output_bytes: 1_000, ..RunLimits::DEFAULT };
    let whole = 2 * (500 + 64 * 1024);
    let run = worker.run_with(&format!("import os\nos.write(1, b'x' * {whole})"), limits).await;
    assert_eq!((run.stdout.len(), run.end.stdout_tail), (whole, None));
    let run = worker.run_with(&format!("import os\nos.write(1, b'x' * {})", whole + 1), limits).await;
    assert_eq!(run.end.stdout_tail.map(|tail| tail.dropped_bytes), Some(1));
}

#[tokio::test]
async fn output_comes_while_the_script_runs() {
    let worker = Worker::launch().await;
    let mut run = worker.start("print('first')\nimport signal\nsignal.pause()");
    run.until_printed("first").await;
    worker.link().kill(run.token);
    assert_eq!(run.end().await.outcome(), "killed");
}

#[tokio::test]
async fn a_flood_delays_neither_another_run_nor_its_own_kill() {
    let worker = Worker::launch().await;
    let mut flood =
        worker.start("import os\nwhile True:\n    os.write(1, b'x' * 65536)\n    os.write(2, b'y' * 65536)");
    flood.until_printed("x").await;
    let other = worker.run("set_result('through')").await;
    assert_eq!(other.result(), Some("\"through\""));
    worker.link().kill(flood.token);
    assert_eq!(flood.end().await.outcome(), "killed");
}

#[tokio::test]
async fn what_scripts_write_to_the_channel_harms_only_themselves() {
    let worker = Worker::launch().await;
    let frame = |kind: &str, payload: &str| {
        format!(
            "import os, struct\nos.write(3, b'{kind}' + struct.pack('<I', len({payload})) + {payload})\nimport signal\nsignal.pause()"
        )
    };
    let cases = [
        ("unknown kind", frame("X", "b'1'"), "ProtocolViolation"),
        ("guard's own kind", frame("R", "b'1'"), "ProtocolViolation"),
        ("result that is not JSON", frame("V", "b'{'"), "ProtocolViolation"),
        ("result that is not UTF-8", frame("V", "b'\"\\xff\"'"), "ProtocolViolation"),
        ("report that is not JSON", frame("D", "b'{'"), "ProtocolViolation"),
        ("report that is too long", "import os, struct\nos.write(3, b'D' + struct.pack('<I', 2**23))\nimport signal\nsignal.pause()".into(), "ProtocolViolation"),
        ("result announced as 4 GiB", "import os, struct\nos.write(3, b'V' + b'\\xff' * 4)\nimport signal\nsignal.pause()".into(), "ResultTooLarge"),
        ("two results", "import os, struct\nf = b'V' + struct.pack('<I', 1) + b'1'\nos.write(3, f + f)\nimport signal\nsignal.pause()".into(), "ProtocolViolation"),
        ("forged end", frame("D", "b'{\"error_type\":null,\"error\":null,\"traceback\":null}'"), "completed"),
        ("forged error", frame("D", "b'{\"error_type\":\"WorkerLost\",\"error\":\"me\",\"traceback\":null}'"), "WorkerLost"),
        ("half a frame", "import os\nos.write(3, b'V\\x05')\nos._exit(0)".into(), "ProcessDied"),
        ("closed channel", "import os\nos.close(3)\nprint('on')".into(), "ProcessDied"),
    ];
    for (what, script, outcome) in cases {
        let run = worker.run(&script).await;
        assert_eq!(run.outcome(), outcome, "{what}: {}", run.error());
    }
    // After the end: a child that outlives the script keeps writing.
    let late = "import os, struct
if os.fork() == 0:
    while True:
        try: os.write(3, b'V' + struct.pack('<I', 1) + b'1')
        except OSError: pass
set_result('mine')";
    let run = worker.run(late).await;
    assert!(["completed", "ProtocolViolation"].contains(&run.outcome()), "{}", run.error());
    assert_eq!(worker.run("set_result('next')").await.result(), Some("\"next\""));
}

#[tokio::test]
async fn a_forged_result_goes_no_further_than_its_limit() {
    let worker = Worker::launch().await;
    let limits = RunLimits { result_bytes: 1_000, ..RunLimits::DEFAULT };
    let forged = |length: usize| {
        format!(
            "import os, struct\np = b'\"' + b'x' * {} + b'\"'\nos.write(3, b'V' + struct.pack('<I', len(p)) + p)",
            length - 2
        )
    };
    let fits = worker.run_with(&forged(1_000), limits).await;
    assert_eq!((fits.outcome(), fits.result().map(str::len)), ("completed", Some(1_000)));
    assert_eq!(worker.run_with(&forged(1_001), limits).await.outcome(), "ResultTooLarge");
}

#[tokio::test]
async fn kills_of_unknown_and_of_queued_runs_are_harmless() {
    let worker = Worker::launch().await;
    worker.link().kill(RunToken(999));
    let running = (0..30).map(|_| worker.start("import signal\nsignal.pause()")).collect::<Vec<_>>();
    for run in &running {
        worker.link().kill(run.token);
    }
    for mut run in running {
        let event = run.events.recv().await.expect("an end");
        let RunEvent::Ended(end) = event else {
            panic!("{:?}", matches!(event, RunEvent::Output(OutputStream::Stdout, _)))
        };
        assert_eq!(end.outcome, airlock_actors::ports::RunOutcome::Killed);
    }
}

#[tokio::test]
async fn a_script_forks_while_signals_come() {
    let worker = Worker::launch().await;
    let script = "import os, signal
handled = []
signal.signal(signal.SIGCHLD, lambda *_: handled.append(1))
signal.signal(signal.SIGALRM, lambda *_: handled.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for _ in range(100):
    if os.fork() == 0: os._exit(0)
    os.waitpid(-1, os.WNOHANG)
signal.setitimer(signal.ITIMER_REAL, 0)
set_result(len(handled) > 10)";
    let limits = RunLimits { processes: 200, ..RunLimits::DEFAULT };
    assert_eq!(worker.run_with(script, limits).await.value(), true);
}
