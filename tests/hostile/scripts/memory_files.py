# Tries: to hold memory, and programs, in files that are on no disk and that no limit counts.
# Expect: refused ENOSYS EPERM
attempt("memfd_create", lambda: os.close(os.memfd_create("x")))
attempt("memfd_secret", lambda: os.close(call(447, 0)), bare="not every kernel has it, and containers may refuse it")
