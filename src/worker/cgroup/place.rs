//! Where this process's own groups are.

use std::path::{Path, PathBuf};

use super::Hierarchy;

/// The trees in which memory, and with it processes, can be limited, each at the group that the process of these texts is in.
/// `cgroups`: its `/proc/PID/cgroup`; `mounts`: its `/proc/PID/mountinfo`. Never empty. Of version 2 only what the texts say: which
/// controllers it offers is for whoever reads the folder.
pub(super) fn find(cgroups: &str, mounts: &str) -> Result<Vec<Hierarchy>, String> {
    let mounts = mounts.lines().filter_map(Mount::parse).collect::<Vec<_>>();
    let own = cgroups.lines().filter_map(Own::parse).collect::<Vec<_>>();
    let mut found: Vec<Hierarchy> = Vec::new();
    for own in own.iter().filter(|own| own.has("memory") || own.has("pids")) {
        let (memory, pids) = (own.has("memory"), own.has("pids"));
        let mounted =
            mounts.iter().filter(|mount| mount.kind == "cgroup" && own.controllers.iter().any(|c| mount.has(c)));
        if let Some(folder) = mounted.filter_map(|mount| mount.folder_of(own.path)).next() {
            found.push(Hierarchy { unified: false, memory, pids, folder });
        }
    }
    if found.iter().any(|hierarchy| hierarchy.memory) {
        return Ok(found);
    }
    // Where version 1 has the controller of memory and hides it, version 2 has none: the folder's own files say so.
    let unified = own.iter().find(|own| own.controllers.is_empty() && own.id == "0");
    let unified = unified.ok_or("the kernel has no control groups that limit memory, or they are not mounted here")?;
    let mut mounted = mounts.iter().filter(|mount| mount.kind == "cgroup2").peekable();
    if mounted.peek().is_none() {
        return Err("no control groups that limit memory are mounted here".to_owned());
    }
    let folder = mounted.filter_map(|mount| mount.folder_of(unified.path)).next();
    let folder = folder.ok_or("Airlock's own control group is outside of what is mounted here")?;
    Ok(vec![Hierarchy { unified: true, memory: true, pids: true, folder }])
}

/// A line of `/proc/PID/cgroup`: `ID:CONTROLLERS:PATH`.
struct Own<'a> {
    id: &'a str,
    controllers: Vec<&'a str>,
    path: &'a str,
}

impl<'a> Own<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let controllers = controllers.split(',').filter(|name| !name.is_empty()).collect();
        Some(Self { id, controllers, path })
    }

    fn has(&self, controller: &str) -> bool {
        self.controllers.contains(&controller)
    }
}

/// A line of `/proc/PID/mountinfo`, proc(5): `ID PARENT DEVICE ROOT MOUNT_POINT OPTIONS [FIELDS] - TYPE SOURCE OPTIONS`.
struct Mount<'a> {
    kind: &'a str,
    root: PathBuf,
    mount_point: PathBuf,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, mount_point) = (unescaped(place.next()?), unescaped(place.next()?));
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        Some(Self { kind, root: root.into(), mount_point: mount_point.into(), options })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }

    /// Where the group `path` is below this mount, if it is. One that a namespace shows as `/..` is outside of it.
    fn folder_of(&self, path: &str) -> Option<PathBuf> {
        let inside = Path::new(path).strip_prefix(&self.root).ok()?;
        let outside = inside.components().any(|part| part == std::path::Component::ParentDir);
        (!outside).then(|| self.mount_point.components().chain(inside.components()).collect())
    }
}

/// Blanks and backslashes are written in octal.
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v1(memory: bool, pids: bool, folder: &str) -> Hierarchy {
        Hierarchy { unified: false, memory, pids, folder: folder.into() }
    }

    const V1_MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime shared:7 - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
";
    const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_one_is_found_in_each_tree_also_beside_an_empty_version_two() {
        let own = "9:name=systemd:/x\n8:pids:/\n4:memory:/units/air lock\n0::/\n";
        let wanted = [v1(false, true, "/sys/fs/cgroup/pids"), v1(true, false, "/sys/fs/cgroup/memory/units/air lock")];
        assert_eq!(find(own, V1_MOUNTS).expect("found"), wanted);
        assert_eq!(find(own, &[V1_MOUNTS, UNIFIED].concat()).expect("found"), wanted);
    }

    #[test]
    fn two_controllers_in_one_tree_are_one_hierarchy() {
        let mounts = "35 31 0:32 / /cg/both rw - cgroup cgroup rw,memory,pids\n";
        assert_eq!(find("4:memory,pids:/a\n", mounts).expect("found"), [v1(true, true, "/cg/both/a")]);
    }

    #[test]
    fn in_a_container_the_mounts_root_is_taken_off() {
        let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let found = find("4:memory:/docker/abc\n", mounts).expect("found");
        assert_eq!(found, [v1(true, false, "/sys/fs/cgroup/memory")]);
        let found = find("4:memory:/docker/abc/d\n", mounts).expect("found");
        assert_eq!(found, [v1(true, false, "/sys/fs/cgroup/memory/d")]);
        // A sibling whose name only begins like it.
        assert!(find("4:memory:/docker/abcd\n", mounts).is_err());
    }

    #[test]
    fn version_two_is_found_where_version_one_limits_no_memory() {
        let mounts = "41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let wanted = [Hierarchy {
            unified: true,
            memory: true,
            pids: true,
            folder: "/sys/fs/cgroup/system.slice/a.service".into(),
        }];
        assert_eq!(find("0::/system.slice/a.service\n", mounts).expect("found"), wanted);
        let hybrid = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n";
        let found = find("1:name=systemd:/x\n0::/system.slice/a.service\n", &[hybrid, mounts].concat());
        assert_eq!(found.expect("found"), wanted);
    }

    #[test]
    fn what_is_not_mounted_or_outside_says_so() {
        let mounts = "41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert!(find("0::/../other\n", mounts).expect_err("outside").contains("outside"));
        assert!(find("0::/\n", "").expect_err("not mounted").contains("mounted"));
        assert!(find("", mounts).expect_err("no group").contains("no control groups"));
        assert!(find("0::/\nnonsense\n::\n", "nonsense - \n").is_err());
    }

    #[test]
    fn blanks_in_mount_points_are_read() {
        let mounts = "35 31 0:32 / /my\\040groups rw - cgroup cgroup rw,memory\n";
        assert_eq!(find("4:memory:/\n", mounts).expect("found"), [v1(true, false, "/my groups")]);
    }
}
