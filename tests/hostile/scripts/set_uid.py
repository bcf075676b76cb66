# Tries: to make set-uid files, and to gain rights by those that are there.
# Expect: refused EPERM EACCES ENOENT ENOSYS
open("f", "w").close()
f = os.open("f", os.O_RDONLY)
create = os.O_CREAT | os.O_WRONLY
attempt("chmod u+s", lambda: os.chmod("f", 0o4755))
attempt("chmod g+s", lambda: os.chmod("f", 0o2755))
attempt("fchmod", lambda: os.fchmod(f, 0o4755))
attempt("fchmodat", lambda: os.chmod("f", 0o4755, dir_fd=os.open(".", os.O_RDONLY)))
attempt("fchmodat2", lambda: call(452, -100, b"f", 0o4755, 0), bare="Linux 6.6 or later, and a container's profile that knows it")
attempt("open", lambda: os.close(os.open("g", create, 0o4755)))
attempt("openat2", lambda: call(437, -100, b"g2", struct.pack("QQQ", create, 0o4755, 0), 24), bare="a container's profile may not know it")
attempt("creat", lambda: call(85, b"h", 0o6755))
attempt("mknod", lambda: os.mknod("n", 0o104755))
attempt("an unnamed file", lambda: os.close(os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o4755)), bare_in_container="overlay file systems have none")


def gains():
    # Who it is after a set-uid program of root's began, as the kernel shows it: `su` waits for a password.
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(r, 0)
        os.execv("/bin/su", ["su", "-c", "true"])
    for _ in range(500):
        status = call_status(pid)
        if status == 0:
            break
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL) if status else None
    os.close(w)
    os.waitpid(pid, 0)
    if status != 0:
        raise PermissionError(errno.EPERM, "still the same user")


def call_status(pid):
    """The effective user of a child: its folder in /proc belongs to it."""
    return os.stat("/proc/%d" % pid).st_uid


# Who has root's number already, and none of its powers, gains nothing by it.
if os.geteuid() != 0:
    attempt("become root by su", gains, bare=None if os.access("/bin/su", os.X_OK) else "there is no su here")
