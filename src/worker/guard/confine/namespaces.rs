//! Namespaces (namespaces(7)): added where the kernel lets an ordinary user make them, which a plain container does not.
//!
//! Once for a worker, before its fork server starts: an execution pays nothing for them. What is done with the mount namespace
//! is in [`super::mounts`]. No PID namespace: ARCHITECTURE.md says why.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid, sethostname};

use super::layers::{Layer, NAMESPACES};

/// The host name that scripts see, so that it tells nothing.
const HOST_NAME: &str = "airlock";

/// Moves the calling process, which must have one thread, into namespaces of its own. In the new user namespace it has all
/// capabilities over what is in there: they are to be dropped next. An error: the process is half in, and must not go on.
pub(super) fn enter() -> Result<Layer, String> {
    let (user, group) = (geteuid(), getegid());
    // In the network namespace there is no way out: the guard, which is outside, makes the sockets of scripts.
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS;
    if let Err(error) = unshare(all) {
        return Ok(Layer::missing(NAMESPACES, format!("the kernel refuses them: {error}")));
    }
    let write = |file: &str, text: &str| {
        fs::write(file, text).map_err(|error: io::Error| format!("{file} can't be written: {error}"))
    };
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
    write("/proc/self/gid_map", &format!("{group} {group} 1"))?;
    sethostname(HOST_NAME).map_err(|error| format!("the host name can't be hidden: {error}"))?;
    Ok(Layer::active(NAMESPACES, "user, network, ipc, uts, cgroup, mount"))
}
