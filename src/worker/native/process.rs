//! The child: from the fork to its first line of Python it becomes an execution's process, confined.

use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::ptr;

use super::linux::{self, errno};

/// The channel to the guard, in the child. Standard input is the fork server's, `/dev/null`.
const CHANNEL: c_int = 3;
const FIRST_OF_NOBODY: u32 = 4;
const RULE_PATH_BENEATH: c_long = 1;
const EXIT_WITHOUT_FORK_SERVER: c_int = 1;
/// Longest path of a folder, with the zero behind it.
pub(super) const PATH_BYTES: usize = 4096;

/// `struct landlock_path_beneath_attr`, which the kernel defines as packed.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub(super) struct Rule {
    access: u64,
    descriptor: c_int,
}

/// What all executions have in common, made by Python, whose `native.py` has the same structure.
#[repr(C)]
pub(super) struct Template {
    /// The socket to the guard.
    pub(super) control: c_int,
    fork_server: c_int,
    most_descriptors: u32,
    /// How to open a folder as a place: these flags differ between architectures.
    folder_flags: c_int,
    /// `struct landlock_ruleset_attr`; null for no domain.
    ruleset: *const c_void,
    ruleset_bytes: usize,
    /// The shared rules of the domain.
    rules: *const Rule,
    rule_count: usize,
    /// What an execution may do in its own folder.
    own_access: u64,
}

/// What the child's Python is told.
#[repr(C)]
pub(super) struct Born {
    /// The step that failed, a text of C; null if none did. Then the process is not confined and must run no script.
    pub(super) failed: *const c_char,
    pub(super) errno: c_int,
    /// Its temporary folder, a text of C.
    pub(super) folder: [u8; PATH_BYTES],
}

/// What it is given: `groups` are the `cgroup.procs` of its control groups.
pub(super) struct Given<'a> {
    pub(super) channel: c_int,
    pub(super) stdout: c_int,
    pub(super) stderr: c_int,
    pub(super) groups: &'a [c_int],
}

type Step = Result<(), (&'static CStr, c_int)>;

fn check(outcome: c_long, step: &'static CStr) -> Step {
    if outcome == -1 { Err((step, errno())) } else { Ok(()) }
}

/// Turns the calling process, fresh from the fork, into an execution's.
pub(super) fn become_execution(template: &Template, given: &Given<'_>, born: &mut Born) {
    if let Err((step, errno)) = try_become(template, given, &born.folder) {
        born.failed = step.as_ptr();
        born.errno = errno;
    }
}

fn try_become(template: &Template, given: &Given<'_>, folder: &[u8; PATH_BYTES]) -> Step {
    let folder = folder.as_ptr().cast::<c_char>();
    // SAFETY: plain system calls on descriptors that were received for this, and on a path that ends with a zero.
    unsafe {
        check(linux::prctl(linux::PR_SET_PDEATHSIG, linux::SIGKILL as c_long).into(), c"prctl(PR_SET_PDEATHSIG)")?;
        if linux::getppid() != template.fork_server {
            // It ended before that line.
            linux::_exit(EXIT_WITHOUT_FORK_SERVER);
        }
        check(linux::setsid().into(), c"setsid")?;
        // Before the script can start anything: what it starts and leaves stays below it, where the guard finds it.
        check(linux::prctl(linux::PR_SET_CHILD_SUBREAPER, 1 as c_long).into(), c"prctl(PR_SET_CHILD_SUBREAPER)")?;
        // Only the channel is kept from programs that the script starts.
        check(linux::dup2(given.stdout, 1).into(), c"dup2")?;
        check(linux::dup2(given.stderr, 2).into(), c"dup2")?;
        check(linux::dup3(given.channel, CHANNEL, linux::O_CLOEXEC).into(), c"dup3")?;
        for &group in given.groups {
            // Here, not in the guard: the kernel may take 10 ms for it.
            check(linux::write(group, b"0".as_ptr().cast(), 1) as c_long, c"a control group")?;
        }
        confine(template, folder)?;
        // Nothing of the fork server's stays open, whatever it held.
        linux::close_from(FIRST_OF_NOBODY, template.most_descriptors);
        check(linux::chdir(folder).into(), c"chdir")?;
        check(linux::setenv(c"HOME".as_ptr(), folder, 1).into(), c"setenv")?;
        check(linux::setenv(c"TMPDIR".as_ptr(), folder, 1).into(), c"setenv")?;
        // The fork server's own are blocked.
        let none = linux::SigSet::of(&[]);
        check(linux::sigprocmask(linux::SIG_SETMASK, &none, ptr::null_mut()).into(), c"sigprocmask")
    }
}

/// Puts the process into a Landlock domain of its own: the shared rules, and its folder to write in. There is no way back.
///
/// The ruleset is made anew each time: it is a kernel object that descriptors share, so that a rule added by one execution
/// would let in the next.
///
/// # Safety
/// What `template` points to is there, and `folder` ends with a zero.
unsafe fn confine(template: &Template, folder: *const c_char) -> Step {
    if template.ruleset.is_null() {
        return Ok(());
    }
    // SAFETY: as the function's; the kernel copies what it is given.
    unsafe {
        let own = linux::open(folder, template.folder_flags);
        check(own.into(), c"the temporary folder")?;
        let ruleset =
            linux::syscall(linux::SYS_LANDLOCK_CREATE_RULESET, template.ruleset, template.ruleset_bytes, 0 as c_long);
        check(ruleset, c"landlock_create_ruleset")?;
        let add = |rule: *const Rule| {
            let added = linux::syscall(linux::SYS_LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0 as c_long);
            check(added, c"landlock_add_rule")
        };
        for number in 0..template.rule_count {
            add(template.rules.add(number))?;
        }
        add(&Rule { access: template.own_access, descriptor: own })?;
        check(
            linux::prctl(linux::PR_SET_NO_NEW_PRIVS, 1 as c_long, 0 as c_long, 0 as c_long, 0 as c_long).into(),
            c"prctl(PR_SET_NO_NEW_PRIVS)",
        )?;
        check(linux::syscall(linux::SYS_LANDLOCK_RESTRICT_SELF, ruleset, 0 as c_long), c"landlock_restrict_self")
    }
}
