//! Threads, asyncio, leftovers, the end of a script's time, and what it used.

use std::time::Instant;

use serde_json::json;

use crate::support::{PATIENCE, process, shared, shared_agent, text};

#[tokio::test]
async fn threads_and_executors_work() {
    let script = "import threading\nfrom concurrent.futures import ThreadPoolExecutor\ngot = []\nthreads = [threading.Thread(target=got.append, args=(n,)) for n in range(8)]\n[t.start() for t in threads]\n[t.join() for t in threads]\nwith ThreadPoolExecutor(4) as pool:\n    squares = list(pool.map(lambda n: n * n, range(5)))\nset_result([sorted(got), squares])";
    assert_eq!(shared_agent().await.result(script).await, json!([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 4, 9, 16]]));
}

#[tokio::test]
async fn asyncio_works() {
    let script = "import asyncio\nasync def half(n):\n    await asyncio.sleep(0.01)\n    return n / 2\nasync def main():\n    return await asyncio.gather(*(half(n) for n in range(4)))\nset_result(asyncio.run(main()))";
    assert_eq!(shared_agent().await.result(script).await, json!([0.0, 0.5, 1.0, 1.5]));
}

#[tokio::test]
async fn a_result_may_be_set_in_a_thread() {
    let script =
        "import threading\nt = threading.Thread(target=set_result, args=('from a thread',))\nt.start()\nt.join()";
    assert_eq!(shared_agent().await.result(script).await, "from a thread");
}

#[tokio::test]
async fn leftovers_do_not_hold_the_result_and_are_ended() {
    let agent = shared_agent().await;
    let cases = [
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()",
        "import time\nfrom concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(1).submit(time.sleep, 600)",
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)\n    os._exit(0)",
    ];
    for case in cases {
        let start = Instant::now();
        let done = agent.run(&format!("{case}\nprint('done')\nset_result('not held')")).await;
        assert_eq!(
            (&done["status"], &done["result"], &done["stdout"]),
            (&json!("completed"), &json!("not held"), &json!("done\n")),
            "{case}"
        );
        assert!(start.elapsed() < PATIENCE / 3, "{case}: held for {:?}", start.elapsed());
    }
}

#[tokio::test]
async fn no_process_of_a_script_outlives_its_final_state() {
    let agent = shared_agent().await;
    let script = "import os, time, signal\nfor n in range(3):\n    if os.fork() == 0:\n        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n        os.setsid()\n        if os.fork():\n            os._exit(0)\n        time.sleep(600)\n        os._exit(0)\nset_result(os.getuid())";
    let mark = "airlock-leftover-mark";
    let child = format!(
        "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'], start_new_session=True)"
    );
    let done = agent.run(&format!("{child}\n{script}")).await;
    assert_eq!(done["status"], "completed", "{done}");
    let left: Vec<i32> = shared()
        .await
        .descendants()
        .into_iter()
        .filter(|pid| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&command).contains(mark) && process::alive(*pid)
        })
        .collect();
    assert!(left.is_empty(), "still there: {left:?}");
}

#[tokio::test]
async fn time_ends_even_a_script_that_ignores_signals_and_what_it_printed_is_kept() {
    let agent = shared_agent().await;
    let cases = [
        "import signal\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nprint('so far')\nwhile True: pass",
        "print('so far')\nwhile True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import time\nprint('so far')\ntime.sleep(600)",
        "import os, time\nprint('so far', flush=True)\nif os.fork() == 0: os.setsid()\ntime.sleep(600)",
    ];
    for case in cases {
        let start = Instant::now();
        let done = agent.run_for(case, 1).await;
        assert_eq!(
            (&done["status"], &done["error_type"]),
            (&json!("timeout"), &json!("ScriptTimeout")),
            "{case}: {done}"
        );
        assert_eq!(done["stdout"], "so far\n", "{case}: {done}");
        assert!(text(&done, "error").contains('1') && done["result"].is_null(), "{done}");
        let ran = done["execution_time_ms"].as_u64().unwrap();
        assert!((1000..15_000).contains(&ran), "{case}: ended after {ran} ms");
        assert!(start.elapsed() < PATIENCE / 2, "{case}");
    }
}

#[tokio::test]
async fn a_script_that_ends_in_time_is_not_told_of_its_timeout() {
    let done = shared_agent().await.run_for("import time\ntime.sleep(0.3)\nset_result('in time')", 1).await;
    assert_eq!((&done["status"], &done["result"]), (&json!("completed"), &json!("in time")), "{done}");
}

#[tokio::test]
async fn the_cpu_time_and_memory_that_were_used_are_reported() {
    let agent = shared_agent().await;
    let idle = agent.run("import time\ntime.sleep(0.4)").await;
    let busy = agent.run("import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass").await;
    let large = agent.run("keep = bytearray(b'x') * (150 * 1024 * 1024)").await;
    let child = agent.run("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time\\nwhile time.process_time() < 0.4: pass'])").await;
    let used = |done: &serde_json::Value, what: &str| {
        done["usage"][what].as_u64().unwrap_or_else(|| panic!("no {what}: {done}"))
    };
    assert!(used(&idle, "cpu_ms") < 300, "{idle}");
    assert!((350..5000).contains(&used(&busy, "cpu_ms")), "{busy}");
    assert!(used(&child, "cpu_ms") >= 350, "{child}");
    let mib = 1024 * 1024;
    assert!((mib..150 * mib).contains(&used(&idle, "max_rss_bytes")), "{idle}");
    assert!((150 * mib..1024 * mib).contains(&used(&large, "max_rss_bytes")), "{large}");
    let ran = idle["execution_time_ms"].as_u64().unwrap();
    assert!((400..30_000).contains(&ran), "{idle}");
}
