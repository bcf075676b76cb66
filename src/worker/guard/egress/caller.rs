//! What a call that waits is about: the caller's memory and descriptors, read through `/proc`.
//!
//! A thread beside the caller may change both at any time. So each is read once, and only what was read is decided on and
//! acted on (EG-5).

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;

use nix::errno::Errno;

use super::notify::{Call, Listener};

/// Longest socket address (`sockaddr_storage`), in bytes.
const MAX_ADDRESS_BYTES: usize = 128;
/// Of `/proc/PID/status`, to behind the parent's number: the name before it has at most 64 bytes, each as four when escaped.
const STATUS_HEAD_BYTES: usize = 1024;

/// `count` bytes at `address` in the caller's memory.
pub(super) fn memory(listener: &Listener, call: &Call, address: u64, count: usize) -> Result<Vec<u8>, Errno> {
    // A caller that is not dumpable, or gone, can't be read: then the call fails.
    let memory = File::open(format!("/proc/{}/mem", call.thread)).map_err(|_| Errno::EPERM)?;
    if !listener.still_waits(call.id) {
        return Err(Errno::EPERM);
    }
    let mut bytes = vec![0; count];
    memory.read_exact_at(&mut bytes, address).map_err(|_| Errno::EFAULT)?;
    Ok(bytes)
}

/// The text at `address` in the caller's memory, up to its NUL, of fewer than `most` bytes.
pub(super) fn text(listener: &Listener, call: &Call, address: u64, most: usize) -> Result<Vec<u8>, Errno> {
    let memory = File::open(format!("/proc/{}/mem", call.thread)).map_err(|_| Errno::EPERM)?;
    if !listener.still_waits(call.id) {
        return Err(Errno::EPERM);
    }
    let mut bytes = vec![0; most];
    let mut count = 0;
    // What is mapped may end behind the text.
    while let Some(rest) = bytes.get_mut(count..).filter(|rest| !rest.is_empty()) {
        let at = address.checked_add(count as u64).ok_or(Errno::EFAULT)?;
        let read = memory.read_at(rest, at).unwrap_or_default();
        let end = rest.get(..read).and_then(|read| read.iter().position(|&byte| byte == 0));
        if let Some(end) = end {
            bytes.truncate(count + end);
            return Ok(bytes);
        }
        if read == 0 {
            return Err(Errno::EFAULT);
        }
        count += read;
    }
    Err(Errno::ENAMETOOLONG)
}

/// Writes to the caller's memory: each text at its address.
pub(super) fn write(listener: &Listener, call: &Call, texts: &[(u64, &[u8])]) -> Result<(), Errno> {
    let memory = OpenOptions::new().write(true).open(format!("/proc/{}/mem", call.thread)).map_err(|_| Errno::EPERM)?;
    if !listener.still_waits(call.id) {
        return Err(Errno::EPERM);
    }
    for (address, text) in texts {
        memory.write_all_at(text, *address).map_err(|_| Errno::EFAULT)?;
    }
    Ok(())
}

/// The socket address that two arguments, pointer and length, describe.
pub(super) fn address(listener: &Listener, call: &Call, pointer: usize) -> Result<Vec<u8>, Errno> {
    let length = usize::try_from(call.int(pointer + 1)).map_err(|_| Errno::EINVAL)?;
    if length > MAX_ADDRESS_BYTES {
        return Err(Errno::EINVAL);
    }
    memory(listener, call, call.argument(pointer), length)
}

/// The inode of the socket that the caller has as `descriptor`.
pub(super) fn socket(call: &Call, descriptor: i32) -> Result<u64, Errno> {
    let link = fs::read_link(format!("/proc/{}/fd/{descriptor}", call.thread)).map_err(|_| Errno::EBADF)?;
    inode(link.as_os_str().as_encoded_bytes()).ok_or(Errno::ENOTSOCK)
}

/// Of a link such as `socket:[4711]`.
fn inode(link: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The inodes of every socket that the processes have. What can't be looked at is left out.
pub(super) fn sockets_of(processes: impl Iterator<Item = i32>) -> std::collections::HashSet<u64> {
    let folders = processes.filter_map(|process| fs::read_dir(format!("/proc/{process}/fd")).ok());
    let links = folders.flatten().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter_map(|link| inode(link.as_os_str().as_encoded_bytes())).collect()
}

/// The process that a thread belongs to, and that one's parent.
pub(super) fn process_and_parent(thread: i32) -> Option<(i32, i32)> {
    // Both fields are among the first, and the kernel makes the rest anew for each read.
    let mut head = [0; STATUS_HEAD_BYTES];
    let count = File::open(format!("/proc/{thread}/status")).ok()?.read(&mut head).ok()?;
    let status = String::from_utf8_lossy(head.get(..count)?);
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some((field("Tgid:")?, field("PPid:")?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn the_link_of_a_socket_gives_its_inode_and_others_none() {
        assert_eq!(inode(b"socket:[4711]"), Some(4711));
        for other in [&b"pipe:[1]"[..], b"/etc/passwd", b"socket:[x]", b"socket:[1", b"socket:[99999999999999999999]"] {
            assert_eq!(inode(other), None);
        }
    }

    #[test]
    fn sockets_of_this_process_are_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
        let own = std::process::id().cast_signed();
        let number = socket.as_raw_fd();
        let expected = fs::metadata(format!("/proc/self/fd/{number}")).expect("is there").ino();
        assert!(sockets_of([own].into_iter()).contains(&expected));
        let (process, parent) = process_and_parent(own).expect("is there");
        assert_eq!((process, parent), (own, nix::unistd::getppid().as_raw()));
    }
}
