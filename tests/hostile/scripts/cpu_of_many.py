# Tries: to use more processor time than its seconds by processes that each stay below them.
# Expect: ends CpuLimit
def spin():
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            while not T["bare"] or time.process_time() < T["limits"]["cpu"] / 3:
                pass
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
attempt("a third more", spin)
