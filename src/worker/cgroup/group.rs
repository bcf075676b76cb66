//! The guard's side: a group for each process that it has forked.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use airlock_actors::domain::RunLimits;

use super::delegated::GUARD;
use super::{Hierarchy, why, write};

/// Files that count what became of memory are short.
const MOST_BYTES: usize = 1024;

/// A group of version 1 that had this little left was at its limit: memory is given out in parts of up to a huge page, and accounted
/// for in batches.
const CLOSE_TO_LIMIT: u64 = 4 << 20;

/// Where this worker's groups are made.
#[derive(Debug)]
pub(crate) struct Groups(Vec<Hierarchy>);

impl Groups {
    /// Checks `given`, from the command line, by making and limiting a group. Says why that can't be done.
    pub(crate) fn new(given: &[Hierarchy]) -> Result<Self, String> {
        if let Some(unified) = given.iter().find(|one| one.unified) {
            let name = unified.folder.file_name().unwrap_or_default();
            let meant = format!("/{}/{GUARD}", name.to_string_lossy());
            let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
            if !own.lines().any(|line| line.starts_with("0::") && line.ends_with(&meant)) {
                return Err("the guard could not be moved into the group that is meant for it".to_owned());
            }
        }
        let groups = Self(given.to_vec());
        let (trial, _) = groups.make("trial")?;
        let limited = trial.limit(&RunLimits::DEFAULT, 0);
        let removed = trial.remove().then_some(()).ok_or_else(|| "a group can't be removed".to_owned());
        limited.and(removed).map(|()| groups)
    }

    /// What is limited, for people.
    pub(crate) fn summary(&self) -> String {
        let version = if self.0.iter().any(|one| one.unified) { "v2" } else { "v1" };
        let pids = if self.0.iter().any(|one| one.pids) { " and processes" } else { "" };
        let swap = if holds_memory(&self.0) { "" } else { " (but not what is swapped out)" };
        format!("{version}: memory{swap}{pids}")
    }

    /// Makes a group, and the descriptors by which a process moves itself into it: each takes a 0.
    pub(crate) fn make(&self, name: &str) -> Result<(Group, Vec<OwnedFd>), String> {
        let mut group = Group { parts: Vec::new(), events: None, holds_memory: false };
        let made = group.fill(&self.0, name);
        if made.is_err() {
            group.remove();
        }
        made.map(|entries| (group, entries))
    }
}

/// The group of one execution: a folder in each tree.
#[derive(Debug)]
pub(crate) struct Group {
    parts: Vec<Hierarchy>,
    /// The file that counts kills for want of memory.
    events: Option<File>,
    holds_memory: bool,
}

impl Group {
    fn fill(&mut self, hierarchies: &[Hierarchy], name: &str) -> Result<Vec<OwnedFd>, String> {
        let mut entries = Vec::new();
        for hierarchy in hierarchies {
            let part = hierarchy.at(hierarchy.folder.join(name));
            fs::create_dir(&part.folder).map_err(|error| why("made", &part.folder, &error))?;
            let entry = part.folder.join("cgroup.procs");
            let events = part.folder.join(if part.unified { "memory.events" } else { "memory.oom_control" });
            let counts = part.memory;
            self.parts.push(part);
            let opened = OpenOptions::new().write(true).open(&entry).map_err(|error| why("opened", &entry, &error))?;
            entries.push(opened.into());
            if counts {
                self.events = Some(File::open(&events).map_err(|error| why("opened", &events, &error))?);
            }
        }
        self.holds_memory = holds_memory(&self.parts);
        Ok(entries)
    }

    /// Limits it, with `on_top` of the limit of memory in bytes.
    pub(crate) fn limit(&self, limits: &RunLimits, on_top: u64) -> Result<(), String> {
        for part in &self.parts {
            let set = |name: &str, value: &str| {
                let path = part.folder.join(name);
                write(&path, value).map_err(|error| why("written", &path, &error))
            };
            let memory = limits.memory_bytes.saturating_add(on_top).to_string();
            if part.memory && part.unified {
                set("memory.oom.group", "1")?;
                set("memory.max", &memory)?;
            } else if part.memory {
                set("memory.limit_in_bytes", &memory)?;
            }
            // Kernels without swap, or told not to count it, have no such file. With the limit of memory set before: it must
            // not be above that of both.
            if part.memory && part.folder.join(swap_limit(part)).exists() {
                set(swap_limit(part), if part.unified { "0" } else { &memory })?;
            }
            if part.pids {
                set("pids.max", &limits.processes.to_string())?;
            }
        }
        Ok(())
    }

    /// Whether the kernel has killed a process of it for want of memory, be it the group's or the machine's; `None` where groups
    /// don't count that.
    pub(crate) fn killed_for_memory(&self) -> Option<bool> {
        self.events.is_some().then(|| counted(&self.events_text(), "oom_kill") > 0)
    }

    fn events_text(&self) -> String {
        let mut buffer = [0; MOST_BYTES];
        let count = self.events.as_ref().and_then(|events| events.read_at(&mut buffer, 0).ok()).unwrap_or(0);
        String::from_utf8_lossy(buffer.get(..count).unwrap_or_default()).into_owned()
    }

    /// True once the kernel has killed a process of it because the group was at its own limit of memory. What can't be read is no
    /// kill.
    pub(crate) fn out_of_memory(&self) -> bool {
        let text = self.events_text();
        if counted(&text, "oom_kill") == 0 {
            return false;
        }
        // A kill for want of memory anywhere above is counted, too: only with a limit reached it was this one.
        self.parts.iter().filter(|part| part.memory).any(|part| match part.unified {
            true => counted(&text, "oom") > 0,
            // Not by memory.failcnt: kernels were seen to leave it at 0.
            false => {
                let read = |name: &str| {
                    let text = fs::read_to_string(part.folder.join(name)).ok()?;
                    text.trim().parse::<u64>().ok()
                };
                let most = read("memory.max_usage_in_bytes").zip(read("memory.limit_in_bytes"));
                most.is_some_and(|(most, limit)| most.saturating_add(CLOSE_TO_LIMIT) >= limit)
            }
        })
    }

    /// True if nothing that it takes escapes its limit of memory: swap is counted, too.
    pub(crate) fn holds_memory(&self) -> bool {
        self.holds_memory
    }

    /// Removes it; false while something is still in it.
    pub(crate) fn remove(&self) -> bool {
        let stays = |part: &&Hierarchy| {
            fs::remove_dir(&part.folder).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
        };
        // Tries each, also if one can't be.
        self.parts.iter().filter(stays).count() == 0
    }
}

fn holds_memory(parts: &[Hierarchy]) -> bool {
    parts.iter().any(|part| part.memory && part.folder.join(swap_limit(part)).exists())
}

fn swap_limit(part: &Hierarchy) -> &'static str {
    if part.unified { "memory.swap.max" } else { "memory.memsw.limit_in_bytes" }
}

/// The number after `name` in lines of a name and a number each.
fn counted(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A folder with the files that the kernel would make in a group.
    fn group(unified: bool, files: &[(&str, &str)]) -> (tempfile::TempDir, Group) {
        let home = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            fs::write(home.path().join(name), text).expect("written");
        }
        let part = Hierarchy { unified, memory: true, pids: true, folder: home.path().into() };
        let name = if unified { "memory.events" } else { "memory.oom_control" };
        let group = Group {
            parts: vec![part],
            events: Some(File::open(home.path().join(name)).expect("is there")),
            holds_memory: false,
        };
        (home, group)
    }

    fn read(home: &tempfile::TempDir, name: &str) -> String {
        fs::read_to_string(home.path().join(name)).expect("is there")
    }

    const LIMITS: RunLimits = RunLimits { memory_bytes: 1000, processes: 7, ..RunLimits::DEFAULT };

    #[test]
    fn version_two_is_limited_without_swap_and_killed_as_a_whole() {
        let files =
            ["memory.events", "memory.max", "memory.swap.max", "memory.oom.group", "pids.max"].map(|name| (name, ""));
        let (home, group) = group(true, &files);
        group.limit(&LIMITS, 24).expect("limited");
        let written = ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max"].map(|name| read(&home, name));
        assert_eq!(written, ["1024", "0", "1", "7"]);
    }

    #[test]
    fn version_one_is_limited_with_swap_where_that_is_counted() {
        let plain = [("memory.oom_control", ""), ("memory.limit_in_bytes", ""), ("pids.max", "")];
        let (home, first) = group(false, &plain);
        first.limit(&LIMITS, 24).expect("limited");
        assert_eq!(read(&home, "memory.limit_in_bytes"), "1024");
        let (home, second) = group(false, &[plain.as_slice(), &[("memory.memsw.limit_in_bytes", "")]].concat());
        second.limit(&LIMITS, 24).expect("limited");
        assert_eq!(read(&home, "memory.memsw.limit_in_bytes"), "1024");
    }

    #[test]
    fn a_limit_that_can_not_be_set_is_told() {
        let (_home, group) = group(true, &[("memory.events", ""), ("memory.oom.group", ""), ("memory.max", "")]);
        let why = group.limit(&LIMITS, 0).expect_err("no pids.max");
        assert!(why.contains("pids.max"), "{why}");
    }

    #[test]
    fn only_a_kill_at_its_own_limit_is_told_of() {
        for (events, told) in [
            ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 3\noom_group_kill 1\n", true),
            ("low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\n", false),
            // Something above it was at its limit.
            ("low 0\nhigh 0\nmax 0\noom 0\noom_kill 3\noom_group_kill 1\n", false),
            ("", false),
        ] {
            let (_home, group) = group(true, &[("memory.events", events)]);
            assert_eq!(group.out_of_memory(), told, "{events}");
            assert_eq!(group.killed_for_memory(), Some(events.contains("oom_kill 3")), "{events}");
        }
        let limit = 100_u64 << 20;
        for (kills, most, told) in [
            (1, limit, true),
            (1, limit - CLOSE_TO_LIMIT, true),
            (1, limit - CLOSE_TO_LIMIT - 1, false),
            (0, limit, false),
        ] {
            let (most, limit) = (most.to_string(), limit.to_string());
            let control = format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n");
            let files = [
                ("memory.oom_control", control.as_str()),
                ("memory.max_usage_in_bytes", most.as_str()),
                ("memory.limit_in_bytes", limit.as_str()),
            ];
            assert_eq!(group(false, &files).1.out_of_memory(), told, "{files:?}");
        }
    }

    #[test]
    fn what_can_not_be_used_is_refused_at_the_start_and_leaves_nothing() {
        let home = tempfile::tempdir().expect("a folder");
        let given = |unified| Hierarchy { unified, memory: true, pids: true, folder: home.path().into() };
        // No files of the kernel's: a plain folder limits nothing.
        let why = Groups::new(&[given(false)]).expect_err("refused");
        assert!(why.contains("cgroup.procs"), "{why}");
        assert_eq!(fs::read_dir(home.path()).expect("is there").count(), 0);
        // Not in the group that is meant for the guard.
        assert!(Groups::new(&[given(true)]).expect_err("refused").contains("moved"));
        let nowhere = Hierarchy { folder: PathBuf::from("/nowhere"), ..given(false) };
        assert!(Groups::new(&[nowhere]).expect_err("refused").contains("/nowhere"));
    }
}
