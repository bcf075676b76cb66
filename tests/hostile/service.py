# Run outside the sandbox, as the server's user: what scripts try to reach. `PORT`: of its name server. Prints, as JSON, the ports
# of a TCP service that no profile allows and of one that the attacking profile does, of a UDP service, the paths of Unix
# sockets that everybody may connect to, and an outer address of the machine. Each answers whatever it is sent with the same.
import json, os, selectors, socket, struct, tempfile

folder = tempfile.mkdtemp(prefix="airlock-service-")
os.chmod(folder, 0o755)
selector = selectors.DefaultSelector()


def listen(family, kind, address):
    s = socket.socket(family, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(address)
    if kind == socket.SOCK_STREAM:
        s.listen(4096)
    s.setblocking(False)
    selector.register(s, selectors.EVENT_READ, kind)
    return s


def both():
    # IPv6 may be missing in a container.
    try:
        return listen(socket.AF_INET6, socket.SOCK_STREAM, ("::", 0))
    except OSError:
        return listen(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", 0))


forbidden, allowed = both(), both()
udp = listen(socket.AF_INET, socket.SOCK_DGRAM, ("0.0.0.0", 0))
paths = {}
for name, kind in (("stream", socket.SOCK_STREAM), ("datagram", socket.SOCK_DGRAM)):
    paths[name] = os.path.join(folder, name)
    listen(socket.AF_UNIX, kind, paths[name])
    os.chmod(paths[name], 0o777)
names = listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", PORT))

ZONE = {
    "rebound.example": "127.0.0.1",
    "metadata.example": "169.254.169.254",
    "private.wild.example": "10.255.255.1",
    "open.example": "127.0.0.1",
}


def answer(question):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode("latin-1").lower())
        at += 1 + question[at]
    kind = struct.unpack("!H", question[at + 1:at + 3])[0]
    address = ZONE.get(".".join(labels))
    found = address is not None and kind == 1
    head = question[:2] + struct.pack("!5H", 0x8180 if address else 0x8183, 1, int(found), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address) if found else b""
    return head + question[12:at + 5] + record


def outer():
    """An address of this machine that is not loopback, if it has one."""
    with socket.socket(type=socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))
            return s.getsockname()[0]
        except OSError:
            return None


print(json.dumps({
    "tcp": forbidden.getsockname()[1], "open": allowed.getsockname()[1], "udp": udp.getsockname()[1], "unix": paths, "outer": outer(),
}), flush=True)
while True:
    for key, _ in selector.select():
        s = key.fileobj
        try:
            if s is names:
                question, peer = s.recvfrom(4096)
                s.sendto(answer(question), peer)
            elif key.data == socket.SOCK_DGRAM:
                text, peer = s.recvfrom(4096)
                if peer:
                    s.sendto(text, peer)
            elif key.data == socket.SOCK_STREAM:
                connection, _ = s.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, None)
            else:
                text = s.recv(4096)
                if not text:
                    selector.unregister(s)
                    s.close()
                else:
                    s.send(text)
        except (OSError, IndexError):
            if key.data is None:
                selector.unregister(s)
                s.close()
