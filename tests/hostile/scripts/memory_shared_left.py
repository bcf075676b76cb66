# Tries: to hold more memory than the limit in shared mappings whose pages no process has mapped: children fill them and end.
# Expect: ends MemoryLimit
import mmap
def take():
    held = mmap.mmap(-1, T["limits"]["memory"] * 3 // 2)
    step = len(held) // 8 & -4096
    for part in range(8):
        def fill():
            for offset in range(part * step, (part + 1) * step, 4096):
                held[offset] = 1
        in_child(fill)
    time.sleep(20 if not T["bare"] else 0)
attempt("half as much again", take)
