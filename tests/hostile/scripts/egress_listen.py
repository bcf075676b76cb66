# Tries: to be a server, which others could connect to past the guard.
# Expect: refused EPERM
def serve(*address):
    with socket.socket() as s:
        if address:
            s.bind(address)
        s.listen()


attempt("without an address", serve)
attempt("loopback", lambda: serve("127.0.0.1", 0))
attempt("everywhere", lambda: serve("0.0.0.0", 0))
attempt("a port of its own", lambda: serve("0.0.0.0", 39017))
attempt("unix", lambda: socket.socket(socket.AF_UNIX).bind("here"))
