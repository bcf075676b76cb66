"""A stand-in for the guard: starts the real fork server over a real socket, and runs scripts in real forked processes.

Everything waits for events, with a deadline that only a broken runtime reaches. The test process is a subreaper, as the
guard is, and ends what an execution leaves behind before it reads the last of its output.
"""

import array
import atexit
import ctypes
import fcntl
import functools
import json
import os
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent
NATIVE = SOURCES.parent / "native"
# The order in which the modules need each other.
MODULES = [
    ("_airlock_landlock", "landlock.py"),
    ("_airlock_serialise", "serialise.py"),
    ("_airlock_channel", "channel.py"),
    ("_airlock_llm", "llm.py"),
    ("airlock", "sdk.py"),
    ("_airlock_report", "report.py"),
    ("_airlock_runner", "runner.py"),
    ("_airlock_process", "process.py"),
    ("_airlock_network", "network.py"),
    ("_airlock_preload", "preload.py"),
    ("_airlock_native", "native.py"),
    ("_airlock_forkserver", "forkserver.py"),
]
READ_PATHS = ["/usr", "/lib", "/lib64", "/bin", "/etc", "/proc", "/sys", "/does/not/exist", "/etc/passwd", sys.base_prefix]
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
}
DEADLINE_SECONDS = 30
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_LANDLOCK_CREATE_RULESET = 444


def kernel_abi():
    return max(0, _libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1))


@functools.cache
def native_library():
    """The path of the fork server's library, compiled as `build.rs` does."""
    folder = tempfile.mkdtemp(prefix="airlock-native-")
    atexit.register(shutil.rmtree, folder)
    library = os.path.join(folder, "native.so")
    flags = ["--edition=2024", "--crate-name=airlock_native", "--crate-type=cdylib", "-Copt-level=2", "-Cpanic=abort"]
    subprocess.run(["rustc", *flags, "-o", library, str(NATIVE / "lib.rs")], check=True)
    os.chmod(folder, 0o755)
    return library


class Execution:
    """A forked process as its guard sees it. `frames` is what came over its channel: `(kind, payload)`."""

    def __init__(self, guard, token, folder, channel, stdout, stderr):
        self.guard, self.token, self.folder = guard, token, folder
        self.channel, self.pid, self.exited, self.failed = channel, None, None, None
        self.received, self.output, self.open = bytearray(), {"stdout": bytearray(), "stderr": bytearray()}, 3
        guard.watch(channel.fileno(), self._on_channel)
        guard.watch(stdout, lambda: self._on_output("stdout", stdout))
        guard.watch(stderr, lambda: self._on_output("stderr", stderr))

    def _on_channel(self):
        try:
            data = self.channel.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self.received += data
        if not data:
            self.guard.unwatch(self.channel.fileno())
            self.channel.close()
            self.open -= 1

    def _on_output(self, name, descriptor):
        data = os.read(descriptor, 1 << 20)
        self.output[name] += data
        if not data:
            self.guard.unwatch(descriptor)
            os.close(descriptor)
            self.open -= 1

    def send_run(self, script, settings=None, result_bytes=1 << 20, in_parts_of=None):
        texts = [script.encode(), *(text.encode() for setting in (settings or {}).items() for text in setting)]
        payload = struct.pack("<Q", result_bytes) + b"".join(struct.pack("<I", len(text)) + text for text in texts)
        frame = b"R" + struct.pack("<I", len(payload)) + payload
        step = in_parts_of or len(frame)
        for start in range(0, len(frame), step):
            self.channel.sendall(frame[start:start + step])

    def finish(self):
        """Waits for the end of the process and of its output; returns self."""
        self.guard.wait(lambda: self.exited is not None)
        self.guard.end_orphans()
        self.guard.wait(lambda: self.open == 0)
        return self

    @property
    def frames(self):
        frames, rest = [], bytes(self.received)
        while rest:
            kind, length = struct.unpack_from("<cI", rest)
            frames.append((kind.decode(), rest[5:5 + length]))
            rest = rest[5 + length:]
        return frames

    @property
    def done(self):
        """The DONE frame, which must be the last and the only one."""
        kinds = [kind for kind, _ in self.frames]
        if kinds not in (["D"], ["V", "D"]):
            raise AssertionError("frames %r, status %r, stderr %s" % (self.frames, self.exited, self.stderr))
        return json.loads(self.frames[-1][1])

    @property
    def result(self):
        return json.loads(dict(self.frames)["V"])

    @property
    def stdout(self):
        return self.output["stdout"].decode()

    @property
    def stderr(self):
        return self.output["stderr"].decode()


class Guard:
    """One fork server. `uid`: the user it runs as, if not the caller's."""

    def __init__(
        self,
        uid=None,
        landlock_abi=None,
        read_paths=READ_PATHS,
        preload=(),
        python=sys.executable,
        as_python_forks=False,
        library=None,
    ):
        _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.root = tempfile.mkdtemp(prefix="airlock-test-")
        self.uid = os.getuid() if uid is None else uid
        os.chown(self.root, self.uid, -1)
        abi = kernel_abi() if landlock_abi is None else landlock_abi
        self.config = {
            "control_fd": 4,
            "native_fd": 5,
            "landlock_abi": abi,
            "read_paths": list(read_paths),
            "tmp_root": self.root,
            "preload": list(preload),
            "as_python_forks": as_python_forks,
        }
        self.library = library
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = self._spawn(python, theirs)
        theirs.close()
        self.executions, self.ready, self.fatal, self.ended = {}, None, None, False
        self._selector = selectors.DefaultSelector()
        self.watch(self.control.fileno(), self._on_control)
        self.wait(lambda: self.ready or self.fatal or self.ended)

    def _spawn(self, python, theirs):
        modules = [[name, (SOURCES / file).read_text(encoding="utf-8")] for name, file in MODULES]
        library = self.library or native_library()
        bundle = os.memfd_create("bundle")
        os.write(bundle, json.dumps({"modules": modules, "config": self.config}).encode())
        os.lseek(bundle, 0, os.SEEK_SET)
        arguments = [python, "-s", "-B", "-c", (SOURCES / "bootstrap.py").read_text(encoding="utf-8")]
        environment = dict(ENVIRONMENT, HOME=self.root, TMPDIR=self.root)
        pid = os.fork()
        if pid:
            os.close(bundle)
            return pid
        try:
            # Above them first: any may lie where another belongs.
            native = os.open(library, os.O_RDONLY)
            high = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 6) for descriptor in (bundle, theirs.fileno(), native)]
            for place, descriptor in enumerate(high, 3):
                os.dup2(descriptor, place)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.closerange(6, 256)
            os.chdir("/")
            if os.getuid() != self.uid:
                os.setgroups([])
                os.setresgid(self.uid, self.uid, self.uid)
                os.setresuid(self.uid, self.uid, self.uid)
            # As `airlock confine` does: without this, root's executed program would have every capability again.
            for capability in range(64):
                _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
            _libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            os.execve(python, arguments, environment)
        finally:
            os._exit(127)

    def watch(self, descriptor, callback):
        self._selector.register(descriptor, selectors.EVENT_READ, callback)

    def unwatch(self, descriptor):
        self._selector.unregister(descriptor)

    def wait(self, condition):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            events = self._selector.select(deadline - time.monotonic())
            if not events:
                raise AssertionError("nothing happened for %d s" % DEADLINE_SECONDS)
            for key, _ in events:
                key.data()

    def _on_control(self):
        data = self.control.recv(1 << 16)
        if not data:
            self.unwatch(self.control.fileno())
            self.ended = True
            return
        kind, data = data[:1], data[1:]
        if kind == b"R":
            self.ready = json.loads(data)
        elif kind == b"F":
            self.fatal = data.decode()
        elif kind == b"P":
            token, pid = struct.unpack("<QI", data)
            self.executions[token].pid = pid
        elif kind == b"N":
            token, error = struct.unpack("<Qi", data)
            self.executions[token].failed = error
        else:
            pid, *values = struct.unpack("<IIQQ", data)
            token = next(token for token, execution in self.executions.items() if execution.pid == pid)
            self.executions.pop(token).exited = dict(zip(("status", "cpu_us", "max_rss_bytes"), values))

    def ask_fork(self, folder=None, descriptors=3):
        """Sends the fork message; returns the Execution at once."""
        token = max(self.executions, default=0) + 1
        if folder is None:
            folder = tempfile.mkdtemp(dir=self.root)
            os.chown(folder, self.uid, -1)
        ours, theirs = socket.socketpair()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        execution = Execution(self, token, folder, ours, out_r, err_r)
        self.executions[token] = execution
        fds = [theirs.fileno(), out_w, err_w][:descriptors]
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.control.sendmsg([struct.pack("<Q", token) + folder.encode()], ancillary)
        theirs.close()
        os.close(out_w)
        os.close(err_w)
        return execution

    def fork(self, folder=None):
        """An Execution that waits for its run message."""
        execution = self.ask_fork(folder)
        self.wait(lambda: execution.pid or execution.failed)
        return execution

    def run(self, script, settings=None, result_bytes=1 << 20):
        """Forks, runs `script`, and returns the Execution at its end."""
        execution = self.fork()
        execution.send_run(script, settings, result_bytes)
        return execution.finish()

    def children(self):
        """Process ids of this process's children other than the fork server."""
        text = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
        return [int(pid) for pid in text.split() if int(pid) != self.pid]

    def end_orphans(self):
        """Ends what dead executions left, until nothing is left of it. Returns how many processes that were."""
        ended = 0
        while True:
            orphans = self.children()
            if not orphans:
                return ended
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                ended += 1

    def close(self):
        """Closes the control socket and waits for the fork server to end; returns its wait status."""
        self.control.close()
        _, status = os.waitpid(self.pid, 0)
        self.end_orphans()
        self._selector.close()
        shutil.rmtree(self.root)
        return status
