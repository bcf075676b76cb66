//! The server's side: a folder of groups for each worker.
//!
//! Each folder is locked while its server lives. So what a dead server left is told from what another one uses, whatever becomes of
//! process ids.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Hierarchy, place, why, write};

/// Names of workers' folders begin so.
const WORKER: &str = "airlock-worker-";
/// And that of the group into which the server moves (v2).
const SERVER: &str = "airlock-server-";
/// The group of guard, keeper and fork server in a worker's folder (v2).
pub(super) const GUARD: &str = "guard";
/// How often another name is tried, and a removal.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// What a worker may make groups in. Removed when dropped, with all that is inside.
#[derive(Debug)]
pub(crate) struct Delegated {
    parts: Vec<(Hierarchy, File)>,
    entry: Option<File>,
}

impl Delegated {
    /// Makes folders for a worker of `user` (of the server's user, if `None`). Says why that can't be done here. Touches
    /// files, and may wait for what a killed server left: not for a runtime's thread.
    pub(crate) fn make(user: Option<u32>) -> Result<Self, String> {
        static OWN: OnceLock<Result<Vec<Hierarchy>, String>> = OnceLock::new();
        let own = OWN.get_or_init(own_groups).as_ref().map_err(Clone::clone)?;
        let mut made = Self { parts: Vec::new(), entry: None };
        for hierarchy in own {
            remove_leftovers(&hierarchy.folder);
            let (folder, lock) = locked_folder(&hierarchy.folder)?;
            made.parts.push((hierarchy.at(folder.clone()), lock));
            if hierarchy.unified {
                made.entry = Some(divide(hierarchy, &folder, user)?);
            }
            give(&folder, user)?;
        }
        Ok(made)
    }

    /// The worker's folders.
    pub(crate) fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        self.parts.iter().map(|(hierarchy, _)| hierarchy)
    }

    /// Where the guard has to write a 0 before it forks, to be in the group that is meant for it (v2). The kernel goes by who opened
    /// it.
    pub(crate) fn entry(&self) -> Option<&File> {
        self.entry.as_ref()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for (hierarchy, _lock) in &self.parts {
            remove_with_all(&hierarchy.folder);
        }
    }
}

/// The server's own groups, ready to be divided.
fn own_groups() -> Result<Vec<Hierarchy>, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| why("read", Path::new(path), &error));
    let mut own = place::find(&read("/proc/self/cgroup")?, &read("/proc/self/mountinfo")?)?;
    for hierarchy in own.iter_mut().filter(|hierarchy| hierarchy.unified) {
        enable(hierarchy)?;
    }
    Ok(own)
}

/// Has the kernel limit memory and, if it can, processes in the groups below `own` (v2). A group that has processes of its own can't be
/// divided, so the server moves into one below it; where others are in it too, there is nothing to be done.
fn enable(own: &mut Hierarchy) -> Result<(), String> {
    let offered = words(&own.folder.join("cgroup.controllers"))?;
    if !offered.iter().any(|word| word == "memory") {
        return Err(format!("{} is offered no controller of memory", own.folder.display()));
    }
    own.pids = offered.iter().any(|word| word == "pids");
    let Err(error) = enable_below(own, &own.folder) else { return Ok(()) };
    if error.raw_os_error() != Some(libc::EBUSY) {
        return Err(why("divided", &own.folder, &error));
    }
    let leaf = own.folder.join(format!("{SERVER}{}", std::process::id()));
    make_folder(&leaf).map_err(|error| why("made", &leaf, &error))?;
    let moved = write(&leaf.join("cgroup.procs"), "0").and_then(|()| enable_below(own, &own.folder));
    moved.map_err(|error| {
        let _ = write(&own.folder.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&leaf);
        format!("{}: other processes are in Airlock's own control group", why("divided", &own.folder, &error))
    })
}

fn enable_below(hierarchy: &Hierarchy, folder: &Path) -> io::Result<()> {
    let controllers = if hierarchy.pids { "+memory +pids" } else { "+memory" };
    write(&folder.join("cgroup.subtree_control"), controllers)
}

/// Prepares a worker's folder of version 2, in which the guard has a group of its own. Returns the way into that.
fn divide(hierarchy: &Hierarchy, folder: &Path, user: Option<u32>) -> Result<File, String> {
    enable_below(hierarchy, folder).map_err(|error| why("divided", folder, &error))?;
    let guard = folder.join(GUARD);
    make_folder(&guard).map_err(|error| why("made", &guard, &error))?;
    // To move a process from one group below the folder into another takes the right to write here.
    give(&folder.join("cgroup.procs"), user)?;
    let entry = guard.join("cgroup.procs");
    OpenOptions::new().write(true).open(&entry).map_err(|error| why("opened", &entry, &error))
}

/// To make groups in a folder takes no more than to own it; its limits stay the server's.
fn give(path: &Path, user: Option<u32>) -> Result<(), String> {
    let Some(user) = user else { return Ok(()) };
    chown(path, Some(user), Some(user)).map_err(|error| why("given to the worker's user", path, &error))
}

/// A new folder, and the lock on it.
fn locked_folder(parent: &Path) -> Result<(PathBuf, File), String> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    for _ in 0..TRIES {
        let folder = parent.join(format!("{WORKER}{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed)));
        match make_folder(&folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(why("made", &folder, &error)),
        }
        // Until it is locked, another server may take it for something left, and remove it.
        if let Ok(lock) = File::open(&folder)
            && lock.try_lock().is_ok()
            && folder.exists()
        {
            return Ok((folder, lock));
        }
        let _ = fs::remove_dir(&folder);
    }
    Err(format!("no folder in {} can be locked", parent.display()))
}

/// Whatever the umask, a worker's user has to walk through.
fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

/// Removes what servers left that were killed.
fn remove_leftovers(own: &Path) {
    for folder in folders(own) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(WORKER) && File::open(&folder).is_ok_and(|lock| lock.try_lock().is_ok()) {
            remove_with_all(&folder);
        } else if name.starts_with(SERVER) {
            // The kernel refuses to remove one that a process is in.
            let _ = fs::remove_dir(&folder);
        }
    }
}

/// Removes `folder` with the groups and processes in it.
fn remove_with_all(folder: &Path) {
    for _ in 0..TRIES {
        match remove(folder) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => kill_inside(folder),
        }
        // They end a moment after the signal.
        std::thread::sleep(BETWEEN_TRIES);
    }
    tracing::warn!(path = %folder.display(), "a worker's control groups stay");
}

/// A folder of groups goes by rmdir alone: its files can't be removed, and go with it.
fn remove(folder: &Path) -> io::Result<()> {
    for inside in folders(folder) {
        remove(&inside)?;
    }
    fs::remove_dir(folder)
}

fn kill_inside(folder: &Path) {
    for inside in folders(folder) {
        kill_inside(&inside);
    }
    let own = std::process::id();
    // Those outside of this PID namespace are shown as 0, which kill(2) takes for something else.
    let processes = words(&folder.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.iter().filter_map(|word| word.parse::<u32>().ok()).filter(|&pid| pid > 1 && pid != own) {
        if let Ok(pid) = i32::try_from(pid) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

fn words(path: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(path).map_err(|error| why("read", path, &error))?;
    Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(offered: &str) -> (tempfile::TempDir, Hierarchy) {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("cgroup.controllers"), offered).expect("written");
        fs::write(home.path().join("cgroup.subtree_control"), "").expect("written");
        let own = Hierarchy { unified: true, memory: true, pids: true, folder: home.path().into() };
        (home, own)
    }

    fn enabled(home: &tempfile::TempDir) -> String {
        fs::read_to_string(home.path().join("cgroup.subtree_control")).expect("is there")
    }

    #[test]
    fn the_controllers_that_version_two_offers_are_switched_on() {
        let (home, mut own) = tree("cpuset cpu io memory pids\n");
        enable(&mut own).expect("enabled");
        assert_eq!((enabled(&home).as_str(), own.pids), ("+memory +pids", true));
        let (home, mut own) = tree("memory\n");
        enable(&mut own).expect("enabled");
        assert_eq!((enabled(&home).as_str(), own.pids), ("+memory", false));
        let (home, mut own) = tree("cpu pids\n");
        assert!(enable(&mut own).expect_err("no memory").contains("no controller of memory"));
        assert_eq!(enabled(&home), "");
    }

    #[test]
    fn what_lives_is_left_alone_and_what_is_dead_is_removed() {
        let home = tempfile::tempdir().expect("a folder");
        let (living, lock) = locked_folder(home.path()).expect("made");
        let (dead, dropped) = locked_folder(home.path()).expect("made");
        fs::create_dir(dead.join("execution-1")).expect("made");
        drop(dropped);
        let foreign = home.path().join("somebody-elses");
        fs::create_dir(&foreign).expect("made");
        let server = home.path().join(format!("{SERVER}1"));
        fs::create_dir(&server).expect("made");
        remove_leftovers(home.path());
        assert!(living.exists() && foreign.exists() && !dead.exists() && !server.exists());
        drop(lock);
        remove_leftovers(home.path());
        assert!(!living.exists());
    }
}
