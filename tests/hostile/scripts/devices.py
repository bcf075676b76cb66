# Tries: to make device files and open devices.
# Expect: refused EPERM EACCES ENOENT
attempt("make a device", lambda: os.mknod("dev", 0o020600, os.makedev(1, 1)), bare="only root may, with or without a sandbox")
attempt("make a block device", lambda: os.mknod("disk", 0o060600, os.makedev(8, 0)), bare="only root may, with or without a sandbox")
attempt("make a socket file", lambda: os.mknod("socket", 0o140600))
attempt("list devices", lambda: os.listdir("/dev"))
attempt("open the terminal multiplexer", lambda: os.close(os.open("/dev/ptmx", os.O_RDWR)))
attempt("open memory", lambda: os.open("/dev/mem", os.O_RDONLY), bare="only root may, with or without a sandbox")
attempt("type into a terminal", lambda: call(16, 0, 0x5412, b"x"), bare="there is no terminal here")
