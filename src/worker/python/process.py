"""What a forked process does before it may run a script: descriptors, session, Landlock, folder, streams.

Nothing of this makes anybody wait: processes are forked ahead, and a dispatched execution finds one at the end of `start`.
"""

import io
import os
import resource
import signal
import sys
import tempfile
from fcntl import F_DUPFD_CLOEXEC, fcntl

from _airlock_channel import Channel
from _airlock_landlock import become_subreaper, die_with_parent
from _airlock_runner import prepare, run

_CHANNEL_DESCRIPTOR = 3
_ABOVE_FINAL_DESCRIPTORS = 4
_MOST_DESCRIPTORS = 1024 * 1024
_EXIT_WITHOUT_FORK_SERVER = 1
_FORK_SERVER = os.getpid()  # this module is loaded there


class _WriteThrough(io.BufferedWriter):
    """Leaves nothing in the buffer: what was printed before the process is killed has left it.

    Not an unbuffered file: a write to one may be cut short by a signal, and the text layer above would lose the rest.
    """

    def write(self, data):
        written = super().write(data)
        self.flush()
        return written


def start(channel, stdout, stderr, groups, folder, domain):
    """Turns the calling process, fresh from the fork, into an execution's: confined, waiting, then running its script.

    `channel`, `stdout` and `stderr` are descriptors, `groups` those of its control groups' `cgroup.procs`, `folder` the absolute path of the temporary folder, `domain` the
    shared part of the Landlock domain. Never returns. A step that fails is reported when the run message comes, in place of
    the script's outcome: that is where the guard looks.
    """
    groups = _place_descriptors(channel, stdout, stderr, groups)
    main = None
    failure = None
    try:
        _leave_fork_server()
        _enter(groups)
        domain.enter(folder)
        _close_other_descriptors()
        _settle(folder)
        _open_streams()
        main = prepare()
    except BaseException as error:
        failure = "%s: %s" % (type(error).__name__, error)
    run(Channel(_CHANNEL_DESCRIPTOR), main, failure)


def _place_descriptors(channel, stdout, stderr, groups):
    """Standard input, output, error and the channel at 0 to 3. Only the channel is kept from programs the script starts.

    Returns `groups` at higher numbers.
    """
    # They may have arrived under each other's final numbers.
    channel, stdout, stderr = (
        fcntl(descriptor, F_DUPFD_CLOEXEC, _ABOVE_FINAL_DESCRIPTORS) for descriptor in (channel, stdout, stderr)
    )
    groups = [fcntl(descriptor, F_DUPFD_CLOEXEC, _ABOVE_FINAL_DESCRIPTORS) for descriptor in groups]
    null = fcntl(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), F_DUPFD_CLOEXEC, _ABOVE_FINAL_DESCRIPTORS)
    os.dup2(null, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.dup2(channel, _CHANNEL_DESCRIPTOR, inheritable=False)
    return groups


def _close_other_descriptors():
    """Nothing of the fork server's stays open, whatever it held."""
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    unlimited = soft_limit == resource.RLIM_INFINITY
    os.closerange(_ABOVE_FINAL_DESCRIPTORS, _MOST_DESCRIPTORS if unlimited else soft_limit)


def _leave_fork_server():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    die_with_parent(signal.SIGKILL)
    if os.getppid() != _FORK_SERVER:  # it ended before that line
        os._exit(_EXIT_WITHOUT_FORK_SERVER)
    os.setsid()
    # Before the script can start anything: what it starts and leaves stays below it, where the guard finds it.
    become_subreaper()


def _enter(groups):
    """Joins its control groups. Here, not in the guard: the kernel may take 10 ms for it."""
    for group in groups:
        os.write(group, b"0")


def _settle(folder):
    os.chdir(folder)
    os.environ["HOME"] = folder
    os.environ["TMPDIR"] = folder
    tempfile.tempdir = folder


def _open_streams():
    """The standard streams on the new descriptors. Closing one leaves its descriptor open, as in any Python process."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stdout = sys.__stdout__ = _text_stream(1, "<stdout>")
    sys.stderr = sys.__stderr__ = _text_stream(2, "<stderr>")


def _text_stream(descriptor, name):
    buffer = _WriteThrough(io.FileIO(descriptor, "w", closefd=False))
    buffer.raw.name = name
    stream = io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)
    stream.mode = "w"
    return stream
