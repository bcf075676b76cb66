//! Capabilities (capabilities(7)): which of root's powers this process has, and giving them up for good.

use std::fs;

use nix::errno::Errno;

/// What it takes to give workers users of their own, and to end and clean up after them: CHOWN, DAC_OVERRIDE, FOWNER, KILL,
/// SETGID, SETUID. A container has them unless told otherwise (`--cap-drop ALL`).
const FOR_USERS: u64 = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7;

/// The highest number that a kernel may come to use: they are kept as 64 bits.
const LAST: libc::c_ulong = 63;

/// True when this process can run workers as other users.
pub(crate) fn may_manage_users() -> bool {
    effective().is_some_and(|has| has & FOR_USERS == FOR_USERS)
}

fn effective() -> Option<u64> {
    in_status(&fs::read_to_string("/proc/self/status").ok()?, "CapEff:")
}

fn in_status(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// Gives up all capabilities of the calling thread, and with `no_new_privs` for all that it starts: also as root, whom a new
/// program would otherwise give them back.
pub(crate) fn drop_all() -> Result<(), Errno> {
    for capability in 0..=LAST {
        // Refused without SETPCAP, and unknown above the kernel's last: what counts is looked at below.
        // SAFETY: plain system call without pointers.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
    // SAFETY: as above.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let none = [0u32; 6];
    // SAFETY: a `__user_cap_header_struct` for this thread, and two `__user_cap_data_struct`, both of which outlive the call.
    let set = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    Errno::result(set)?;
    match fs::read_to_string("/proc/thread-self/status").ok().map(|status| {
        let left = |field| in_status(&status, field);
        [left("CapInh:"), left("CapPrm:"), left("CapEff:"), left("CapAmb:")]
    }) {
        Some(left) if left.iter().all(|set| *set == Some(0)) => Ok(()),
        _ => Err(Errno::EPERM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_read_as_hexadecimal_and_what_is_missing_is_no_capability() {
        let status = "Name:\tx\nCapEff:\t00000000a80425fb\n";
        assert_eq!(in_status(status, "CapEff:"), Some(0xa804_25fb));
        assert_eq!(in_status(status, "CapPrm:"), None);
        // What Docker gives root is enough, and one bit less is not.
        assert_eq!(0xa804_25fb & FOR_USERS, FOR_USERS);
        assert_ne!(0xa804_25fb & !(1 << 7) & FOR_USERS, FOR_USERS);
    }

    #[test]
    fn a_thread_that_gave_them_up_has_none_left() {
        std::thread::spawn(|| {
            drop_all().expect("anyone may give up what is theirs");
            let status = fs::read_to_string("/proc/thread-self/status").expect("there is one");
            assert_eq!(in_status(&status, "CapPrm:"), Some(0));
        })
        .join()
        .expect("no panic");
    }
}
