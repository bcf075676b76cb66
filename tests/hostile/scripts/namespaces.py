# Tries: to make and enter namespaces, in which it would be root.
# Expect: refused EPERM ENOSYS
DOCKER = "Docker's own profile refuses it"
attempt("a user namespace", lambda: in_child(lambda: call(272, 0x10000000)), bare_in_container=DOCKER)
attempt("user and network", lambda: in_child(lambda: call(272, 0x50000000)), bare_in_container=DOCKER)
attempt("user and mount", lambda: in_child(lambda: call(272, 0x10020000)), bare_in_container=DOCKER)
attempt("clone into one", lambda: (lambda pid: os._exit(0) if pid == 0 else os.waitpid(pid, 0))(call(56, 0x10000000 | 17, 0, 0, 0, 0)), bare_in_container=DOCKER)
attempt("clone3", lambda: call(435, bytes(64), 64), bare="needs a stack of its own for the child; clone is shown")
attempt("enter one", lambda: call(308, os.open("/proc/self/ns/user", os.O_RDONLY), 0), bare="one's own can't be entered again")
attempt("mount", lambda: call(165, b"none", b"/tmp", b"tmpfs", 0, 0), bare="only root may, with or without a sandbox")
attempt("chroot", lambda: os.chroot("."), bare="only root may, with or without a sandbox")
