//! A kernel without Landlock, as a filter above the server makes it look: the server refuses, or says what is missing.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use crate::support::{Client, eventually};

/// The built binary on a kernel that answers Landlock's first call with "not there".
fn without_landlock(arguments: &[&str]) -> Command {
    let calls = BTreeMap::from([(libc::SYS_landlock_create_ruleset, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, missing, std::env::consts::ARCH.try_into().unwrap());
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_airlock"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: two system calls, and nothing is allocated.
    unsafe { command.pre_exec(move || apply_filter(&filter).map_err(|_| std::io::Error::last_os_error())) };
    command
}

#[test]
fn without_landlock_the_server_refuses_to_start_and_says_what_it_needs() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let output = without_landlock(&["serve", "--listen", "127.0.0.1:0", "--data-dir", data]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["landlock", "5.13", "--allow-degraded-sandbox", "airlock doctor"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}

#[test]
fn the_doctor_shows_what_is_missing_and_fails() {
    let output = without_landlock(&["doctor", "--json", "--worker-uid-base", "63500"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    assert_eq!(output.status.code(), Some(1));
    let layers = report["layers"].as_array().unwrap();
    let landlock = layers.iter().find(|layer| layer["name"] == "landlock").unwrap();
    assert_eq!((&landlock["active"], &landlock["floor"]), (&false.into(), &true.into()));
    assert_eq!(report["degraded"].as_array().unwrap().len(), 1, "{report}");
    let seccomp = layers.iter().find(|layer| layer["name"] == "seccomp").unwrap();
    assert_eq!(seccomp["active"], true);
}

#[test]
fn where_all_of_the_floor_is_there_the_doctor_is_content() {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_airlock"));
    let output = doctor.args(["doctor", "--worker-uid-base", "63600"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("active   landlock (ABI") && !said.contains("MISSING"), "{said}");
}

#[tokio::test]
async fn a_server_that_was_told_to_serves_and_says_that_it_is_degraded() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path().to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--allow-degraded-sandbox"];
    let mut child = without_landlock(&arguments).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned();
    let client = Client::new(&url);
    let mut ready = serde_json::Value::Null;
    eventually("a worker is ready", async || {
        let reply = client.get("/ready").await;
        ready = if reply.status == 200 { reply.json() } else { return false };
        ready["worker"].is_object()
    })
    .await;
    let degraded = ready["worker"]["degraded"].as_array().unwrap();
    assert!(degraded.iter().any(|layer| layer.as_str().is_some_and(|text| text.starts_with("landlock"))), "{ready}");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), nix::sys::signal::SIGTERM)
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("weaker sandbox"), "{output:?}");
}
