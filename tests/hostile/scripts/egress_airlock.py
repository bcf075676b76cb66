# Tries: to reach the Airlock server that it runs under, by any address of the machine.
# Expect: refused EPERM URLError
def reach(host):
    with socket.create_connection((host, T["port"]), 5) as s:
        s.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        if b"ok" not in s.recv(4096):
            raise OSError(errno.EPERM, "something else answered")


attempt("loopback", lambda: reach("127.0.0.1"))
if T["outer"]:
    attempt("outer address", lambda: reach(T["outer"]), bare="natively the server listens on loopback alone")
