"""Makes Python's sockets whole where a signal comes in between.

The guard makes and connects the sockets of scripts. A call that waits for it can be interrupted by a signal just before the
guard has seen it: then nothing was done, where Python takes an interrupted `connect` for one that goes on, and knows no
interrupted `socket` at all. So both are tried again.
"""

import socket
from errno import EINTR
from socket import IPPROTO_TCP, TCP_INFO

_base = socket.socket.__mro__[1]
_base_init = socket.socket.__init__
_base_connect = _base.connect
_base_connect_ex = _base.connect_ex
_base_getsockopt = _base.getsockopt

# In `struct tcp_info` of linux/tcp.h: the state is the first byte; `tcpi_segs_out`, of Linux 4.2.
_STATE_CLOSE = 7
_SEGMENTS_OUT = slice(136, 140)
_TCP_INFO_BYTES = 140


def patch():
    """Once, in the fork server."""

    def __init__(self, family=-1, type=-1, proto=-1, fileno=None):
        while True:
            try:
                return _base_init(self, family, type, proto, fileno)
            except InterruptedError:
                continue

    def connect(self, address):
        while True:
            try:
                _base_connect(self, address)
            except InterruptedError:
                continue
            if _is_connected(self):
                return

    def connect_ex(self, address):
        while True:
            error = _base_connect_ex(self, address)
            if error == EINTR or (error == 0 and not _is_connected(self)):
                continue
            return error

    for function in (__init__, connect, connect_ex):
        function.__qualname__ = "socket.%s" % function.__name__
        function.__doc__ = getattr(_base, function.__name__).__doc__
        setattr(socket.socket, function.__name__, function)


def _is_connected(connection):
    """False if a call to connect came back as if it had succeeded, and was not carried out: no segment was ever sent."""
    try:
        info = _base_getsockopt(connection, IPPROTO_TCP, TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # not TCP
        return True
    return info[0] != _STATE_CLOSE or any(info[_SEGMENTS_OUT])
