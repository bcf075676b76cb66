"""The fork server: imports once what scripts use, then forks a process for each execution when the guard asks for one.

It speaks over the SOCK_SEQPACKET socket `control_fd`, a message a datagram: its kind, one byte; then what follows, numbers
little-endian.

    to the guard    R {"python", "implementation", "executable", "environment", "packages"}, in JSON, once: it is ready; or
                    F sentence, after which it ends with status 1
    from the guard  number of the fork, 64 bits; path of the folder. With three descriptors: channel, stdout, stderr; and up
                    to two more, the `cgroup.procs` files of its control groups
    to the guard    P fork, 64 bits; process, 32 bits: forked; or
                    N fork, 64 bits; sentence: not
    to the guard    X fork, 64 bits; status as of wait(2), 32 bits; processor time in microseconds, 64 bits; most resident
                    memory in bytes, 64 bits: has ended

It never sees a script or a secret, starts no thread, and keeps nothing open for a child: how many live is limited by
processes alone. (A pidfd each would hit the limit of open files, and be copied at every fork.) Its loop calls little: each page
that it writes to after a fork is one that it copies.
"""

import gc
import json
import os
import platform
import select
import signal
import socket
import sys
from array import array
from struct import Struct

from _airlock_forking import Fork, wait_out_signals
from _airlock_landlock import Domain
from _airlock_network import patch as patch_sockets
from _airlock_preload import environment_digest, import_all, installed_packages
from _airlock_process import Template

_NUMBER = Struct("<Q")
_FORKED = Struct("<cQI")
_NOT_FORKED = Struct("<cQ")
_EXITED = Struct("<cQIQQ")

_DATAGRAM_BYTES = 64 * 1024
_DESCRIPTORS = 3  # channel, stdout, stderr
_MOST_DESCRIPTORS = _DESCRIPTORS + 2
_ANCILLARY_BYTES = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array("i").itemsize)
_EXIT_AFTER_FATAL = 1
_EXIT_OF_BROKEN_CHILD = 1


def main(config):
    """Serves until the guard closes its end, then ends the process.

    `config`: `control_fd`; `landlock_abi`, 0 for none; `read_paths`, to read and execute; `tmp_root`, in which executions have
    their folders; optionally `preload`, modules to import beyond the standard library's.
    """
    control = socket.socket(fileno=config["control_fd"])
    control.set_inheritable(False)
    try:
        import_all(config.get("preload") or ())
        wait_out_signals()
        patch_sockets()
        template = Template(Domain(config["landlock_abi"], config["read_paths"], config["tmp_root"]))
        packages = installed_packages()
    except (OSError, ValueError) as error:
        control.send(b"F" + ("the fork server can't start: %s" % error).encode("utf-8", "backslashreplace"))
        os._exit(_EXIT_AFTER_FATAL)
    server = _ForkServer(control, template)
    # What is alive now is alive in every child. Frozen, no collection there writes to its pages, which would copy them.
    gc.collect()
    gc.disable()
    gc.freeze()
    ready = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "environment": environment_digest(packages),
        "packages": len(packages),
    }
    control.send(b"R" + json.dumps(ready).encode("utf-8"))
    try:
        server.serve()
    except ConnectionError:  # the guard went while a message was on its way to it
        pass
    os._exit(0)


class _ForkServer:
    """The loop over two descriptors: the control socket, and a pipe that gets a byte at each SIGCHLD."""

    def __init__(self, control, template):
        self._control = control
        self._template = template
        self._fork_bare = Fork()
        self._forks = {}  # by process id, of the children that live
        self._woken, self._wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        # The wake-up descriptor works only for signals that have a handler.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        # A terminal's Ctrl-C is for the server, which ends its workers in order.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self):
        """Until the guard closes its end."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        control = self._control.fileno()
        while True:
            for descriptor, _ in poll.poll():
                if descriptor != control:
                    self._reap()
                elif not self._receive():
                    return

    def _receive(self):
        """Carries out one message; False at the end of the stream."""
        message, ancillary, _, _ = self._control.recvmsg(_DATAGRAM_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return False
        descriptors = array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        try:
            self._fork(message, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, message, descriptors):
        (fork,) = _NUMBER.unpack_from(message)
        try:
            if len(descriptors) < _DESCRIPTORS:
                raise OSError("%d descriptors came with the message, not %d" % (len(descriptors), _DESCRIPTORS))
            pid = self._fork_bare()
        except OSError as error:
            self._control.send(_NOT_FORKED.pack(b"N", fork) + str(error).encode("utf-8", "backslashreplace"))
            return
        if pid == 0:
            try:
                # The fork server's object forgets its descriptor, whose number the script will use again.
                self._control.detach()
                channel, stdout, stderr, *groups = descriptors
                self._template.start(channel, stdout, stderr, groups, os.fsdecode(message[_NUMBER.size:]))
            finally:
                # `start` doesn't return; should it ever raise, the child must not go on as a second fork server.
                os._exit(_EXIT_OF_BROKEN_CHILD)
        self._forks[pid] = fork
        self._control.send(_FORKED.pack(b"P", fork, pid))

    def _reap(self):
        """Reports every child that has ended. A byte in the pipe may stand for several, or for one reported before."""
        try:
            while os.read(self._woken, _DATAGRAM_BYTES):
                pass
        except BlockingIOError:
            pass
        while self._forks:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            microseconds = round((usage.ru_utime + usage.ru_stime) * 1_000_000)
            memory = usage.ru_maxrss * 1024
            self._control.send(_EXITED.pack(b"X", self._forks.pop(pid), status, microseconds, memory))
