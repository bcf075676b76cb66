# Tries: to change the address, and the socket behind the number, while the guard decides.
# Expect: refused EPERM
# Bare: not shown: without a guard there is no decision to race with; `egress_spellings` shows that the service can be reached
import threading

good, bad = T["open"], T["tcp"]
memory = ctypes.create_string_buffer(struct.pack("=H", 2) + struct.pack("!H", good) + socket.inet_aton("127.0.0.1") + bytes(8), 16)
place = ctypes.addressof(memory) + 2
_libc.connect.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
stop = threading.Event()


def flip():
    texts = struct.pack("!H", bad), struct.pack("!H", good)
    while not stop.is_set():
        for text in texts:
            ctypes.memmove(place, text, 2)


def swap(victim):
    while not stop.is_set():
        with socket.socket() as fresh:
            os.dup2(fresh.fileno(), victim)


threading.Thread(target=flip, daemon=True).start()
victim = os.dup(0)
threading.Thread(target=swap, args=(victim,), daemon=True).start()
reached = refused = 0
for turn in range(150):
    with socket.socket() as s:
        if _libc.connect(s.fileno(), ctypes.addressof(memory), 16) == 0:
            if s.getpeername()[1] == bad:
                reached += 1
        else:
            refused += 1
    _libc.connect(victim, ctypes.addressof(memory), 16)
stop.set()


def outcome():
    if not reached:
        raise OSError(errno.EPERM, "never")


def raced():
    if not 0 < refused < 150:
        return  # Nothing was raced: the attack is broken, and that is a fault.
    raise OSError(errno.EPERM, "raced")


attempt("reached the wrong port", outcome)
attempt("no race was run", raced)
