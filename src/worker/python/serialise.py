"""From a script's result to JSON, and from a failure to the place in the result that caused it.

`json` does the work. Only when it refuses does `_first_problem` walk the data: the walk costs many times the encoding, but
"Object of type datetime is not JSON serializable" doesn't tell an agent which of ten thousand values to fix.
"""

import json
from math import isfinite

_PATH_CHARACTERS = 400
_KEY_CHARACTERS = 60

# By the qualified name of a class or of one of its bases: third-party classes are known without importing them.
_HINTS = {
    "datetime.date": "use .isoformat()",
    "datetime.time": "use .isoformat()",
    "datetime.timedelta": "use .total_seconds()",
    "decimal.Decimal": "use str() or float()",
    "fractions.Fraction": "use str() or float()",
    "builtins.complex": "use str() or [z.real, z.imag]",
    "builtins.bytes": "use .decode() or base64",
    "builtins.bytearray": "use .decode() or base64",
    "builtins.memoryview": "use .tobytes() and base64",
    "builtins.set": "use sorted() or list()",
    "builtins.frozenset": "use sorted() or list()",
    "builtins.range": "use list()",
    "builtins.generator": "use list()",
    "builtins.dict_keys": "use list()",
    "builtins.dict_values": "use list()",
    "builtins.dict_items": "use dict() or list()",
    "builtins.map": "use list()",
    "builtins.filter": "use list()",
    "builtins.zip": "use list()",
    "builtins.coroutine": "await it first",
    "builtins.function": "call it and return what it gives",
    "builtins.method": "call it and return what it gives",
    "builtins.BaseException": "use str()",
    "collections.deque": "use list()",
    "enum.Enum": "use .value",
    "uuid.UUID": "use str()",
    "pathlib.PurePath": "use str()",
    "pathlib._local.PurePath": "use str()",  # its name in Python 3.13
    "airlock.Settings": "credentials don't belong in a result",
    "numpy.ndarray": "use .tolist()",
    "numpy.generic": "use .item()",
    "pandas.core.frame.DataFrame": 'use .to_dict("records")',
    "pandas.core.series.Series": "use .tolist() or .to_dict()",
    "pydantic.main.BaseModel": 'use .model_dump(mode="json")',
}
_OTHER_HINT = "use a str, a number, a bool, None, a list or a dict"


class _Encoder(json.JSONEncoder):
    """Strict JSON. `default` is defined here so that a script that replaces `json.JSONEncoder.default` changes nothing."""

    def default(self, value):
        raise TypeError


_encode = _Encoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode


def to_json(data):
    """`data` as JSON text in UTF-8 bytes, with what `json.dumps` accepts (tuples are lists, an int key is its digits).

    Raises TypeError that names the first value or key that JSON can't hold: `result["rows"][3]["when"]: datetime; use
    .isoformat()`. Values are never part of the message.
    """
    try:
        return _encode(data).encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        problem = _first_problem(data)
    raise TypeError(problem)


def _first_problem(data):
    """What is wrong with `data`, depth first in the order of the JSON text, as `PATH: PROBLEM`.

    Keeps its own stack, so that the depth of the data doesn't matter.
    """
    problem = _problem_of(data)
    if problem is not None:
        return "result: " + problem
    path = []
    open_containers = [data]
    open_identities = {id(data)}
    levels = [_members(data)]
    while levels:
        member = next(levels[-1], None)
        if member is None:
            levels.pop()
            open_identities.remove(id(open_containers.pop()))
            if path:
                path.pop()
            continue
        key, value, problem = member
        if problem is None:
            problem = _problem_of(value)
        if problem is None and id(value) in open_identities:
            problem = "contains itself; JSON has no references"
        if problem is not None:
            return "%s: %s" % (_path_text(path + [key]), problem)
        if isinstance(value, (dict, list, tuple)):
            path.append(key)
            open_containers.append(value)
            open_identities.add(id(value))
            levels.append(_members(value))
    return "result: nested too deeply for JSON; flatten it"


def _members(value):
    """Yields `(key or index, member, what is wrong with the key or None)`."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield key, member, _problem_of_key(key)
    elif isinstance(value, (list, tuple)):
        for index, member in enumerate(value):
            yield index, member, None


def _problem_of_key(key):
    if key is None or isinstance(key, (str, int)):
        return _problem_of(key)
    if isinstance(key, float):
        return None if isfinite(key) else "a key that is NaN or infinite; use a str"
    return "a key of type %s; use a str" % _name(type(key))


def _problem_of(value):
    """What is wrong with this value alone, its members left aside; None if nothing is."""
    if value is None:
        return None
    if isinstance(value, int):
        try:
            int.__repr__(value)
        except ValueError:
            return "an int of more digits than Python converts; use hex() or float()"
        return None
    if isinstance(value, float):
        if isfinite(value):
            return None
        return "%s is not valid JSON; use None" % ("NaN" if value != value else "Infinity")
    if isinstance(value, str):
        try:
            str.encode(value, "utf-8")
        except UnicodeEncodeError:
            return 'text with a lone surrogate; use .encode("utf-8", "replace").decode()'
        return None
    if isinstance(value, (dict, list, tuple)):
        return None
    return "%s; %s" % (_name(type(value)), _hint(type(value)))


def _name(cls):
    return type.__dict__["__name__"].__get__(cls)


def _hint(cls):
    for base in type.__dict__["__mro__"].__get__(cls):
        hint = _HINTS.get("%s.%s" % (getattr(base, "__module__", ""), _name(base)))
        if hint is not None:
            return hint
    if hasattr(cls, "__dataclass_fields__"):
        return "use dataclasses.asdict()"
    return _OTHER_HINT


def _path_text(path):
    """`result["rows"][3]`, bounded: the middle of a very deep path is left out."""
    text = "result" + "".join(
        "[%s]" % (json.dumps(key[:_KEY_CHARACTERS]) if isinstance(key, str) else _key_text(key)) for key in path
    )
    if len(text) > _PATH_CHARACTERS:
        half = _PATH_CHARACTERS // 2
        text = "%s ... %s" % (text[:half], text[-half:])
    return text


def _key_text(key):
    if key is None or isinstance(key, (int, float)):
        return repr(key)
    # The repr of anything else is the script's code, and could be of any size.
    return "<%s>" % _name(type(key))
