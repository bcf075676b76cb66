//! The system calls that are refused below a guard, or left to it, with a reason each.
//!
//! Calls that a C library or an interpreter tries and does without get "not there" (ENOSYS), so that it takes its older way, or
//! "not supported" (EOPNOTSUPP); all others get "not permitted" (EPERM), which Python shows as PermissionError.

use libc::{c_int, c_long};

use crate::worker::guard::egress::own_files::SYS_FCHMODAT2;

/// Position of an argument, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument(pub u8);

/// A condition on one argument, taken as the 32 bits that the kernel looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    /// Equal.
    Is(Argument, u64),
    /// Different.
    IsNot(Argument, u64),
    /// The bits of `mask` are exactly `value`.
    Masked {
        /// Which argument.
        argument: Argument,
        /// Which of its bits.
        mask: u64,
        /// What they are.
        value: u64,
    },
    /// A pointer, all its 64 bits, that is not null.
    PointerIsNotNull(Argument),
}

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// EPERM.
    NotPermitted,
    /// ENOSYS.
    NotThere,
    /// EOPNOTSUPP.
    NotSupported,
    /// Success, though nothing was done.
    Done,
    /// What the guard says, once it has looked at it (`guard/egress`).
    AskGuard,
    /// Leave to go on if the guard says so, who counts (`guard/egress/starting.rs`); always where it can't be asked.
    AskGuardToStart,
}

/// A call that is refused when all of `when` holds; always, if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Number of the system call.
    pub call: c_long,
    /// Conditions.
    pub when: Vec<Test>,
    /// What the caller is told.
    pub answer: Answer,
    /// What could be done with it.
    pub reason: &'static str,
}

// Newer than the C library's table.
const SYS_SETXATTRAT: c_long = 463;
const SYS_REMOVEXATTRAT: c_long = 466;

/// Calls refused whatever their arguments.
const REFUSED: &[(&str, &[c_long])] = &[
    (
        "reads or steers another process",
        &[
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_kcmp,
            libc::SYS_pidfd_getfd,
            libc::SYS_process_madvise,
            libc::SYS_process_mrelease,
            libc::SYS_migrate_pages,
            libc::SYS_move_pages,
        ],
    ),
    (
        "changes what the file system looks like",
        &[
            libc::SYS_mount,
            libc::SYS_umount2,
            libc::SYS_pivot_root,
            libc::SYS_chroot,
            libc::SYS_move_mount,
            libc::SYS_open_tree,
            libc::SYS_fsopen,
            libc::SYS_fsconfig,
            libc::SYS_fsmount,
            libc::SYS_fspick,
            libc::SYS_mount_setattr,
        ],
    ),
    (
        "enters or makes namespaces, in which a process is root and reaches more of the kernel",
        &[libc::SYS_unshare, libc::SYS_setns],
    ),
    (
        "large, often broken parts of the kernel that no script needs",
        &[
            libc::SYS_bpf,
            libc::SYS_perf_event_open,
            libc::SYS_userfaultfd,
            libc::SYS_memfd_secret,
            libc::SYS_fanotify_init,
            libc::SYS_fanotify_mark,
            libc::SYS_lookup_dcookie,
        ],
    ),
    (
        "kernel keys outlive an execution and are shared by a user's processes",
        &[libc::SYS_keyctl, libc::SYS_add_key, libc::SYS_request_key],
    ),
    (
        "System V and POSIX queues and memory outlive an execution and are shared by a user's processes",
        &[
            libc::SYS_shmget,
            libc::SYS_shmat,
            libc::SYS_shmctl,
            libc::SYS_shmdt,
            libc::SYS_semget,
            libc::SYS_semop,
            libc::SYS_semctl,
            libc::SYS_semtimedop,
            libc::SYS_msgget,
            libc::SYS_msgsnd,
            libc::SYS_msgrcv,
            libc::SYS_msgctl,
            libc::SYS_mq_open,
            libc::SYS_mq_unlink,
        ],
    ),
    ("a filter of a script's own could answer its other processes in place of the guard", &[libc::SYS_seccomp]),
    (
        "a script is nobody's server: it would be reached past the guard, and listening alone takes a port",
        &[libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4],
    ),
    (
        "opens files by number, past every check on their path",
        &[libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at],
    ),
    (
        "is the administrator's",
        &[
            libc::SYS_quotactl,
            libc::SYS_quotactl_fd,
            libc::SYS_swapon,
            libc::SYS_swapoff,
            libc::SYS_reboot,
            libc::SYS_kexec_load,
            libc::SYS_init_module,
            libc::SYS_finit_module,
            libc::SYS_delete_module,
            libc::SYS_settimeofday,
            libc::SYS_clock_settime,
            libc::SYS_clock_adjtime,
            libc::SYS_adjtimex,
            libc::SYS_acct,
            libc::SYS_syslog,
            libc::SYS_sethostname,
            libc::SYS_setdomainname,
            libc::SYS_vhangup,
            libc::SYS_nfsservctl,
        ],
    ),
];

/// The same for calls that only x86-64 has.
#[cfg(target_arch = "x86_64")]
const REFUSED_ON_X86_64: &[(&str, &[c_long])] = &[
    ("is the administrator's", &[libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_uselib]),
    ("reaches 16-bit code in the kernel", &[libc::SYS_modify_ldt]),
    ("obsolete", &[libc::SYS_ustat, libc::SYS_sysfs]),
];

/// Calls that are as if they were not there.
const ABSENT: &[(&str, &[c_long])] = &[
    (
        "does file and network calls that no filter sees",
        &[libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register],
    ),
    ("makes files that are on no disk: memory that no limit of a process counts", &[libc::SYS_memfd_create]),
    #[cfg(target_arch = "x86_64")]
    ("changes a file's times, as utimensat does", &[libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat]),
    ("takes its flags in memory, where no filter sees them; libraries go on with clone", &[libc::SYS_clone3]),
    ("takes its mode in memory, where no filter sees it; libraries go on with openat", &[libc::SYS_openat2]),
];

/// Calls that are as if the file system did not have what they are about: programs that copy files go on without.
const UNSUPPORTED: &[(&str, &[c_long])] = &[(
    "writes attributes of files, which Landlock does not govern",
    &[
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        SYS_SETXATTRAT,
        SYS_REMOVEXATTRAT,
    ],
)];

/// Calls that the guard answers, whatever their arguments; all others of their rules are refused before.
const ASKED: &[(&str, &[c_long])] = &[
    ("makes the socket, so that the guard has a duplicate of it to connect", &[libc::SYS_socket]),
    ("names a host: the guard decides on its own copy of the address, and connects", &[libc::SYS_connect]),
    ("names an address of this machine: only the one that changes nothing is let through", &[libc::SYS_bind]),
    (
        "asks for addresses, which a pair in the place of a datagram socket does not have: the guard tells them",
        &[libc::SYS_getsockname, libc::SYS_getpeername],
    ),
    (
        "changes a file's mode or times, which Landlock does not govern: the guard does it, for the execution's own files",
        &[libc::SYS_fchmod, libc::SYS_fchmodat, SYS_FCHMODAT2, libc::SYS_utimensat],
    ),
    #[cfg(target_arch = "x86_64")]
    ("the same", &[libc::SYS_chmod]),
];

/// What starts processes and threads; clone3 is as if it was not there.
#[cfg(target_arch = "x86_64")]
const STARTING: &[c_long] = &[libc::SYS_clone, libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const STARTING: &[c_long] = &[libc::SYS_clone];

/// Every rule.
pub fn all() -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut refuse = |call: c_long, when: Vec<Test>, reason| {
        rules.push(Rule { call, when, answer: Answer::NotPermitted, reason });
    };
    for (reason, calls) in REFUSED {
        calls.iter().for_each(|&call| refuse(call, vec![], reason));
    }
    #[cfg(target_arch = "x86_64")]
    for (reason, calls) in REFUSED_ON_X86_64 {
        calls.iter().for_each(|&call| refuse(call, vec![], reason));
    }
    new_processes(&mut refuse);
    sockets(&mut refuse);
    special_modes(&mut refuse);
    other_processes(&mut refuse);
    own_process(&mut refuse);
    for (reason, calls) in ABSENT {
        rules.extend(calls.iter().map(|&call| Rule { call, when: vec![], answer: Answer::NotThere, reason }));
    }
    for (reason, calls) in UNSUPPORTED {
        rules.extend(calls.iter().map(|&call| Rule { call, when: vec![], answer: Answer::NotSupported, reason }));
    }
    for (reason, calls) in ASKED {
        rules.extend(calls.iter().map(|&call| Rule { call, when: vec![], answer: Answer::AskGuard, reason }));
    }
    for &call in STARTING {
        const REASON: &str =
            "starts a process or thread, of which an execution may have so many: the kernel counts by user alone";
        rules.push(Rule { call, when: vec![], answer: Answer::AskGuardToStart, reason: REASON });
    }
    for (level, option) in [(libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)] {
        rules.push(Rule {
            call: libc::SYS_setsockopt,
            when: vec![Test::Is(Argument(1), value(level)), Test::Is(Argument(2), value(option))],
            answer: Answer::Done,
            reason: "a C library insists on it before it asks a name server; what it asks through is a pair, which has no such errors",
        });
    }
    for (call, reason) in [
        (
            libc::SYS_sendto,
            "names a host: a question to a name server, or refused. sendmsg(2) can't: it would send to a pair",
        ),
        (libc::SYS_recvfrom, "asks from which address a datagram came, as resolvers do"),
    ] {
        rules.push(Rule { call, when: vec![Test::PointerIsNotNull(Argument(4))], answer: Answer::AskGuard, reason });
    }
    rules
}

fn value(constant: c_int) -> u64 {
    u64::from(constant.cast_unsigned())
}

fn bit(argument: Argument, bit: u64) -> Test {
    Test::Masked { argument, mask: bit, value: bit }
}

fn new_processes(refuse: &mut impl FnMut(c_long, Vec<Test>, &'static str)) {
    let flags = Argument(0);
    for namespace in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        refuse(libc::SYS_clone, vec![bit(flags, value(namespace))], "makes namespaces");
    }
    refuse(
        libc::SYS_clone,
        vec![bit(flags, value(libc::CLONE_PARENT))],
        "gives the child to the fork server, where the guard would not find it at the execution's end",
    );
    refuse(libc::SYS_clone, vec![bit(flags, value(libc::CLONE_PTRACE))], "hands the child to a tracer");
}

fn sockets(refuse: &mut impl FnMut(c_long, Vec<Test>, &'static str)) {
    let (domain, kind, protocol) = (Argument(0), Argument(1), Argument(2));
    refuse(
        libc::SYS_socket,
        vec![Test::IsNot(domain, value(libc::AF_INET)), Test::IsNot(domain, value(libc::AF_INET6))],
        "only internet sockets: Unix, netlink, packet, vsock, Bluetooth and the rest reach services and the kernel",
    );
    const KIND_BITS: u64 = 0xf;
    for other in (0..=KIND_BITS).filter(|&kind| kind != value(libc::SOCK_STREAM) && kind != value(libc::SOCK_DGRAM)) {
        refuse(
            libc::SYS_socket,
            vec![Test::Masked { argument: kind, mask: KIND_BITS, value: other }],
            "only streams and datagrams: raw sockets forge packets",
        );
    }
    refuse(
        libc::SYS_socket,
        vec![
            Test::IsNot(protocol, 0),
            Test::IsNot(protocol, value(libc::IPPROTO_TCP)),
            Test::IsNot(protocol, value(libc::IPPROTO_UDP)),
        ],
        "only TCP and UDP: not ICMP, SCTP, MPTCP",
    );
    refuse(
        libc::SYS_socketpair,
        vec![Test::IsNot(domain, value(libc::AF_UNIX))],
        "only the pairs that asyncio and subprocess use",
    );
    for other in (0..=KIND_BITS).filter(|&kind| kind != value(libc::SOCK_STREAM) && kind != value(libc::SOCK_SEQPACKET))
    {
        refuse(
            libc::SYS_socketpair,
            vec![Test::Masked { argument: kind, mask: KIND_BITS, value: other }],
            "a Unix datagram socket sends to any path: Docker's, the log's",
        );
    }
    for (call, flags) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        refuse(call, vec![bit(Argument(flags), value(libc::MSG_FASTOPEN))], "connects while it sends, past the guard");
    }
    socket_options(refuse);
}

fn socket_options(refuse: &mut impl FnMut(c_long, Vec<Test>, &'static str)) {
    const FAST_OPEN: &str = "connects, or listens, while it sends, past the guard";
    const PROGRAMS: &str = "runs the script's filter programs in the kernel";
    for (level, option, reason) in [
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN, FAST_OPEN),
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, FAST_OPEN),
        (libc::IPPROTO_TCP, libc::TCP_ULP, "loads protocols into the kernel"),
        (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, PROGRAMS),
        (libc::SOL_SOCKET, libc::SO_ATTACH_BPF, PROGRAMS),
        (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF, PROGRAMS),
        (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_EBPF, PROGRAMS),
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE, "sends past the machine's routes"),
        (libc::IPPROTO_IP, libc::IP_OPTIONS, "gives a route of its own, past the address that was decided on"),
        (libc::IPPROTO_IPV6, libc::IPV6_RTHDR, "gives a route of its own, past the address that was decided on"),
        (libc::IPPROTO_IPV6, libc::IPV6_ADDRFORM, "turns a socket into one of another family"),
    ] {
        let named = vec![Test::Is(Argument(1), value(level)), Test::Is(Argument(2), value(option))];
        refuse(libc::SYS_setsockopt, named, reason);
    }
}

/// Set-uid and set-gid files of the worker's user would let others become it.
fn special_modes(refuse: &mut impl FnMut(c_long, Vec<Test>, &'static str)) {
    const REASON: &str = "makes set-uid or set-gid files";
    for special in [libc::S_ISUID, libc::S_ISGID].map(u64::from) {
        refuse(libc::SYS_fchmod, vec![bit(Argument(1), special)], REASON);
        refuse(libc::SYS_fchmodat, vec![bit(Argument(2), special)], REASON);
        refuse(SYS_FCHMODAT2, vec![bit(Argument(2), special)], REASON);
        // The mode counts only when a file is made.
        let unnamed = value(libc::O_TMPFILE & !libc::O_DIRECTORY);
        for making in [value(libc::O_CREAT), unnamed] {
            refuse(libc::SYS_openat, vec![bit(Argument(2), making), bit(Argument(3), special)], REASON);
            #[cfg(target_arch = "x86_64")]
            refuse(libc::SYS_open, vec![bit(Argument(1), making), bit(Argument(2), special)], REASON);
        }
        #[cfg(target_arch = "x86_64")]
        {
            refuse(libc::SYS_chmod, vec![bit(Argument(1), special)], REASON);
            refuse(libc::SYS_creat, vec![bit(Argument(1), special)], REASON);
        }
    }
}

fn other_processes(refuse: &mut impl FnMut(c_long, Vec<Test>, &'static str)) {
    const REASON: &str = "changes another process; 0 names the caller";
    let first = Argument(0);
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
    ] {
        refuse(call, vec![Test::IsNot(first, 0)], REASON);
    }
    for call in [libc::SYS_setpriority, libc::SYS_ioprio_set] {
        refuse(call, vec![Test::IsNot(Argument(1), 0)], REASON);
    }
    refuse(libc::SYS_setpriority, vec![Test::Is(first, value(2))], "changes every process of the user, the guard too");
    refuse(libc::SYS_ioprio_set, vec![Test::Is(first, 3)], "changes every process of the user, the guard too");
    refuse(
        libc::SYS_kill,
        vec![Test::Is(first, u64::from(u32::MAX))],
        "signals every process of the user where Landlock does not scope signals",
    );
}

fn own_process(refuse: &mut impl FnMut(c_long, Vec<Test>, &'static str)) {
    let (first, second) = (Argument(0), Argument(1));
    const QUERY: u64 = 0xffff_ffff;
    refuse(
        libc::SYS_personality,
        vec![Test::IsNot(first, QUERY), Test::IsNot(first, 0)],
        "switches off address randomisation and the like; asking, and the default, are allowed",
    );
    // Setting it is harmless: orphans below a script's own subreaper become the guard's when that one is killed.
    refuse(
        libc::SYS_prctl,
        vec![Test::Is(first, value(libc::PR_SET_CHILD_SUBREAPER)), Test::Is(second, 0)],
        "sends orphans to the guard while their execution lives, which is how it tells them from dead ones'",
    );
    refuse(
        libc::SYS_prctl,
        vec![Test::Is(first, value(libc::PR_SET_PTRACER))],
        "lets another process read this one's memory",
    );
    refuse(
        libc::SYS_prctl,
        vec![Test::Is(first, value(libc::PR_SET_SECCOMP))],
        "a filter of a script's own could answer its other processes in place of the guard",
    );
    let processes = u64::from(libc::RLIMIT_NPROC);
    const NPROC: &str = "the guard raises this limit when executions are added, so the hard one leaves room";
    refuse(
        libc::SYS_prlimit64,
        vec![Test::Is(first, 0), Test::Is(second, processes), Test::PointerIsNotNull(Argument(2))],
        NPROC,
    );
    refuse(libc::SYS_setrlimit, vec![Test::Is(first, processes)], NPROC);
    for (request, reason) in [
        (libc::TIOCSTI, "types into a terminal"),
        (libc::TIOCLINUX, "pastes into a console"),
        (libc::TIOCSETD, "loads line disciplines, old parts of the kernel"),
    ] {
        refuse(libc::SYS_ioctl, vec![Test::Is(second, request & 0xffff_ffff)], reason);
    }
    // mkfifo, which is harmless, makes its pipe by the same calls.
    for kind in [libc::S_IFCHR, libc::S_IFBLK, libc::S_IFSOCK].map(u64::from) {
        let made = |argument| vec![Test::Masked { argument, mask: u64::from(libc::S_IFMT), value: kind }];
        refuse(libc::SYS_mknodat, made(Argument(2)), "makes device files and sockets");
        #[cfg(target_arch = "x86_64")]
        refuse(libc::SYS_mknod, made(second), "makes device files and sockets");
    }
    for special in [libc::S_ISUID, libc::S_ISGID].map(u64::from) {
        refuse(libc::SYS_mknodat, vec![bit(Argument(2), special)], "makes set-uid or set-gid files");
        #[cfg(target_arch = "x86_64")]
        refuse(libc::SYS_mknod, vec![bit(second, special)], "makes set-uid or set-gid files");
    }
}
