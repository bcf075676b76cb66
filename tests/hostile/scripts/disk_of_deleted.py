# Tries: to fill the disk with files that are deleted and still open.
# Expect: ends DiskLimit
held = []
def fill():
    for number in range(24):
        held.append(open("part", "wb"))
        os.unlink("part")
        held[-1].write(os.urandom(65536) * (T["limits"]["tmp"] // 16 // 65536))
        held[-1].flush()
    time.sleep(20 if not T["bare"] else 0)
attempt("half as much again", fill)
