"""The fork server's loop, which is not Python: `native/` says why. This loads it, and describes to it what it needs."""

import ctypes
import os

from _airlock_landlock import PathBeneathAttr, RulesetAttr

_PATH_BYTES = 4096
_GUARD_GONE = 0
_IN_CHILD = 1


class _Template(ctypes.Structure):
    """`Template` of `native/process.rs`."""

    _fields_ = [
        ("control", ctypes.c_int32),
        ("fork_server", ctypes.c_int32),
        ("most_descriptors", ctypes.c_uint32),
        ("folder_flags", ctypes.c_int32),
        ("ruleset", ctypes.POINTER(RulesetAttr)),
        ("ruleset_bytes", ctypes.c_size_t),
        ("rules", ctypes.POINTER(PathBeneathAttr)),
        ("rule_count", ctypes.c_size_t),
        ("own_access", ctypes.c_uint64),
    ]


class _Born(ctypes.Structure):
    """`Born` of `native/process.rs`."""

    _fields_ = [("failed", ctypes.c_char_p), ("errno", ctypes.c_int32), ("folder", ctypes.c_char * _PATH_BYTES)]


class Loop:
    """The loop in the library `path`; `control` is the socket to the guard, `domain` the shared part of the Landlock domain,
    `most_descriptors` how many a process may have open. Raises OSError when the library can't be loaded.
    """

    def __init__(self, path, control, domain, most_descriptors):
        # Not CDLL, which would give up Python's lock meanwhile: the child would have to take it again.
        self._serve = ctypes.PyDLL(path).airlock_serve
        self._domain = domain  # keeps alive what the template points to
        rules = (PathBeneathAttr * len(domain.rules))(*domain.rules)
        self._template = _Template(
            control,
            os.getpid(),
            most_descriptors,
            os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
            None if domain.ruleset is None else ctypes.pointer(domain.ruleset),
            ctypes.sizeof(RulesetAttr),
            rules,
            len(domain.rules),
            domain.own_access,
        )
        self._born = _Born()
        self._arguments = (ctypes.byref(self._template), ctypes.byref(self._born))

    def serve(self):
        """Returns in each child, that is confined by then and in its folder: `(failure or None, folder as bytes)`.

        In the fork server itself it returns None, once the guard has closed its end. Raises OSError.
        """
        end = self._serve(*self._arguments)
        if end == _GUARD_GONE:
            return None
        if end != _IN_CHILD:
            raise OSError(-end, os.strerror(-end))
        born = self._born
        failure = None
        if born.failed is not None:
            failure = "%s: %s" % (born.failed.decode(), os.strerror(born.errno))
        return failure, born.folder
