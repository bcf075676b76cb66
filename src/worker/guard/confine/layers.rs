//! The layers of the sandbox, as data: what each is for, whether scripts may run without it, and what would turn it on.
//!
//! A layer below the floor keeps the server from starting, and a worker from getting ready. Any other is added where it can be
//! had. A layer that was there and can't be applied to one execution ends that execution (WK-4).

use airlock_actors::ports::SandboxLayer;
use serde::{Deserialize, Serialize};

/// What there is to know of a layer.
pub struct Spec {
    /// Its name, in `/ready` and in `airlock doctor`.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// No script runs without it, unless the server was told to.
    pub floor: bool,
    /// What would turn it on.
    pub turn_on: &'static str,
}

/// A user of its own for each worker.
pub const OWN_USER: &str = "own user";
/// No new privileges by set-uid programs.
pub const NO_NEW_PRIVS: &str = "no_new_privs";
/// None of root's powers.
pub const NO_CAPABILITIES: &str = "no capabilities";
/// Which files can be reached.
pub const LANDLOCK: &str = "landlock";
/// Signals stay inside.
pub const SCOPES: &str = "scoped signals";
/// Which system calls can be made.
pub const SECCOMP: &str = "seccomp";
/// The guard decides on connections.
pub const EGRESS: &str = "egress guard";
/// Limits of a process.
pub const RLIMITS: &str = "rlimits";
/// Limits of an execution.
pub const ACCOUNTING: &str = "accounting";
/// The kernel's limits of an execution.
pub const CGROUPS: &str = "control groups";
/// A user namespace, and those that need one.
pub const NAMESPACES: &str = "namespaces";

/// What is not theirs has no path.
pub const FILE_TREE: &str = "file tree";

/// Every layer, in the order in which they are shown.
pub const LAYERS: &[Spec] = &[
    Spec {
        name: OWN_USER,
        does: "each worker runs as a user that nobody else uses, so that the system's own checks keep workers apart",
        floor: false,
        turn_on: "start Airlock as root; in a container, without --user, and with the capabilities CHOWN, DAC_OVERRIDE, \
                  FOWNER, KILL, SETGID and SETUID, which Docker gives unless told otherwise",
    },
    Spec {
        name: NO_NEW_PRIVS,
        does: "no program that a script starts gets more rights than the script has",
        floor: true,
        turn_on: "Linux 3.5 or later",
    },
    Spec {
        name: NO_CAPABILITIES,
        does: "scripts have none of root's powers, whatever user they run as",
        floor: true,
        turn_on: "nothing switches it off: please report this",
    },
    Spec {
        name: LANDLOCK,
        does: "scripts read the interpreter and its packages and write in their own temporary folder, and reach no other file; \
               no ptrace, /proc/PID/mem or /proc/PID/environ of a process outside",
        floor: true,
        turn_on: "Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK, and `landlock` in the kernel's lsm= list",
    },
    Spec {
        name: SCOPES,
        does: "scripts signal no process outside their own execution, and connect to no abstract Unix socket",
        floor: false,
        turn_on: "Linux 6.12 or later (Landlock ABI 6)",
    },
    Spec {
        name: SECCOMP,
        does: "system calls that no script needs are refused: ptrace, mounts, namespaces, bpf, raw sockets, io_uring and others",
        floor: true,
        turn_on: "a kernel with CONFIG_SECCOMP_FILTER",
    },
    Spec {
        name: EGRESS,
        does: "the guard makes and connects the sockets of scripts and answers their DNS questions, so that they reach the hosts \
               that their profile allows and no other",
        floor: true,
        turn_on: "Linux 5.14 or later with CONFIG_SECCOMP_FILTER, and a container runtime that lets seccomp filters ask a \
                  supervisor (gVisor does not)",
    },
    Spec {
        name: RLIMITS,
        does: "memory, CPU time, open files, file sizes and the user's processes are limited by the kernel; no core files",
        floor: true,
        turn_on: "nothing switches it off: please report this",
    },
    Spec {
        name: ACCOUNTING,
        does: "the guard adds up memory, processor time, processes and temporary files of all of an execution's processes, and \
               ends it beyond its limits",
        floor: true,
        turn_on: "a /proc in which a worker's user sees its own processes",
    },
    Spec {
        name: CGROUPS,
        does: "memory and processes of an execution as a whole are limited by the kernel, with nothing to be had between two samples",
        floor: false,
        turn_on: "a server that can make control groups below its own: started as root outside of a container; as a systemd service \
                  with Delegate=yes; or in a container whose /sys/fs/cgroup can be written (Docker 28: --security-opt \
                  writable-cgroups=true; Podman: --security-opt unmask=/sys/fs/cgroup)",
    },
    Spec {
        name: NAMESPACES,
        does: "scripts have no network but the sockets that the guard makes outside, see no System V objects and no host name, \
               and are root nowhere: user, network, IPC, UTS, cgroup and mount namespaces of their worker's own",
        floor: false,
        turn_on: "a kernel and a container that let users make user namespaces: user.max_user_namespaces above 0, no \
                  kernel.apparmor_restrict_unprivileged_userns; Docker's default seccomp profile does not",
    },
    Spec {
        name: FILE_TREE,
        does: "scripts see a file tree of their worker's own: what they may read, read-only, and their temporary folder; of anything \
               else not even that it is there",
        floor: false,
        turn_on: "the same as for namespaces, and a container or AppArmor profile that lets their owner mount",
    },
];

/// What became of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which, as in [`LAYERS`].
    pub name: String,
    /// In force.
    pub active: bool,
    /// Its extent, such as `ABI 7`; or why it is not in force.
    pub detail: String,
}

impl Layer {
    /// In force.
    pub fn active(name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), active: true, detail: detail.into() }
    }

    /// Not in force, and why.
    pub fn missing(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), active: false, detail: why.into() }
    }

    /// True if no script may run without it and it is not in force.
    pub fn breaks_the_floor(&self) -> bool {
        !self.active && spec(&self.name).is_none_or(|spec| spec.floor)
    }
}

fn spec(name: &str) -> Option<&'static Spec> {
    LAYERS.iter().find(|spec| spec.name == name)
}

/// `layers` with all there is to know of each, in the order of the table. One that is in the table and not in `layers` is shown
/// as not in force.
pub(crate) fn described(layers: &[Layer]) -> Vec<SandboxLayer> {
    let shown = LAYERS.iter().map(|spec| {
        let found = layers.iter().find(|layer| layer.name == spec.name);
        SandboxLayer {
            name: spec.name.to_owned(),
            does: spec.does.to_owned(),
            floor: spec.floor,
            active: found.is_some_and(|layer| layer.active),
            detail: found.map_or_else(|| "not applied".to_owned(), |layer| layer.detail.clone()),
            turn_on: spec.turn_on.to_owned(),
        }
    });
    shown.collect()
}

/// Why a worker of these layers runs nothing, and what to do; `None` if it may.
pub fn refusal(layers: &[Layer]) -> Option<String> {
    let missing = layers.iter().filter(|layer| layer.breaks_the_floor());
    let missing = missing.map(|layer| {
        let turn_on = spec(&layer.name).map_or("", |spec| spec.turn_on);
        format!("{}: {} (needed: {turn_on})", layer.name, layer.detail)
    });
    let missing = missing.collect::<Vec<_>>();
    (!missing.is_empty()).then(|| {
        format!(
            "the sandbox is not complete here: {}. Repair that, or accept a weaker sandbox with --allow-degraded-sandbox; \
             `airlock doctor` shows every layer",
            missing.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_is_what_the_design_says() {
        let floor = LAYERS.iter().filter(|spec| spec.floor).map(|spec| spec.name).collect::<Vec<_>>();
        assert_eq!(floor, [NO_NEW_PRIVS, NO_CAPABILITIES, LANDLOCK, SECCOMP, EGRESS, RLIMITS, ACCOUNTING]);
        assert!(LAYERS.iter().all(|spec| !spec.does.is_empty() && !spec.turn_on.is_empty()));
    }

    #[test]
    fn a_refusal_names_what_is_missing_from_the_floor_and_nothing_else() {
        let fine = [Layer::active(LANDLOCK, "ABI 7"), Layer::missing(NAMESPACES, "refused")];
        assert_eq!(refusal(&fine), None);
        let why = refusal(&[Layer::missing(LANDLOCK, "the kernel has none"), Layer::missing(OWN_USER, "not root")]);
        let why = why.expect("refused");
        assert!(why.contains("the kernel has none") && why.contains("5.13") && !why.contains("not root"), "{why}");
        assert!(
            refusal(&[Layer::missing("unheard of", "?")]).is_some(),
            "an unknown layer is taken for one of the floor"
        );
    }

    #[test]
    fn a_layer_that_was_not_reported_is_shown_as_not_in_force() {
        let shown = described(&[Layer::active(SECCOMP, "80 denied")]);
        assert_eq!(shown.len(), LAYERS.len());
        let active = shown.iter().filter(|layer| layer.active).map(|layer| layer.name.as_str()).collect::<Vec<_>>();
        assert_eq!(active, [SECCOMP]);
    }
}
