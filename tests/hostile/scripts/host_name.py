# Tries: to learn the name of the host, and to change it.
# Expect: refused EPERM EACCES ENOENT
attempt("change it", lambda: socket.sethostname("left"), bare="only root may, with or without a sandbox")
attempt("read it in /etc", lambda: open("/etc/hostname").read())
