//! The floor that the machine sets: bare Python, imports done, fork, run, exit, wait.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::server::resident_bytes;

/// One Python process that forks as often as it is told to.
pub(crate) struct Floor {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Floor {
    /// Starts it and waits until its imports are done.
    pub(crate) fn start(python: &str, script: &str) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-I", "-c", include_str!("floor.py"), script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("can't start {python}"))?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut floor = Self { child, stdin, stdout };
        floor.line()?;
        Ok(floor)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.stdout.read_line(&mut line)? > 0, "the floor's Python ended");
        Ok(line)
    }

    /// Forks `count` times, one after the other; returns how long each took.
    pub(crate) fn run(&mut self, count: u32) -> Result<Vec<Duration>> {
        writeln!(self.stdin, "{count}")?;
        let nanoseconds: Vec<u64> = serde_json::from_str(&self.line()?)?;
        Ok(nanoseconds.into_iter().map(Duration::from_nanos).collect())
    }

    /// The Python that forks.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it holds resident: the imports.
    pub(crate) fn resident(&self) -> Option<u64> {
        resident_bytes(self.child.id())
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It has nothing to lose; a failure means that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Forks `count` times in each process, all at once; returns the forks a second of all together.
pub(crate) fn rate(floors: &mut [Floor], count: u32) -> Result<f64> {
    let start = Instant::now();
    let runs: Vec<Result<Vec<Duration>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = floors.iter_mut().map(|floor| scope.spawn(move || floor.run(count))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a floor panicked"))))
            .collect()
    });
    let mut forks = 0;
    for run in runs {
        forks += run?.len();
    }
    Ok(forks as f64 / start.elapsed().as_secs_f64())
}
