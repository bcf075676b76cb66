# Tries: to leave a process behind that the next execution finds by an abstract Unix socket.
# Expect: nothing found
# Bare: as worker
name = "\0airlock-left"
if T["second"]:
    def meet():
        s = socket.socket(socket.AF_UNIX)
        s.connect(name)
        s.close()
    attempt("meet", meet)
else:
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        try:
            s = socket.socket(socket.AF_UNIX)
            s.bind(name)
            s.listen(1)
        finally:
            os.write(w, b"x")
        for number in (0, 1, 2):
            os.close(number)
        s.accept()
        os._exit(0)
    os.read(r, 1)
