# Tries: to signal other processes: by number, group, descriptor, and all at once.
# Expect: refused EPERM ESRCH
for pid in T["pids"]:
    attempt("signal %d" % pid, lambda: os.kill(pid, 0))
    attempt("continue %d" % pid, lambda: os.kill(pid, signal.SIGCONT))
    attempt("signal %d by descriptor" % pid, lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGCONT))
    attempt("queue a signal for %d" % pid, lambda: call(129, pid, 0, struct.pack("iiiiii", 0, 0, -1, 0, 0, 0) + bytes(104)),
            bare="needs the exact layout of a queued signal; the plain ones above are shown")
    if not T["bare"]:
        attempt("kill %d" % pid, lambda: os.kill(pid, signal.SIGKILL))
        attempt("kill %d's group" % pid, lambda: os.killpg(pid, signal.SIGKILL))
        attempt("kill %d by descriptor" % pid, lambda: signal.pidfd_send_signal(os.pidfd_open(pid), signal.SIGKILL))
attempt("everybody", lambda: os.kill(-1, 0))
