# Tries: to slow others down: priority, affinity, scheduler, limits, I/O priority, of one process and of all of the user.
# Expect: refused EPERM EACCES
import resource
for pid in T["pids"]:
    attempt("priority of %d" % pid, lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    attempt("affinity of %d" % pid, lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0)))
    attempt("scheduler of %d" % pid, lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
    attempt("I/O priority of %d" % pid, lambda: call(251, 1, pid, (3 << 13)))
    attempt("limits of %d" % pid, lambda: resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0)))
attempt("priority of the user", lambda: os.setpriority(os.PRIO_USER, 0, 19))
attempt("a better priority", lambda: os.nice(-5), bare="nobody but root may, with or without a sandbox")
