# Tries: to change modes, times and attributes of files that are not its own: Airlock's, where both have one user, and others'.
# Expect: refused EPERM EACCES ENOENT ENOSYS ENOTSUP
# Bare: as server
key, data = T["key"], T["data"]
PATH = 0o10000000
attempt("a mode", lambda: os.chmod(key, 0o600))
attempt("a folder's mode", lambda: os.chmod(data, 0o700))
attempt("a mode through a link", lambda: (os.symlink(key, "way"), os.chmod("way", 0o600)))
attempt("a mode by a relative path", lambda: os.chmod(os.path.relpath(key), 0o600))
attempt("a mode below a descriptor", lambda: os.chmod(".secret", 0o600, dir_fd=os.open(data, PATH | os.O_DIRECTORY)))
attempt("a mode of a descriptor", lambda: os.fchmod(os.open(key, os.O_RDONLY), 0o600))
attempt("a mode by a descriptor's path", lambda: os.chmod("/proc/self/fd/%d" % os.open(key, PATH), 0o600))
attempt("fchmodat2", lambda: call(452, os.open(key, PATH), b"", 0o600, 0x1000), bare="Linux 6.6 or later, and a container's profile that knows it")
attempt("times", lambda: os.utime(key))
attempt("times of a descriptor", lambda: os.utime(os.open(key, os.O_RDONLY)))
attempt("times, an older way", lambda: call(132, key.encode(), None))
attempt("an attribute", lambda: (os.setxattr(data, "user.planted", b"x"), os.removexattr(data, "user.planted")))
attempt("remove one", lambda: os.removexattr(data, "user.none"), bare="there is none")
attempt("of the folder above its own", lambda: os.chmod("..", 0o1777), bare="it is everybody's, and root's")
# What it may open, and so has a descriptor of, it may still not change: here its user may own the interpreter.
program = os.open(sys.executable or "/usr/bin/python3", os.O_RDONLY)
attempt("the interpreter's mode", lambda: os.fchmod(program, 0o755), bare=None if os.geteuid() == 0 else "it is root's")
attempt("the interpreter's times", lambda: os.utime(program), bare=None if os.geteuid() == 0 else "it is root's")
