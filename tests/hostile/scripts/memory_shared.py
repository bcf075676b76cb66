# Tries: to use more memory than the limit in shared mappings, which the limit of a process does not count.
# Expect: ends MemoryLimit
import mmap
def take():
    held = mmap.mmap(-1, T["limits"]["memory"] * 3 // 2)
    for offset in range(0, len(held), 4096):
        held[offset] = 1
    time.sleep(20 if not T["bare"] else 0)
attempt("half as much again", take)
