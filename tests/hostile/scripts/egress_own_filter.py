# Tries: to install a filter of its own, whose answers could stand in for the guard's.
# Expect: refused EPERM
# A program of one instruction that lets everything pass.
instruction = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 0x7FFF0000), 8)
program = ctypes.create_string_buffer(struct.pack("=HxxxxxxQ", 1, ctypes.addressof(instruction)), 16)
call(157, 38, 1, 0, 0, 0)
attempt("by seccomp, with a listener", lambda: call(317, 1, 8, program))
attempt("by seccomp", lambda: call(317, 1, 0, program))
attempt("by prctl", lambda: call(157, 22, 2, program))
