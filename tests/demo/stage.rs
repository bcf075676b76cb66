//! Runs `airlock demo` with a temporary folder of its own, so that what it leaves can be seen.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The traditional id of the user who owns nothing.
pub(crate) const NOBODY: u32 = 65_534;
const BINARY: &str = env!("CARGO_BIN_EXE_airlock");
const WIDTH: usize = 100;

pub(crate) struct Stage {
    /// The demo's idea of the system's temporary folder.
    tmp: tempfile::TempDir,
    /// Holds a copy of the binary.
    copies: Option<tempfile::TempDir>,
    envs: Vec<(String, String)>,
    /// The program and the arguments that stand before `demo`.
    program: Vec<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// What was not read before.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        // Workers have users of their own where the demo is root's.
        fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Self { tmp, copies: None, envs: Vec::new(), program: vec![BINARY.into()] }
    }

    /// Another user's: with a copy of the binary, since the build folder may be out of their reach.
    pub(crate) fn of_nobody() -> Option<Self> {
        Command::new("setpriv").arg("--version").output().ok()?;
        let mut stage = Self::new();
        let copies = tempfile::tempdir().unwrap();
        let binary = copies.path().join("airlock");
        // By another process: a test that forks just now would hand its child a descriptor that writes to the copy, and what
        // is written to can't be run.
        assert!(Command::new("cp").args([Path::new(BINARY), &binary]).status().unwrap().success());
        for path in [stage.tmp.path(), copies.path(), &binary] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        stage.copies = Some(copies);
        let ids = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
        let setpriv = ["setpriv", &ids[0], &ids[1], "--clear-groups"];
        stage.program = setpriv.into_iter().map(PathBuf::from).chain([binary]).collect();
        Some(stage)
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.envs.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn start(&self) -> Demo {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).arg("demo").current_dir("/").env("TMPDIR", self.tmp.path());
        command.envs(self.envs.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Demo { child, stdout: Some(stdout) }
    }

    pub(crate) fn run(&self) -> Ended {
        self.start().wait()
    }

    /// What the temporary folder holds now.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        fs::read_dir(self.tmp.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// Nothing is left there, and no process that was told of it.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.entries(), Vec::<PathBuf>::new(), "left behind");
        let left = processes_naming(self.tmp.path());
        assert!(left.is_empty(), "still running: {left:?}");
    }
}

/// A demo under way. Dropped, it is told to end.
pub(crate) struct Demo {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Demo {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// Reads on until a line holds `words`.
    pub(crate) fn read_until(&mut self, words: &str) {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let read = self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
            if read == 0 {
                panic!("it ended before it said {words:?}: {:?}", self.end());
            }
        }
    }

    pub(crate) fn close_stdout(&mut self) {
        self.stdout = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for the end, reading all there is. It takes a second; the test runner's patience is the limit.
    pub(crate) fn wait(mut self) -> Ended {
        self.end()
    }

    fn end(&mut self) -> Ended {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        if let Some(mut rest) = self.stdout.take() {
            rest.read_to_string(&mut stdout).unwrap();
        }
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        Ended { code: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

/// The command lines that name a path, of processes that still are there after the moment that a zombie takes to go.
fn processes_naming(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let look = || {
        let lines =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(path)).collect::<Vec<_>>()
    };
    let mut left = look();
    for _ in 0..50 {
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        left = look();
    }
    left
}

/// All of the story is there, readable, and no secret in it.
pub(crate) fn told_whole(text: &str) {
    let mut rest = text;
    for part in [
        "Act 1",
        "> POST /api/admin/setup",
        "> POST /credentials",
        "> PUT /api/admin/credentials/SHOP_KEY",
        "> POST /profiles\n",
        "/lock\n",
        ":********\"",
        "> POST /execute",
        "< 202 Accepted",
        "?wait=10",
        "\"status\":            \"completed\"",
        "\"key\":   \"[REDACTED]\"",
        "sealing with [REDACTED]",
        "\"redactions\"",
        "Act 2",
        "< 403 Forbidden",
        "ConnectionError: the shop refused [REDACTED] (line 2)",
        "File \"<script>\", line 4, in <module>",
        "Act 3",
        "listening on http://127.0.0.1:",
        "What was checked",
        "ok   The script had the value",
        "13 of 13 hold",
        "To start for real",
        "airlock serve",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part:?} is missing, or not in its place, in\n{text}"));
        rest = &rest[at + part.len()..];
    }
    assert!(!text.contains("NOT"), "{text}");
    let wide = text.lines().find(|line| line.chars().count() > WIDTH);
    assert_eq!((wide, text.contains('\u{1b}')), (None, false), "too wide, or coloured though no terminal");
    let blank_ends = text.lines().find(|line| line.ends_with(' '));
    assert_eq!(blank_ends, None);
    assert!(!text.contains("demo-v-") && !text.contains("demo-password-"), "the value or the password in\n{text}");
    // The profile's secret and the session's token: 48 of [A-Za-z0-9], so that capitals tell them from hashes and ids.
    let words = text.split(|char: char| !char.is_ascii_alphanumeric());
    let secret = words.into_iter().find(|word| word.len() >= 40 && word.chars().any(|char| char.is_ascii_uppercase()));
    assert_eq!(secret, None);
}
