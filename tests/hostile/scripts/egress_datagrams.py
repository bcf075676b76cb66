# Tries: to send datagrams to somebody who is no name server, and over a Unix socket.
# Expect: refused EPERM ENETUNREACH TimeoutError
where = ("127.0.0.1", T["udp"])


def answered(send):
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        s.settimeout(0.5)
        send(s)
        s.recv(100)


def connected(s):
    s.connect(where)
    s.send(b"x")


attempt("sendto", lambda: answered(lambda s: s.sendto(b"x", where)))
attempt("connect", lambda: answered(connected))
attempt("sendmsg", lambda: answered(lambda s: s.sendmsg([b"x"], [], 0, where)))
attempt("unix datagram", lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", T["unix"]["datagram"]))
