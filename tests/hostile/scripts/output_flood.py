# Tries: to flood standard output and error.
# Expect: nothing left
def flood():
    for _ in range(16 if T["bare"] else 4000):
        os.write(2, b"y" * 4096)
        os.write(1, b"x" * 4096 if not T["bare"] else b"x")
attempt("flood", flood)
pid = os.fork()
if pid == 0:
    ctypes.CDLL(None).prctl(15, T["left"].encode(), 0, 0, 0)
    os.close(0)
    if T["bare"]:
        # The runner reads to the end of its pipes.
        os.close(1), os.close(2)
        signal.pause()
    while True:
        os.write(1, b"z" * 4096)
time.sleep(0.1)
