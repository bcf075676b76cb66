"""How a script's failure is told: kind, one sentence, traceback, in which no line of the runtime's own appears.

The script may have replaced or broken anything that is reachable from it, the `traceback` module and the builtins that this
module uses included, and may have left no memory. So there are three ways to tell it, each needing less than the one before;
`describe` takes the first that works.
"""

from collections import namedtuple
from json.encoder import encode_basestring_ascii as _quote
from traceback import TracebackException

SCRIPT_FILE = "<script>"
_RUNTIME_PREFIX = "<airlock>/"

# In characters. Longer texts lose their end, and the server shows only the first 16 KiB and 64 KiB of what comes: more than
# the 64 KiB that a credential's value can be long lies between, so a value that is cut through here is never shown in part.
_ERROR_CHARACTERS = 80 * 1024
_TRACEBACK_CHARACTERS = 160 * 1024
_PLAIN_FRAMES = 100

_name_of = type.__dict__["__name__"].__get__

Report = namedtuple("Report", "error_type error traceback")
COMPLETED = Report(None, None, None)


def as_json(report):
    """The payload of a DONE frame. Written by hand: a script that broke `json` must not lose its report."""
    members = (
        '"%s":%s' % (member, "null" if text is None else _quote(text)) for member, text in zip(Report._fields, report)
    )
    return ("{%s}" % ",".join(members)).encode("ascii")


def describe(error):
    """The Report of an exception that ended the script."""
    for way in (_full, _plain):
        try:
            return way(error)
        except BaseException:  # whatever the script's own classes or replacements raise here
            continue
    return _bare(error)


def _full(error):
    """With the traceback as Python prints it: chained exceptions, groups, notes, carets, repeated lines folded."""
    details = TracebackException(type(error), error, error.__traceback__)
    _strip(details)
    return _report(error, "".join(details.format()))


def _plain(error):
    """With file, line and function of each frame, found without help from the standard library."""
    lines = ["Traceback (most recent call last):\n"]
    step = error.__traceback__
    while step is not None and len(lines) <= _PLAIN_FRAMES:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_RUNTIME_PREFIX):
            lines.append('  File "%s", line %s, in %s\n' % (code.co_filename, step.tb_lineno, code.co_name))
        step = step.tb_next
    name, message = _name_of(type(error)), _message(error)
    lines.append("%s: %s\n" % (name, message) if message else name + "\n")
    return _report(error, "".join(lines))


def _bare(error):
    """Kind alone."""
    name = _bounded(_name_of(type(error)), _ERROR_CHARACTERS)
    return Report(name, name, None)


def _report(error, traceback):
    name = _name_of(type(error))
    message = _message(error)
    line = _line(error)
    text = "%s: %s" % (name, message) if message else name
    if line is not None:
        text += " (line %d)" % line
    text = _bounded(text, _ERROR_CHARACTERS)
    return Report(_bounded(name, _ERROR_CHARACTERS), text, _bounded(traceback, _TRACEBACK_CHARACTERS))


def _message(error):
    """The exception's own text."""
    try:
        if isinstance(error, SystemExit) and isinstance(error.code, int):
            return "exit code %d" % error.code
        if _is_syntax_error_of_script(error):
            # Its str() repeats the file name and the line, which the report says in its own way.
            return str(error.msg)
        # The join makes a plain str of what may be a subclass with methods of the script's.
        return "".join((str(error),))
    except MemoryError:
        raise
    except BaseException:
        return "<exception str() failed>"


def _line(error):
    """The line of the script that was running: of the innermost frame in it. None if the script never ran."""
    if _is_syntax_error_of_script(error):
        return error.lineno
    line = None
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code.co_filename == SCRIPT_FILE and step.tb_lineno is not None:
            line = step.tb_lineno
        step = step.tb_next
    return line


def _is_syntax_error_of_script(error):
    return isinstance(error, SyntaxError) and error.filename == SCRIPT_FILE


def _strip(details):
    """Takes the runtime's frames out of a TracebackException and of all that it is chained to or a group of."""
    seen = set()
    waiting = [details]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        if part.stack is not None:
            part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(_RUNTIME_PREFIX)]
        waiting.extend((part.__cause__, part.__context__))
        waiting.extend(getattr(part, "exceptions", None) or ())


def _bounded(text, limit):
    """The first `limit` characters, lone surrogates escaped so that UTF-8 can hold them."""
    return text[:limit].encode("utf-8", "backslashreplace").decode("utf-8")[:limit]
