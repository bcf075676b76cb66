# Tries: to spin beyond its seconds of processor time, deaf to signals.
# Expect: ends CpuLimit
for number in (signal.SIGXCPU, signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)
def spin():
    while not T["bare"] or time.process_time() < T["limits"]["cpu"] * 1.3:
        pass
attempt("a third more", spin)
