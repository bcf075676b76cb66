//! Black-box tests of `airlock demo`: it tells the whole story, shows no secret, and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and explains itself on stderr"
)]

#[path = "../support/mod.rs"]
mod support;

mod stage;

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;

use stage::{NOBODY, Stage, told_whole};
use support::{eventually, process};

#[test]
fn it_tells_the_story_exits_with_zero_and_leaves_nothing() {
    let stage = Stage::new();
    let ended = stage.run();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    told_whole(&ended.stdout);
    stage.assert_empty();
}

#[test]
fn a_real_instances_settings_are_neither_used_nor_touched() {
    let elsewhere = tempfile::tempdir().unwrap();
    let data = elsewhere.path().join("data");
    let mut stage = Stage::new();
    stage.env("AIRLOCK_DATA_DIR", data.to_str().unwrap());
    for (name, value) in [
        ("AIRLOCK_CONFIG", "/nonexistent/airlock.toml"),
        ("AIRLOCK_MASTER_KEY_FILE", "/nonexistent/key"),
        ("AIRLOCK_LISTEN", "192.0.2.1:1"),
        ("AIRLOCK_PUBLIC_URL", "https://airlock.example.com"),
        ("AIRLOCK_TMP_DIR", "/nonexistent/workers"),
        ("AIRLOCK_LOG", "=not a filter="),
        ("HTTP_PROXY", "http://192.0.2.1:1"),
    ] {
        stage.env(name, value);
    }
    let ended = stage.run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!data.exists(), "it made the real instance's folder");
    stage.assert_empty();
}

#[test]
fn a_server_that_does_not_start_is_an_error_with_its_reason() {
    let mut stage = Stage::new();
    stage.env("AIRLOCK_PYTHON", "/nonexistent/python3");
    let ended = stage.run();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.starts_with("airlock: the temporary instance did not start: "), "{ended:?}");
    assert!(ended.stderr.contains("/nonexistent/python3") && ended.stderr.lines().count() == 1, "{ended:?}");
    stage.assert_empty();
}

#[tokio::test]
async fn a_signal_ends_it_in_order_at_any_moment() {
    let moments = ["listening on", "> POST /api/admin/setup", "> GET /ready", "> POST /execute", "Act 3"];
    for (moment, signal) in
        moments.into_iter().zip([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().cycle())
    {
        let stage = Stage::new();
        let mut demo = stage.start();
        demo.read_until(moment);
        let processes = process::descendants(demo.pid());
        // One server ends there and the next begins.
        assert!(!processes.is_empty() || moment == "Act 3", "no server to be seen at {moment}");
        demo.signal(signal);
        let ended = demo.wait();
        // At the last moments it may have been faster.
        let stopped = ended.code == Some(1) && ended.stderr.starts_with("airlock: stopped by ");
        assert!(stopped || ended.code == Some(0) && moment == "Act 3", "{moment}: {ended:?}");
        stage.assert_empty();
        eventually("all gone", async || !processes.iter().any(|pid| process::alive(*pid))).await;
    }
}

#[test]
fn when_nobody_reads_on_it_ends_in_order() {
    let stage = Stage::new();
    let mut demo = stage.start();
    demo.read_until("Act 1");
    demo.close_stdout();
    let ended = demo.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
    stage.assert_empty();
}

#[test]
fn it_works_for_an_unprivileged_user() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: every other test here runs as an unprivileged user already");
        return;
    }
    let Some(stage) = Stage::of_nobody() else {
        eprintln!("skipped: there is no setpriv to change the user with");
        return;
    };
    let ended = stage.run();
    if ended.stderr.contains("python3") {
        eprintln!("skipped: user {NOBODY} has no Python here: {}", ended.stderr);
        return;
    }
    assert_eq!(ended.code, Some(0), "{ended:?}");
    told_whole(&ended.stdout);
    assert!(!ended.stdout.contains("own user"), "it should not be able to give workers users of their own");
    stage.assert_empty();
}

#[test]
fn the_data_folder_is_for_its_owner_alone() {
    let stage = Stage::new();
    let mut demo = stage.start();
    demo.read_until("listening on");
    let folder = stage.entries().pop().expect("a temporary folder");
    for (path, others) in [(folder.join("data"), 0o077), (folder, 0o066)] {
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & others, 0, "{} has mode {mode:o}", path.display());
    }
    assert_eq!(demo.wait().code, Some(0));
    stage.assert_empty();
}
