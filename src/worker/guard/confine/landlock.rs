//! Landlock: what everything below the guard may read, execute and write (landlock(7)), and that nothing below connects by
//! itself.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Compatible, LandlockStatus, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::layers::{LANDLOCK, Layer, SCOPES};

/// Newest ABI whose rights are asked for; of those, the kernel gives what it knows. Version 9's are about path-name Unix
/// sockets, which the filter refuses whole.
const ABI_ASKED_FOR: ABI = ABI::V7;

/// A path and why a script may read and execute what is there.
pub struct ReadRule {
    /// File or folder.
    pub path: &'static str,
    /// Who needs it.
    pub reason: &'static str,
}

/// What is readable wherever Airlock runs. The interpreter's own folders are added when they are known.
pub const READABLE: &[ReadRule] = &[
    ReadRule { path: "/usr", reason: "programs, shared libraries, the system's Python, time zones, certificates" },
    ReadRule { path: "/bin", reason: "programs, where it is no link into /usr" },
    ReadRule { path: "/lib", reason: "shared libraries, where it is no link into /usr" },
    ReadRule { path: "/lib32", reason: "the same" },
    ReadRule { path: "/lib64", reason: "the same, and the dynamic loader" },
    ReadRule { path: "/etc/ld.so.cache", reason: "the dynamic loader" },
    ReadRule { path: "/etc/ssl", reason: "certificate authorities" },
    ReadRule { path: "/etc/pki", reason: "certificate authorities on Fedora and its kin" },
    ReadRule { path: "/etc/ca-certificates", reason: "certificate authorities" },
    ReadRule { path: "/etc/resolv.conf", reason: "name resolution" },
    ReadRule { path: "/etc/hosts", reason: "name resolution" },
    ReadRule { path: "/etc/host.conf", reason: "name resolution" },
    ReadRule { path: "/etc/nsswitch.conf", reason: "name resolution" },
    ReadRule { path: "/etc/gai.conf", reason: "order of addresses" },
    ReadRule { path: "/etc/services", reason: "getservbyname" },
    ReadRule { path: "/etc/protocols", reason: "getprotobyname" },
    ReadRule { path: "/etc/localtime", reason: "local time, for a script that unsets TZ" },
    ReadRule { path: "/etc/mime.types", reason: "mimetypes fails where the file exists and can't be read" },
    ReadRule { path: "/etc/passwd", reason: "getpwuid, which pathlib and getpass call; holds no passwords" },
    ReadRule { path: "/etc/group", reason: "getgrgid" },
    ReadRule { path: "/proc/cpuinfo", reason: "numerical libraries choose their code by it" },
    ReadRule { path: "/proc/meminfo", reason: "libraries size their caches by it" },
    ReadRule { path: "/proc/stat", reason: "the number of processors" },
    ReadRule { path: "/sys/devices/system/cpu", reason: "the number of processors" },
];

/// Devices that give nothing away and keep nothing.
pub(super) const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

const READ_AND_EXECUTE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});
const USE_DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
/// No devices, no sockets, and no running of what the script itself wrote.
const OWN_TREE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | RemoveDir | RemoveFile | MakeDir | MakeReg | MakeFifo | MakeSym | Refer
});

/// The ABI of the running kernel, 0 without Landlock.
pub(crate) fn kernel_abi() -> u32 {
    const VERSION: libc::c_ulong = 1;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no pointer and makes nothing, it only returns a number.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, VERSION) };
    u32::try_from(abi).unwrap_or(0)
}

/// Of `paths`, those that are there. A path that can't be looked at is left out: it can't be opened later either.
pub(crate) fn existing<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<PathBuf> {
    paths.filter(|path| path.is_absolute() && *path != Path::new("/") && path.exists()).map(Path::to_path_buf).collect()
}

/// The first ABI that scopes signals and abstract Unix sockets.
const ABI_WITH_SCOPES: u32 = 6;

/// Puts the calling process, and so all that it starts, into the domain.
pub(super) fn restrict(read: &[PathBuf], write: &[PathBuf]) -> [Layer; 2] {
    let (why, abi) = match domain(read, write) {
        Ok(status) if status.ruleset != RulesetStatus::NotEnforced => {
            let kernel = match status.landlock {
                LandlockStatus::Available { kernel_abi: Some(abi), .. } => u32::try_from(abi).unwrap_or(0),
                _ => kernel_abi(),
            };
            return [Layer::active(LANDLOCK, format!("ABI {kernel}")), scopes(kernel)];
        }
        Ok(_) => ("the kernel has none or it is switched off".to_owned(), 0),
        Err(error) => (error.to_string(), 0),
    };
    [Layer::missing(LANDLOCK, why), scopes(abi)]
}

fn scopes(abi: u32) -> Layer {
    match abi {
        ABI_WITH_SCOPES.. => Layer::active(SCOPES, ""),
        _ => Layer::missing(SCOPES, format!("the kernel's Landlock has ABI {abi}, this needs {ABI_WITH_SCOPES}")),
    }
}

fn domain(read: &[PathBuf], write: &[PathBuf]) -> Result<RestrictionStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(landlock::CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_ASKED_FOR))?
        // No rule allows any: the guard, which is outside, connects.
        .handle_access(AccessNet::from_all(ABI_ASKED_FOR))?
        .scope(Scope::from_all(ABI_ASKED_FOR))?
        .create()?;
    for path in read {
        rules = allow(rules, path, READ_AND_EXECUTE)?;
    }
    for device in DEVICES {
        rules = allow(rules, Path::new(device), USE_DEVICE)?;
    }
    for path in write {
        rules = allow(rules, path, OWN_TREE)?;
    }
    rules.restrict_self()
}

fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    let Ok(opened) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI_ASKED_FOR) };
    rules.add_rule(PathBeneath::new(opened, access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_and_relative_paths_are_never_readable_as_a_whole() {
        let paths = ["/", "usr", "/usr", "/does/not/exist"].map(Path::new);
        assert_eq!(existing(paths.into_iter()), [PathBuf::from("/usr")]);
    }

    #[test]
    fn every_rule_has_a_reason_and_none_opens_secrets() {
        for rule in READABLE {
            assert!(!rule.reason.is_empty() && rule.path.starts_with('/'));
            for secret in ["/etc/shadow", "/root", "/home", "/proc/self", "/run", "/var"] {
                assert!(!Path::new(secret).starts_with(rule.path), "{} opens {secret}", rule.path);
            }
        }
    }
}
