# Tries: to use more processor time than its seconds by children that live shortly, one after the other.
# Expect: ends CpuLimit
def spin():
    end = time.monotonic() + T["limits"]["cpu"] * 1.3
    while not T["bare"] or time.monotonic() < end:
        in_child(lambda: [None for _ in range(200000)])
attempt("a third more", spin)
