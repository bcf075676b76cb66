//! Control groups, v1 and v2: the kernel's own limits of an execution as a whole, where Airlock may make such groups.
//!
//! ```text
//! the server's own group ─▶ airlock-worker-PID-N, one for each worker ─▶ execution-N, one for each process
//!                                                                     ─▶ guard (v2): guard, keeper, fork server
//! ```
//!
//! - [`place`]: where the server's own groups are, from `/proc/self/cgroup` and `/proc/self/mountinfo`;
//! - [`delegated`]: the server's side: makes a worker's folder, gives it to the worker's user, and removes it;
//! - [`group`]: the guard's side: a group for each process that it has forked.
//!
//! A process moves itself into its group right after the fork, by a descriptor that the guard opened (`python/process.py`): a move
//! takes the kernel some 10 ms, for which the guard must not stand still.
//!
//! Invariants:
//!
//! - **CG-1** Nothing is made, limited or removed outside the server's own groups, and there only what has Airlock's names.
//! - **CG-2** A script begins inside its group and under the group's limits, or not at all, where a worker has groups.
//! - **CG-3** A group goes with its execution, a worker's folder with the worker; what a killed server left is removed when the
//!   next worker starts.
//!
//! Sources: cgroups(7); the kernel's `admin-guide/cgroup-v2.rst` and `admin-guide/cgroup-v1/{cgroups,memory,pids}.rst`.

pub(crate) mod delegated;
pub(crate) mod group;
mod place;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

/// One mounted tree of groups, and a folder in it. As text, on the guard's command line: `v1:memory:/sys/fs/cgroup/memory/x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Version 2.
    pub unified: bool,
    /// Memory can be limited in it.
    pub memory: bool,
    /// Processes can be limited in it.
    pub pids: bool,
    /// A group of it.
    pub folder: PathBuf,
}

impl Hierarchy {
    /// The same tree at another folder.
    fn at(&self, folder: PathBuf) -> Self {
        Self { folder, ..self.clone() }
    }

    fn controllers(&self) -> &'static str {
        match (self.memory, self.pids) {
            (true, true) => "memory,pids",
            (true, false) => "memory",
            (false, true) => "pids",
            (false, false) => "",
        }
    }
}

impl fmt::Display for Hierarchy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.unified { "v2" } else { "v1" };
        write!(out, "{version}:{}:{}", self.controllers(), self.folder.display())
    }
}

impl FromStr for Hierarchy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let why = || format!("{text} is not VERSION:CONTROLLERS:FOLDER");
        let (version, rest) = text.split_once(':').ok_or_else(why)?;
        let (controllers, folder) = rest.split_once(':').ok_or_else(why)?;
        let has = |wanted| controllers.split(',').any(|one| one == wanted);
        let unified = match version {
            "v1" => false,
            "v2" => true,
            _ => return Err(why()),
        };
        Ok(Self { unified, memory: has("memory"), pids: has("pids"), folder: folder.into() })
    }
}

/// Writes to a file of a group. Never makes one: where there is none, the kernel has no such control.
fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Why a file of a group can't be used.
fn why(what: &str, path: &Path, error: &io::Error) -> String {
    format!("{} can't be {what}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_comes_back_from_its_text() {
        for (unified, memory, pids) in [(false, true, false), (false, false, true), (true, true, true)] {
            let hierarchy = Hierarchy { unified, memory, pids, folder: "/sys/fs/cgroup/a:b".into() };
            assert_eq!(hierarchy.to_string().parse(), Ok(hierarchy));
        }
        assert!("v3:memory:/x".parse::<Hierarchy>().is_err());
        assert!("v1:memory".parse::<Hierarchy>().is_err());
    }
}
