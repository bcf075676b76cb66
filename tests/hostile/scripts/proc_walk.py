# Tries: to walk /proc: who runs here, what the kernel and the network look like.
# Expect: refused EACCES EPERM EROFS
attempt("list processes", lambda: os.listdir("/proc"))
for name in ("self/maps", "self/environ", "self/mountinfo", "self/cgroup", "1/cmdline", "net/tcp", "net/unix", "mounts",
             "version", "cmdline", "sys/kernel/hostname", "filesystems"):
    attempt("read /proc/" + name, lambda: open("/proc/" + name, "rb").read())
attempt("list /proc/sys", lambda: os.listdir("/proc/sys"))
attempt("write its own score", lambda: open("/proc/self/oom_score_adj", "w").write("1000"))
