"""The nested Landlock domain of one execution: its rules, opened ahead in the fork server.

Executions of one profile share a user, so file modes can't keep them apart. Each execution enters a Landlock domain of its
own below the worker's: no file of a sibling's, no signal to a sibling, and (which every domain brings) no ptrace of, nor
`/proc/PID/mem` or `/proc/PID/environ` of, a process outside the domain. See landlock(7) and the kernel's
`Documentation/userspace-api/landlock.rst`. What enters it is `native/process.rs`.
"""

import ctypes
import os
import stat

# System call numbers since Linux 5.0 are the same on every architecture that Airlock runs on.
_SYS_CREATE_RULESET = 444
_CREATE_RULESET_VERSION = 1

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

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]


class RulesetAttr(ctypes.Structure):
    """`struct landlock_ruleset_attr`. Kernels that know fewer members accept the longer one while the rest is zero."""

    _fields_ = [("handled_access_fs", ctypes.c_uint64), ("handled_access_net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class PathBeneathAttr(ctypes.Structure):
    """`struct landlock_path_beneath_attr`, which the kernel defines as packed."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32)]


def abi_of_kernel():
    """The Landlock ABI version of the running kernel; 0 if it has none."""
    return max(0, _libc.syscall(_SYS_CREATE_RULESET, 0, None, _CREATE_RULESET_VERSION, 0))


def _covering(paths, tmp_root):
    """The fewest folders and files in which all of `paths` lie, and `tmp_root` does not."""
    apart = _top(tmp_root)
    return sorted({path if _top(path) == apart else _top(path) for path in paths})


def _top(path):
    """The folder below `/` that the file of that name is in, wherever links lead."""
    return "/" + os.path.realpath(path).split("/")[1]


class Domain:
    """What every execution may reach, opened ahead: the shared part of the nested domain, and what each may do in its own folder.

    `ruleset` is None for no domain; `rules` hold open descriptors; `own_access` is a set of rights.

    `abi` is the Landlock ABI to use, 0 for no domain at all; `read_paths` are files and folders to read and execute, of
    which those that this user doesn't find are left out; `tmp_root` is the folder that executions have theirs in. Raises
    OSError when it runs out of descriptors or memory, ValueError when the kernel's ABI is older than `abi`.

    The worker's domain, above, has a rule for each path. This one has to keep executions apart, and each of its rules is paid
    for by each execution: so it takes whole top folders, but the one in which executions have theirs.
    """

    def __init__(self, abi, read_paths, tmp_root):
        self.rules = []
        self.ruleset = None
        self.own_access = 0
        if abi == 0:
            return
        if abi_of_kernel() < abi:
            raise ValueError("Landlock ABI %d was asked for, the kernel has %d" % (abi, abi_of_kernel()))
        handled = (1 << _RIGHTS_BY_ABI.get(abi, max(_RIGHTS_BY_ABI.values()))) - 1
        scopes = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if abi >= _ABI_WITH_SCOPES else 0
        self.ruleset = RulesetAttr(handled, 0, scopes)
        self.own_access = _OWN_FOLDER & handled
        for path in _covering(read_paths, tmp_root):
            self._open_rule(path, _READ_ONLY)
        for path in _covering(_DEVICES, tmp_root):
            self._open_rule(path, _DEVICE)

    def _open_rule(self, path, access):
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return
        self.rules.append(self._rule(descriptor, access))

    def _rule(self, descriptor, access):
        """The rule as the kernel takes it: rights that the ABI or the kind of file doesn't have are an error there."""
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _RIGHTS_OF_A_FILE
        return PathBeneathAttr(access & self.ruleset.handled_access_fs, descriptor)
