# Tries: to hold up others' connections by opening, asking and connecting without end.
# Expect: any end
import threading
socket.setdefaulttimeout(0.01)


def flood():
    end = time.monotonic() + 2
    kept = []
    while time.monotonic() < end:
        try:
            kept.append(socket.socket())
            kept.append(socket.socket(type=socket.SOCK_DGRAM))
            kept[-1].connect(("9.9.9.9", 53))
            kept[-1].send(os.urandom(100))
            kept[-2].connect_ex(("127.0.0.1", T["tcp"]))
        except OSError:
            kept.clear()


threads = [threading.Thread(target=flood) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
