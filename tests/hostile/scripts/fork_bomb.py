# Tries: a fork bomb, whose processes leave their session and ignore signals.
# Expect: ends ProcessLimit
def bomb():
    count, bound = 0, T["limits"]["processes"] * 3 // 2
    children = []
    while not T["bare"] or count < bound:
        try:
            pid = os.fork()
        except OSError:
            continue
        if pid == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            if T["bare"]:
                signal.pause()
        children.append(pid)
        count += 1
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
attempt("half as many processes again", bomb)
