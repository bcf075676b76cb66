# Tries: to fill the disk with many files, each below the limit of one.
# Expect: ends DiskLimit
def fill():
    for number in range(24):
        with open("part%d" % number, "wb") as file:
            file.write(os.urandom(65536) * (T["limits"]["tmp"] // 16 // 65536))
    time.sleep(20 if not T["bare"] else 0)
attempt("half as much again", fill)
