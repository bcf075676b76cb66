# Tries: parts of the kernel that no script needs: bpf, perf, io_uring, keys, queues, userfaultfd, handles, personality, other parents.
# Expect: refused EPERM ENOSYS
DOCKER = "Docker's own profile refuses it"
DEPENDS = "depends on the kernel's settings, which may refuse it too"
attempt("io_uring", lambda: os.close(call(425, 1, ctypes.create_string_buffer(120))), bare=DEPENDS)
attempt("bpf", lambda: call(321, 0, bytes(128), 128), bare=DEPENDS)
attempt("perf", lambda: call(298, bytes(128), 0, -1, -1, 0), bare=DEPENDS)
attempt("userfaultfd", lambda: os.close(call(323, 1)), bare=DEPENDS)
attempt("a key", lambda: call(248, b"user", b"airlock", b"v", 1, -3), bare_in_container=DOCKER)
attempt("read keys", lambda: call(250, 0, -3, 1, 0, 0), bare_in_container=DOCKER)
attempt("System V memory", lambda: call(31, call(29, 0, 4096, 0o1600), 0, 0))
attempt("a System V queue", lambda: call(71, call(68, 0, 0o1600), 0, 0))
attempt("System V semaphores", lambda: call(66, call(64, 0, 1, 0o1600), 0, 0, 0))
attempt("a POSIX queue", lambda: os.close(call(240, b"airlock-%d" % os.getpid(), 0o102, 0o600, 0)), bare="not every kernel has them")
attempt("a handle", lambda: call(303, -100, b".", struct.pack("Ii", 128, 0) + bytes(128), ctypes.create_string_buffer(8), 0),
        bare="not every file system has them")
attempt("no address randomisation", lambda: call(135, 0x0040000), bare_in_container=DOCKER)
attempt("be traced by anybody", lambda: call(157, 0x59616D61, -1, 0, 0, 0), bare="only where Yama is on")
attempt("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()), bare="only root may, with or without a sandbox")
attempt("reboot", lambda: call(169, 0, 0, 0, 0), bare="is not tried where it might work")
attempt("kernel log", lambda: call(103, 3, ctypes.create_string_buffer(16), 16), bare=DEPENDS)
attempt("a child of its parent's", lambda: (lambda pid: os._exit(0) if pid == 0 else None)(call(56, 0x8000 | 17, 0, 0, 0, 0)))
attempt("give orphans away", lambda: call(157, 36, 0, 0, 0, 0))
