# Tries: a bomb of threads.
# Expect: ends ProcessLimit
import threading
# Small stacks: with the usual ones of 8 MiB the limit of memory comes first.
threading.stack_size(256 * 1024)
def bomb():
    stop = threading.Event()
    threads = []
    while not T["bare"] or len(threads) < T["limits"]["processes"] * 3 // 2:
        try:
            threads.append(threading.Thread(target=stop.wait, daemon=True))
            threads[-1].start()
        except RuntimeError:
            continue
    stop.set()
attempt("half as many threads again", bomb)
