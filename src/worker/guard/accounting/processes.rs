//! The processes of an execution, from `/proc` (proc(5)).

use std::collections::HashMap;
use std::fs;
use std::sync::OnceLock;

use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::worker::guard::descendants;

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) pid: Pid,
    /// Its processor time and that of the children it has waited for, in milliseconds.
    pub(super) cpu_ms: u64,
    /// Of that, the children's.
    pub(super) waited_for_ms: u64,
    pub(super) threads: u64,
    /// Memory that it has in its page tables, shared or not, in bytes.
    pub(super) resident: u64,
    /// Addresses that it has mapped, in bytes.
    pub(super) mapped: u64,
}

/// A process and all that it started.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) samples: Vec<Sample>,
}

impl Tree {
    /// `root` and what is below it. Stops beyond `most_tasks` processes and threads: a bomb goes off faster than it can be
    /// counted.
    pub(super) fn below(root: Pid, most_tasks: u64) -> Self {
        let mut found = vec![root];
        let mut samples = Vec::<Sample>::new();
        let (mut next, mut tasks) = (0, 0);
        while let Some(&pid) = found.get(next) {
            next += 1;
            if tasks > most_tasks {
                break;
            }
            if let Some(sample) = fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(|stat| read(pid, &stat))
            {
                tasks += sample.threads;
                samples.push(sample);
            }
            found.extend(descendants::children(pid));
        }
        Self { samples }
    }
}

/// The fields of `/proc/PID/stat`, counted from the state, which follows the name in parentheses.
fn read(pid: Pid, stat: &str) -> Option<Sample> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields = rest.split_ascii_whitespace().collect::<Vec<_>>();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
    let [user, system, waited_user, waited_system] = [number(11)?, number(12)?, number(13)?, number(14)?];
    let waited_for_ms = ticks_to_ms(waited_user.saturating_add(waited_system));
    Some(Sample {
        pid,
        cpu_ms: ticks_to_ms(user.saturating_add(system)).saturating_add(waited_for_ms),
        waited_for_ms,
        threads: number(17)?,
        mapped: number(20)?,
        resident: number(21)?.saturating_mul(page_bytes()),
    })
}

fn ticks_to_ms(ticks: u64) -> u64 {
    ticks.saturating_mul(1000) / constant(&TICKS, SysconfVar::CLK_TCK, 100)
}

fn page_bytes() -> u64 {
    constant(&PAGE, SysconfVar::PAGE_SIZE, 4096)
}

static TICKS: OnceLock<u64> = OnceLock::new();
static PAGE: OnceLock<u64> = OnceLock::new();

fn constant(cell: &OnceLock<u64>, name: SysconfVar, usual: u64) -> u64 {
    *cell.get_or_init(|| {
        let value = sysconf(name).ok().flatten().and_then(|value| u64::try_from(value).ok());
        value.filter(|&value| value > 0).unwrap_or(usual)
    })
}

/// Memory of one process, in bytes: its own, its share of what it shares (proportional set size), and what is swapped out.
///
/// `shared`, if it is asked for: takes the whole size of each shared mapping that is no file's, by its inode, and these are
/// left out of the sum. Their pages are there whether anybody has them in a page table or not.
pub(super) fn memory(pid: Pid, shared: Option<&mut HashMap<(String, String), u64>>) -> u64 {
    match shared {
        None => fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_or(0, |text| of_fields(&text)),
        Some(shared) => {
            let Ok(text) = fs::read_to_string(format!("/proc/{pid}/smaps")) else { return 0 };
            apart(&text, shared)
        }
    }
}

/// `Pss` and `SwapPss` of a mapping or of all.
fn of_fields(text: &str) -> u64 {
    text.lines().filter_map(|line| kib_of(line, "Pss:").or_else(|| kib_of(line, "SwapPss:"))).sum()
}

fn kib_of(line: &str, field: &str) -> Option<u64> {
    let kib: u64 = line.strip_prefix(field)?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.saturating_mul(1024))
}

fn apart(smaps: &str, shared: &mut HashMap<(String, String), u64>) -> u64 {
    let mut own = 0u64;
    let mut in_shared = false;
    for line in smaps.lines() {
        if let Some(mapping) = mapping(line) {
            in_shared = mapping.is_shared_memory;
            if in_shared {
                // Two mappings of one object are counted as the larger of them: neither is beyond its size.
                let size = shared.entry(mapping.object).or_insert(0);
                *size = (*size).max(mapping.bytes);
            }
        } else if !in_shared {
            own = own.saturating_add(kib_of(line, "Pss:").or_else(|| kib_of(line, "SwapPss:")).unwrap_or(0));
        }
    }
    own
}

struct Mapping {
    is_shared_memory: bool,
    object: (String, String),
    bytes: u64,
}

/// The first line of a mapping: `FROM-TO rw-s OFFSET MAJ:MIN INODE NAME`. `None` for the fields below it.
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).ok());
    let (rights, _, device, inode) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let name = words.next().unwrap_or_default();
    // Shared memory without a name in a file system: anonymous (`/dev/zero (deleted)`), memfd, System V.
    let anonymous = ["/dev/zero", "/memfd:", "/SYSV", ""].iter().any(|start| match *start {
        "" => name.is_empty(),
        start => name.starts_with(start),
    });
    Some(Mapping {
        is_shared_memory: rights.ends_with('s') && anonymous,
        object: (device.to_owned(), inode.to_owned()),
        bytes: to?.saturating_sub(from?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_process_are_found_behind_any_name() {
        let stat =
            "7 (a) b) (c) S 1 7 7 0 -1 4194304 9 9 9 9 150 50 30 20 20 0 3 0 99 4096000 25 18446744073709551615 1 1";
        let sample = read(Pid::from_raw(7), stat).expect("is one");
        assert_eq!((sample.cpu_ms, sample.waited_for_ms, sample.threads), (2500, 500, 3));
        assert_eq!((sample.mapped, sample.resident), (4_096_000, 25 * page_bytes()));
        assert_eq!(read(Pid::from_raw(7), "7 (x"), None);
    }

    #[test]
    fn this_process_is_a_tree_of_its_own() {
        let tree = Tree::below(nix::unistd::getpid(), u64::MAX);
        let own = tree.samples.first().expect("is there");
        assert!(own.resident > 1 << 20 && own.mapped >= own.resident && own.threads >= 1, "{own:?}");
        assert!(memory(own.pid, None) > 1 << 20);
    }

    #[test]
    fn shared_memory_counts_whole_and_once_and_files_do_not() {
        let smaps = "\
7f0000000000-7f0010000000 rw-s 00000000 00:01 77 /dev/zero (deleted)
Size:             262144 kB
Pss:                   4 kB
SwapPss:               0 kB
7f0020000000-7f0030000000 r--s 00000000 08:01 5 /usr/lib/locale/x
Pss:                   8 kB
55aa00000000-55aa00001000 rw-p 00000000 00:00 0 [heap]
Pss:                  16 kB
SwapPss:               2 kB
VmFlags: rd wr mr mw me ac
";
        let mut shared = HashMap::new();
        assert_eq!(apart(smaps, &mut shared), 26 * 1024);
        assert_eq!(apart(smaps, &mut shared), 26 * 1024);
        assert_eq!(shared.into_values().collect::<Vec<_>>(), [0x1000_0000]);
    }
}
