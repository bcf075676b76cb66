# Tries: to connect while it sends, which no call to connect shows (TCP fast open).
# Expect: refused EPERM
where = ("127.0.0.1", T["tcp"])
attempt("sendto", lambda: socket.socket().sendto(b"x", socket.MSG_FASTOPEN, where))
attempt("sendmsg", lambda: socket.socket().sendmsg([b"x"], [], socket.MSG_FASTOPEN, where))


def by_option():
    with socket.socket() as s:
        s.setsockopt(socket.IPPROTO_TCP, 30, 1)


attempt("option", by_option)
attempt("listener", lambda: socket.socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 1))
