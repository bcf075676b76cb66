# Tries: to connect by addresses that are odd as bytes: too long, too short, of another family, half readable, at odd places.
# Expect: refused EPERM EINVAL EAFNOSUPPORT EFAULT EISCONN ENOTSOCK EBADF
port = T["tcp"]
address = struct.pack("=H", 2) + struct.pack("!H", port) + socket.inet_aton("127.0.0.1") + bytes(8)


def connect(bytes_, length=None, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        call(42, s.fileno(), ctypes.create_string_buffer(bytes_, len(bytes_)), len(bytes_) if length is None else length)


def at_the_end_of_a_page():
    import mmap
    memory = mmap.mmap(-1, 8192)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    call(10, start + 4096, 4096, 0)
    memory[4096 - 16:4096] = address
    with socket.socket() as s:
        call(42, s.fileno(), start + 4096 - 16, 16)


attempt("plain", lambda: connect(address))
attempt("longer", lambda: connect(address + bytes(100)))
attempt("four on a six", lambda: connect(address, family=socket.AF_INET6), bare="the kernel refuses it by itself")
attempt("short", lambda: connect(address, 8), bare="the kernel refuses it by itself")
attempt("far too long", lambda: connect(address + bytes(1000)), bare="the kernel refuses it by itself")
attempt("negative", lambda: connect(address, -1), bare="the kernel refuses it by itself")
attempt("nowhere", lambda: call(42, socket.socket().fileno(), 8, 16), bare="the kernel refuses it by itself")
attempt("no socket", lambda: call(42, 0, ctypes.create_string_buffer(address, 16), 16), bare="the kernel refuses it by itself")
attempt("end of a page", at_the_end_of_a_page)
attempt("unix", lambda: connect(struct.pack("=H", 1) + b"/tmp\0"), bare="the kernel refuses it by itself")
