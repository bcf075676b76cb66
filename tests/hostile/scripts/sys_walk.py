# Tries: to walk /sys: devices, modules, control groups.
# Expect: refused EACCES EPERM ENOENT
for path in ("/sys", "/sys/class", "/sys/class/net", "/sys/kernel", "/sys/module", "/sys/fs/cgroup", "/sys/block"):
    attempt("list " + path, lambda: os.listdir(path))
attempt("read the machine's kind", lambda: open("/sys/kernel/mm/transparent_hugepage/enabled").read())
