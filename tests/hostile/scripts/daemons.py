# Tries: to leave processes behind that changed session, forked twice, ignore signals and called themselves something else.
# Expect: nothing left
def daemon(depth):
    r, w = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            if depth:
                daemon(depth - 1)
            ctypes.CDLL(None).prctl(15, T["left"].encode(), 0, 0, 0)
            os.write(w, b"x")
            for number in (0, 1, 2):
                os.close(number)
            while True:
                time.sleep(1000)
        os._exit(0)
    os.wait()
    os.read(r, 1)
attempt("daemons", lambda: daemon(2))
