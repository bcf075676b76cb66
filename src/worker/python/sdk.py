"""What a script sees of Airlock: `settings`, `set_result` and `llm`, predefined in the script and in `import airlock`."""

from collections.abc import Mapping as _Mapping

from _airlock_llm import LlmLimit, LlmTimeout
from _airlock_llm import Llm as _Llm
from _airlock_serialise import to_json as _to_json

__all__ = ["settings", "set_result", "llm", "ResultTooLarge", "LlmTimeout", "LlmLimit"]


class ResultTooLarge(Exception):
    """The result as JSON has more bytes than this execution may return."""


class Settings(_Mapping):
    """The credentials of the profile by name, read-only. What prints or copies the whole shows names only, never values."""

    __slots__ = ("_values",)

    def __init__(self, values):
        self._values = values

    def __getitem__(self, name):
        try:
            return self._values[name]
        except (KeyError, TypeError):
            pass
        names = ", ".join(sorted(self._values)) or "none"
        raise KeyError("no setting %.200r; this profile has: %s" % (name, names))

    def __iter__(self):
        return iter(self._values)

    def __len__(self):
        return len(self._values)

    def __repr__(self):
        return "<settings: %s>" % (", ".join(sorted(self._values)) or "none")

    def __reduce_ex__(self, protocol):
        raise TypeError("settings can't be copied or pickled as a whole; take the values that are needed by name")


class _Outcome:
    """The last result that was set: JSON text in UTF-8, or None; and how many bytes it may have."""

    __slots__ = ("result", "result_bytes")

    def __init__(self):
        self.result = None
        self.result_bytes = 0


_outcome = _Outcome()
settings = Settings({})
llm = _Llm()


def set_result(data):
    """Makes `data` the result of the execution. It is serialised now: later changes to `data` have no effect.

    The last call wins. Raises TypeError naming the place in `data` that JSON can't hold, ResultTooLarge beyond the limit.
    """
    result = _to_json(data)
    limit = _outcome.result_bytes
    if len(result) > limit:
        raise ResultTooLarge(
            "the result is %d bytes of JSON, the limit is %d; return fewer rows or fields, or a summary"
            % (len(result), limit)
        )
    _outcome.result = result


def _begin(values, result_bytes):
    """Called by the runtime before the script: the settings (name to value), and the limit of the result in bytes."""
    settings._values.update(values)
    _outcome.result = None
    _outcome.result_bytes = result_bytes


def _result():
    """Called by the runtime after the script: the result as JSON text in UTF-8, None if none was set."""
    return _outcome.result
