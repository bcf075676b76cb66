# Tries: to raise its own limits.
# Expect: refused EPERM ValueError
# Bare: not shown: a limit that the kernel enforces is the same everywhere; that it is set at all is what counts here
import resource

for name in ("DATA", "CPU", "NOFILE", "FSIZE", "NPROC", "CORE"):
    kind = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(kind)
    attempt("no limit of " + name, lambda: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
    attempt("a higher limit of " + name, lambda: resource.setrlimit(kind, (soft + 1, hard + 1)))
