"""The frames between a forked process and its guard: kind (one byte), length (32 bits, little-endian), payload.

    to the process   RUN, once: most bytes of a result (64 bits), then script, and name and value of each setting, each with
                     its length before it; ANSWER: batch, index, last (one byte), kind (one byte), text
    to the guard     RESULT, DONE; ASK: batch, then for each request prompt, model and schema, each with its length before it;
                     IDLE: how many batches have been answered, which says "nothing goes on here but waiting for the rest"

Numbers are 32 bits if nothing else is said, little-endian; texts are UTF-8. Functions of `os` are bound by name here, before any script runs: one that replaces
`os.write` must not lose its own report.
"""

from _thread import allocate_lock
from os import read, write
from struct import Struct

RUN = b"R"
RESULT = b"V"
DONE = b"D"
ASK = b"A"
IDLE = b"I"
ANSWER = b"L"

_HEADER = Struct("<cI")
_LENGTH = Struct("<I")
_RESULT_BYTES = Struct("<Q")
_READ_SIZE = 64 * 1024


class Channel:
    """One end of the stream socket `descriptor`. Frames are read by one thread at a time; the guard sends trusted ones."""

    __slots__ = ("_descriptor", "_pending", "_sending")

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._pending = bytearray()
        self._sending = allocate_lock()

    def fileno(self):
        """The descriptor, to wait on."""
        return self._descriptor

    def receive(self):
        """The next frame as `(kind, payload)`, or None when the guard has closed its end."""
        if not self._pending:
            # Nearly always it comes alone and whole.
            part = read(self._descriptor, _READ_SIZE)
            if len(part) >= _HEADER.size:
                kind, length = _HEADER.unpack_from(part)
                if len(part) == _HEADER.size + length:
                    return kind, part[_HEADER.size:]
            elif not part:
                return None
            self._pending += part
        if not self._fill(_HEADER.size):
            return None
        kind, length = _HEADER.unpack_from(self._pending)
        end = _HEADER.size + length
        if not self._fill(end):
            return None
        payload = bytes(memoryview(self._pending)[_HEADER.size:end])
        del self._pending[:end]
        return kind, payload

    def has_frame(self):
        """True when a frame has been read already, behind another one."""
        if len(self._pending) < _HEADER.size:
            return False
        return len(self._pending) >= _HEADER.size + _HEADER.unpack_from(self._pending)[1]

    def _fill(self, size):
        """Reads until `size` bytes are pending, however they arrive; False at the end of the stream."""
        while len(self._pending) < size:
            part = read(self._descriptor, max(_READ_SIZE, size - len(self._pending)))
            if not part:
                return False
            self._pending += part
        return True

    def send(self, *frames):
        """Writes `(kind, payload)` frames, as few system calls as their size allows. Raises OSError."""
        rest = memoryview(b"".join(_HEADER.pack(kind, len(payload)) + payload for kind, payload in frames))
        # Threads of the script may ask at once, or while it ends.
        with self._sending:
            while rest:
                rest = rest[write(self._descriptor, rest):]


def read_run(payload):
    """The script, the settings by name, and the most bytes of a result, of a RUN frame's payload."""
    (result_bytes,) = _RESULT_BYTES.unpack_from(payload)
    texts = []
    at = _RESULT_BYTES.size
    while at < len(payload):
        start = at + _LENGTH.size
        at = start + _LENGTH.unpack_from(payload, at)[0]
        texts.append(payload[start:at].decode())
    return texts[0], dict(zip(texts[1::2], texts[2::2])), result_bytes
