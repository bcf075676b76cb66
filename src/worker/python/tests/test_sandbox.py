"""What a script must not reach: the fork server, a sibling, another folder; and the life of fork server and processes."""

import errno
import hashlib
import os
import select
import signal
import unittest

from guard import DEADLINE_SECONDS, Guard
from test_script import Case

_UNPRIVILEGED_UID = 54321
_DEBIAN_PYTHON = "/usr/bin/python3"

# Each is tried with PID (a sibling's or the fork server's) and FOLDER (a sibling's, or one above all) filled in.
_FORBIDDEN = (
    "os.kill(PID, 0)",
    "os.kill(PID, signal.SIGKILL)",
    "signal.pidfd_send_signal(os.pidfd_open(PID), signal.SIGTERM)",
    "os.killpg(os.getpgid(PID), signal.SIGTERM)",
    "open('/proc/%d/mem' % PID, 'rb')",
    "open('/proc/%d/environ' % PID, 'rb').read()",
    "open('/proc/%d/maps' % PID, 'rb').read()",
    "os.readlink('/proc/%d/fd/0' % PID)",
    "os.readlink('/proc/%d/cwd' % PID)",
    "os.listdir(FOLDER)",
    "open(FOLDER + '/file').read()",
    "open(FOLDER + '/new', 'w')",
    "os.mkdir(FOLDER + '/new')",
    "os.link(FOLDER + '/file', 'file')",
    "os.rename(FOLDER + '/file', 'file')",
    "os.symlink(FOLDER + '/file', 'link'); open('link').read()",
    "os.unlink(FOLDER + '/file')",
)
# What Python puts right after a fork, seen by a script, and by a process that the script forks in its turn.
_AFTER_A_FORK = """\
import concurrent.futures, logging, os, random, threading
called = []
os.register_at_fork(after_in_child=lambda: called.append(1))
def look():
    assert threading.main_thread() is threading.current_thread() and threading.active_count() == 1
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
    with logging._lock, concurrent.futures.thread._global_shutdown_lock:
        import zipimport
    return random.random()
r, w = os.pipe()
if os.fork() == 0:
    assert called
    os.write(w, repr(look()).encode())
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
set_result([look(), float(os.read(r, 100))])
"""
_TRY_ALL = """\
import os, signal
PID, FOLDER = %d, %r
for attempt in %r:
    try:
        exec(attempt)
    except OSError:
        continue
    print(attempt)
"""


class Isolation(Case):
    def try_all(self, pid, folder):
        """What of the forbidden a script could do after all."""
        return self.completed(_TRY_ALL % (pid, folder, _FORBIDDEN)).stdout

    def test_a_sibling_cannot_be_reached(self):
        waiting = self.guard.fork()
        with open(os.path.join(waiting.folder, "file"), "w") as file:
            file.write("another's")
        os.chown(file.name, self.guard.uid, -1)
        self.assertEqual("", self.try_all(waiting.pid, waiting.folder))
        waiting.send_run("set_result(open('file').read())")
        self.assertEqual("another's", waiting.finish().result)

    def test_a_running_sibling_cannot_be_reached(self):
        sibling = self.guard.fork()
        sibling.send_run("print('running')\nimport threading\nthreading.Event().wait()")
        self.guard.wait(lambda: sibling.output["stdout"])
        self.assertEqual("", self.try_all(sibling.pid, sibling.folder))
        os.kill(sibling.pid, signal.SIGKILL)
        self.assertEqual(signal.SIGKILL, sibling.finish().exited["status"])

    def test_the_fork_server_cannot_be_reached(self):
        self.assertEqual("", self.try_all(self.guard.pid, self.guard.root))

    def test_programs_it_starts_are_confined_too(self):
        script = "import subprocess\nset_result(subprocess.run(['ls', %r], capture_output=True).returncode)" % self.guard.root
        self.assertEqual(2, self.completed(script).result)

    def test_no_program_runs_from_its_own_folder(self):
        script = "import os, shutil, subprocess\nshutil.copy('/bin/true', 'x')\nos.chmod('x', 0o700)\nsubprocess.run('./x')"
        self.assertEqual("PermissionError", self.guard.run(script).done["error_type"])

    def test_it_holds_its_own_descriptors_only(self):
        others = [self.guard.fork() for _ in range(3)]
        execution = self.completed(
            "import os\nfound = {}\nfor fd in os.listdir('/proc/self/fd'):\n"
            "    try: found[fd] = os.readlink('/proc/self/fd/' + fd).split(':')[0]\n"
            "    except FileNotFoundError: pass\n"
            "set_result([found, [os.get_inheritable(fd) for fd in range(4)]])"
        )
        descriptors = {"0": "/dev/null", "1": "pipe", "2": "pipe", "3": "socket"}
        self.assertEqual([descriptors, [True, True, True, False]], execution.result)
        for other in others:
            other.channel.shutdown(2)
            other.finish()

    def test_objects_of_the_fork_server_hold_no_descriptor(self):
        script = (
            "import gc, os, socket\n"
            "files = [open('f%d' % i, 'w') for i in range(30)]\n"
            "gc.unfreeze()\nfor o in gc.get_objects():\n"
            "    if isinstance(o, socket.socket): o.close()\n"
            "for f in files: os.fstat(f.fileno())"
        )
        self.completed(script)

    def test_it_leads_a_session_and_dies_with_the_fork_server(self):
        self.completed(
            "import ctypes, os\nassert os.getsid(0) == os.getpid() == os.getpgid(0)\n"
            "signal = ctypes.c_int()\nctypes.CDLL(None).prctl(2, ctypes.byref(signal), 0, 0, 0)\nassert signal.value == 9"
        )

    def test_signals_are_as_python_sets_them(self):
        self.completed(
            "import signal as s\nassert s.getsignal(s.SIGCHLD) == s.SIG_DFL\n"
            "assert s.getsignal(s.SIGINT) is s.default_int_handler\nassert s.set_wakeup_fd(-1) == -1\n"
            "assert not s.pthread_sigmask(s.SIG_BLOCK, ())"
        )

    def test_orphans_stay_below_it_and_come_to_the_guard_after_it(self):
        execution = self.guard.fork()
        execution.send_run(
            "import os\nr, w = os.pipe()\nif os.fork() == 0:\n    if os.fork():\n        os._exit(0)\n    os.setsid()\n"
            "    os.write(w, b'%d %d' % (os.getpid(), os.getppid()))\n"
            "    import threading; threading.Event().wait()\n"
            "os.wait()\nos.read(r, 100)\n"
            "set_result(open('/proc/self/task/%d/children' % os.getpid()).read().split())"
        )
        self.guard.wait(lambda: execution.exited is not None)
        orphans = self.guard.children()
        self.assertEqual(orphans, [int(pid) for pid in execution.result])
        self.assertEqual(1, self.guard.end_orphans())
        execution.finish()


class ForkServer(Case):
    def test_ready_tells_the_environment(self):
        ready = self.guard.ready
        self.assertEqual({"python", "implementation", "executable", "environment", "packages"}, set(ready))
        self.assertEqual(hashlib.sha256().digest_size * 2, len(ready["environment"]))
        self.assertIsInstance(ready["packages"], int)

    def test_is_single_threaded(self):
        self.assertEqual(1, len(os.listdir("/proc/%d/task" % self.guard.pid)))

    def test_usage_is_reported(self):
        execution = self.completed("import time\nx = bytearray(100_000_000)\nx[::4096] = x[::4096]\nx = bytes(50_000_000)\n"
                                   "while time.process_time() < .1: pass")
        self.assertGreaterEqual(execution.exited["cpu_us"], 100_000)
        self.assertGreaterEqual(execution.exited["max_rss_bytes"], 50_000_000)
        self.assertEqual(0, execution.exited["status"])

    def test_exit_statuses_are_those_of_wait(self):
        self.assertEqual(7, os.WEXITSTATUS(self.guard.run("import os\nos._exit(7)").exited["status"]))
        self.assertEqual(signal.SIGSEGV, self.guard.run("import os\nos.kill(os.getpid(), 11)").exited["status"] & 0x7F)

    def test_a_fork_leaves_nothing_to_put_right(self):
        random = self.completed(_AFTER_A_FORK).result + self.completed(_AFTER_A_FORK).result
        self.assertEqual(4, len(set(random)))

    def test_a_folder_with_too_long_a_name_is_refused(self):
        for length, expected in ((4095, None), (4096, errno.ENAMETOOLONG), (5000, errno.ENAMETOOLONG)):
            execution = self.guard.ask_fork("/" + "x" * (length - 1))
            self.guard.wait(lambda: execution.pid or execution.failed)
            self.assertEqual(expected, execution.failed)
            if execution.pid:
                execution.channel.shutdown(2)
                execution.finish()

    def test_a_terminal_interrupt_does_not_end_it(self):
        os.kill(self.guard.pid, signal.SIGINT)
        self.assertEqual(1, self.completed("set_result(1)").result)

    def test_forged_frames_leave_it_unharmed(self):
        for bytes_ in ("b'D\\xff\\xff\\xff\\xff' + b'x' * 100", "b'V\\0\\0\\0\\0' * 1000", "b'{\"fork\": 1}'", "b''"):
            self.guard.run("import os\nos.write(3, %s)\nos.close(3)" % bytes_)
        self.guard.run("import os, socket\nfor fd in range(3, 256):\n    try: os.write(fd, b'{}')\n    except OSError: pass")
        self.assertEqual(1, self.completed("set_result(1)").result)

    def test_a_process_whose_channel_closes_before_a_run_ends(self):
        execution = self.guard.fork()
        execution.channel.shutdown(2)
        self.assertEqual((0, []), (execution.finish().exited["status"], execution.frames))

    def test_another_kind_of_frame_is_no_run(self):
        execution = self.guard.fork()
        execution.channel.sendall(b"X\0\0\0\0")
        self.assertEqual([], execution.finish().frames)

    def test_missing_descriptors_are_refused(self):
        execution = self.guard.ask_fork(descriptors=2)
        self.guard.wait(lambda: execution.failed)
        self.assertEqual(errno.EBADMSG, execution.failed)
        self.guard.wait(lambda: execution.open == 0)
        self.completed("pass")

    def test_a_sandbox_that_fails_runs_no_script(self):
        for folder in ("/does/not/exist", "/etc/passwd"):
            execution = self.guard.fork(folder)
            execution.send_run("print('ran')", {"TOKEN": "s3cret"})
            done = execution.finish().done
            self.assertEqual(("SandboxFailed", ""), (done["error_type"], execution.stdout))
            self.assertTrue(done["error"].endswith("; the script was not run"))
            self.assertNotIn("s3cret", done["error"])

    def test_survives_two_hundred_children_at_once(self):
        descriptors = len(os.listdir("/proc/%d/fd" % self.guard.pid))
        executions = [self.guard.ask_fork() for _ in range(200)]
        self.guard.wait(lambda: all(execution.pid for execution in executions))
        for number, execution in enumerate(executions):
            execution.send_run("set_result(%d)" % number)
        for number, execution in enumerate(executions):
            self.assertEqual(number, execution.finish().result)
        self.assertEqual(descriptors, len(os.listdir("/proc/%d/fd" % self.guard.pid)))


class Starts(unittest.TestCase):
    """Fork servers of other kinds, one a test."""

    def guard(self, **arguments):
        guard = Guard(**arguments)
        self.addCleanup(guard.close)
        return guard

    def test_ends_with_status_zero_when_the_guard_goes(self):
        self.assertEqual(0, Guard().close())

    def test_ends_when_the_guard_goes_and_takes_waiting_processes_along(self):
        guard = self.guard()
        waiting = guard.fork()  # its channel stays open: that isn't what ends it
        process = os.pidfd_open(waiting.pid)
        self.addCleanup(os.close, process)
        guard.control.close()
        self.assertEqual([process], select.select([process], [], [], DEADLINE_SECONDS)[0])
        waiting.channel.close()

    def test_fatal_when_the_kernel_lacks_what_is_asked(self):
        guard = Guard(landlock_abi=99)
        self.assertRegex(guard.fatal, r"^the fork server can't start: Landlock ABI 99 was asked for, the kernel has \d+$")
        self.assertEqual(1, os.WEXITSTATUS(guard.close()))

    def test_without_landlock(self):
        self.assertEqual(1, self.guard(landlock_abi=0).run("set_result(1)").result)

    def test_older_landlock_versions(self):
        for abi in range(1, 8):
            guard = Guard(landlock_abi=abi)
            refused = guard.run("import os\ntry: os.listdir(%r)\nexcept PermissionError: set_result(True)" % guard.root)
            guard.close()
            self.assertTrue(refused.result)

    def test_forks_as_python_does_where_it_has_to(self):
        guard = self.guard(as_python_forks=True)
        executions = [guard.run(_AFTER_A_FORK) for _ in range(2)]
        self.assertEqual([None, None], [execution.done["error"] for execution in executions])
        self.assertEqual(4, len({number for execution in executions for number in execution.result}))

    def test_without_its_library_it_says_so(self):
        guard = self.guard(library=os.devnull)
        self.assertRegex(guard.fatal, "^the fork server can't start: ")

    def test_preloads_what_it_can(self):
        guard = self.guard(preload=["colorsys", "no_such_module"])
        self.assertTrue(guard.run("import sys\nset_result('colorsys' in sys.modules)").result)

    @unittest.skipUnless(os.getuid() == 0 and os.access(_DEBIAN_PYTHON, os.X_OK), "needs root and Debian's Python")
    def test_as_another_user(self):
        guard = self.guard(uid=_UNPRIVILEGED_UID, python=_DEBIAN_PYTHON)
        sibling = guard.fork()
        with open(os.path.join(sibling.folder, "file"), "w") as file:
            os.chown(file.name, _UNPRIVILEGED_UID, -1)
        for pid, folder in ((sibling.pid, sibling.folder), (guard.pid, guard.root), (os.getpid(), "/root")):
            self.assertEqual("", guard.run(_TRY_ALL % (pid, folder, _FORBIDDEN)).stdout)
        seen = guard.run("import os, tempfile\ntempfile.mkstemp()\nset_result([os.getuid(), os.geteuid()])")
        self.assertEqual([_UNPRIVILEGED_UID] * 2, seen.result)
        sibling.send_run("open('file').read()")
        self.assertIsNone(sibling.finish().done["error_type"])


if __name__ == "__main__":
    unittest.main()
