"""The fork server: imports once what scripts use, then forks a process for each execution when the guard asks for one.

It speaks JSON, an object a datagram, over the SOCK_SEQPACKET socket `control_fd`:

    to the guard    {"ready": {"python", "implementation", "executable", "environment", "packages"}}, once; or
                    {"fatal": sentence}, after which it ends with status 1
    from the guard  {"fork": TOKEN, "tmp": folder} with three descriptors: channel, stdout, stderr; and up to
                    two more, the `cgroup.procs` files of its control groups
    to the guard    {"forked": TOKEN, "pid"} or {"fork_failed": TOKEN, "error"}
    to the guard    {"exited": TOKEN, "pid", "status": as of wait(2), "cpu_ms", "max_rss_bytes"}

It never sees a script or a secret, starts no thread, and keeps nothing open for a child: how many live is limited by
processes alone. (A pidfd each would hit the limit of open files, and be copied at every fork.)
"""

import gc
import json
import os
import platform
import select
import signal
import socket
import sys

from _airlock_landlock import Domain
from _airlock_network import patch as patch_sockets
from _airlock_preload import environment_digest, fork, import_all, installed_packages, wait_out_signals
from _airlock_process import start

_DATAGRAM_BYTES = 64 * 1024
_DESCRIPTORS = 3  # channel, stdout, stderr
_MOST_DESCRIPTORS = _DESCRIPTORS + 2
_EXIT_AFTER_FATAL = 1
_EXIT_OF_BROKEN_CHILD = 1


def main(config):
    """Serves until the guard closes its end, then ends the process.

    `config`: `control_fd`; `landlock_abi`, 0 for none; `read_paths`, to read and execute; optionally `preload`, modules to
    import beyond the standard library's.
    """
    control = socket.socket(fileno=config["control_fd"])
    control.set_inheritable(False)
    try:
        import_all(config.get("preload") or ())
        wait_out_signals()
        patch_sockets()
        domain = Domain(config["landlock_abi"], config["read_paths"])
        packages = installed_packages()
    except (OSError, ValueError) as error:
        _send(control, {"fatal": "the fork server can't start: %s" % error})
        os._exit(_EXIT_AFTER_FATAL)
    server = _ForkServer(control, domain)
    # What is alive now is alive in every child. Frozen, no collection there writes to its pages, which would copy them.
    gc.collect()
    gc.disable()
    gc.freeze()
    _send(control, {
        "ready": {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
            "environment": environment_digest(packages),
            "packages": len(packages),
        }
    })
    try:
        server.serve()
    except ConnectionError:  # the guard went while a message was on its way to it
        pass
    os._exit(0)


def _send(control, message):
    control.send(json.dumps(message).encode("utf-8"))


class _ForkServer:
    """The loop over two descriptors: the control socket, and a pipe that gets a byte at each SIGCHLD."""

    def __init__(self, control, domain):
        self._control = control
        self._domain = domain
        self._tokens = {}  # by process id, of the children that live
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
        while True:
            ready = [descriptor for descriptor, _ in poll.poll()]
            if self._woken in ready:
                self._reap()
            if self._control.fileno() in ready and not self._receive():
                return

    def _receive(self):
        """Carries out one message; False at the end of the stream."""
        data, descriptors, _, _ = socket.recv_fds(self._control, _DATAGRAM_BYTES, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return False
        try:
            request = json.loads(data)
            self._fork(request["fork"], request["tmp"], descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _fork(self, token, folder, descriptors):
        if len(descriptors) < _DESCRIPTORS:
            error = "%d descriptors came with the message, not %d" % (len(descriptors), _DESCRIPTORS)
            _send(self._control, {"fork_failed": token, "error": error})
            return
        try:
            pid = fork()
        except OSError as error:
            _send(self._control, {"fork_failed": token, "error": str(error)})
            return
        if pid == 0:
            try:
                self._let_go()
                start(*descriptors[:_DESCRIPTORS], groups=descriptors[_DESCRIPTORS:], folder=folder, domain=self._domain)
            finally:
                # `start` doesn't return; should it ever raise, the child must not go on as a second fork server.
                os._exit(_EXIT_OF_BROKEN_CHILD)
        self._tokens[pid] = token
        _send(self._control, {"forked": token, "pid": pid})

    def _let_go(self):
        """In the child: the fork server's objects forget their descriptors, whose numbers the script will use again."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._control.detach())
        os.close(self._woken)
        os.close(self._wake)

    def _reap(self):
        """Reports every child that has ended. A byte in the pipe may stand for several, or for one reported before."""
        try:
            while os.read(self._woken, _DATAGRAM_BYTES):
                pass
        except BlockingIOError:
            pass
        while self._tokens:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            _send(self._control, {
                "exited": self._tokens.pop(pid),
                "pid": pid,
                "status": status,
                "cpu_ms": round((usage.ru_utime + usage.ru_stime) * 1000),
                "max_rss_bytes": usage.ru_maxrss * 1024,
            })
