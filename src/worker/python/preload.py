"""What the fork server imports once so that no script has to, and the digest of the environment that scripts run in."""

import hashlib
import importlib
import os
import sys

# By what scripts that call services and shape data import, with the modules that those would import at first use.
_STANDARD_LIBRARY = """
    _strptime abc argparse array ast asyncio base64 binascii bisect calendar collections.abc concurrent.futures configparser
    contextlib contextvars copy csv ctypes dataclasses datetime decimal difflib email.message email.parser encodings.ascii
    encodings.idna encodings.latin_1 encodings.utf_8_sig enum errno fnmatch fractions functools getpass glob gzip hashlib
    heapq hmac html html.parser http.client http.cookiejar inspect io ipaddress itertools json keyword linecache locale
    logging math mimetypes numbers operator os pathlib pickle platform pprint queue random re secrets select selectors shlex
    shutil signal socket sqlite3 ssl statistics string stringprep struct subprocess tempfile textwrap threading time
    traceback types typing unicodedata urllib.error urllib.parse urllib.request uuid warnings weakref xml.etree.ElementTree
    zipfile zlib zoneinfo
""".split()

_os_fork = os.fork


def _fork():
    """`os.fork`, again when a signal's handler interrupts it: the call waits for the guard to count, which it does nowhere else."""
    while True:
        try:
            return _os_fork()
        except InterruptedError:
            continue


def wait_out_signals():
    """Puts `_fork` in the place of `os.fork`, for scripts that handle signals."""
    os.fork = _fork


_PACKAGE_SUFFIXES = (".dist-info", ".egg-info")


def import_all(optional):
    """Imports the standard library's common modules, and those named in `optional`. What can't be imported is left out: a
    script that needs it gets the error of its own import."""
    for name in _STANDARD_LIBRARY + list(optional):
        try:
            importlib.import_module(name)
        except Exception:  # a package's import may fail in any way
            continue


def installed_packages():
    """`name-version` of the installed packages, sorted: the names of their metadata folders, which is what pip goes by too.

    Their contents are not read: that would take longer than all else at the start.
    """
    packages = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            stem, suffix = os.path.splitext(name)
            if suffix in _PACKAGE_SUFFIXES:
                packages.add(stem)
    return sorted(packages)


def environment_digest(packages):
    """SHA-256, in hexadecimal, of the interpreter's build, the architecture and `packages`, one a line."""
    lines = [sys.implementation.name, sys.version, os.uname().machine] + packages
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()
