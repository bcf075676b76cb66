"""The script's `llm`: questions to the agent's LLM, which the whole script waits for.

A thread that asks sends its batch and waits. One of those that wait reads for all of them. When no thread does anything but
wait, that one says so (IDLE), and the guard stops the script with all its processes until an answer is there; the time does
not count. A script that claims to be idle and is not only stops itself.

What may not be replaced by the script is bound by name here, before it runs.
"""

import concurrent.futures.thread
import json
import queue
import threading
from _signal import SIG_BLOCK, SIG_SETMASK, pthread_sigmask, valid_signals
from _thread import get_ident
from os import getpid
from select import poll
from struct import Struct
from sys import _current_frames

from _airlock_channel import ANSWER, ASK, IDLE

# The guard holds a script to these, and the server the guard.
MAX_OPEN = 100
MAX_OPEN_BYTES = 8 * 1024 * 1024
MAX_PROMPT_BYTES = 1024 * 1024
MAX_MODEL_BYTES = 256
MAX_SCHEMA_BYTES = 64 * 1024

_NUMBER = Struct("<I")
_ANSWER = Struct("<IIBB")
_NO_SCHEMA = _NUMBER.pack(0xFFFFFFFF)
_TEXT = 0
_TIMED_OUT = 1
_REFUSED = 2
_POLLIN = 1
# A look at the other threads costs some microseconds.
_LOOK_EVERY_MS = 20
_ALL_SIGNALS = valid_signals()
# A thread whose innermost Python function is one of these waits for another thread; others of these modules, such as
# `Event.is_set`, do not wait.
_WAITING = frozenset(
    (module.__file__, function)
    for module, function in (
        (threading, "wait"),
        (threading, "join"),
        (threading, "_wait_for_tstate_lock"),
        (threading, "acquire"),
        (queue, "get"),
        (concurrent.futures.thread, "_worker"),
    )
)


class LlmTimeout(Exception):
    """The agent's LLM did not answer in time."""


class LlmLimit(Exception):
    """More was asked of the agent's LLM than is allowed."""


class Llm:
    """The agent's LLM."""

    __slots__ = ()

    def complete(self, prompt, model="default", schema=None):
        """Asks one question and waits for the answer, a str; with a JSON Schema, what the answer's JSON says.

        Raises LlmTimeout when no answer comes in time, LlmLimit.
        """
        return _line.ask([_request(prompt, model, schema)])[0]

    def map(self, prompts, model="default", schema=None):
        """Asks all questions at once, at most 100; returns the answers in the order of the questions.

        Raises LlmTimeout when one of them isn't answered in time, LlmLimit.
        """
        if isinstance(prompts, str):
            raise TypeError("llm.map takes a list of prompts; for one prompt use llm.complete")
        requests = [_request(prompt, model, schema) for prompt in prompts]
        return _line.ask(requests) if requests else []

    def __repr__(self):
        return "<llm>"


class _Request:
    __slots__ = ("payload", "parsed")

    def __init__(self, payload, parsed):
        self.payload = payload
        self.parsed = parsed


def _request(prompt, model, schema):
    parts = [
        _text(prompt, "the prompt", MAX_PROMPT_BYTES),
        _text(model, "the name of the model", MAX_MODEL_BYTES),
    ]
    if schema is not None:
        if not isinstance(schema, (dict, bool)):
            raise TypeError("the schema must be a dict, a JSON Schema, not %s" % type(schema).__name__)
        parts.append(_text(json.dumps(schema, allow_nan=False), "the schema", MAX_SCHEMA_BYTES))
    payload = b"".join(_NUMBER.pack(len(part)) + part for part in parts)
    return _Request(payload if schema is not None else payload + _NO_SCHEMA, schema is not None)


def _text(value, what, limit):
    if not isinstance(value, str):
        raise TypeError("%s must be a str, not %s" % (what, type(value).__name__))
    encoded = value.encode("utf-8", "replace")
    if len(encoded) > limit:
        raise LlmLimit("%s has %d bytes, at most %d are allowed; ask for less at once" % (what, len(encoded), limit))
    return encoded


class _Line:
    """The conversation with the guard, of all threads."""

    def __init__(self):
        self._channel = None
        self._process = None
        self._changed = threading.Condition(threading.Lock())
        self._reading = False
        self._asked = 0
        self._answered = 0
        self._open = {}  # by batch: how many requests and bytes
        self._answers = {}  # by batch: list of (kind, text) so far; of those that somebody waits for
        self._complete = set()
        self._waiting = set()  # threads

    def connect(self, channel):
        self._channel = channel
        self._process = getpid()

    def ask(self, requests):
        if getpid() != self._process:
            raise RuntimeError("only the script's own process can ask the LLM; ask there and pass the answer on")
        size = sum(len(request.payload) for request in requests)
        with self._changed:
            opened = sum(count for count, _ in self._open.values())
            if opened + len(requests) > MAX_OPEN:
                raise LlmLimit("at most %d requests can be open at once; ask fewer at a time" % MAX_OPEN)
            if sum(taken for _, taken in self._open.values()) + size > MAX_OPEN_BYTES:
                raise LlmLimit("the open prompts have more than %d bytes; ask fewer at a time" % MAX_OPEN_BYTES)
            self._asked += 1
            batch = self._asked
            self._open[batch] = (len(requests), size)
            self._answers[batch] = []
            # In the order of the numbers, which the guard checks.
            self._channel.send((ASK, _NUMBER.pack(batch) + b"".join(request.payload for request in requests)))
            self._changed.notify_all()
            try:
                self._waiting.add(get_ident())
                answers = self._wait(batch)
            finally:
                self._waiting.discard(get_ident())
                self._answers.pop(batch, None)
                self._complete.discard(batch)
        return [_value(request, *answer) for request, answer in zip(requests, answers)]

    def _wait(self, batch):
        while batch not in self._complete:
            if self._reading:
                self._changed.wait()
                continue
            self._reading = True
            self._changed.release()
            try:
                frame = self._next_frame()
            finally:
                self._changed.acquire()
                self._reading = False
                self._changed.notify_all()
            if frame is not None:
                self._take(frame)
        return self._answers[batch]

    def _next_frame(self):
        """A frame once there is one; None when somebody should look again."""
        ready = poll()
        ready.register(self._channel.fileno(), _POLLIN)
        said = None
        while not self._channel.has_frame() and not ready.poll(0):
            state = (self._answered, self._asked)
            if said != state and self._all_wait():
                self._channel.send((IDLE, _NUMBER.pack(self._answered)))
                said = state
            # A signal's handler may end the wait here: nothing has been read yet.
            if ready.poll(-1 if said == state and len(_current_frames()) == 1 else _LOOK_EVERY_MS):
                break
        # But not here, or half a frame would be lost.
        before = pthread_sigmask(SIG_BLOCK, _ALL_SIGNALS)
        try:
            frame = self._channel.receive()
            if frame is None or frame[0] != ANSWER:
                raise RuntimeError("the connection to Airlock is gone")
            return frame[1]
        finally:
            pthread_sigmask(SIG_SETMASK, before)

    def _take(self, payload):
        batch, _, last, kind = _ANSWER.unpack_from(payload)
        answers = self._answers.get(batch)
        # Whoever asked may have been interrupted: nobody wants it any more.
        if answers is not None:
            answers.append((kind, payload[_ANSWER.size:].decode("utf-8")))
        if last:
            self._answered += 1
            self._open.pop(batch, None)
            if answers is not None:
                self._complete.add(batch)

    def _all_wait(self):
        """True when every thread waits for the LLM, or for a thread that does."""
        for ident, frame in _current_frames().items():
            if ident not in self._waiting and (frame.f_code.co_filename, frame.f_code.co_name) not in _WAITING:
                return False
        return True


def _value(request, kind, text):
    if kind == _TIMED_OUT:
        raise LlmTimeout(text)
    if kind == _REFUSED:
        raise LlmLimit(text)
    if kind != _TEXT:
        raise ValueError(text)
    return json.loads(text) if request.parsed else text


_line = _Line()
connect = _line.connect
