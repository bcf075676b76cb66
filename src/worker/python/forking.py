"""How the fork server forks: at the cost of the fork alone.

Modules register functions that Python calls around each fork. Those of the standard library put right what other threads and
held locks would leave broken in the child, and seed `random`. The fork server has one thread and holds no lock, so they have
nothing to put right, but what they look at are pages to copy in each child: three quarters of a bare fork's. They are set
aside while the fork server forks, and are back in the child, for the script's own forks.
"""

import concurrent.futures.thread  # registers its handlers, which should be known before `Fork` looks
import gc
import logging
import os
import random
import threading
from _random import Random as _Generator
from _thread import get_native_id

# By module and name: what may be left out where there is one thread and no lock is held.
_NEEDLESS = {
    ("threading", "_after_fork"),
    ("logging", "_acquireLock"),
    ("logging", "_releaseLock"),
    ("logging", "_after_at_fork_child_reinit_locks"),
}
_LOCK = type(threading.Lock())

_os_fork = os.fork


def fork():
    """`os.fork`, again when a signal's handler interrupts it: the call waits for the guard to count, which it does nowhere else."""
    while True:
        try:
            return _os_fork()
        except InterruptedError:
            continue


def wait_out_signals():
    """Puts `fork` in the place of `os.fork`, for scripts that handle signals."""
    os.fork = fork


class Fork:
    """Forks as `os.fork` does, without the handlers that are not needed. Made once, when all is imported."""

    def __init__(self):
        lists = [_list_with(getattr(module, name, None)) for module, name in _PLACES]
        needless = all(found is not None and all(map(_is_needless, found)) for found in lists)
        # A Python that keeps them elsewhere, or a package with a handler of its own: then all of them are called.
        self._set_aside = [(found, found[:]) for found in lists] if needless else []
        for found, _ in self._set_aside:
            found.clear()

    def __call__(self):
        """As `os.fork`; `random` and the thread's number are the child's own in either case. Raises OSError."""
        pid = fork()
        if pid == 0 and self._set_aside:
            for found, handlers in self._set_aside:
                found[:] = handlers
            _Generator.seed(random._inst)
            random._inst.gauss_next = None
            threading._main_thread._native_id = get_native_id()
        return pid


# A handler of each of Python's lists: after in the child, before, after in the parent.
_PLACES = ((threading, "_after_fork"), (logging, "_acquireLock"), (logging, "_releaseLock"))


def _list_with(handler):
    """The one list that holds `handler`; None if there is none, or more."""
    lists = [holder for holder in gc.get_referrers(handler) if type(holder) is list] if handler is not None else []
    return lists[0] if len(lists) == 1 else None


def _is_needless(handler):
    owner = getattr(handler, "__self__", None)
    if type(owner) is _LOCK:
        return owner is concurrent.futures.thread._global_shutdown_lock
    if owner is random._inst:
        return handler.__name__ == "seed"  # which is done here
    return (getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)) in _NEEDLESS
