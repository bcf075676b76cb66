//! Which Python scripts run on: found by running what there is, as the user that scripts will run as.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

/// The oldest version that the runtime is written for.
const OLDEST: (u32, u32) = (3, 9);
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where it says what it is and what it needs to read. `-s -B` as the fork server is started.
const PROBE: &str = "\
import json, os, sys, sysconfig
paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.path.realpath(sys.executable)]
paths += [sysconfig.get_path(name) for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')]
paths += [path for path in sys.path if path]
print(json.dumps({'version': sys.version_info[:3], 'executable': sys.executable, 'paths': paths}))
";

/// An interpreter that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// Itself, not a shim that starts it.
    pub executable: PathBuf,
    /// Major, minor and patch version.
    pub version: (u32, u32, u32),
    /// Files and folders that it and its packages are in.
    pub paths: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    version: (u32, u32, u32),
    executable: PathBuf,
    paths: Vec<PathBuf>,
}

/// The first interpreter that works for the user `run_as` (the caller, if `None`): `wanted` alone, if it is given.
/// The error lists every candidate with what is wrong with it.
pub async fn find(wanted: Option<&Path>, run_as: Option<u32>) -> Result<Interpreter, String> {
    let candidates = match wanted {
        Some(path) => vec![path.to_path_buf()],
        None => candidates(std::env::var_os("PATH").as_deref().unwrap_or_default()),
    };
    let mut reasons = Vec::new();
    for candidate in &candidates {
        match probe(candidate, run_as).await {
            Ok(interpreter) => return Ok(interpreter),
            Err(why) => reasons.push(format!("{}: {why}", candidate.display())),
        }
    }
    let (major, minor) = OLDEST;
    let user = run_as.map_or_else(String::new, |uid| format!(" that user {uid} can run"));
    let tried = if reasons.is_empty() { "none was found".to_owned() } else { reasons.join("; ") };
    Err(format!(
        "no Python {major}.{minor} or later{user} ({tried}). Install python3 where every user can read it, or name one with \
         --python"
    ))
}

/// `python3` of every folder, then `python3.x`, newest first; each file once, whatever links to it.
fn candidates(path: &OsStr) -> Vec<PathBuf> {
    let folders = std::env::split_paths(path).chain(["/usr/local/bin", "/usr/bin"].map(PathBuf::from));
    let folders = folders.filter(|folder| folder.is_absolute()).collect::<Vec<_>>();
    let plain = folders.iter().map(|folder| folder.join("python3"));
    let mut versioned = folders.iter().flat_map(|folder| versioned_in(folder)).collect::<Vec<_>>();
    versioned.sort_by_key(|(minor, _)| std::cmp::Reverse(*minor));
    let mut seen = HashSet::new();
    plain
        .chain(versioned.into_iter().map(|(_, path)| path))
        .filter(|path| path.exists() && seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())))
        .collect()
}

fn versioned_in(folder: &Path) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let minor = entry.file_name().to_str()?.strip_prefix("python3.")?.parse().ok()?;
            Some((minor, entry.path()))
        })
        .collect()
}

async fn probe(candidate: &Path, run_as: Option<u32>) -> Result<Interpreter, String> {
    let mut command = Command::new(candidate);
    command.args(["-s", "-B", "-c", PROBE]).env_clear().current_dir("/");
    command.envs([("PATH", "/usr/local/bin:/usr/bin:/bin"), ("LC_ALL", "C.UTF-8"), ("PYTHONNOUSERSITE", "1")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(uid) = run_as {
        command.uid(uid).gid(uid);
    }
    let output = match tokio::time::timeout(PROBE_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(error.to_string().to_lowercase()),
        Err(_) => return Err("does not answer".to_owned()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or("without a word").trim().to_owned();
        return Err(format!("fails ({last})"));
    }
    let answer: Answer = serde_json::from_slice(&output.stdout).map_err(|_| "is not Python".to_owned())?;
    let (major, minor, _) = answer.version;
    if (major, minor) < OLDEST {
        return Err(format!("is version {major}.{minor}"));
    }
    if !answer.executable.is_absolute() {
        return Err("does not know where it is".to_owned());
    }
    let mut seen = HashSet::new();
    let paths =
        answer.paths.into_iter().filter(|path| path.is_absolute() && is_specific(path) && seen.insert(path.clone()));
    Ok(Interpreter { executable: answer.executable, version: answer.version, paths: paths.collect() })
}

/// A folder that holds an interpreter and not half the machine.
fn is_specific(path: &Path) -> bool {
    let broad =
        ["/", "/home", "/root", "/opt", "/var", "/etc", "/tmp", "/srv", "/proc", "/sys", "/dev", "/run", "/mnt"];
    !broad.iter().any(|folder| path.as_os_str().as_bytes() == folder.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("changed");
        path
    }

    #[test]
    fn plain_names_come_first_then_newer_versions() {
        let home = tempfile::tempdir().expect("a folder");
        for name in ["python3.9", "python3.12", "python3", "python3.10-config", "python2"] {
            program(home.path(), name, name);
        }
        let found = candidates(home.path().as_os_str());
        let names = found.iter().filter_map(|path| path.strip_prefix(home.path()).ok()?.to_str()).collect::<Vec<_>>();
        assert_eq!(names, ["python3", "python3.12", "python3.9"]);
    }

    #[tokio::test]
    async fn the_error_names_every_candidate_and_its_reason() {
        let home = tempfile::tempdir().expect("a folder");
        let old = program(
            home.path(),
            "old",
            "#!/bin/sh\necho '{\"version\": [3, 8, 1], \"executable\": \"/old\", \"paths\": []}'\n",
        );
        let broken = program(home.path(), "broken", "#!/bin/sh\necho no such module >&2\nexit 3\n");
        let why = find(Some(&old), None).await.expect_err("too old");
        assert!(why.contains("is version 3.8") && why.contains("--python"), "{why}");
        let why = find(Some(&broken), None).await.expect_err("broken");
        assert!(why.contains("no such module"), "{why}");
        let why = find(Some(&home.path().join("none")), None).await.expect_err("missing");
        assert!(why.contains("no such file"), "{why}");
    }

    #[tokio::test]
    async fn the_systems_python_is_found_and_resolved() {
        let found = find(None, None).await.expect("this machine has one");
        assert!(found.executable.is_absolute() && found.version >= (3, 9, 0));
        assert!(found.paths.iter().any(|path| path.join("json/__init__.py").exists()), "{:?}", found.paths);
    }
}
