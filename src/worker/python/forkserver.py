"""The fork server: imports once what scripts use, then forks a process for each execution when the guard asks for one.

It speaks over the SOCK_SEQPACKET socket `control_fd`, a message a datagram: its kind, one byte; then what follows, numbers
little-endian.

    to the guard    R {"python", "implementation", "executable", "environment", "packages"}, in JSON, once: it is ready; or
                    F sentence, after which it ends with status 1
    from the guard  number of the fork, 64 bits; path of the folder. With three descriptors: channel, stdout, stderr; and up
                    to two more, the `cgroup.procs` files of its control groups
    to the guard    P fork, 64 bits; process, 32 bits: forked; or
                    N fork, 64 bits; error number, 32 bits: not
    to the guard    X process, 32 bits: has ended; status as of wait(2), 32 bits; processor time in microseconds, 64 bits;
                    most resident memory in bytes, 64 bits

It never sees a script or a secret, starts no thread, and keeps nothing open for a child: how many live is limited by
processes alone. (A pidfd each would hit the limit of open files, and be copied at every fork.) Its loop is `native/serve.rs`.
"""

import gc
import json
import os
import platform
import resource
import socket
import sys

from _airlock_landlock import Domain
from _airlock_native import Loop
from _airlock_network import patch as patch_sockets
from _airlock_preload import environment_digest, import_all, installed_packages, wait_out_signals
from _airlock_process import Template

_MOST_DESCRIPTORS = 1024 * 1024
_EXIT_AFTER_FATAL = 1
_EXIT_OF_BROKEN_CHILD = 1


def main(config):
    """Serves until the guard closes its end, then ends the process.

    `config`: `control_fd`; `native_fd`, the library; `landlock_abi`, 0 for none; `read_paths`, to read and execute;
    `tmp_root`, in which executions have their folders; optionally `preload`, modules to import beyond the standard library's,
    and `as_python_forks`, as of `Template`.
    """
    control = socket.socket(fileno=config["control_fd"])
    control.set_inheritable(False)
    try:
        import_all(config.get("preload") or ())
        wait_out_signals()
        patch_sockets()
        domain = Domain(config["landlock_abi"], config["read_paths"], config["tmp_root"])
        loop = Loop("/proc/self/fd/%d" % config["native_fd"], control.fileno(), domain, _descriptor_limit())
        os.close(config["native_fd"])
        packages = installed_packages()
        template = Template(config.get("as_python_forks", False))
    except (OSError, ValueError) as error:
        control.send(b"F" + ("the fork server can't start: %s" % error).encode("utf-8", "backslashreplace"))
        os._exit(_EXIT_AFTER_FATAL)
    ready = {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "executable": sys.executable,
        "environment": environment_digest(packages),
        "packages": len(packages),
    }
    try:
        control.send(b"R" + json.dumps(ready).encode("utf-8"))
        # The object forgets its descriptor, whose number a script will use again.
        control.detach()
        # What is alive now is alive in every child. Frozen, no collection there writes to its pages, which would copy them.
        gc.collect()
        gc.disable()
        gc.freeze()
        child = loop.serve()
    except ConnectionError:  # the guard went while a message was on its way to it
        child = None
    if child is None:
        os._exit(0)
    try:
        template.start(*child)
    finally:
        # `start` doesn't return; should it ever raise, the child must not go on as a second fork server.
        os._exit(_EXIT_OF_BROKEN_CHILD)


def _descriptor_limit():
    soft_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST_DESCRIPTORS if soft_limit == resource.RLIM_INFINITY else min(soft_limit, _MOST_DESCRIPTORS)
