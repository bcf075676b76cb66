# Tries: to use descriptors that were left open: outside the sandbox one is, on a file of root's.
# Expect: refused EBADF
for number in range(4, 64) if not T["bare"] else [9]:
    attempt("descriptor %d" % number, lambda: os.fstat(number))
