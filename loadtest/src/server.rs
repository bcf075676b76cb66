//! The Airlock under test: started here on a temporary folder, or already running somewhere on loopback.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// A server, and how long it took to come up if it was started here.
pub(crate) struct Server {
    child: Option<Child>,
    _dir: Option<tempfile::TempDir>,
    pub(crate) url: String,
    pub(crate) start: Option<Duration>,
}

impl Server {
    /// One that runs already.
    pub(crate) fn running(url: &str) -> Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let loopback =
            ["http://127.0.0.1:", "http://localhost:", "http://[::1]:"].iter().any(|prefix| url.starts_with(prefix));
        ensure!(loopback, "{url} is not on loopback: a load test is for a server of one's own");
        Ok(Self { child: None, _dir: None, url, start: None })
    }

    /// Starts `binary` on a fresh folder and waits until it is ready to run a script.
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, &[]).await
    }

    /// The same, with more arguments.
    pub(crate) async fn start_with(binary: &Path, more: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let begin = Instant::now();
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path()).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("can't start {}", binary.display()))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut server = Self { child: Some(child), _dir: Some(dir), url: String::new(), start: None };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.strip_prefix("listening on ").with_context(|| format!("the server did not start: {line:?}"))?;
        url.trim_end().clone_into(&mut server.url);

        let client = reqwest::Client::builder().no_proxy().build()?;
        while !client.get(format!("{}/ready", server.url)).send().await?.status().is_success() {
            ensure!(begin.elapsed() < Duration::from_secs(60), "not ready after a minute");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.start = Some(begin.elapsed());
        Ok(server)
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Its process id; unknown for one that was not started here.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its resident memory now, without its workers; unknown for one that was not started here.
    pub(crate) fn resident(&self) -> Option<u64> {
        self.child.as_ref().and_then(|child| resident_bytes(child.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Its data is temporary; a failure means that it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Resident memory of a process, from `/proc`.
pub(crate) fn resident_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib * 1024)
}
