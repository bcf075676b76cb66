"""The nested Landlock domain of one execution, and the other system calls that Python has no function for.

Executions of one profile share a user, so file modes can't keep them apart. Each execution enters a Landlock domain of its
own below the worker's: no file of a sibling's, no signal to a sibling, and (which every domain brings) no ptrace of, nor
`/proc/PID/mem` or `/proc/PID/environ` of, a process outside the domain. See landlock(7) and the kernel's
`Documentation/userspace-api/landlock.rst`.

What all executions have in common is opened once in the fork server (`Domain(...)`); the forked process only adds its own
folder and enters (`Domain.enter`). The ruleset itself is made anew each time: it is a kernel object that descriptors share,
so that a rule added by one execution would let in the next.
"""

import ctypes
import os
import stat

# System call numbers since Linux 5.0 are the same on every architecture that Airlock runs on.
_SYS_CREATE_RULESET = 444
_SYS_ADD_RULE = 445
_SYS_RESTRICT_SELF = 446

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REMOVE_DIR = 1 << 4
_REMOVE_FILE = 1 << 5
_MAKE_CHAR = 1 << 6
_MAKE_DIR = 1 << 7
_MAKE_REG = 1 << 8
_MAKE_SOCK = 1 << 9
_MAKE_FIFO = 1 << 10
_MAKE_BLOCK = 1 << 11
_MAKE_SYM = 1 << 12
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15

# How many of the access rights above, counted from bit 0, each ABI knows. Later ABIs know at least as many as the last.
_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_ABI_WITH_SCOPES = 6
_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
_SCOPE_SIGNAL = 1 << 1

_READ_ONLY = _EXECUTE | _READ_FILE | _READ_DIR
_DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE
# A tree of files, folders, links and pipes. Not devices, not sockets, and no running of programs that the script wrote.
_OWN_FOLDER = (
    _READ_FILE | _READ_DIR | _WRITE_FILE | _TRUNCATE | _REMOVE_DIR | _REMOVE_FILE
    | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO | _MAKE_SYM | _REFER
)
_RIGHTS_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]
_libc.fflush.argtypes = [ctypes.c_void_p]
_libc.prctl.restype = ctypes.c_int
_libc.prctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong]


class _RulesetAttr(ctypes.Structure):
    """`struct landlock_ruleset_attr`. Kernels that know fewer members accept the longer one while the rest is zero."""

    _fields_ = [("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneathAttr(ctypes.Structure):
    """`struct landlock_path_beneath_attr`, which the kernel defines as packed."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def _check(outcome, call):
    """`outcome` unless it is -1; then an OSError that names the call."""
    if outcome == -1:
        errno = ctypes.get_errno()
        raise OSError(errno, "%s: %s" % (call, os.strerror(errno)))
    return outcome


def abi_of_kernel():
    """The Landlock ABI version of the running kernel; 0 if it has none."""
    return max(0, _libc.syscall(_SYS_CREATE_RULESET, 0, None, _CREATE_RULESET_VERSION, 0))


def die_with_parent(signal):
    """The kernel sends this process `signal` when its parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def become_subreaper():
    """Orphans among this process's descendants become its children, not those of a process further up."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def _covering(paths, tmp_root):
    """The fewest folders and files in which all of `paths` lie, and `tmp_root` does not."""
    apart = _top(tmp_root)
    return sorted({path if _top(path) == apart else _top(path) for path in paths})


def _top(path):
    """The folder below `/` that the file of that name is in, wherever links lead."""
    return "/" + os.path.realpath(path).split("/")[1]


class Domain:
    """What every execution may reach, opened ahead: the shared part of the nested domain.

    `abi` is the Landlock ABI to use, 0 for no domain at all; `read_paths` are files and folders to read and execute, of
    which those that this user doesn't find are left out; `tmp_root` is the folder that executions have theirs in. Raises
    OSError when it runs out of descriptors or memory, ValueError when the kernel's ABI is older than `abi`.

    The worker's domain, above, has a rule for each path. This one has to keep executions apart, and each of its rules is paid
    for by each execution: so it takes whole top folders, but the one in which executions have theirs.
    """

    def __init__(self, abi, read_paths, tmp_root):
        self._rules = []
        self._ruleset = None
        if abi == 0:
            return
        if abi_of_kernel() < abi:
            raise ValueError("Landlock ABI %d was asked for, the kernel has %d" % (abi, abi_of_kernel()))
        handled = (1 << _RIGHTS_BY_ABI.get(abi, max(_RIGHTS_BY_ABI.values()))) - 1
        scopes = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if abi >= _ABI_WITH_SCOPES else 0
        self._ruleset = _RulesetAttr(handled, 0, scopes)
        for path in _covering(read_paths, tmp_root):
            self._open_rule(path, _READ_ONLY)
        for path in _covering(_DEVICES, tmp_root):
            self._open_rule(path, _DEVICE)

    def _open_rule(self, path, access):
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        self._rules.append(self._rule(descriptor, access))

    def _rule(self, descriptor, access):
        """The rule as the kernel takes it: rights that the ABI or the kind of file doesn't have are an error there."""
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _RIGHTS_OF_A_FILE
        return _PathBeneathAttr(access & self._ruleset.handled_access_fs, descriptor)

    def enter(self, folder):
        """Puts the calling process into a new domain: the shared rules, and `folder` to write in. There is no way back.

        Raises OSError naming the call that failed; the process is then not, or not fully, confined and must run nothing.
        """
        if self._ruleset is None:
            return
        own = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        size = ctypes.sizeof(self._ruleset)
        ruleset = _libc.syscall(_SYS_CREATE_RULESET, ctypes.addressof(self._ruleset), size, None, 0)
        _check(ruleset, "landlock_create_ruleset")
        for rule in self._rules + [self._rule(own, _OWN_FOLDER)]:
            added = _libc.syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.addressof(rule), 0)
            _check(added, "landlock_add_rule")
        _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
        _check(_libc.syscall(_SYS_RESTRICT_SELF, ruleset, None, None, 0), "landlock_restrict_self")
        os.close(ruleset)
        os.close(own)


def flush_c_streams():
    """Writes out what C code in this process left in its streams: the process ends without C's own clean-up."""
    _libc.fflush(None)
