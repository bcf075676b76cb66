//! The temporary server: a child process and a folder.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Finding a Python interpreter can take its time on a cold machine.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// More than the seconds that the server gives to running scripts, below.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
const DRAIN_SECONDS: &str = "5";
/// Settings that are about the machine. All others are about a real instance: its key, its URL, its data.
const PASSED_ON: [&str; 2] = ["AIRLOCK_WORKER_UID_BASE", "AIRLOCK_ALLOW_DEGRADED_SANDBOX"];
/// A worker that was just starting when the server was told to end needs a moment to see that, and may make a file yet.
const REMOVE_PATIENCE: Duration = Duration::from_secs(3);
const REMOVE_PAUSE: Duration = Duration::from_millis(20);
/// How much of the end of a log is shown when there is no better reason.
const LAST_LINES: usize = 5;

/// A server on a free port of loopback. All that it writes is in one folder: `data`, and `workers` while scripts run.
pub(super) struct Instance {
    /// The interpreter, if it matters.
    python: Option<PathBuf>,
    folder: Option<TempDir>,
    child: Option<Child>,
    /// Reads the child's standard error to its end.
    reader: Option<JoinHandle<()>>,
    log: Arc<Mutex<Vec<u8>>>,
}

/// What a search for secrets found.
pub(super) struct Found {
    pub(super) files: usize,
    /// Files that hold one, or `the log`.
    pub(super) places: BTreeSet<PathBuf>,
}

impl Instance {
    /// Makes the folder. Others can't list it, but workers of their own users walk through it; the server makes `data` for
    /// its owner alone.
    pub(super) fn new(python: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        let made = builder.prefix("airlock-demo-").permissions(Permissions::from_mode(0o711)).tempdir();
        let folder = made.context("could not make a temporary folder")?;
        Ok(Self {
            python: python.map(Path::to_owned),
            folder: Some(folder),
            child: None,
            reader: None,
            log: Arc::default(),
        })
    }

    /// Starts the server and returns its URL, once it listens.
    pub(super) async fn start(&mut self) -> anyhow::Result<String> {
        let mut command = Command::new(std::env::current_exe().context("could not find this program's own file")?);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("AIRLOCK_") && !PASSED_ON.contains(&&*name_text) {
                command.env_remove(&name);
            }
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--drain", DRAIN_SECONDS, "--data-dir"]).arg(self.data()?);
        command.arg("--tmp-dir").arg(self.path()?.join("workers"));
        if let Some(python) = &self.python {
            command.arg("--python").arg(python);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on a terminal goes to the whole group, and a second signal would end the server without cleaning up.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("could not start the temporary instance")?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        self.child = Some(child);
        let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else { bail!("the temporary instance has no pipes") };
        let log = self.log.clone();
        self.reader = Some(tokio::spawn(async move {
            let mut buffer = [0; 8192];
            while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
                let bytes = buffer.get(..read).unwrap_or_default();
                log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            }
        }));
        let mut line = String::new();
        let listening = timeout(START_PATIENCE, BufReader::new(stdout).read_line(&mut line)).await;
        if let Some(url) = line.trim_end().strip_prefix("listening on ") {
            return Ok(url.to_owned());
        }
        let waited = if listening.is_err() { format!(" within {} s", START_PATIENCE.as_secs()) } else { String::new() };
        // What it printed last says why; it is complete once the process is gone.
        let _ = self.stop().await;
        Err(anyhow!("{}", self.last_words()).context(format!("the temporary instance did not start{waited}")))
    }

    /// Ends the server, if one runs: asked by SIGTERM, and killed only if it does not listen.
    pub(super) async fn stop(&mut self) -> anyhow::Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
            // It may have ended by itself: then how it did is seen below.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let ended = if let Ok(status) = timeout(STOP_PATIENCE, child.wait()).await {
            let status = status?;
            if status.success() { Ok(()) } else { Err(anyhow!("the temporary instance ended with {status}")) }
        } else {
            child.kill().await?;
            Err(anyhow!("the temporary instance did not end within {} s and was killed", STOP_PATIENCE.as_secs()))
        };
        self.child = None;
        if let Some(reader) = self.reader.take() {
            let _ = timeout(STOP_PATIENCE, reader).await;
        }
        ended
    }

    /// Looks for `secrets` in all that the server has written to the disk and to its log.
    pub(super) fn search(&self, secrets: &[&str]) -> anyhow::Result<Found> {
        let holds = |bytes: &[u8]| secrets.iter().any(|secret| contains(bytes, secret.as_bytes()));
        let mut found = Found { files: 0, places: BTreeSet::new() };
        let mut folders = vec![self.data()?];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                found.files += 1;
                if holds(&std::fs::read(entry.path())?) {
                    found.places.insert(entry.path());
                }
            }
        }
        ensure!(found.files > 0, "the data folder is empty: there was nothing to search");
        if holds(&self.log.lock().unwrap_or_else(PoisonError::into_inner)) {
            found.places.insert("the log".into());
        }
        Ok(found)
    }

    /// Removes the folder, once the server has ended.
    pub(super) async fn remove(&mut self) -> anyhow::Result<()> {
        let path = self.path()?.to_owned();
        let begin = Instant::now();
        while let Err(error) = std::fs::remove_dir_all(&path) {
            if begin.elapsed() > REMOVE_PATIENCE {
                return Err(error).with_context(|| format!("{} stays", path.display()));
            }
            tokio::time::sleep(REMOVE_PAUSE).await;
        }
        // It has nothing left to remove.
        self.folder = None;
        Ok(())
    }

    fn data(&self) -> anyhow::Result<PathBuf> {
        Ok(self.path()?.join("data"))
    }

    fn path(&self) -> anyhow::Result<&Path> {
        self.folder.as_ref().map(TempDir::path).context("the temporary folder is gone already")
    }

    fn last_words(&self) -> String {
        last_words(&String::from_utf8_lossy(&self.log.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// True if `needle` is somewhere in `hay`.
pub(super) fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// The error that a command ends with, or else the end of its log.
fn last_words(log: &str) -> String {
    if let Some((_, reason)) = log.rsplit_once("airlock: ") {
        return reason.trim_end().to_owned();
    }
    let lines: Vec<&str> = log.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
    if tail.is_empty() { "it said nothing".to_owned() } else { tail.join("\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_error_or_else_the_end_of_the_log() {
        let log = "2026 INFO made a key\nairlock: no python3 was found\n";
        assert_eq!(last_words(log), "no python3 was found");
        assert_eq!(last_words("1\n2\n3\n4\n5\n6\n7\n"), "3\n4\n5\n6\n7");
        assert_eq!(last_words(""), "it said nothing");
    }

    #[tokio::test]
    async fn a_secret_is_found_in_a_file_and_in_the_log_and_the_folder_goes() {
        let mut instance = Instance::new(None).unwrap();
        let folder = instance.data().unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(instance.search(&["x"]).is_err(), "searched nothing and was content");
        std::fs::create_dir(folder.join("deep")).unwrap();
        std::fs::write(folder.join("deep/file"), b"\0before sesame after").unwrap();
        std::fs::write(folder.join("other"), b"nothing").unwrap();
        instance.log.lock().unwrap().extend_from_slice(b"said sesame");
        let found = instance.search(&["open", "sesame"]).unwrap();
        let places: Vec<_> = found.places.into_iter().collect();
        assert_eq!((found.files, places), (2, vec![folder.join("deep/file"), "the log".into()]));
        assert!(instance.search(&["open"]).unwrap().places.is_empty());
        let whole = instance.path().unwrap().to_owned();
        instance.remove().await.unwrap();
        assert!(!whole.exists());
    }
}
