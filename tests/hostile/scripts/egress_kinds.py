# Tries: every family, type and protocol of socket that is not plain TCP or a question to a name server.
# Expect: refused EPERM
# Bare: as server
def named(kind, path):
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.connect(path)


S = socket.socket
RAW = None if T["own_user"] else "takes a capability, which nobody has here"
attempt("unix stream", lambda: named(socket.SOCK_STREAM, T["unix"]["stream"]))
attempt("unix datagram", lambda: named(socket.SOCK_DGRAM, T["unix"]["datagram"]))
attempt("netlink", lambda: S(socket.AF_NETLINK, socket.SOCK_RAW, 0))
attempt("raw", lambda: S(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP), bare=RAW)
attempt("raw IP", lambda: S(socket.AF_INET, socket.SOCK_RAW, 255), bare=RAW)
attempt("packets", lambda: S(socket.AF_PACKET, socket.SOCK_RAW, 3), bare=RAW)
attempt("multipath", lambda: S(socket.AF_INET, socket.SOCK_STREAM, 262), bare="not every kernel has it")
attempt("multipath, six", lambda: S(socket.AF_INET6, socket.SOCK_STREAM, 262), bare="not every kernel has it")
attempt("SCTP", lambda: S(socket.AF_INET, socket.SOCK_STREAM, 132), bare="not every kernel has it")
attempt("DCCP", lambda: S(socket.AF_INET, 6, 33), bare="not every kernel has it")
attempt("UDP-Lite", lambda: S(socket.AF_INET, socket.SOCK_DGRAM, 136), bare="not every kernel has it")
attempt("ping", lambda: S(socket.AF_INET, socket.SOCK_DGRAM, 1), bare="not every machine lets users")
attempt("vsock", lambda: S(socket.AF_VSOCK, socket.SOCK_STREAM), bare="not every kernel has it")
attempt("kernel crypto", lambda: S(38, socket.SOCK_SEQPACKET), bare="not every kernel has it")
attempt("bluetooth", lambda: S(31, socket.SOCK_RAW, 1), bare="not every kernel has it")
attempt("express data path", lambda: S(44, socket.SOCK_RAW), bare="not every kernel has it")
attempt("SMC", lambda: S(43, socket.SOCK_STREAM), bare="not every kernel has it")
