# Tries: to fill the disk with files that are deleted and closed, and held by a mapping alone.
# Expect: ends DiskLimit
import mmap
held = []
def fill():
    size = T["limits"]["tmp"] // 16
    for number in range(24):
        file = os.open("part", os.O_RDWR | os.O_CREAT)
        os.unlink("part")
        os.write(file, os.urandom(65536) * (size // 65536))
        # Not Python's mmap, which keeps a descriptor.
        address = call(9, 0, size, 3, 1, file, 0)
        held.append(address)
        os.close(file)
    time.sleep(20 if not T["bare"] else 0)
attempt("half as much again", fill)
