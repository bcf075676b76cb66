"""What makes a process an execution's: descriptors, session, Landlock, folder, streams. Before the fork, whatever can be.

Nothing of this makes anybody wait: processes are forked ahead, and a dispatched execution finds one at the end of `start`.
But each execution pays for it, and above all for the memory that it touches: a page that it writes to, be it for an object's
count of references, is copied from the fork server's. So what is here is done once, in `Template`, and `start` does the rest by
direct calls.
"""

import io
import os
import resource
import sys
import tempfile
from _signal import SIG_DFL, SIGCHLD, SIGINT, SIGKILL, default_int_handler, set_wakeup_fd
from _signal import signal as set_handler  # `signal.signal` wraps it in enumerations

from _airlock_channel import Channel
from _airlock_landlock import become_subreaper, die_with_parent
from _airlock_report import SCRIPT_FILE
from _airlock_runner import fresh_main, rehearse, run

_CHANNEL_DESCRIPTOR = 3
_FIRST_OF_NOBODY = 4
_MOST_DESCRIPTORS = 1024 * 1024
_EXIT_WITHOUT_FORK_SERVER = 1
_HOME = os.environ.encodekey("HOME")
_TMPDIR = os.environ.encodekey("TMPDIR")


class _WriteThrough(io.BufferedWriter):
    """Leaves nothing in the buffer: what was printed before the process is killed has left it.

    Not an unbuffered file: a write to one may be cut short by a signal, and the text layer above would lose the rest.
    """

    def write(self, data):
        written = super().write(data)
        self.flush()
        return written


class Template:
    """What all executions' processes have in common, made in the fork server; `domain`: the shared part of the Landlock domain.

    Descriptors 0 to 3 are the fork server's own there, and stay open: so none that is received gets one of these numbers.
    """

    def __init__(self, domain):
        self._fork_server = os.getpid()
        self._domain = domain
        soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._last_descriptor = _MOST_DESCRIPTORS if soft_limit == resource.RLIM_INFINITY else soft_limit
        _open_streams()
        sys.argv[:] = [SCRIPT_FILE]
        sys.modules["__main__"] = self._main = fresh_main()

    def start(self, channel, stdout, stderr, groups, folder):
        """Turns the calling process, fresh from the fork, into an execution's: confined, waiting, then running its script.

        `channel`, `stdout` and `stderr` are descriptors, `groups` those of its control groups' `cgroup.procs`, `folder` the
        absolute path of the temporary folder. Never returns. A step that fails is reported when the run message comes, in
        place of the script's outcome: that is where the guard looks.
        """
        failure = None
        try:
            self._leave_fork_server()
            # Standard input is /dev/null, as the fork server's. Only the channel is kept from programs the script starts.
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            os.dup2(channel, _CHANNEL_DESCRIPTOR, False)
            for group in groups:
                # Here, not in the guard: the kernel may take 10 ms for it.
                os.write(group, b"0")
            self._domain.enter(folder)
            # Nothing of the fork server's stays open, whatever it held.
            os.closerange(_FIRST_OF_NOBODY, self._last_descriptor)
            _settle(folder)
            rehearse()
        except BaseException as error:
            failure = "%s: %s" % (type(error).__name__, error)
        run(Channel(_CHANNEL_DESCRIPTOR), self._main, failure)

    def _leave_fork_server(self):
        set_wakeup_fd(-1)
        set_handler(SIGCHLD, SIG_DFL)
        set_handler(SIGINT, default_int_handler)
        die_with_parent(SIGKILL)
        if os.getppid() != self._fork_server:  # it ended before that line
            os._exit(_EXIT_WITHOUT_FORK_SERVER)
        os.setsid()
        # Before the script can start anything: what it starts and leaves stays below it, where the guard finds it.
        become_subreaper()


def _settle(folder):
    os.chdir(folder)
    encoded = os.fsencode(folder)
    for name in (_HOME, _TMPDIR):
        os.putenv(name, encoded)
        os.environ._data[name] = encoded
    tempfile.tempdir = folder


def _open_streams():
    """The standard streams. Closing one leaves its descriptor open, as in any Python process.

    Made over pipes, which is what they will be over: the objects keep what they found out about their descriptors.
    """
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="backslashreplace", closefd=False)
    own = [(os.dup(descriptor), descriptor) for descriptor in (1, 2)]
    pipe = os.pipe()
    for _, descriptor in own:
        os.dup2(pipe[1], descriptor)
    sys.stdout = sys.__stdout__ = _text_stream(1, "<stdout>")
    sys.stderr = sys.__stderr__ = _text_stream(2, "<stderr>")
    for kept, descriptor in own:
        os.dup2(kept, descriptor)
    for descriptor in (*pipe, *(kept for kept, _ in own)):
        os.close(descriptor)


def _text_stream(descriptor, name):
    buffer = _WriteThrough(io.FileIO(descriptor, "w", closefd=False))
    buffer.raw.name = name
    stream = io.TextIOWrapper(buffer, encoding="utf-8", errors="backslashreplace", newline="\n", write_through=True)
    stream.mode = "w"
    return stream
