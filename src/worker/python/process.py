"""What makes a forked process an execution's, as far as Python knows of it. Before the fork, whatever can be.

Descriptors, session, Landlock domain and folder are `native/process.rs`'s. Each execution pays for what is done after the fork,
above all for the memory that it touches: a page that it writes to, be it for an object's count of references, is copied from
the fork server's.
"""

import io
import os
import random
import sys
import tempfile
from _random import Random as _Generator
from ctypes import pythonapi

from _airlock_channel import Channel
from _airlock_report import SCRIPT_FILE
from _airlock_runner import fresh_main, rehearse, run

_CHANNEL_DESCRIPTOR = 3
# Of these versions it is known that a fork leaves nothing to put right where there is one thread and no lock is held. What
# Python calls after a fork is for other threads and their locks, but for the seed of `random`; and to call it costs each
# execution half as many page copies as all the rest.
_NOTHING_TO_PUT_RIGHT = ((3, 11),)
# Bound here: to look something up after the fork is to touch it.
_environment = os.environ._data
_HOME = os.environ.encodekey("HOME")
_TMPDIR = os.environ.encodekey("TMPDIR")
_seed = _Generator.seed
_generator = random._inst


class _WriteThrough(io.BufferedWriter):
    """Leaves nothing in the buffer: what was printed before the process is killed has left it.

    Not an unbuffered file: a write to one may be cut short by a signal, and the text layer above would lose the rest.
    """

    def write(self, data):
        written = super().write(data)
        self.flush()
        return written


class Template:
    """What all executions' processes have in common, made in the fork server when all is imported.

    `as_python_forks`: call all that Python calls around a fork, whatever its version.
    """

    def __init__(self, as_python_forks=False):
        self._as_python_forks = as_python_forks or sys.version_info[:2] not in _NOTHING_TO_PUT_RIGHT
        _open_streams()
        sys.argv[:] = [SCRIPT_FILE]
        sys.modules["__main__"] = self._main = fresh_main()
        _generator.gauss_next = None
        if self._as_python_forks:
            # Once for all children: the fork server itself does nothing but fork from here on.
            pythonapi.PyOS_BeforeFork()

    def start(self, failure, folder):
        """Goes on in a forked process, from its confinement to its script. Never returns.

        `failure` is None, or why it could not be confined; `folder` the path of its temporary folder, as bytes. A step that
        fails is reported when the run message comes, in place of the script's outcome: that is where the guard looks.
        """
        if failure is None:
            try:
                self._put_right()
                _settle(folder)
                rehearse()
            except BaseException as error:
                failure = "%s: %s" % (type(error).__name__, error)
        run(Channel(_CHANNEL_DESCRIPTOR), self._main, failure)

    def _put_right(self):
        if self._as_python_forks:
            pythonapi.PyOS_AfterFork_Child()
            return
        _seed(_generator)


def _settle(folder):
    # The C library's own environment has them already.
    _environment[_HOME] = _environment[_TMPDIR] = folder
    tempfile.tempdir = folder.decode("utf-8", "surrogateescape")


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
