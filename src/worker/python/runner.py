"""Runs the script in a forked process that is already confined: waits for its run message, and reports its end.

`rehearse` does what it can while nobody waits for it; `run` is what an agent waits for. What `run` uses
after the script was bound by name before: the script may have replaced what the modules hold now.
"""

import ctypes
import gc
import io
import linecache
import sys
import types

# Not from `signal`, whose functions are Python around these and fail where the script has broken what that needs.
from _signal import SIG_BLOCK, pthread_sigmask, valid_signals
from os import _exit, getpid

from _airlock_channel import DONE, RESULT, RUN, read_run
from _airlock_report import COMPLETED, SCRIPT_FILE, Report, as_json, describe
from airlock import _begin, _result, llm, set_result, settings
from _airlock_llm import connect as _connect_llm

# Held while the script runs and freed before its end is told, so that a script out of memory can still be reported. `bytes`
# of this size come from the kernel untouched: until then they cost address space, not memory.
_RESERVE_BYTES = 4 * 1024 * 1024

# Writes out what C code left in its streams: the process ends without C's own clean-up.
_flush_c_streams = ctypes.PyDLL(None).fflush
_flush_c_streams.argtypes = [ctypes.c_void_p]

_COMPLETED = as_json(COMPLETED)
_NOT_ENDED = object()
_ATTEMPTS_TO_REPORT = 8
_EXIT_WITHOUT_REPORT = 1

_DEFAULT_RECURSION_LIMIT = sys.getrecursionlimit()
_ALL_SIGNALS = valid_signals()
_set_recursion_limit = sys.setrecursionlimit
_set_trace = sys.settrace
_set_profile = sys.setprofile

# Run once after each fork, ahead of the script: a page that the fork server's processes share is copied when it is first
# written to, which costs some microseconds, and this line has those written to that nearly every script writes to.
_REHEARSAL = 'set_result({"a": [1.5]})'
_REHEARSED_BYTES = 1024


def fresh_main():
    """The module that a script runs in."""
    main = types.ModuleType("__main__")
    main.__file__ = SCRIPT_FILE
    main.__builtins__ = sys.modules["builtins"]
    main.settings = settings
    main.set_result = set_result
    main.llm = llm
    return main


_rehearsed = fresh_main()


def rehearse():
    """In the forked process, while nobody waits for it: a whole run, but for the messages. What it leaves, the run replaces."""
    if "numpy.random" in sys.modules:
        # Python reseeds `random` after a fork; numpy's global generator would give every execution the same numbers.
        sys.modules["numpy.random"].seed()
    _begin({}, _REHEARSED_BYTES)
    _execute(_REHEARSAL, _rehearsed)
    pthread_sigmask(SIG_BLOCK, ())
    _flush()
    # What is alive by now is for good: the script's collections need not look at it, and the first is not due at once.
    gc.freeze()
    gc.enable()


def run(channel, main, failure):
    """Waits for the run message, runs its script in the module `main`, and reports. Ends the process, always.

    `failure` is None, or why the sandbox could not be applied: then the script is not run.
    """
    frame = channel.receive()
    if frame is None or frame[0] != RUN:
        _exit(0)
    script, values, result_bytes = read_run(frame[1])
    if failure is not None:
        text = "SandboxFailed: %s; the script was not run" % failure
        channel.send((DONE, as_json(Report("SandboxFailed", text, None))))
        _exit(0)
    _begin(values, result_bytes)
    _connect_llm(channel)
    process = getpid()
    reserve = bytes(_RESERVE_BYTES)
    error = _NOT_ENDED
    for attempt in range(_ATTEMPTS_TO_REPORT):
        try:
            if attempt == 0:
                error = _execute(script, main)
            reserve = None
            _quieten()
            _finish(channel, error, process)
        except BaseException as late:
            # A tracer or signal handler of the script's struck in the runtime's own code.
            if error is _NOT_ENDED:
                error = late
    _exit(_EXIT_WITHOUT_REPORT)


def _execute(script, main):
    """Runs the text `script` in the module `main`. Returns what ended it: an exception, or None if that is no failure."""
    # As reading a file gives them: `str.splitlines` splits at more characters than Python's tokenizer does.
    lines = script.splitlines(True)
    if "\r" in script or len(lines) != script.count("\n") + (script[-1:] not in "\n"):
        lines = io.StringIO(script, newline=None).readlines()
    # Without a modification time `linecache` doesn't look for a file of that name.
    linecache.cache[SCRIPT_FILE] = (len(script), None, lines, SCRIPT_FILE)
    try:
        exec(compile(script, SCRIPT_FILE, "exec", dont_inherit=True), vars(main))
    except SystemExit as error:
        return None if error.code is None or (isinstance(error.code, int) and error.code == 0) else error
    except BaseException as error:
        return error
    return None


def _quieten():
    """Keeps the script's signal handlers, tracers and recursion limit out of its report."""
    pthread_sigmask(SIG_BLOCK, _ALL_SIGNALS)
    _set_trace(None)
    _set_profile(None)
    _set_recursion_limit(_DEFAULT_RECURSION_LIMIT)


def _finish(channel, error, process):
    """Reports the end of the script, and ends the process. `process` is the id of the one that the guard asked for."""
    report = None if error is None else describe(error)
    _flush()
    if getpid() != process:
        _end_as_child(error, report)
    result = _result()
    done = (DONE, _COMPLETED if report is None else as_json(report))
    channel.send(done) if result is None else channel.send((RESULT, result), done)
    _exit(0)


def _flush():
    """Flushes the streams as the script left them: one that it put in place of ours may hold text back."""
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except BaseException:  # closed, deleted, replaced by anything, or nobody reads it any more
            continue
    _flush_c_streams(None)


def _end_as_child(error, report):
    """Ends a process that the script forked and that ran to the script's end: as Python would, and without a report."""
    status = 0
    if error is not None:
        code = error.code if isinstance(error, SystemExit) else 1
        status = code & 0xFF if isinstance(code, int) else 1
        try:
            sys.__stderr__.write(report.traceback or report.error)
        except BaseException:  # closed, or nobody reads it any more
            pass
    _exit(status)
