# Tries: to use more memory than the limit in one process, ever more of it.
# Expect: ends MemoryError MemoryLimit
held = []
def take():
    for _ in range(T["limits"]["memory"] * 3 // 2 >> 20):
        held.append(bytearray(1 << 20))
attempt("half as much again", take)
if not T["bare"]:
    raise MemoryError("it was refused")
