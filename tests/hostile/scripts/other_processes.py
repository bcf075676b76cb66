# Tries: to read other processes: memory, environment, arguments, descriptors, folder, through /proc.
# Expect: refused EACCES EPERM
for pid in T["pids"]:
    attempt("memory of %d" % pid, lambda: open("/proc/%d/mem" % pid, "rb"))
    attempt("environment of %d" % pid, lambda: open("/proc/%d/environ" % pid, "rb").read())
    attempt("arguments of %d" % pid, lambda: open("/proc/%d/cmdline" % pid, "rb").read())
    attempt("maps of %d" % pid, lambda: open("/proc/%d/maps" % pid).read())
    attempt("status of %d" % pid, lambda: open("/proc/%d/status" % pid).read())
    attempt("descriptors of %d" % pid, lambda: os.listdir("/proc/%d/fd" % pid))
    attempt("a descriptor of %d" % pid, lambda: os.readlink("/proc/%d/fd/1" % pid))
    attempt("folder of %d" % pid, lambda: os.listdir("/proc/%d/cwd" % pid))
    attempt("root of %d" % pid, lambda: os.listdir("/proc/%d/root" % pid))
    attempt("threads of %d" % pid, lambda: os.listdir("/proc/%d/task" % pid))
