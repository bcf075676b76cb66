# Tries: to use more memory than the limit by processes that each stay below it.
# Expect: ends MemoryLimit
PARTS = 4
def take():
    r, w = os.pipe()
    children = []
    for _ in range(PARTS):
        pid = os.fork()
        if pid == 0:
            held = bytearray(T["limits"]["memory"] * 3 // 8)
            held[::4096] = b"x" * len(held[::4096])
            os.write(w, b"x")
            time.sleep(20 if not T["bare"] else 1)
            os._exit(0)
        children.append(pid)
    got = b""
    while len(got) < PARTS:
        got += os.read(r, PARTS)
    for pid in children:
        os.waitpid(pid, 0)
attempt("half as much again", take)
