//! A real server: the built binary, on a free port of loopback, with a data folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::OnceCell;

use super::{Admin, Client, PATIENCE};

/// How to start a server.
#[derive(Clone, Default)]
pub(crate) struct Launch {
    args: Vec<String>,
    envs: Vec<(String, String)>,
    dir: Option<PathBuf>,
    user: Option<u32>,
}

impl Launch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn arg(mut self, flag: &str, value: &str) -> Self {
        self.args.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As another user, for root.
    pub(crate) fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// A data folder that outlives the server; without it, a temporary one.
    pub(crate) fn data_dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Starts it and waits for the line that says where it listens.
    pub(crate) fn start(self) -> Server {
        let temp = self.dir.is_none().then(|| tempfile::tempdir().unwrap());
        let dir = self.dir.clone().unwrap_or_else(|| temp.as_ref().unwrap().path().to_owned());
        if self.user.is_some() {
            std::os::unix::fs::chown(&dir, self.user, self.user).unwrap();
        }
        let process = Process::start(&self, &dir).unwrap_or_else(|end| panic!("no server: {end:?}"));
        Server { launch: self, dir, temp, process, admin: OnceCell::new() }
    }

    /// Starts it in the expectation that it refuses, and returns what it said.
    pub(crate) fn start_refused(self) -> Ended {
        let dir = self.dir.clone().expect("a refusal is about a given data folder");
        match Process::start(&self, &dir) {
            Ok(_) => panic!("the server started, and should have refused to"),
            Err(ended) => ended,
        }
    }
}

/// A running server. Dropped, it is killed and its temporary data folder removed.
pub(crate) struct Server {
    launch: Launch,
    dir: PathBuf,
    temp: Option<tempfile::TempDir>,
    process: Process,
    admin: OnceCell<Admin>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Launch::new().start()
    }

    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.process.url
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.url())
    }

    /// The one who administrates it; sets it up at the first call.
    pub(crate) async fn admin(&self) -> Admin {
        let admin = self.admin.get_or_init(|| Admin::set_up(self.client())).await;
        admin.with(self.client())
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&self.process.log.lock().unwrap()).into_owned()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// The process ids of its workers and of what runs on them.
    pub(crate) fn descendants(&self) -> Vec<i32> {
        super::process::descendants(self.process.pid())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.pid()), signal).unwrap();
    }

    /// `kill -9`: it gets no chance to do anything.
    pub(crate) fn kill9(&mut self) {
        self.process.kill();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub(crate) fn stop(&mut self) -> Ended {
        self.signal(Signal::SIGTERM);
        self.process.wait()
    }

    /// Waits until it has ended, after a signal that asked it to.
    pub(crate) fn stop_after_signal(&mut self) -> Ended {
        self.process.wait()
    }

    /// Starts it again on the same data, after it was killed or stopped. The port is another one.
    pub(crate) fn restart(&mut self) {
        self.process = Process::start(&self.launch, &self.dir).unwrap_or_else(|end| panic!("no restart: {end:?}"));
    }
}

/// How a server ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    /// Everything on stdout but the line that says where it listens.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// It refused to start and said why in words that a person can act on: no panic, no backtrace.
    pub(crate) fn refused_saying(&self, words: &[&str]) {
        assert!(self.code.is_some_and(|code| code != 0), "not a refusal: {self:?}");
        let said = self.stderr.to_lowercase();
        assert!(!said.contains("panicked"), "a panic is no message: {self:?}");
        assert!(words.iter().any(|word| said.contains(&word.to_lowercase())), "none of {words:?} in {self:?}");
    }
}

struct Process {
    child: Child,
    ended: bool,
    url: String,
    log: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<Vec<u8>>>,
    warden: Option<Warden>,
}

impl Process {
    fn start(launch: &Launch, dir: &Path) -> Result<Self, Ended> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_airlock"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir).args(&launch.args);
        command.envs(launch.envs.iter().map(|(name, value)| (name, value)));
        if let Some(user) = launch.user {
            std::os::unix::process::CommandExt::gid(std::os::unix::process::CommandExt::uid(&mut command, user), user);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let warden = Warden::over(child.id(), launch.dir.is_none().then_some(dir));

        let (log, stdout) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let (line_out, line_in) = mpsc::channel();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let rest = stdout.clone();
        let out_reader = std::thread::spawn(move || {
            let mut line = String::new();
            let first = out.read_line(&mut line).is_ok_and(|read| read > 0);
            // Nobody listens any more when the start was given up.
            let _ = line_out.send(first.then_some(line));
            collect(out, &rest);
        });
        let err = child.stderr.take().unwrap();
        let kept = log.clone();
        let err_reader = std::thread::spawn(move || collect(err, &kept));

        let readers = vec![out_reader, err_reader];
        let mut process = Self { child, ended: false, url: String::new(), log, readers, stdout, warden: Some(warden) };
        match line_in.recv_timeout(PATIENCE) {
            Ok(Some(line)) => {
                let url = line.strip_prefix("listening on ").map(str::trim_end);
                url.unwrap_or_else(|| panic!("not the line that was promised: {line:?}")).clone_into(&mut process.url);
                Ok(process)
            }
            Ok(None) => Err(process.wait()),
            Err(_) => panic!("the server said nothing and did not end"),
        }
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    fn kill(&mut self) {
        if !self.ended {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
            self.ended = true;
        }
        self.warden = None;
    }

    /// Waits for the end, and for everything it wrote.
    fn wait(&mut self) -> Ended {
        let (done_out, done_in) = mpsc::channel::<ExitStatus>();
        let status = std::thread::scope(|scope| {
            let pid = self.pid();
            let child = &mut self.child;
            scope.spawn(move || done_out.send(child.wait().unwrap()));
            done_in.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
                panic!("the server did not end within {PATIENCE:?}");
            })
        });
        self.ended = true;
        self.warden = None;
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        let words = |bytes: &Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned();
        Ended { code: status.code(), stdout: words(&self.stdout), stderr: words(&self.log) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            let tail = log.len().saturating_sub(4000);
            eprintln!("--- the end of the server's log ---\n{}", String::from_utf8_lossy(&log[tail..]));
        }
    }
}

fn collect(mut from: impl Read, into: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 8192];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        into.lock().unwrap().extend_from_slice(&buffer[..read]);
    }
}

/// A shell that waits for this test process to be gone, however it ends, and then kills the server that it left behind.
struct Warden {
    shell: Child,
    _stdin: ChildStdin,
}

impl Warden {
    fn over(server: u32, temporary: Option<&Path>) -> Self {
        let script = r#"read _; kill -9 "$1" 2>/dev/null; [ -z "$2" ] || rm -rf "$2""#;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "warden", &server.to_string()]).arg(temporary.unwrap_or(Path::new("")));
        let mut shell = command.stdin(Stdio::piped()).spawn().unwrap();
        let stdin = shell.stdin.take().unwrap();
        Self { shell, _stdin: stdin }
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        // It may have ended with the test process's other half already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
